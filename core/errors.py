"""The error tree. Every error we raise on purpose descends from `Error` and has a `Kind`.

A kind says what the caller may do about it. Each outer boundary turns kinds into its own codes
once: `core.grpc_errors` for gRPC. What is not here: the classes of one area, such as
`cloud.errors`, which carry that area's data.
"""

import enum
from typing import ClassVar


class Kind(enum.StrEnum):
    """What went wrong, in words the caller can act on."""

    INVALID = "invalid"  # the request can never succeed as it stands
    NOT_FOUND = "not_found"
    EXISTS = "exists"  # the name is taken by something different
    BUSY = "busy"  # another operation is running; retry later
    EXHAUSTED = "exhausted"  # quota, stock or capacity
    PRECONDITION = "precondition"  # the system must change first; a bare retry will not help
    OUT_OF_RANGE = "out_of_range"  # a size outside what is possible
    DENIED = "denied"  # identity lacks the permission
    UNAUTHENTICATED = "unauthenticated"  # credentials are wrong
    UNAVAILABLE = "unavailable"  # temporary; retry
    DEADLINE = "deadline"  # the caller's time is up; retry resumes
    UNSUPPORTED = "unsupported"  # not offered here
    INTERNAL = "internal"


class Error(Exception):
    """Root of all errors we raise on purpose; the message is safe to show to the caller."""

    kind: ClassVar[Kind] = Kind.INTERNAL


class Invalid(Error):
    kind = Kind.INVALID


class InvalidField(Invalid):
    """A field is missing or its value is not allowed; names field, value and what is."""

    def __init__(self, field: str, why: str, *, value: object = None, allowed: str = "") -> None:
        shown = "" if value is None else f" {_shown(value)}"
        hint = f"; allowed: {allowed}" if allowed else ""
        super().__init__(f"{field}{shown} {why}{hint}")
        self.field = field


class NotFound(Error):
    kind = Kind.NOT_FOUND


class Exists(Error):
    kind = Kind.EXISTS


class Busy(Error):
    kind = Kind.BUSY


class Exhausted(Error):
    kind = Kind.EXHAUSTED


class Precondition(Error):
    kind = Kind.PRECONDITION


class OutOfRange(Error):
    kind = Kind.OUT_OF_RANGE


class Denied(Error):
    kind = Kind.DENIED


class Unauthenticated(Error):
    kind = Kind.UNAUTHENTICATED


class Unavailable(Error):
    kind = Kind.UNAVAILABLE


class DeadlineExceeded(Error):
    kind = Kind.DEADLINE


class Unsupported(Error):
    kind = Kind.UNSUPPORTED


class Internal(Error):
    kind = Kind.INTERNAL


_SHOWN_MAX = 128


def _shown(value: object) -> str:
    """Value as shown in a message: quoted, control characters escaped, at most 128 characters."""
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"

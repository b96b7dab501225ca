"""Cloud error codes whose meaning depends on what the disk driver was doing.

`cloud.errors` knows what a code means in general; here one call site says what it means to its
caller. Codes decide, never message texts. Source: spec/cloud-api.md 4.2, csi-driver.md 9.2 f.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from cloud import errors as cloud_errors
from core import errors

T = TypeVar("T")

Meanings = Mapping[str, type[errors.Error]]
"""Code, or the beginning of one with a `*` behind, → class of error to raise instead."""

_IDEMPOTENT_MISMATCH = "IdempotentParameterMismatch"
DRY_RUN_PASSED = "DryRunOperation"
NO_CHANGE = "NoChangeInDiskCategoryAndPerformanceLevel"

STATE_CHANGED = ("IncorrectDiskStatus", "InvalidDisk.InUse", "DependencyViolation")
"""The disk is not in the state we saw: look again."""
INSTANCE_BUSY = (
    "InvalidOperation.Conflict",
    "OperationConflict*",
    "DisksDetachingOnEcsExceeded",
)
"""Another attach or detach runs on the instance: our slots do not cover other programs."""


def is_token_spent(error: cloud_errors.CloudError) -> bool:
    """Whether a client token was used before with other parameters."""
    return error.code == _IDEMPOTENT_MISMATCH


def matches(code: str, patterns: Sequence[str]) -> bool:
    """Whether *code* is one of *patterns*, which may end in `*`."""
    return any(_is(code, pattern) for pattern in patterns)


def find(code: str, table: Mapping[str, T]) -> T | None:
    """What *table*, whose keys may end in `*`, has for *code*; the first match wins."""
    return next((value for pattern, value in table.items() if _is(code, pattern)), None)


@contextlib.contextmanager
def meaning(doing: str, meanings: Meanings) -> Iterator[None]:
    """Give cloud errors raised in the body the class that *meanings* has for their code.

    doing: what was tried, for the message, e.g. "disk d-1 cannot be attached to i-1".
    """
    try:
        yield
    except cloud_errors.CloudError as e:
        error_class = find(e.code, meanings)
        if error_class is None:
            raise
        raise error_class(f"{doing}: {e}") from e


def _is(code: str, pattern: str) -> bool:
    return code == pattern or (pattern.endswith("*") and code.startswith(pattern[:-1]))

"""The call being served: its id, its deadline, and what it is doing right now.

Set by the gRPC interceptor, read by anything below it. Outside a call every answer is "no limit".
"""

import contextvars
import dataclasses
import time

from core import errors


@dataclasses.dataclass(slots=True)
class Call:
    """One RPC in progress.

    deadline_s: on the `time.monotonic` scale, None without a limit.
    doing: what the call waits for; ends in the error message when time is up.
    given_up: nobody waits for its answer any more; what blocks goes on until it ends.
    """

    call_id: str
    method: str
    deadline_s: float | None = None
    doing: str = "working"
    given_up: bool = False


_current: contextvars.ContextVar[Call | None] = contextvars.ContextVar("call", default=None)


def enter(call: Call) -> None:
    """Make *call* the current one for this task and the tasks it starts."""
    _current.set(call)


def remaining_s(default_s: float) -> float:
    """Seconds left for the current call, never negative; *default_s* when there is no limit."""
    call = _current.get()
    if call is None or call.deadline_s is None:
        return default_s
    return max(0.0, call.deadline_s - time.monotonic())


def doing(what: str) -> None:
    """Note what the current call is busy with, for the message when its time is up."""
    call = _current.get()
    if call is not None:
        call.doing = what


def require_wanted(what: str) -> None:
    """Raise DeadlineExceeded before *what* when nobody waits for the current call any more.

    For effects that only the caller can undo, such as a mount, after work that took long.
    """
    call = _current.get()
    if call is not None and call.given_up:
        raise errors.DeadlineExceeded(f"the caller is gone or its time is up; not {what}; retry")

"""What the fakes share: errors as the cloud gives them, calls on record, failures on order."""

import collections
from collections.abc import Mapping
from typing import Any

from cloud import errors as cloud_errors

_STATUS = 403


def refusal(action: str, code: str, message: str = "refused by the fake") -> Exception:
    """The error that `cloud` raises when ECS answers *code* to *action*."""
    return cloud_errors.make(
        action=action, code=code, status=_STATUS, message=message, request_id="FAKE"
    )


class Record:
    """Calls in order, and failures to raise from the next call of a method."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self._failures: dict[str, collections.deque[Exception]] = {}

    def names(self) -> list[str]:
        """Methods called, in order."""
        return [name for name, _ in self.calls]

    def fail_next(self, method: str, *failures: Exception) -> None:
        """Let the next calls of *method* raise *failures*, before any effect."""
        self._failures.setdefault(method, collections.deque()).extend(failures)

    def note(self, method: str, **arguments: Any) -> None:
        """Put a call on record; raises the failure that was ordered for it."""
        self.calls.append((method, arguments))
        ordered = self._failures.get(method)
        if ordered:
            raise ordered.popleft()

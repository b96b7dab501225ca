"""What was called, with which outcome; and counters per action. In memory only.

Secrets are removed on the way in: the log can be shown to anybody.
"""

import dataclasses
from collections import deque
from collections.abc import Mapping
from typing import Any

_SECRET_WORDS = ("secret", "token", "password", "signature", "credential")
# Not secret although its name says token: tests compare it.
_PUBLIC = frozenset({"ClientToken", "NextToken"})
_HIDDEN = "***"


def redact(values: Mapping[str, str]) -> dict[str, str]:
    """*values* with the content of everything secret replaced by `***`."""
    return {name: _HIDDEN if _is_secret(name) else value for name, value in values.items()}


def _is_secret(name: str) -> bool:
    low = name.lower()
    return name not in _PUBLIC and any(word in low for word in _SECRET_WORDS)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One call.

    at_s: simulated epoch seconds at arrival. code: "OK", an error code, or "ConnectionClosed" when
    no answer left. effect: the action ran and was committed (a replayed answer has no effect).
    fault: id of the injected fault that was applied, "" for none.
    """

    sequence: int
    at_s: float
    elapsed_s: float
    action: str
    version: str
    access_key_id: str
    parameters: Mapping[str, str]
    request_id: str
    http_status: int
    code: str
    effect: bool
    replayed: bool
    fault: str


@dataclasses.dataclass(slots=True)
class _Counter:
    total: int = 0
    most_per_second: int = 0
    codes: dict[str, int] = dataclasses.field(default_factory=dict)
    recent: deque[float] = dataclasses.field(default_factory=deque)


class CallLog:
    """The last *keep* calls, and counters of all."""

    def __init__(self, keep: int = 5000) -> None:
        self._entries: deque[Entry] = deque(maxlen=keep)
        self._counters: dict[str, _Counter] = {}
        self._sequence = 0

    def arrived(self, action: str, real_s: float) -> int:
        """Count an arrival; its sequence number, from 1. real_s: monotonic seconds."""
        self._sequence += 1
        counter = self._counters.setdefault(action, _Counter())
        counter.total += 1
        counter.recent.append(real_s)
        while counter.recent[0] <= real_s - 1.0:
            counter.recent.popleft()
        counter.most_per_second = max(counter.most_per_second, len(counter.recent))
        return self._sequence

    def add(self, entry: Entry) -> None:
        """Record how a call ended."""
        self._entries.append(entry)
        codes = self._counters.setdefault(entry.action, _Counter()).codes
        codes[entry.code] = codes.get(entry.code, 0) + 1

    def entries(self, *, action: str = "", since: int = 0) -> list[dict[str, Any]]:
        """Ended calls with a sequence number above *since*, of *action* or all, by number."""
        rows = [row for row in self._entries if row.sequence > since and action in ("", row.action)]
        return [dataclasses.asdict(row) for row in sorted(rows, key=lambda row: row.sequence)]

    def counters(self) -> dict[str, dict[str, Any]]:
        """Per action: `total` arrivals, `codes` of ended calls, and `per_second`.

        per_second: the most arrivals within any one second of real time.
        """
        return {
            action: {
                "total": row.total,
                "codes": dict(sorted(row.codes.items())),
                "per_second": row.most_per_second,
            }
            for action, row in sorted(self._counters.items())
        }

    def clear(self) -> None:
        """Forget all calls and counters; sequence numbers go on."""
        self._entries.clear()
        self._counters.clear()

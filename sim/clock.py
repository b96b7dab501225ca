"""The simulated time: the machine's clock with an offset and a rate, or frozen.

Latencies, expirations and creation times use it. Signature dates do not: they are checked against
the machine's clock, because clients sign with theirs; `skew_s` makes theirs wrong.
"""

import datetime
import re
import time
from typing import Any

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?Z", re.ASCII)


class Clock:
    """Simulated epoch seconds, starting at the machine's time.

    rate: simulated seconds per real second; 0 while frozen. skew_s: how far all clients' clocks are
    behind, as signatures are judged.
    """

    skew_s: float

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Show the machine's time at rate 1 again."""
        self._thawed_rate = 1.0
        self.skew_s = 0.0
        self._rebase(time.time(), 1.0)

    def signing_s(self) -> float:
        """Epoch seconds by which the dates of signatures are judged."""
        return time.time() + self.skew_s

    def now_s(self) -> float:
        """Simulated epoch seconds."""
        return self._base_s + (time.monotonic() - self._real_s) * self._rate

    def now(self) -> datetime.datetime:
        """Simulated time, UTC, with time zone."""
        return datetime.datetime.fromtimestamp(self.now_s(), datetime.UTC)

    def timestamp(self, at_s: float | None = None) -> str:
        """Time as the API prints it, `2026-11-23T07:41:54Z`; *at_s*: epoch seconds, default now."""
        return text(self.now_s() if at_s is None else at_s)

    def advance(self, seconds: float) -> None:
        """Move on by *seconds*, which may not be negative."""
        self._rebase(self.now_s() + seconds, self._rate)

    def freeze(self) -> None:
        """Stop; only `advance` moves the time until `thaw`."""
        self._rebase(self.now_s(), 0.0)

    def thaw(self) -> None:
        """Run again at the rate that was in force before `freeze`."""
        self._rebase(self.now_s(), self._thawed_rate)

    def set_rate(self, rate: float) -> None:
        """Run at *rate* simulated seconds per real second (more than 0)."""
        self._thawed_rate = rate
        self._rebase(self.now_s(), rate)

    def state(self) -> dict[str, Any]:
        """What `restore` needs in a later process."""
        return {
            "now_s": self.now_s(),
            "real_s": time.time(),
            "rate": self._rate,
            "thawed_rate": self._thawed_rate,
            "skew_s": self.skew_s,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Carry on from a `state` of an earlier process, as if it had never stopped."""
        self._thawed_rate = state["thawed_rate"]
        self.skew_s = state.get("skew_s", 0.0)
        gone_s = max(0.0, time.time() - state["real_s"])
        self._rebase(state["now_s"] + gone_s * state["rate"], state["rate"])

    def _rebase(self, now_s: float, rate: float) -> None:
        self._base_s, self._real_s, self._rate = now_s, time.monotonic(), rate


def text(at_s: float) -> str:
    """Epoch seconds as `2026-11-23T07:41:54Z`."""
    moment = datetime.datetime.fromtimestamp(int(at_s), datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(value: str) -> float | None:
    """Epoch seconds of `2026-11-23T07:41:54Z` or `2026-11-23T07:41Z`; None when it is neither."""
    if not _TIME.fullmatch(value):
        return None
    try:
        return datetime.datetime.fromisoformat(value).timestamp()
    except ValueError:
        return None

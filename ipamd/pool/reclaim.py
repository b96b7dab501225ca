"""Shrinking a pool nobody uses below its free maximum, in small steps.

Source: spec/terway.md 5.2.
"""

import random


class Reclaim:
    """after_s: quiet time before the first step. batch: addresses a step. jitter: 0 to 1."""

    def __init__(
        self, *, after_s: float, interval_s: float, batch: int, jitter: float = 0.0
    ) -> None:
        self._after_s = after_s
        self._interval_s = interval_s
        self._batch = batch
        self._jitter = jitter
        self._quiet_since_s: float | None = None
        self._next_s: float | None = None

    def used(self, now_s: float) -> None:
        """An address was leased or released."""
        self._quiet_since_s, self._next_s = now_s, None

    def due(self, now_s: float) -> int:
        """How many addresses more than usual may go now. The first look only arms the timer."""
        if self._quiet_since_s is None:
            self._quiet_since_s = now_s
        if now_s - self._quiet_since_s < self._after_s:
            return 0
        if self._next_s is not None and now_s >= self._next_s:
            self._arm(now_s)
            return self._batch
        if self._next_s is None:
            self._arm(now_s)
        return 0

    def _arm(self, now_s: float) -> None:
        # Not for secrets: nodes must only not all ask at once.
        self._next_s = now_s + self._interval_s * (1 + random.uniform(0, self._jitter))  # noqa: S311

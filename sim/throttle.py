"""Token buckets per action and region, and the refusal when one is empty."""

import dataclasses

from sim import errors, world

_MINUTE_S = 60.0


@dataclasses.dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


class Throttler:
    """Limits calls per minute. Buckets start full and are forgotten when the process ends."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def take(self, limits: world.Throttle, action: str, region_id: str, now_s: float) -> None:
        """Use one token of (*action*, *region_id*); raises ApiError Throttling.User when empty.

        now_s: simulated epoch seconds.
        """
        per_minute = limits.per_minute.get(action, limits.default_per_minute)
        if per_minute <= 0:
            return
        bucket = self._buckets.setdefault((action, region_id), _Bucket(float(per_minute), now_s))
        gained = max(0.0, now_s - bucket.at_s) * per_minute / _MINUTE_S
        bucket.tokens = min(float(per_minute), bucket.tokens + gained)
        bucket.at_s = now_s
        if bucket.tokens >= 1.0:
            bucket.tokens -= 1.0
            return
        wait_s = (1.0 - bucket.tokens) * _MINUTE_S / per_minute
        raise refusal(limits.style, wait_s)

    def clear(self) -> None:
        """Fill all buckets."""
        self._buckets.clear()


def refusal(style: str, wait_s: float) -> errors.ApiError:
    """Throttling.User in one of the two styles seen (spec/cloud-api.md 4.3)."""
    message = "Request was denied due to user flow control."
    if style == "429":
        headers = {"x-acs-retry-after": str(max(1, round(wait_s * 1000)))}
        return errors.ApiError("Throttling.User", 429, message, headers=headers)
    return errors.ApiError("Throttling.User", 400, message)

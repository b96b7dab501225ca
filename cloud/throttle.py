"""What to do when the cloud says we call too often: back off together, probe alone.

Per action: after a throttled answer every caller waits; when the back-off has passed exactly one of
them tries. Its success lets all go; another throttling doubles the back-off.
Source: spec/csi-driver.md 2.11.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from cloud import errors as cloud_errors
from core import call, clock

log = structlog.get_logger()

T = TypeVar("T")

FIRST_S = 1.0
MAX_S = 10.0
_NO_LIMIT_S = 300.0


class Gate:
    """The throttle of one action.

    slots: how many calls may run at once, over all actions. Whoever waits for a slot looks at the
    gate again when it has one: a queue of calls must not run on into a closed gate.
    """

    def __init__(self, action: str, time: clock.Clock, slots: asyncio.Semaphore) -> None:
        self._action = action
        self._clock = time
        self._slots = slots
        self._delay_s = 0.0
        self._not_before_s = 0.0
        self._probing = False
        self._changed = asyncio.Event()
        self._last: cloud_errors.Throttled | None = None

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Result of *attempt*, repeated while the cloud throttles and the caller has time.

        Raises Throttled when the caller's time would not last to the next try.
        """
        while True:
            probing = await self._enter()
            try:
                async with self._slots:
                    if self._delay_s and not probing:
                        continue
                    result = await attempt()
            except cloud_errors.Throttled as e:
                self._throttled(e, probing=probing)
                if self._wait_s() >= call.remaining_s(_NO_LIMIT_S):
                    raise
                continue
            except BaseException as e:
                self._passed(probing=probing, answered=_is_answer(e))
                raise
            self._passed(probing=probing, answered=True)
            return result

    async def _enter(self) -> bool:
        """Wait for the turn; returns whether this caller is the one that probes."""
        while self._delay_s:
            wait_s = self._wait_s()
            if not self._probing and wait_s <= 0:
                self._probing = True
                return True
            call.doing(f"waiting because the cloud throttles {self._action}")
            remaining_s = call.remaining_s(_NO_LIMIT_S)
            if wait_s >= remaining_s:
                raise self._refusal()
            if not self._probing:
                await self._clock.sleep(wait_s)
                continue
            try:
                async with asyncio.timeout(remaining_s):
                    await self._changed.wait()
            except TimeoutError as e:
                raise self._refusal() from e
        return False

    def _wait_s(self) -> float:
        return self._not_before_s - self._clock.monotonic_s()

    def _refusal(self) -> cloud_errors.Throttled:
        """Error of a caller that was not let through."""
        last = self._last
        return cloud_errors.Throttled(
            action=self._action,
            code=last.code if last else "Throttling",
            status=last.status if last else 0,
            message="the cloud throttles this action and the time is up; retry later",
            request_id=last.request_id if last else "",
        )

    def _throttled(self, error: cloud_errors.Throttled, *, probing: bool) -> None:
        self._last = error
        # Calls that were under way when the gate closed say nothing new.
        if probing or not self._delay_s:
            self._delay_s = min(MAX_S, self._delay_s * 2) or FIRST_S
            delay_s = max(self._delay_s, error.retry_after_s or 0.0)
            self._not_before_s = self._clock.monotonic_s() + delay_s
            log.warning("throttled by the cloud", action=self._action, delay_s=delay_s)
        self._end_probe(probing=probing)

    def _passed(self, *, probing: bool, answered: bool) -> None:
        if answered:
            self._delay_s = 0.0
        self._end_probe(probing=probing)

    def _end_probe(self, *, probing: bool) -> None:
        if probing:
            self._probing = False
        self._changed.set()
        self._changed = asyncio.Event()


class Throttle:
    """The gates of all actions of one client. max_calls: how many may run at once."""

    def __init__(self, time: clock.Clock, *, max_calls: int) -> None:
        self._clock = time
        self._slots = asyncio.Semaphore(max_calls)
        self._gates: dict[str, Gate] = {}

    def gate(self, action: str) -> Gate:
        """The gate of *action*."""
        gate = self._gates.get(action)
        if gate is None:
            gate = self._gates[action] = Gate(action, self._clock, self._slots)
        return gate


def _is_answer(error: BaseException) -> bool:
    """Whether *error* is an answer of the cloud, which shows that it accepts calls again."""
    return isinstance(error, cloud_errors.CloudError) and error.status != 0

"""How a caller of a CSI driver sees an RPC end: codes, retries as the sidecars do them."""

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import grpc

T = TypeVar("T")
Code = grpc.StatusCode


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """How an RPC failed."""

    code: grpc.StatusCode
    message: str

    @classmethod
    def of(cls, error: grpc.RpcError) -> "Refusal":
        """What *error* says."""
        return cls(error.code(), error.details() or "")


RETRYABLE = frozenset({Code.ABORTED, Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED})
"""Codes that tell the CO: nothing is decided, ask again with the same request."""
CLIENT_GAVE_UP = "Deadline Exceeded"
"""grpc's own words when the driver did not answer before the caller's deadline."""
_PAUSE_S = 0.05


def retry(
    call: Callable[[], T],
    *,
    timeout_s: float = 20.0,
    also: frozenset[grpc.StatusCode] = frozenset(),
) -> T:
    """Result of *call*, called again after every retryable code for at most *timeout_s* seconds.

    also: further codes to retry after.
    """
    give_up_s = time.monotonic() + timeout_s
    while True:
        try:
            return call()
        except grpc.RpcError as e:
            if e.code() not in RETRYABLE | also or time.monotonic() > give_up_s:
                raise
        time.sleep(_PAUSE_S)


def wait_until(condition: Callable[[], bool], *, timeout_s: float) -> None:
    """Ask *condition* again and again until it holds; fails after *timeout_s* seconds."""
    give_up_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_s, f"did not come true within {timeout_s:g} s"
        time.sleep(_PAUSE_S)


def refusal(call: Callable[[], object]) -> Refusal:
    """How *call* fails; an AssertionError when it does not."""
    try:
        answer = call()
    except grpc.RpcError as e:
        return Refusal.of(e)
    raise AssertionError(f"expected an error, got {answer!r}")


class Running(Generic[T]):
    """A call in a thread of its own; `error` or `result` is set once `join` returns."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.error: Refusal | None = None
        self.result: T | None = None
        self._call = call
        self._thread = threading.Thread(target=self._run, name="rpc under test")
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._call()
        except grpc.RpcError as e:
            self.error = Refusal.of(e)

    def join(self, timeout_s: float = 60.0) -> None:
        """Wait for the end of the call."""
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the RPC does not end"


def together(calls: Sequence[Callable[[], T]], *, timeout_s: float = 100.0) -> list[Running[T]]:
    """All *calls* at the same time, each in its thread; returns when all have ended."""
    running = [Running(call) for call in calls]
    for one in running:
        one.join(timeout_s)
    return running

"""ADDs that wait for an address: first come, first served."""

import asyncio
import collections
from collections.abc import Callable

from core import call, errors
from ipamd import model


class NoAddress(errors.Exhausted):
    """An ADD got no address. The message tells why and what to do."""


class Waiting:
    """A queue. release: takes an address back from a key whose ADD gave up."""

    def __init__(self, release: Callable[[model.AttachmentKey], object]) -> None:
        self._release = release
        self._queue: collections.deque[tuple[model.AttachmentKey, asyncio.Future[None]]] = (
            collections.deque()
        )

    def __len__(self) -> int:
        return len(self._queue)

    async def wait(
        self, key: model.AttachmentKey, timeout_s: float, why: Callable[[], str]
    ) -> None:
        """Return once *key* may have an address. why: what it waits for, asked again at the end.

        Raises NoAddress when it was refused, DeadlineExceeded.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((key, future))
        call.doing(f"waiting for an address: {why()}")
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                await future
        except TimeoutError as e:
            self._take_back(key, future)
            raise errors.DeadlineExceeded(
                f"time is up while waiting for an address: {why()}"
            ) from e
        except BaseException:
            self._take_back(key, future)
            raise
        finally:
            future.cancel()

    def serve(self, give: Callable[[model.AttachmentKey], bool]) -> None:
        """*give* to one after the other, until it has nothing."""
        # Who gave up is no demand any more, also behind others.
        if any(future.done() for _, future in self._queue):
            still = [each for each in self._queue if not each[1].done()]
            self._queue.clear()
            self._queue.extend(still)
        while self._queue:
            key, future = self._queue[0]
            if not give(key):
                return
            self._queue.popleft()
            future.set_result(None)

    def refuse(self, why: str) -> None:
        """Fail all: the runtime asks again by itself."""
        while self._queue:
            _, future = self._queue.popleft()
            if not future.done():
                future.set_exception(NoAddress(f"no address for this pod: {why}"))

    def _take_back(self, key: model.AttachmentKey, future: "asyncio.Future[None]") -> None:
        """Release an address that was given in the moment its caller gave up."""
        if future.done() and not future.cancelled() and future.exception() is None:
            self._release(key)

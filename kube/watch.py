"""A watch of some objects: list, follow, resume, list anew. Runs in the process `kube.agent`.

Source: Kubernetes API concepts, "Efficient detection of changes". What the server sends is told
at once and not kept, so that the memory does not depend on how much happens.
"""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from core import clock, errors
from kube import api

BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0
"""Longest pause. With jitter, so that the nodes of a cluster do not come back all at once."""

Tell = Callable[[dict[str, Any]], None]


class Gone(errors.Error):
    """What happened since that version is not known any more: list anew. Source: status 410."""


class Source(Protocol):
    """The API server; see `kube.object_source`."""

    async def list(self) -> tuple[Sequence[api.Object], str]:
        """Every object, and the version of the list."""
        ...

    def follow(self, version: str) -> AsyncIterator[api.Object]:
        """Watch events after *version*; {"type": "CONNECTED"} first. Raises Gone, Unavailable."""
        ...


class Watch:
    """tell: takes {"begin"}, {"put": metadata}, {"gone": metadata}, {"end"}, {"live"}, {"away"}."""

    def __init__(
        self,
        source: Source,
        tell: Tell,
        time: clock.Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._source = source
        self._tell = tell
        self._clock = time
        self._jitter = jitter
        self._version = ""
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                if not self._version:
                    await self._list()
                if not await self._follow():
                    await self._pause()
            except Gone:
                # Not told as away: the list that follows at once says all.
                self._version = ""
                await self._pause()
            except errors.Error as e:
                self._tell({"away": str(e)})
                await self._pause()
            # Else the server ended the watch, as it does every few minutes: go on where it ended.

    async def _list(self) -> None:
        found, version = await self._source.list()
        self._tell({"begin": True})
        for each in found:
            self._tell({"put": each})
        self._tell({"end": True})
        self._version = version

    async def _follow(self) -> bool:
        """Whether anything was told before the server ended the watch."""
        heard = False
        async for event in self._source.follow(self._version):
            kind, told = event.get("type"), event.get("object") or {}
            if kind == "CONNECTED":
                self._tell({"live": True})
                continue
            if kind == "ERROR":
                raise _error(told)
            heard, self._failures = True, 0
            if kind in ("ADDED", "MODIFIED"):
                self._tell({"put": told})
            elif kind == "DELETED":
                self._tell({"gone": told})
            # BOOKMARK tells a version and nothing else.
            version = (told.get("metadata") or {}).get("resourceVersion")
            if version:
                self._version = version
        return heard

    async def _pause(self) -> None:
        """Longer each time, until something is heard again."""
        longest_s = min(BACKOFF_FIRST_S * 2.0**self._failures, BACKOFF_MAX_S)
        self._failures = min(self._failures + 1, 10)
        await self._clock.sleep(longest_s * (0.5 + self._jitter() / 2))


_GONE = 410


def _error(status: api.Object) -> errors.Error:
    """What an event of type ERROR says."""
    told = str(status.get("message") or status.get("reason") or "the watch failed")
    return Gone(told) if status.get("code") == _GONE else errors.Unavailable(told)

"""The pods of a node as the watch shows them: a copy that is asked without waiting.

What is in it stays when the watch breaks: it is the last that was known. `is_live` tells whether
more is coming.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from kube import pods

_Name = tuple[str, str]


class PodCache:
    """One event loop. Fed by `begin`, `put`, `remove`, `end`; `end` replaces all that was there."""

    def __init__(self) -> None:
        self._pods: dict[_Name, pods.Pod] = {}
        self._listed: dict[_Name, pods.Pod] | None = None
        self._waiters: dict[_Name, set[asyncio.Future[None]]] = {}
        self.is_live = False
        self.was_listed = False
        """Whether a list was complete once: what is not here may not be said to be gone before."""
        self.why_away = "not started"

    def __len__(self) -> int:
        return len(self._pods)

    def __iter__(self) -> Iterator[pods.Pod]:
        return iter(list(self._pods.values()))

    def take(self, told: Mapping[str, Any]) -> None:
        """One line of `kube.agent`: what `kube.watch` tells, with pods as their fields."""
        if "put" in told:
            self.put(pods.Pod(**told["put"]))
        elif "gone" in told:
            gone = pods.Pod(**told["gone"])
            self.remove(gone.namespace, gone.name, gone.uid)
        elif "begin" in told:
            self.begin()
        elif "end" in told:
            self.end()
        elif "live" in told:
            self.live()
        elif "away" in told:
            self.away(told["away"])

    def begin(self) -> None:
        """A new list begins; until it ends, the old pods are shown."""
        self._listed = {}

    def put(self, pod: pods.Pod) -> None:
        """A pod as it is now. Of two with one name the later is right: names are unique."""
        name = (pod.namespace, pod.name)
        if self._listed is not None:
            self._listed[name] = pod
        self._pods[name] = pod
        for waiter in self._waiters.get(name, ()):
            if not waiter.done():
                waiter.set_result(None)

    def remove(self, namespace: str, name: str, uid: str) -> None:
        """The pod is gone; one that came after it with the same name stays."""
        for kept in (self._pods, self._listed or {}):
            found = kept.get((namespace, name))
            if found is not None and found.uid == uid:
                del kept[namespace, name]

    def end(self) -> None:
        """The list is complete: what it did not name is gone."""
        if self._listed is not None:
            self._pods, self._listed = self._listed, None
            self.was_listed = True

    def live(self) -> None:
        """The watch is connected: what changes will be told."""
        self.is_live, self.why_away = True, ""

    def away(self, why: str) -> None:
        """The watch is broken; a list that was under way does not count."""
        self.is_live, self.why_away, self._listed = False, why, None
        # Nobody waits for what does not come.
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def get(self, namespace: str, name: str, uid: str = "") -> pods.Pod | None:
        """The pod as last seen; uid: "" = whichever has the name."""
        found = self._pods.get((namespace, name))
        return found if found is not None and found.is_called(uid) else None

    async def find(
        self, namespace: str, name: str, uid: str = "", *, wait_s: float
    ) -> pods.Pod | None:
        """As `get`; waits for the watch to show the pod, *wait_s* seconds at most.

        A pod is often started within milliseconds of being bound to its node, before the watch
        tells. Waits for nothing while the watch is broken.
        """
        found = self.get(namespace, name, uid)
        if found is not None or not self.is_live:
            return found
        waiters = self._waiters.setdefault((namespace, name), set())
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters.add(waiter)
        try:
            async with asyncio.timeout(wait_s):
                while found is None and self.is_live:
                    await waiter
                    found = self.get(namespace, name, uid)
                    if found is None:
                        waiters.discard(waiter)
                        waiter = asyncio.get_running_loop().create_future()
                        waiters.add(waiter)
        except TimeoutError:
            return None
        finally:
            waiters.discard(waiter)
            if not waiters and self._waiters.get((namespace, name)) is waiters:
                del self._waiters[namespace, name]
        return found

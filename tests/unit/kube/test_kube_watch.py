"""The pod cache shows what the API server has, whatever happens to server, connection and child."""

import asyncio
import contextlib
import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from core import errors
from kube import pod_cache, pods, watch
from tests.fakes import virtual_clock


class Server:
    """An API server in memory: pods by name, and a log of what happened since `oldest`."""

    def __init__(self):
        self.pods = {}
        self.log = []
        self.version = 1
        self.oldest = 1
        self.is_away = False
        self.cuts = 0
        self.ends = 0
        self.tells_gone_as_event = False
        self.lists = 0
        self._changed = asyncio.Event()

    async def list(self):
        if self.is_away:
            raise errors.Unavailable("refused")
        self.lists += 1
        return [self._told(name) for name in self.pods], str(self.version)

    async def follow(self, version):
        cuts, ends, at = self.cuts, self.ends, int(version)
        if self.is_away:
            raise errors.Unavailable("refused")
        if at < self.oldest and not self.tells_gone_as_event:
            raise watch.Gone("too old")
        yield {"type": "CONNECTED"}
        while True:
            if at < self.oldest:  # also a watch that is open and behind
                yield {"type": "ERROR", "object": {"code": 410, "message": "too old"}}
            for number, event in [each for each in self.log if each[0] > at]:
                yield event
                at = number
            if self.is_away or self.cuts > cuts:
                raise errors.Unavailable("cut")
            if self.ends > ends:
                return
            self._changed.clear()
            await self._changed.wait()

    def create(self, name):
        kind = "MODIFIED" if name in self.pods else "ADDED"
        self.version += 1
        self.pods.setdefault(name, f"uid-{self.version}")
        self._happened(kind, self._told(name))

    def delete(self, name):
        if name in self.pods:
            self.version += 1
            told = self._told(name)
            del self.pods[name]
            self._happened("DELETED", told)

    def bookmark(self):
        self._happened("BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})

    def compact(self):
        self.version += 1
        self.oldest, self.log = self.version, []

    def wake(self):
        self._changed.set()

    def _happened(self, kind, told):
        self.log.append((self.version, {"type": kind, "object": told}))

    def _told(self, name):
        metadata = {"namespace": "default", "name": name, "uid": self.pods[name]}
        return {"metadata": {**metadata, "resourceVersion": str(self.version)}}


@contextlib.asynccontextmanager
async def watching(server, cache, time):
    def tell(each):
        cache.take(
            {
                key: dataclasses.asdict(pods.parse(value, ())) if key in ("put", "gone") else value
                for key, value in each.items()
            }
        )

    task = asyncio.create_task(watch.Watch(server, tell, time, jitter=lambda: 1.0).run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


NAMES = ("a", "b", "c")
STEPS = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(NAMES)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES)),
    st.tuples(
        st.sampled_from(
            ["bookmark", "compact", "cut", "end", "away", "back", "settle", "wait", "restart"]
        ),
        st.none(),
    ),
)


async def do(server, time, step, name):
    match step:
        case "create" | "delete":
            getattr(server, step)(name)
        case "bookmark" | "compact":
            getattr(server, step)()
        case "cut":
            server.cuts += 1
        case "end":
            server.ends += 1
        case "away" | "back":
            server.is_away = step == "away"
        case "settle":
            await virtual_clock.settle()
        case "wait":
            await time.advance(5)
    server.wake()


def shown(cache):
    return {pod.name: pod.uid for pod in cache}


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, max_size=30), as_event=st.booleans())
def test_the_cache_ends_at_what_the_server_has(steps, as_event):
    async def story():
        server, cache, time = Server(), pod_cache.PodCache(), virtual_clock.VirtualClock()
        server.tells_gone_as_event = as_event
        rest = list(steps)
        while True:
            async with watching(server, cache, time):
                while rest:
                    step, name = rest.pop(0)
                    if step == "restart":
                        break
                    await do(server, time, step, name)
                else:
                    server.is_away = False
                    server.wake()
                    await time.advance(120)
                    assert cache.is_live
                    assert cache.was_listed
                    assert shown(cache) == server.pods
                    return
            cache.away("the companion process ended")

    asyncio.run(story())


async def test_a_broken_watch_goes_on_where_it_was_without_a_new_list():
    server, cache, time = Server(), pod_cache.PodCache(), virtual_clock.VirtualClock()
    async with watching(server, cache, time):
        await time.advance(1)
        server.cuts += 1
        server.wake()
        await virtual_clock.settle()
        assert not cache.is_live
        server.create("a")
        await time.advance(30)

    assert shown(cache) == {"a": "uid-2"}
    assert server.lists == 1


async def test_an_old_version_makes_a_new_list():
    server, cache, time = Server(), pod_cache.PodCache(), virtual_clock.VirtualClock()
    async with watching(server, cache, time):
        await time.advance(1)
        server.create("a")
        server.compact()
        server.cuts += 1
        server.wake()
        await time.advance(30)

    assert shown(cache) == server.pods
    assert server.lists == 2


async def test_pauses_grow_while_the_server_is_away_and_end_at_half_a_minute():
    server, cache, time = Server(), pod_cache.PodCache(), virtual_clock.VirtualClock()
    server.is_away = True
    async with watching(server, cache, time):
        await time.advance(200)

    assert time.slept[:5] == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert max(time.slept) == 30.0
    assert cache.why_away == "refused"


async def test_a_server_that_ends_each_watch_at_once_is_not_asked_in_a_loop():
    server, cache, time = Server(), pod_cache.PodCache(), virtual_clock.VirtualClock()

    async def follow(version):
        yield {"type": "CONNECTED"}

    server.follow = follow
    async with watching(server, cache, time):
        await time.advance(20)

    assert len(time.slept) < 10


async def test_a_pod_is_waited_for_while_the_watch_is_live():
    cache = pod_cache.PodCache()
    cache.live()
    asked = asyncio.create_task(cache.find("default", "a", "u2", wait_s=10))
    await virtual_clock.settle()
    cache.put(pods.Pod(namespace="default", name="a", uid="u1"))
    await virtual_clock.settle()
    assert not asked.done()
    cache.put(pods.Pod(namespace="default", name="a", uid="u2"))

    assert (await asked).uid == "u2"
    assert cache._waiters == {}


async def test_nobody_waits_when_the_watch_is_away():
    cache = pod_cache.PodCache()
    assert await cache.find("default", "a", wait_s=1000) is None

    cache.live()
    asked = asyncio.create_task(cache.find("default", "a", wait_s=1000))
    await virtual_clock.settle()
    cache.away("cut")

    assert await asked is None
    assert cache._waiters == {}


async def test_a_wait_ends_when_its_time_is_up():
    cache = pod_cache.PodCache()
    cache.live()

    assert await cache.find("default", "a", wait_s=0.01) is None
    assert cache._waiters == {}


def test_what_says_that_a_pod_is_static_is_kept_in_short():
    told = {"metadata": {"annotations": {"kubernetes.io/config.hash": "x" * 250_000}}}

    assert len(pods.parse(told, set()).static_uid) == 512


def test_of_a_pod_only_what_is_used_is_kept():
    found = pods.parse(
        {
            "metadata": {
                "namespace": "shop",
                "name": "web-0",
                "uid": "u",
                "annotations": {"a": "x" * 5000, "b": "y", "kubernetes.io/config.hash": "s"},
                "ownerReferences": [{"kind": "X"}, {"kind": "StatefulSet", "controller": True}],
            }
        },
        {"a"},
    )

    assert found == pods.Pod(
        namespace="shop",
        name="web-0",
        uid="u",
        annotations={"a": "x" * 512},
        owner_kind="StatefulSet",
        static_uid="s",
    )
    assert found.is_called("s")
    assert not found.is_called("other")

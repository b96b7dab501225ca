"""`kube.shared`: who shares a read, and who does not."""

import asyncio
import dataclasses
import pathlib

import pytest

from core import errors
from kube import api, child, settings, shared
from tests.fakes import api_http, fake_kubernetes, virtual_clock

NODE = {"metadata": {"name": "n1"}}


@dataclasses.dataclass
class Slow(fake_kubernetes.FakeKubernetes):
    """Answers when it is told to."""

    answers: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    async def read(self, kind: api.Kind, name: str, namespace: str = "") -> api.Object | None:
        found = await super().read(kind, name, namespace)
        await self.answers.wait()
        return found


async def test_forty_reads_at_once_are_one_request_by_one_process(tmp_path: pathlib.Path) -> None:
    server = api_http.ApiHttp()
    try:
        path = server.write_kubeconfig(tmp_path / "kubeconfig")
        config = settings.KubeSettings(kubeconfig=str(path), is_configured=True)
        asked = shared.Shared(child.Child(config))

        told = await asyncio.gather(*(asked.read(api.Kind.NODE, "node-1") for _ in range(40)))
    finally:
        server.close()

    assert [each and each["metadata"]["name"] for each in told] == ["node-1"] * 40
    assert [path for _, path, _, _ in server.seen] == ["/api/v1/nodes/node-1"]


async def test_what_is_not_the_same_object_is_read_by_itself() -> None:
    inner = fake_kubernetes.FakeKubernetes({(api.Kind.NODE, "n1"): NODE})
    asked = shared.Shared(inner)
    wanted = [
        (api.Kind.NODE, "n1", ""),
        (api.Kind.NODE, "n2", ""),
        (api.Kind.SECRET, "n1", "a"),
        (api.Kind.SECRET, "n1", "b"),
    ]

    told = await asyncio.gather(*(asked.read(*each) for each in wanted))

    assert inner.reads == wanted
    assert told == [NODE, None, None, None]


async def test_a_read_that_is_over_is_not_kept() -> None:
    inner = fake_kubernetes.FakeKubernetes({(api.Kind.SECRET, "key"): {"data": {"a": "old"}}})
    asked = shared.Shared(inner)
    await asked.read(api.Kind.SECRET, "key", "ns")
    inner.objects[(api.Kind.SECRET, "key")] = {"data": {"a": "new"}}

    assert await asked.read(api.Kind.SECRET, "key", "ns") == {"data": {"a": "new"}}


async def test_who_gives_up_takes_nothing_from_the_others() -> None:
    inner = Slow({(api.Kind.NODE, "n1"): NODE})
    asked = shared.Shared(inner)
    first = asyncio.create_task(asked.read(api.Kind.NODE, "n1"))
    second = asyncio.create_task(asked.read(api.Kind.NODE, "n1"))
    await virtual_clock.settle()

    first.cancel()
    await virtual_clock.settle()
    inner.answers.set()

    assert await second == NODE
    assert len(inner.reads) == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_failure_is_everybodys_and_the_next_read_asks_again() -> None:
    inner = fake_kubernetes.FakeKubernetes(fault=errors.Denied("no"))
    asked = shared.Shared(inner)

    told = await asyncio.gather(
        *(asked.read(api.Kind.NODE, "n1") for _ in range(3)), return_exceptions=True
    )
    inner.fault, inner.objects[(api.Kind.NODE, "n1")] = None, NODE

    assert [type(each) for each in told] == [errors.Denied] * 3
    assert await asked.read(api.Kind.NODE, "n1") == NODE
    assert len(inner.reads) == 2


async def test_what_changes_something_is_never_shared() -> None:
    inner = fake_kubernetes.FakeKubernetes()
    asked = shared.Shared(inner)

    await asyncio.gather(*(asked.post_event("ns", {}) for _ in range(2)))
    await asyncio.gather(*(asked.patch(api.Kind.NODE, "n1", {}, status=True) for _ in range(2)))

    assert inner.events == [("ns", {})] * 2
    assert inner.patches == [("n1", {}, True)] * 2


async def test_closing_ends_the_reads_under_way() -> None:
    asked = shared.Shared(Slow())
    reading = asyncio.create_task(asked.read(api.Kind.NODE, "n1"))
    await virtual_clock.settle()

    await asked.close()

    with pytest.raises(asyncio.CancelledError):
        await reading

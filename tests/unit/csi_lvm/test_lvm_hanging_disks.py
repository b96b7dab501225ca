"""Disks of new groups beside the start and the end of the driver: also one that hangs."""

import asyncio
import threading
from collections.abc import Awaitable, Iterator

import pytest

from core import clock, errors, metrics
from core import settings as core_settings
from csi import driver
from csi.lvm import attached_disks, wiring
from csi.lvm.stores import volumes
from csi.lvm.stores.logical import new_groups
from kube import api
from tests.fakes import fake_kubernetes, noted_events

ENOUGH_S = 20.0
"""Only who fails waits for so long."""


@pytest.fixture
def answer() -> Iterator[threading.Event]:
    """Set when the disk answers at last."""
    told = threading.Event()
    yield told
    told.set()


@pytest.fixture
def kubernetes() -> fake_kubernetes.FakeKubernetes:
    return fake_kubernetes.FakeKubernetes()


@pytest.fixture
def built(
    kubernetes: fake_kubernetes.FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> driver.Driver:
    """The driver of a node where nothing has to be done."""
    monkeypatch.setattr(volumes.Volumes, "prepare", lambda _: None)
    time = clock.SystemClock()
    context = driver.DriverContext(
        roles=driver.Roles(controller=False, node=False),
        node_id="node-a",
        version="test",
        reader=core_settings.Reader({"KUBE_NODE_NAME": "node-a"}),
        feature_gates={},
        metadata=None,  # type: ignore[arg-type]  # nobody asks it
        cloud=None,  # type: ignore[arg-type]
        clock=time,
        metrics=metrics.Metrics(),
        kubernetes=kubernetes,
        events=noted_events.NotedEvents(),
    )
    return wiring.build(context, name="localplugin.csi.alibabacloud.com", topology_key="host")


async def is_done_meanwhile(work: Awaitable[None], answer: threading.Event) -> bool:
    """Whether *work* ends before the disk answers. Raises what it raises."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=ENOUGH_S)
    is_done = task.done()
    answer.set()
    await task
    return is_done


async def test_the_start_goes_on_without_the_groups(
    built: driver.Driver, answer: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[str] = []
    monkeypatch.setattr(wiring, "_FIRST_LOOK_S", 0.01)
    monkeypatch.setattr(new_groups.NewGroups, "make", lambda _: answer.wait())
    monkeypatch.setattr(new_groups.NewGroups, "leave", lambda _: left.append("left"))
    assert built.prepare is not None
    assert built.close is not None

    assert await is_done_meanwhile(built.prepare(), answer)

    assert left == ["left"]
    await built.close()


async def test_the_end_does_not_wait_for_a_look(
    built: driver.Driver, answer: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = threading.Event()

    def hang(*_: object) -> None:
        looks.set()
        answer.wait()

    monkeypatch.setattr(new_groups.NewGroups, "make_again", hang)
    assert built.prepare is not None
    assert built.close is not None
    await built.prepare()
    assert await asyncio.to_thread(looks.wait, ENOUGH_S)

    assert await is_done_meanwhile(built.close(), answer)


async def test_what_lvm_says_at_the_start_is_told(
    built: driver.Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: new_groups.NewGroups) -> None:
        raise errors.Unavailable("no list")

    monkeypatch.setattr(new_groups.NewGroups, "make", fail)
    assert built.prepare is not None

    with pytest.raises(errors.Unavailable, match="no list"):
        await built.prepare()


@pytest.mark.parametrize("is_due", [False, True])
async def test_groups_that_are_due_are_made_knowing_what_the_cluster_attached(
    built: driver.Driver,
    kubernetes: fake_kubernetes.FakeKubernetes,
    monkeypatch: pytest.MonkeyPatch,
    is_due: bool,
) -> None:
    told: list[attached_disks.Attached] = []
    looked = threading.Event()

    def look(_: new_groups.NewGroups, attached: attached_disks.Attached) -> None:
        told.append(attached)
        looked.set()

    monkeypatch.setattr(new_groups.NewGroups, "is_due", is_due)
    monkeypatch.setattr(new_groups.NewGroups, "make_again", look)
    in_use = {"volumesInUse": ["kubernetes.io/csi/diskplugin.csi.alibabacloud.com^d-1"]}
    kubernetes.objects[api.Kind.NODE, "node-a"] = {"status": in_use}
    assert built.prepare is not None
    assert built.close is not None

    await built.prepare()
    assert await asyncio.to_thread(looked.wait, ENOUGH_S)
    await built.close()

    assert told == [attached_disks.Attached(disk_ids=frozenset({"d-1"} if is_due else ()))]
    assert bool(kubernetes.reads) == is_due

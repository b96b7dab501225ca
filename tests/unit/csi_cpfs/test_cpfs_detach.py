"""When a channel leaves a file system: never while somebody on the node needs it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cloud import nas_model
from core import errors
from csi.cpfs import node_ids, volume_context
from csi.cpfs.controller import attach, channels, settings, users
from kube import api
from tests.fakes import fake_kubernetes, virtual_clock

DRIVER = "bmcpfsplugin.csi.alibabacloud.com"
FS, OTHER = "bmcpfs-0a1b", "bmcpfs-0c2d"
NODE = node_ids.NodeId(node_ids.Reach.VSC, "i-1")
TARGET = nas_model.MountTarget(domain="cpfs.example", status="Active")
FILE_SYSTEM = nas_model.FileSystem(
    file_system_id=FS,
    type=nas_model.FileSystemType.BMCPFS,
    status="Running",
    protocol="",
    storage_type="",
    zone_id="",
    mount_targets=(TARGET,),
)
WANT = attach.Publishing(
    file_system=FILE_SYSTEM, node=NODE, volume=volume_context.CpfsVolume(vsc_target="cpfs.example")
)


class Cloud:
    """`attach.AttachApi` and `channels.ChannelApi`. slow: a detach takes until `released`."""

    def __init__(self) -> None:
        self.attached: set[tuple[str, str]] = {(FS, "vsc-1")}
        self.status = "Attached"
        self.detaches = 0
        self.slow = False
        self.asked = asyncio.Event()
        self.released = asyncio.Event()

    async def find(self, instance_id: str) -> list[nas_model.Vsc]:
        told = {"type": "Primary", "status": "In_use"}
        return [nas_model.Vsc(vsc_id="vsc-1", instance_id=instance_id, **told)]

    async def create(self, instance_id: str, *, client_token: str) -> str:
        raise AssertionError("it is there")

    async def attach(self, file_system_id: str, vsc_id: str, *, client_token: str) -> None:
        self.attached.add((file_system_id, vsc_id))

    async def detach(self, file_system_id: str, vsc_id: str, *, client_token: str) -> None:
        self.detaches += 1
        self.asked.set()
        if self.slow:
            await self.released.wait()
        self.attached.discard((file_system_id, vsc_id))

    async def attachment(self, file_system_id: str, vsc_id: str) -> nas_model.VscAttachment | None:
        if (file_system_id, vsc_id) not in self.attached:
            return None
        return nas_model.VscAttachment(
            file_system_id=file_system_id, vsc_id=vsc_id, status=self.status
        )


@pytest.fixture
async def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def kubernetes() -> fake_kubernetes.FakeKubernetes:
    """With the driver's node, and no volume."""
    made = fake_kubernetes.FakeKubernetes()
    put(made, api.Kind.CSI_NODE, "worker-1", {"drivers": [{"name": DRIVER, "nodeID": str(NODE)}]})
    return made


@pytest.fixture
def time() -> virtual_clock.VirtualClock:
    return virtual_clock.VirtualClock()


@pytest.fixture
async def links(
    cloud: Cloud, kubernetes: fake_kubernetes.FakeKubernetes, time: virtual_clock.VirtualClock
) -> AsyncIterator[attach.Attachments]:
    made = attach.Attachments(
        cloud,
        {node_ids.Reach.VSC: channels.Channels(cloud, time)},
        users.Users(kubernetes, DRIVER),
        time,
        settings.CpfsSettings(detach=True),
    )
    yield made
    await made.close()


def put(
    into: fake_kubernetes.FakeKubernetes, kind: api.Kind, name: str, spec: Any, **metadata: str
) -> None:
    into.objects[kind, name] = {"metadata": {"name": name, **metadata}, "spec": spec}


def put_attachment(
    into: fake_kubernetes.FakeKubernetes,
    volume_id: str,
    *,
    node: str = "worker-1",
    attacher: str = DRIVER,
    **metadata: str,
) -> None:
    """A PersistentVolume of that id, and its attachment."""
    name = f"pv-{len(into.objects)}"
    put(into, api.Kind.PERSISTENT_VOLUME, name, {"csi": {"volumeHandle": volume_id}})
    told = {"attacher": attacher, "nodeName": node, "source": {"persistentVolumeName": name}}
    put(into, api.Kind.VOLUME_ATTACHMENT, f"csi-{name}", told, **metadata)


async def test_a_channel_that_nobody_needs_leaves(
    links: attach.Attachments, cloud: Cloud, kubernetes: fake_kubernetes.FakeKubernetes
) -> None:
    put_attachment(kubernetes, f"{FS}+fset-1", deletionTimestamp="2026-01-01T00:00:00Z")
    put_attachment(kubernetes, f"{FS}+fset-2", node="worker-2")
    put_attachment(kubernetes, f"{FS}+fset-3", attacher="other.example")
    put_attachment(kubernetes, f"{OTHER}+fset-4")

    await links.unpublish(FS, NODE)

    assert cloud.attached == set()


@pytest.mark.parametrize("volume_id", [FS, f"{FS}+fset-1", "nonsense"])
async def test_a_channel_that_another_volume_needs_stays(
    links: attach.Attachments,
    cloud: Cloud,
    kubernetes: fake_kubernetes.FakeKubernetes,
    volume_id: str,
) -> None:
    put_attachment(kubernetes, f"{FS}+fset-0", deletionTimestamp="2026-01-01T00:00:00Z")
    put_attachment(kubernetes, volume_id)

    await links.unpublish(FS, NODE)

    assert cloud.detaches == 0


async def test_a_channel_of_a_node_that_left_the_cluster_leaves(
    links: attach.Attachments, cloud: Cloud, kubernetes: fake_kubernetes.FakeKubernetes
) -> None:
    kubernetes.objects.clear()
    put(kubernetes, api.Kind.CSI_NODE, "worker-2", {"drivers": [{"name": DRIVER, "nodeID": "x"}]})
    put_attachment(kubernetes, f"{FS}+fset-1", deletionTimestamp="2026-01-01T00:00:00Z")
    put_attachment(kubernetes, f"{FS}+fset-2", node="worker-2")
    put_attachment(kubernetes, f"{FS}+fset-3", attacher="other.example")
    put_attachment(kubernetes, f"{OTHER}+fset-4")

    await links.unpublish(FS, NODE)

    assert cloud.attached == set()


@pytest.mark.parametrize("volume_id", [f"{FS}+fset-1", "nonsense"])
async def test_a_channel_of_a_node_whose_plug_in_is_just_away_stays(
    links: attach.Attachments,
    cloud: Cloud,
    kubernetes: fake_kubernetes.FakeKubernetes,
    volume_id: str,
) -> None:
    put(kubernetes, api.Kind.CSI_NODE, "worker-1", {"drivers": None})
    put_attachment(kubernetes, volume_id)

    await links.unpublish(FS, NODE)

    assert cloud.detaches == 0


async def test_volumes_and_nodes_are_listed_once(
    links: attach.Attachments, kubernetes: fake_kubernetes.FakeKubernetes
) -> None:
    put_attachment(kubernetes, f"{OTHER}+fset-1")

    await links.unpublish(FS, NODE)

    attachments = api.Kind.VOLUME_ATTACHMENT
    assert kubernetes.lists == [
        *(api.Kind.CSI_NODE, api.Kind.PERSISTENT_VOLUME, attachments),
        attachments,
    ]


async def test_an_attachment_whose_volume_is_gone_is_a_need(
    links: attach.Attachments, cloud: Cloud, kubernetes: fake_kubernetes.FakeKubernetes
) -> None:
    told = {"attacher": DRIVER, "nodeName": "worker-1", "source": {"persistentVolumeName": "x"}}
    put(kubernetes, api.Kind.VOLUME_ATTACHMENT, "csi-x", told)

    await links.unpublish(FS, NODE)

    assert cloud.detaches == 0


async def test_what_kubernetes_does_not_tell_is_waited_for_or_kept(
    links: attach.Attachments, cloud: Cloud, kubernetes: fake_kubernetes.FakeKubernetes
) -> None:
    kubernetes.fault = errors.Unavailable("the API server restarts")
    with pytest.raises(errors.Unavailable):
        await links.unpublish(FS, NODE)
    kubernetes.fault = errors.Denied("no rule allows it")
    await links.unpublish(FS, NODE)
    assert cloud.detaches == 0

    kubernetes.fault = api.NotConfigured()
    await links.unpublish(FS, NODE)
    assert cloud.detaches == 1


async def test_a_channel_that_left_from_under_another_replicas_volume_comes_back(
    links: attach.Attachments,
    cloud: Cloud,
    kubernetes: fake_kubernetes.FakeKubernetes,
    time: virtual_clock.VirtualClock,
) -> None:
    cloud.slow = True
    leaving = asyncio.create_task(links.unpublish(FS, NODE))
    await cloud.asked.wait()
    put_attachment(kubernetes, f"{FS}+fset-2")
    cloud.released.set()
    await time.advance(5.0)
    await leaving

    assert cloud.attached == {(FS, "vsc-1")}


@pytest.mark.parametrize("lost", ["PersistentVolume", "CSINode"])
async def test_nothing_is_attached_for_what_is_not_known(
    links: attach.Attachments,
    cloud: Cloud,
    kubernetes: fake_kubernetes.FakeKubernetes,
    lost: str,
) -> None:
    put_attachment(kubernetes, f"{FS}+fset-1")
    for kind, name in list(kubernetes.objects):
        if kind == lost:
            del kubernetes.objects[kind, name]
    cloud.attached.clear()

    await links.unpublish(FS, NODE)

    assert cloud.attached == set()


@pytest.mark.parametrize("status", ["Failed", "Detached"])
async def test_what_is_not_attached_needs_no_detach(
    links: attach.Attachments, cloud: Cloud, status: str
) -> None:
    cloud.status = status

    await links.unpublish(FS, NODE)

    assert cloud.detaches == 0


async def test_a_volume_that_is_being_published_keeps_the_channel(
    links: attach.Attachments, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, go_on = asyncio.Event(), asyncio.Event()
    look = cloud.attachment

    async def slow(file_system_id: str, vsc_id: str) -> nas_model.VscAttachment | None:
        found = await look(file_system_id, vsc_id)
        looked.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(cloud, "attachment", slow)
    publishing = asyncio.create_task(links.publish(WANT))
    await looked.wait()
    await links.unpublish(FS, NODE)
    go_on.set()

    assert (await publishing)["vscId"] == "vsc-1"
    assert cloud.attached == {(FS, "vsc-1")}


async def test_a_call_that_gives_up_lets_no_volume_in_before_the_channel_has_left(
    links: attach.Attachments, cloud: Cloud, time: virtual_clock.VirtualClock
) -> None:
    """The cloud's part goes on: a volume would find the channel attached, and then lose it."""
    cloud.slow = True
    leaving = asyncio.create_task(links.unpublish(FS, NODE))
    await cloud.asked.wait()
    leaving.cancel()
    await virtual_clock.settle()
    with pytest.raises(errors.Busy, match="leaving"):
        await links.publish(WANT)
    cloud.released.set()
    await virtual_clock.settle()
    publishing = asyncio.create_task(links.publish(WANT))
    await time.advance(5.0)

    assert (await publishing)["vscId"] == "vsc-1"
    assert cloud.attached == {(FS, "vsc-1")}


async def test_no_volume_is_published_while_the_channel_leaves(
    links: attach.Attachments, cloud: Cloud
) -> None:
    cloud.slow = True
    leaving = asyncio.create_task(links.unpublish(FS, NODE))
    await cloud.asked.wait()
    with pytest.raises(errors.Busy, match="leaving"):
        await links.publish(WANT)
    with pytest.raises(errors.Busy, match="leaving"):
        await links.unpublish(FS, NODE)
    cloud.released.set()
    await leaving

    told = asyncio.create_task(links.publish(WANT))
    await virtual_clock.settle()
    assert cloud.attached == {(FS, "vsc-1")}
    told.cancel()

"""What the node service does around the choice of a volume's server."""

import asyncio
import pathlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest

from core import errors
from csi._pb import csi_pb2 as pb
from csi.nas.node import node_requests, service
from csi.nas.node import settings as node_settings
from csi.node import servers
from tests.fakes import virtual_clock


class Choice:
    """Answers once *ready* is set."""

    def __init__(self) -> None:
        self.targets: list[pathlib.Path] = []
        self.ready = asyncio.Event()

    async def resolve(self, told: Mapping[str, str], target: pathlib.Path) -> Mapping[str, str]:
        self.targets.append(target)
        if "containerNetworkFileSystem" not in told:
            return told
        await self.ready.wait()
        return {"server": "chosen.nas", "path": "/a"}


class Publisher:
    """Publishes; what is of the server `dead.test` waits for *back*."""

    def __init__(self) -> None:
        self.wanted: list[node_requests.Publishing] = []
        self.back = threading.Event()

    def publish(self, want: node_requests.Publishing) -> None:
        if want.volume.place.host == "dead.test":
            self.back.wait(30)
        self.wanted.append(want)


class Rig:
    """A service whose kubelet directory is reached by a link, too."""

    def __init__(self, tmp_path: pathlib.Path) -> None:
        self.root = tmp_path / "data/kubelet"
        (self.root / "pods").mkdir(parents=True)
        self.link = tmp_path / "kubelet"
        self.link.symlink_to(self.root)
        self.choice, self.publisher = Choice(), Publisher()
        self.pools = servers.Servers("test")
        nothing = cast("Any", None)
        self.service = service.NodeServicer(
            node_settings.NodeSettings(kubelet_root=self.link, work_dir=tmp_path / "work"),
            node_id="n1",
            metadata=None,
            mounting=nothing,
            loops=nothing,
            changing=nothing,
            choice=cast("Any", self.choice),
            by_server=self.pools,
            recorder=nothing,
        )
        self.service._publisher = cast("Any", self.publisher)

    async def publish(self, volume_id: str = "v", server: str = "") -> None:
        told = {"server": server} if server else {"containerNetworkFileSystem": "shared"}
        request = pb.NodePublishVolumeRequest(
            volume_id=volume_id,
            target_path=str(self.link / "pods" / f"mount-{volume_id}"),
            volume_context=told,
            volume_capability=pb.VolumeCapability(
                mount=pb.VolumeCapability.MountVolume(),
                access_mode=pb.VolumeCapability.AccessMode(
                    mode=pb.VolumeCapability.AccessMode.MULTI_NODE_MULTI_WRITER
                ),
            ),
        )
        await self.service.NodePublishVolume(request, None)


@pytest.fixture
def rig(tmp_path: pathlib.Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.pools.close()


async def test_the_choice_looks_where_the_mount_table_has_the_target(rig: Rig) -> None:
    rig.choice.ready.set()

    await rig.publish()

    assert rig.choice.targets == [rig.root / "pods/mount-v"]
    assert rig.publisher.wanted[0].target_path == rig.root / "pods/mount-v"
    assert rig.publisher.wanted[0].volume.place.host == "chosen.nas"


async def test_a_second_publish_is_busy_while_the_first_one_chooses(rig: Rig) -> None:
    first = asyncio.create_task(rig.publish())
    await virtual_clock.settle()

    with pytest.raises(errors.Busy):
        await asyncio.wait_for(rig.publish(), timeout=10)  # it waits for nothing

    rig.choice.ready.set()
    await first
    assert len(rig.publisher.wanted) == len(rig.choice.targets) == 1


async def test_a_request_without_a_volume_asks_nobody(rig: Rig) -> None:
    with pytest.raises(errors.InvalidField, match="volume_id"):
        await rig.publish("")

    assert rig.choice.targets == []


async def test_however_many_wait_for_a_dead_server_another_ones_volumes_are_mounted(
    rig: Rig,
) -> None:
    waiting = [asyncio.create_task(rig.publish(f"dead-{n}", "dead.test")) for n in range(20)]
    await virtual_clock.settle()

    await asyncio.wait_for(rig.publish("alive", "alive.test"), timeout=30)
    mounted = [want.volume_id for want in rig.publisher.wanted]
    rig.publisher.back.set()
    await asyncio.gather(*waiting)

    assert mounted == ["alive"]
    assert len(rig.publisher.wanted) == 21

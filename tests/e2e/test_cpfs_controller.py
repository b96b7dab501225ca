"""The CPFS controller against the simulated cloud: filesets, channels, crashes, lost answers."""

import concurrent.futures
import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from tests.support import (
    control,
    crash,
    csi_client,
    instances,
    processes,
    rpc,
    signed_api,
    worlds,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

LINGJUN = "bmcpfs-0a1b2c3d4e5f6072"
VPC_TARGET = f"{LINGJUN}-sim03.cn-hangzhou.cpfs.aliyuncs.com"
VSC_TARGET = "cpfs-0a1b2c3d4e5f6072-000001.cn-hangzhou.cpfs.aliyuncs.com"
VSC_NODE = f"vsc:{processes.NODE_1}"
OTHER_NODE = f"vsc:{processes.NODE_2}"
COMMON_NODE = "common:worker-3"
LINGJUN_NODE = "lingjun:e01-cn-sim000000001"
GIB = csi_client.GIB
Code = grpc.StatusCode


@dataclasses.dataclass
class Cpfs:
    rig: processes.Rig
    driver: processes.Process
    client: csi_client.Client

    @property
    def control(self) -> control.Control:
        return self.rig.control

    def create(
        self, name: str, size: int = 20 * GIB, timeout_s: float = 30.0, **parameters: str
    ) -> pb.Volume:
        request = pb.CreateVolumeRequest(
            name=name,
            parameters={"bmcpfsId": LINGJUN, **parameters},
            capacity_range=pb.CapacityRange(required_bytes=size),
            volume_capabilities=[csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER")],
        )
        volume: pb.Volume = self.client.controller.CreateVolume(request, timeout=timeout_s).volume
        return volume

    def expand(self, volume: pb.Volume, size: int, timeout_s: float = 30.0) -> int:
        request = pb.ControllerExpandVolumeRequest(
            volume_id=volume.volume_id, capacity_range=pb.CapacityRange(required_bytes=size)
        )
        answer = self.client.controller.ControllerExpandVolume(request, timeout=timeout_s)
        size_bytes: int = answer.capacity_bytes
        return size_bytes

    def publish(self, volume: pb.Volume, node: str, timeout_s: float = 30.0) -> dict[str, str]:
        request = pb.ControllerPublishVolumeRequest(
            volume_id=volume.volume_id,
            node_id=node,
            volume_context=volume.volume_context,
            volume_capability=csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER"),
        )
        answer = self.client.controller.ControllerPublishVolume(request, timeout=timeout_s)
        return dict(answer.publish_context)

    def unpublish(self, volume: pb.Volume, node: str, timeout_s: float = 30.0) -> None:
        request = pb.ControllerUnpublishVolumeRequest(volume_id=volume.volume_id, node_id=node)
        self.client.controller.ControllerUnpublishVolume(request, timeout=timeout_s)

    def delete(self, volume: pb.Volume, timeout_s: float = 30.0) -> None:
        self.client.delete(volume.volume_id, timeout_s=timeout_s)

    def afresh(self) -> None:
        """The declared world, and a driver that remembers nothing."""
        self.control.clear_faults()
        self.control.request("POST", "reset")
        self.driver.terminate()
        self.driver.start(processes.DRIVER_READY)

    def things(self) -> dict[str, Any]:
        """Everything that volumes are made of, without ids: how many, and their quotas."""
        filesets = self.control.resources("cpfs_fileset").values()
        return {
            "filesets": sorted((each["path"], each["size_bytes"]) for each in filesets),
            "channels": len(self.control.resources("vsc")),
            "attachments": sorted(
                each["status"] for each in self.control.resources("vsc_attachment").values()
            ),
        }


@pytest.fixture(scope="module")
def running() -> Iterator[Cpfs]:
    """With channels that leave file systems; that they stay is the default."""
    with tempfile.TemporaryDirectory() as directory:
        world = worlds.with_channels(pathlib.Path(directory))
        rig = processes.Rig(hardware="none", time_scale=0.02, world=world)
        try:
            rig.start_sim()
            driver = rig.start_driver("cpfs", driver="bmcpfs", node=False, BMCPFS_DETACH="true")
            client = csi_client.Client(rig.socket("cpfs"))
            yield Cpfs(rig, driver, client)
            client.close()
        finally:
            rig.close()


@pytest.fixture
def cpfs(running: Cpfs) -> Iterator[Cpfs]:
    running.afresh()
    yield running
    running.control.clear_faults()


def refused(call: Callable[[], object]) -> tuple[Code, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details() or ""


def test_every_volume_is_a_fileset_of_its_own_made_once(cpfs: Cpfs) -> None:
    first, again = cpfs.create("pvc-1"), cpfs.create("pvc-1")
    other = cpfs.create("pvc-2", size=GIB)

    assert first == again
    assert first.volume_id.startswith(f"{LINGJUN}+fset-")
    assert first.volume_id != other.volume_id
    assert first.volume_context["path"] == "/pvc-1"
    assert first.volume_context["filesetId"] == first.volume_id.partition("+")[2]
    assert first.volume_context["volumeType"] == "bmcpfs"
    assert other.capacity_bytes == 10 * GIB, "the least quota of a fileset"
    assert refused(lambda: cpfs.create("pvc-1", size=50 * GIB))[0] is Code.ALREADY_EXISTS


def test_a_volume_grows_and_never_shrinks(cpfs: Cpfs) -> None:
    volume = cpfs.create("pvc-1")

    assert cpfs.expand(volume, 30 * GIB + 1) == 31 * GIB
    assert cpfs.expand(volume, 5 * GIB) == 31 * GIB
    row = next(iter(cpfs.control.resources("cpfs_fileset").values()))
    assert (row["size_bytes"], row["file_count"]) == (31 * GIB, 1_000_000)


def test_a_deleted_volume_leaves_nothing_and_may_be_made_again(cpfs: Cpfs) -> None:
    before = cpfs.things()
    for _ in range(3):
        volume = cpfs.create("pvc-1")
        cpfs.delete(volume)
        cpfs.delete(volume)
    assert cpfs.things() == before


@pytest.mark.parametrize("path", ["", "/", "/pvc-2", "/pvc-10"])
def test_a_static_volume_never_shows_what_is_outside_its_fileset(cpfs: Cpfs, path: str) -> None:
    """Nothing but the path ties a mount to the fileset in the volume's id."""
    made = cpfs.create("pvc-1")
    cpfs.create("pvc-2")
    static = pb.Volume(volume_id=made.volume_id, volume_context={"path": path} if path else {})

    code, said = refused(lambda: cpfs.publish(static, VSC_NODE))

    assert code is Code.INVALID_ARGUMENT
    assert "/pvc-1" in said
    assert cpfs.things()["channels"] == 0
    below = pb.Volume(volume_id=made.volume_id, volume_context={"path": "/pvc-1/a"})
    assert cpfs.publish(below, COMMON_NODE)["networkType"] == "vpc"


def test_volumes_that_are_deleted_at_once_all_go(cpfs: Cpfs) -> None:
    """The cloud deletes no fileset while another one of the file system is going."""
    volumes = [cpfs.create(f"pvc-{n}") for n in range(5)]

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda each: rpc.retry(lambda: cpfs.delete(each)), volumes))

    assert cpfs.things()["filesets"] == []


def test_what_the_cloud_tells_of_as_released_is_gone(cpfs: Cpfs) -> None:
    cpfs.control.request("POST", "settings/nas", {"keep_released": True})
    first = cpfs.create("pvc-1")
    cpfs.delete(first)
    cpfs.delete(first)
    second = cpfs.create("pvc-1")

    assert second.volume_id != first.volume_id
    assert refused(lambda: cpfs.publish(first, COMMON_NODE))[0] is Code.NOT_FOUND


def test_a_full_file_system_is_told_as_such(cpfs: Cpfs) -> None:
    cpfs.control.change_world({"quotas": {"cpfs_filesets": 1}})
    cpfs.create("pvc-1")

    assert refused(lambda: cpfs.create("pvc-2"))[0] is Code.RESOURCE_EXHAUSTED


def test_a_whole_file_system_is_never_deleted(cpfs: Cpfs) -> None:
    code, said = refused(lambda: cpfs.delete(pb.Volume(volume_id=LINGJUN)))

    assert code is Code.FAILED_PRECONDITION
    assert "Retain" in said
    assert LINGJUN in cpfs.control.resources("nas_file_system")


def test_a_directory_in_the_way_is_not_taken_for_the_volume(cpfs: Cpfs) -> None:
    cpfs.create("other")
    missing = refused(lambda: cpfs.create("pvc-1", path="/missing/base"))
    inside = refused(lambda: cpfs.create("pvc-1", path="/other"))
    cpfs.control.add_fault(
        "CreateFileset", "error", code="OperationDenied.AlreadyExists", status=403
    )
    plain = refused(lambda: cpfs.create("pvc-1"))

    assert missing[0] is Code.INVALID_ARGUMENT
    assert "/missing/base" in missing[1]
    assert inside[0] is Code.FAILED_PRECONDITION
    assert plain[0] is Code.FAILED_PRECONDITION
    assert "no fileset" in plain[1]


def test_a_fileset_of_somebody_else_is_not_taken_for_the_volume(cpfs: Cpfs) -> None:
    """DeleteVolume would delete it with its files."""
    there = {"FileSystemId": LINGJUN, "FileSystemPath": "/pvc-1/", "Description": "team-data"}
    there |= {"Quota.SizeLimit": str(20 * GIB)}
    key = (processes.ACCESS_KEY_ID, processes.ACCESS_KEY_SECRET)
    address = f"127.0.0.1:{cpfs.rig.port}"
    signed_api.call(address, key, signed_api.NAS, "CreateFileset", there)

    code, said = refused(lambda: cpfs.create("pvc-1"))

    assert code is Code.ALREADY_EXISTS
    assert "team-data" in said
    assert len(cpfs.things()["filesets"]) == 1


@pytest.mark.parametrize("node", [VSC_NODE, LINGJUN_NODE])
def test_g43_a_node_with_channels_gets_one_and_the_others_go_through_the_vpc(
    cpfs: Cpfs, node: str
) -> None:
    volume = cpfs.create("pvc-1")

    by_channel = cpfs.publish(volume, node)
    assert cpfs.publish(volume, node) == by_channel
    by_vpc = cpfs.publish(volume, COMMON_NODE)

    channels = cpfs.control.resources("vsc")
    assert by_channel == {
        "networkType": "vsc",
        "vscId": next(iter(channels)),
        "vscMountTarget": VSC_TARGET,
    }
    assert by_vpc == {"networkType": "vpc", "vpcMountTarget": VPC_TARGET}
    assert cpfs.things()["attachments"] == ["Attached"]


def test_g43_volumes_that_come_at_once_make_one_channel_and_attach_it_once(cpfs: Cpfs) -> None:
    volumes = [cpfs.create(f"pvc-{n}") for n in range(6)]
    cpfs.control.clear_calls()

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda each: cpfs.publish(each, VSC_NODE), volumes))

    assert all(each == told[0] for each in told)
    actions = cpfs.control.actions()
    assert actions.count("CreateVsc") == 1
    assert actions.count("AttachVscToFilesystems") == 1
    assert cpfs.things()["channels"] == 1


def test_g43_a_node_that_may_have_no_channel_is_refused_with_the_clouds_word(cpfs: Cpfs) -> None:
    volume = cpfs.create("pvc-1")
    code, said = refused(lambda: cpfs.publish(volume, OTHER_NODE))

    assert code is Code.FAILED_PRECONDITION
    assert "VscNotEnabled" in said
    assert refused(lambda: cpfs.publish(volume, "worker-3"))[0] is Code.NOT_FOUND
    bare = pb.Volume(volume_id=volume.volume_id)
    assert refused(lambda: cpfs.publish(bare, "worker-3"))[0] is Code.NOT_FOUND
    for gone in ("vsc:i-gone", "lingjun:gone"):
        assert refused(functools.partial(cpfs.publish, volume, gone))[0] is Code.NOT_FOUND


def test_a_node_whose_instance_is_released_is_gone_with_its_channel(cpfs: Cpfs) -> None:
    volume = cpfs.create("pvc-1")
    cpfs.publish(volume, VSC_NODE)
    instances.release(f"127.0.0.1:{cpfs.rig.port}", cpfs.control, processes.NODE_1)
    assert cpfs.things()["channels"] == 0

    # The driver remembers a channel for minutes: the first of these calls finds that it is gone.
    for _ in range(2):
        assert refused(lambda: cpfs.publish(volume, VSC_NODE))[0] is Code.NOT_FOUND
        cpfs.unpublish(volume, VSC_NODE)

    assert cpfs.things()["attachments"] == []
    cpfs.delete(volume)


@pytest.mark.parametrize("node", [LINGJUN_NODE, VSC_NODE])
def test_g43_where_channels_do_not_work_the_vpc_serves_if_the_volume_allows_it(
    cpfs: Cpfs, node: str
) -> None:
    why = "AttachVscTarget.VscAttachNotSupported"
    cpfs.control.add_fault("AttachVscToFilesystems", "error", code=why, status=400, always=True)
    strict = cpfs.create("pvc-1")
    loose = cpfs.create("pvc-2", mountpointAutoSwitch="true")

    code, said = refused(lambda: cpfs.publish(strict, node))
    told = cpfs.publish(loose, node)

    assert code is Code.FAILED_PRECONDITION
    assert "mountpointAutoSwitch" in said
    assert told == {"networkType": "vpc", "vpcMountTarget": VPC_TARGET}


def test_g43_a_channel_leaves_a_file_system_only_when_the_operator_says_so(cpfs: Cpfs) -> None:
    """Other volumes of the node go through the same channel, and nobody here knows them."""
    volume = cpfs.create("pvc-1")
    cpfs.publish(volume, VSC_NODE)
    for node in (VSC_NODE, VSC_NODE, COMMON_NODE, "vsc:i-gone", "nonsense"):
        cpfs.unpublish(volume, node)

    assert cpfs.things()["attachments"] == []
    assert cpfs.publish(volume, VSC_NODE)["networkType"] == "vsc"

    cpfs.rig.start_driver("kept", driver="bmcpfs", node=False)
    default = csi_client.Client(cpfs.rig.socket("kept"))
    request = pb.ControllerUnpublishVolumeRequest(volume_id=volume.volume_id, node_id=VSC_NODE)
    default.controller.ControllerUnpublishVolume(request, timeout=30)
    default.close()
    cpfs.rig.drivers.pop().terminate()
    assert cpfs.things()["attachments"] == ["Attached"]


def test_what_is_wrong_with_a_class_is_told(cpfs: Cpfs) -> None:
    bad: list[tuple[dict[str, str], str]] = [
        ({"bmcpfsId": ""}, "bmcpfsId"),
        ({"bmcpfsId": "bmcpfs-gone"}, "bmcpfs-gone"),
        ({"bmcpfsId": f"{LINGJUN}+fset-1"}, "bmcpfsId"),
        ({"bmcpfsID": LINGJUN}, "bmcpfsID"),
        ({"path": "relative"}, "path"),
        ({"path": "/a/../b"}, "path"),
        ({"path": "/a b"}, "path"),
        ({"vpcMountTarget": "host,other"}, "vpcMountTarget"),
        ({"vpcMountTarget": "host:/path"}, "vpcMountTarget"),
        ({"mountpointAutoSwitch": "maybe"}, "mountpointAutoSwitch"),
        ({"fileCountLimit": "5"}, "fileCountLimit"),
    ]
    for n, (parameters, named) in enumerate(bad):
        code, said = refused(
            functools.partial(cpfs.create, f"pvc-{n}", 20 * GIB, 30.0, **parameters)
        )
        assert code is Code.INVALID_ARGUMENT, parameters
        assert named in said, parameters
    assert cpfs.things()["filesets"] == []


STEPS = ("create", "expand", "publish", "unpublish", "delete")


def _prepared(cpfs: Cpfs, step: str) -> Callable[[float], Any]:
    """The call of *step*, its preparations made; returns a function of its time limit."""
    if step == "create":
        return lambda timeout_s: cpfs.create("pvc-1", timeout_s=timeout_s)
    volume = cpfs.create("pvc-1")
    match step:
        case "expand":
            return lambda timeout_s: cpfs.expand(volume, 40 * GIB, timeout_s=timeout_s)
        case "publish":
            return lambda timeout_s: cpfs.publish(volume, VSC_NODE, timeout_s=timeout_s)
        case "unpublish":
            cpfs.publish(volume, VSC_NODE)
            return lambda timeout_s: cpfs.unpublish(volume, VSC_NODE, timeout_s=timeout_s)
    return lambda timeout_s: cpfs.delete(volume, timeout_s=timeout_s)


@pytest.mark.parametrize("step", STEPS)
def test_killed_or_unanswered_at_any_change_it_ends_as_if_undisturbed(
    cpfs: Cpfs, step: str
) -> None:
    # A channel made anew has another id; everything else is the same.
    crash.at_every_change(
        cpfs, lambda: _prepared(cpfs, step), cpfs.things, may_change_nothing=step == "unpublish"
    )

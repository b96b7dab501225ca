"""The NAS controller against the simulated cloud: every kind of volume, crashes, lost answers."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from tests.support import control, crash, csi_client, processes, rpc

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

STANDARD = "0a1b2c3d4e"
SERVER = "0a1b2c3d4e-sim01.cn-hangzhou.nas.aliyuncs.com"
NETWORK = {"vpcId": "vpc-bp1sim000000000001", "vSwitchId": "vsw-bp1sim000000000002"}
GIB = csi_client.GIB
CLASSES: dict[str, dict[str, str]] = {
    "subpath": {"server": f"{SERVER}:/base", "volumeCapacity": "true"},
    "filesystem": {"volumeAs": "filesystem", "deleteVolume": "true", **NETWORK},
    "extreme": {
        "volumeAs": "filesystem",
        "fileSystemType": "extreme",
        "deleteVolume": "true",
        **NETWORK,
    },
    "accesspoint": {
        "volumeAs": "accesspoint",
        "fileSystemId": STANDARD,
        "path": "/points",
        "volumeCapacity": "true",
        **NETWORK,
    },
}
LAG_S = 6.0
"""Longer than the driver looks for what it has just made."""
SIZES = {"extreme": 100 * GIB}


@dataclasses.dataclass
class Nas:
    rig: processes.Rig
    driver: processes.Process
    client: csi_client.Client

    @property
    def control(self) -> control.Control:
        return self.rig.control

    def create(self, name: str, kind: str, size: int = 0, timeout_s: float = 30.0) -> pb.Volume:
        request = pb.CreateVolumeRequest(
            name=name,
            parameters=CLASSES[kind],
            capacity_range=pb.CapacityRange(required_bytes=size or SIZES.get(kind, 20 * GIB)),
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

    def delete(self, volume: pb.Volume, timeout_s: float = 30.0) -> None:
        self.client.delete(volume.volume_id, timeout_s=timeout_s)

    def afresh(self) -> None:
        """The declared world, and a driver that remembers nothing."""
        self.control.clear_faults()
        self.control.request("POST", "reset")
        self.driver.terminate()
        self.driver.start(processes.DRIVER_READY)

    def things(self) -> dict[str, set[str]]:
        """Names of everything that volumes are made of."""
        kinds = ("nas_file_system", "nas_mount_target", "nas_access_point", "nas_dir_quota")
        return {kind: set(self.control.resources(kind)) for kind in kinds}


@pytest.fixture(scope="module")
def running() -> Iterator[Nas]:
    rig = processes.Rig(hardware="none", time_scale=0.02)
    try:
        rig.start_sim()
        driver = rig.start_driver("nas", driver="nas", node=False)
        client = csi_client.Client(rig.socket("nas"))
        yield Nas(rig, driver, client)
        client.close()
    finally:
        rig.close()


@pytest.fixture
def nas(running: Nas) -> Iterator[Nas]:
    running.afresh()
    yield running
    running.control.clear_faults()


@pytest.mark.parametrize("kind", CLASSES)
def test_a_volume_is_made_once_and_grows(nas: Nas, kind: str) -> None:
    first = nas.create("pvc-1", kind)
    second = nas.create("pvc-1", kind)
    grown = nas.expand(first, first.capacity_bytes + GIB)
    smaller = nas.expand(first, GIB)

    assert first == second
    assert first.volume_id == "pvc-1"
    assert first.volume_context["volumeAs"] == CLASSES[kind].get("volumeAs", "subpath")
    assert grown == first.capacity_bytes + GIB
    if kind != "filesystem":
        assert smaller == grown, "a volume is never made smaller"
    with pytest.raises(grpc.RpcError) as caught:
        nas.create("pvc-1", kind, size=first.capacity_bytes + 5 * GIB)
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.parametrize("kind", ["filesystem", "extreme", "accesspoint"])
def test_a_deleted_volume_leaves_nothing_and_may_be_made_again(nas: Nas, kind: str) -> None:
    before = nas.things()

    for _ in range(3):
        volume = nas.create("pvc-1", kind)
        nas.delete(volume)
        nas.delete(volume)

    assert nas.things() == before


@pytest.mark.parametrize("kind", ["filesystem", "extreme", "accesspoint"])
def test_what_lists_show_late_is_neither_made_twice_nor_left(nas: Nas, kind: str) -> None:
    before = nas.things()
    nas.control.set_consistency_lag(LAG_S)
    action = "CreateAccessPoint" if kind == "accesspoint" else "CreateFileSystem"
    nas.control.add_fault(action, "lost_answer")

    volume = rpc.retry(functools.partial(nas.create, "pvc-1", kind), timeout_s=60.0)
    again = rpc.retry(functools.partial(nas.create, "pvc-1", kind))
    rpc.retry(functools.partial(nas.delete, volume))
    rpc.wait_until(lambda: nas.things() == before, timeout_s=30.0)

    assert again == volume


def test_a_directory_under_a_new_base_is_found_before_lists_show_it(nas: Nas) -> None:
    nas.control.set_consistency_lag(LAG_S)

    volume = nas.create("pvc-1", "subpath")

    assert nas.expand(volume, volume.capacity_bytes + GIB) == volume.capacity_bytes + GIB


def test_a_file_system_is_kept_unless_its_class_says_otherwise(nas: Nas) -> None:
    CLASSES["kept"] = {"volumeAs": "filesystem", **NETWORK}
    volume = nas.create("pvc-1", "kept")

    nas.delete(volume)

    assert volume.volume_context["fileSystemId"] in nas.control.resources("nas_file_system")


@pytest.mark.parametrize("other", ["subpath", "accesspoint"])
def test_a_volumes_file_system_is_kept_whole_while_another_volume_is_on_it(
    nas: Nas, other: str
) -> None:
    own = nas.create("pvc-own", "filesystem").volume_context
    CLASSES["other"] = {
        "subpath": {"server": f"{own['server']}:/base"},
        "accesspoint": {**CLASSES["accesspoint"], "fileSystemId": own["fileSystemId"]},
    }[other]
    volume = nas.create("pvc-other", "other")
    before = nas.things()

    with pytest.raises(grpc.RpcError) as caught:
        nas.client.delete("pvc-own", timeout_s=30)

    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert own["fileSystemId"] in (caught.value.details() or "")
    assert nas.things() == before
    if other == "accesspoint":
        nas.delete(volume)
        nas.client.delete("pvc-own", timeout_s=30)
        assert own["fileSystemId"] not in nas.control.resources("nas_file_system")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("filesystem", {"encryptType": "1"}),
        ("extreme", {"encryptType": "1"}),
        ("accesspoint", {"accesspointPosixUserId": "0"}),
        ("accesspoint", {"accesspointPermission": "0700"}),
    ],
)
def test_a_wish_that_the_cloud_does_not_show_is_told_from_another_one(
    nas: Nas, kind: str, change: dict[str, str]
) -> None:
    first = nas.create("pvc-1", kind)
    before = nas.things()
    CLASSES["changed"] = {**CLASSES[kind], **change}

    with pytest.raises(grpc.RpcError) as caught:
        nas.create("pvc-1", "changed", size=SIZES.get(kind, 0))

    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert nas.create("pvc-1", kind) == first
    assert nas.things() == before


@pytest.mark.parametrize("kind", ["subpath", "accesspoint"])
def test_a_retry_of_create_leaves_a_quota_that_has_grown(nas: Nas, kind: str) -> None:
    volume = nas.create("pvc-1", kind)
    grown = nas.expand(volume, volume.capacity_bytes + 10 * GIB)

    assert nas.create("pvc-1", kind).capacity_bytes == grown
    (quota,) = nas.control.resources("nas_dir_quota").values()
    assert quota["size_gib"] * GIB == grown


def test_the_node_is_told_where_the_volume_is(nas: Nas) -> None:
    directory = nas.create("pvc-1", "subpath").volume_context
    extreme = nas.create("pvc-2", "extreme").volume_context

    assert directory["server"] == SERVER
    assert directory["path"] == "/base/pvc-1"
    assert (directory["fileSystemId"], directory["fileSystemType"]) == (STANDARD, "standard")
    assert directory["volumeCapacity"] == "true"
    assert extreme["path"] == "/share"
    assert extreme["vers"] == "3"
    assert extreme["server"].endswith(".extreme.nas.aliyuncs.com")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_a_directory_is_not_given_up_when_this_machine_cannot_mount_it(nas: Nas) -> None:
    """On a kernel without NFS; in the lab it is deleted for real."""
    volume = nas.create("pvc-1", "subpath")

    with pytest.raises(grpc.RpcError) as caught:
        nas.delete(volume)

    assert caught.value.code() is not grpc.StatusCode.OK
    assert nas.create("pvc-1", "subpath") == volume


def test_a_shared_directory_is_validated_by_what_its_volume_says(nas: Nas) -> None:
    CLASSES["shared"] = {"volumeAs": "sharepath", "server": f"{SERVER}:/base"}
    volume = nas.create("pvc-1", "shared")
    request = pb.ValidateVolumeCapabilitiesRequest(
        volume_id=volume.volume_id,
        volume_context=volume.volume_context,
        volume_capabilities=[csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER")],
    )

    answer = nas.client.controller.ValidateVolumeCapabilities(request, timeout=30)

    assert answer.confirmed.volume_capabilities == request.volume_capabilities
    nas.delete(volume)


def test_what_is_wrong_with_a_class_is_told(nas: Nas) -> None:
    bad: list[tuple[dict[str, str], str]] = [
        ({"volumeAs": "tape", "server": SERVER}, "volumeAs"),
        ({}, "server"),
        ({"server": f"{SERVER}:/base/../other"}, "server"),
        ({"server": f"{SERVER} evil"}, "server"),
        ({"server": SERVER, "sever": "x"}, "sever"),
        ({"server": SERVER, "archiveOnDelete": "perhaps"}, "archiveOnDelete"),
        ({"server": SERVER, "mode": "rwx"}, "mode"),
        ({"server": SERVER, "sysConfig": "kernel/x=1"}, "sysConfig"),
        ({"server": "ffffffffff-x.cn-hangzhou.nas.aliyuncs.com"}, "ffffffffff"),
        ({"volumeAs": "filesystem", "vpcId": "vpc-1"}, "vSwitchId"),
        ({"volumeAs": "filesystem", "storageType": "Fast", **NETWORK}, "storageType"),
        ({"volumeAs": "accesspoint", "fileSystemId": STANDARD, **NETWORK,
          "accesspointPosixUserId": "root"}, "accesspointPosixUserId"),
        ({"volumeAs": "sharepath", "server": SERVER,
          "csi.alibabacloud.com/reclaimPolicy": "Delete"}, "reclaimPolicy"),
        ({"server": SERVER, "mountType": "skipmount"}, "mountType"),
        ({"server": SERVER, "containerNetworkFileSystem": "cnfs"}, "containerNetworkFileSystem"),
    ]  # fmt: skip
    for n, (parameters, named) in enumerate(bad):
        CLASSES["bad"] = parameters
        with pytest.raises(grpc.RpcError) as caught:
            nas.create(f"pvc-bad-{n}", "bad")
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, parameters
        assert named in (caught.value.details() or ""), parameters


def test_with_topology_a_volume_stays_in_the_zone_of_its_file_system(nas: Nas) -> None:
    nas.rig.start_driver(
        "zonal", driver="nas", node_id="worker-1", NAS_TOPOLOGY="true", ZONE_ID="cn-hangzhou-k"
    )
    zonal = csi_client.Client(nas.rig.socket("zonal"))

    def create(kind: str, *zones: str) -> pb.Volume:
        topology = [pb.Topology(segments={"topology.kubernetes.io/zone": zone}) for zone in zones]
        request = pb.CreateVolumeRequest(
            name=f"pvc-{kind}",
            parameters=CLASSES[kind],
            capacity_range=pb.CapacityRange(required_bytes=SIZES.get(kind, 20 * GIB)),
            volume_capabilities=[csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER")],
            accessibility_requirements=pb.TopologyRequirement(requisite=topology),
        )
        made: pb.Volume = zonal.controller.CreateVolume(request, timeout=30).volume
        return made

    try:
        told = zonal.identity.GetPluginCapabilities(pb.GetPluginCapabilitiesRequest(), timeout=20)
        node = zonal.node.NodeGetInfo(pb.NodeGetInfoRequest(), timeout=20)
        for kind in ("subpath", "filesystem"):
            volume = create(kind, "cn-hangzhou-k", "cn-hangzhou-b")
            segments = [dict(each.segments) for each in volume.accessible_topology]
            assert segments == [{"topology.kubernetes.io/zone": "cn-hangzhou-k"}], kind
        with pytest.raises(grpc.RpcError) as caught:
            create("subpath", "cn-hangzhou-b")
    finally:
        zonal.close()
        nas.rig.drivers.pop().terminate()

    services = [each.service.type for each in told.capabilities if each.HasField("service")]
    assert pb.PluginCapability.Service.VOLUME_ACCESSIBILITY_CONSTRAINTS in services
    assert dict(node.accessible_topology.segments) == {
        "topology.kubernetes.io/zone": "cn-hangzhou-k"
    }
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "cn-hangzhou-k" in (caught.value.details() or "")
    plain = nas.create("pvc-plain", "subpath")
    assert not plain.accessible_topology


Step = tuple[str, str]
STEPS: list[Step] = [
    *(("create", kind) for kind in CLASSES),
    *(("expand", kind) for kind in ("subpath", "extreme", "accesspoint")),
    *(("delete", kind) for kind in ("filesystem", "extreme", "accesspoint")),
]


def _prepared(nas: Nas, step: Step) -> Callable[[float], Any]:
    """The call of *step*, its preparations made; returns a function of its time limit."""
    name, kind = step
    if name == "create":
        return lambda timeout_s: nas.create("pvc-1", kind, timeout_s=timeout_s)
    volume = nas.create("pvc-1", kind)
    if name == "expand":
        size = volume.capacity_bytes + 10 * GIB
        return lambda timeout_s: nas.expand(volume, size, timeout_s=timeout_s)
    return lambda timeout_s: nas.delete(volume, timeout_s=timeout_s)


@pytest.mark.parametrize("step", STEPS, ids="-".join)
def test_killed_or_unanswered_at_any_change_it_ends_as_if_undisturbed(nas: Nas, step: Step) -> None:
    """Appendix G 37, and what it is about, in all modes."""
    crash.at_every_change(
        nas, lambda: _prepared(nas, step), lambda: _shape(nas), may_change_nothing=False
    )


def _shape(nas: Nas) -> dict[str, int]:
    """How many of everything there are; ids differ from run to run."""
    rows = {kind: len(names) for kind, names in nas.things().items()}
    rows["directories"] = len(nas.control.resources("nas_directory"))
    return rows

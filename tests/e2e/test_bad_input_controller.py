"""Requests the controller must refuse: the code, a message that names the fault, no effect."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from tests.support import csi_client, processes, rpc, stack

pytestmark = pytest.mark.e2e

GIB = csi_client.GIB
Code = rpc.Code
Ids = dict[str, str]
INVALID, MISSING, RANGE = Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.OUT_OF_RANGE
TOO_LONG = "n" * 129
TOO_MUCH = {f"diskTags/k{n}": "v" * 100 for n in range(60)}
MULTI = "MULTI_NODE_MULTI_WRITER"


def _create(**change: Any) -> Callable[[Ids], pb.CreateVolumeRequest]:
    fields: dict[str, Any] = {
        "name": "bad-input",
        "capacity_range": pb.CapacityRange(required_bytes=20 * GIB),
        "volume_capabilities": [csi_client.mount_capability()],
        "parameters": {"type": "cloud_essd"},
        **change,
    }
    return lambda _: pb.CreateVolumeRequest(**fields)


def _parameters(**change: str) -> Callable[[Ids], pb.CreateVolumeRequest]:
    return _create(parameters={"type": "cloud_essd", **change})


def _attach(**change: Any) -> Callable[[Ids], pb.ControllerPublishVolumeRequest]:
    def make(ids: Ids) -> pb.ControllerPublishVolumeRequest:
        fields = {
            "volume_id": ids["volume"],
            "node_id": processes.NODE_1,
            "volume_capability": csi_client.mount_capability(),
            **change,
        }
        return pb.ControllerPublishVolumeRequest(**fields)

    return make


def _expand(
    required_bytes: int, **change: Any
) -> Callable[[Ids], pb.ControllerExpandVolumeRequest]:
    return lambda ids: pb.ControllerExpandVolumeRequest(
        **{
            "volume_id": ids["volume"],
            "capacity_range": pb.CapacityRange(required_bytes=required_bytes),
            **change,
        }
    )


def _modify(**mutable: str) -> Callable[[Ids], pb.ControllerModifyVolumeRequest]:
    return lambda ids: pb.ControllerModifyVolumeRequest(
        volume_id=ids["volume"], mutable_parameters=mutable
    )


def _snapshot(**change: Any) -> Callable[[Ids], pb.CreateSnapshotRequest]:
    return lambda ids: pb.CreateSnapshotRequest(
        **{"name": "bad-snapshot", "source_volume_id": ids["volume"], **change}
    )


def _range(required_bytes: int, limit_bytes: int = 0) -> Callable[[Ids], pb.CreateVolumeRequest]:
    return _create(
        capacity_range=pb.CapacityRange(required_bytes=required_bytes, limit_bytes=limit_bytes)
    )


def _zone(zone_id: str) -> pb.TopologyRequirement:
    key = "topology.diskplugin.csi.alibabacloud.com/zone"
    return pb.TopologyRequirement(requisite=[pb.Topology(segments={key: zone_id})])


Case = tuple[str, str, Callable[[Ids], Any], grpc.StatusCode, str]
CREATE: tuple[Case, ...] = (
    ("no name", "CreateVolume", _create(name=""), INVALID, "name"),
    ("name of 129 bytes", "CreateVolume", _create(name=TOO_LONG), INVALID, "name"),
    ("65 characters of 2 bytes", "CreateVolume", _create(name="ä" * 65), INVALID, "name"),
    ("control character in name", "CreateVolume", _create(name="a\x01b"), INVALID, "name"),
    (
        "no capability",
        "CreateVolume",
        _create(volume_capabilities=[]),
        INVALID,
        "volume_capabilities",
    ),
    (
        "no access type",
        "CreateVolume",
        _create(
            volume_capabilities=[
                pb.VolumeCapability(access_mode=csi_client.block_capability().access_mode)
            ]
        ),
        INVALID,
        "access_type",
    ),
    (
        "no access mode",
        "CreateVolume",
        _create(volume_capabilities=[pb.VolumeCapability(block={})]),
        INVALID,
        "access_mode",
    ),
    (
        "many writers of a file system",
        "CreateVolume",
        _create(volume_capabilities=[csi_client.mount_capability(mode=MULTI)]),
        INVALID,
        "MULTI_NODE_MULTI_WRITER",
    ),
    (
        "unknown file system",
        "CreateVolume",
        _create(volume_capabilities=[csi_client.mount_capability("btrfs")]),
        INVALID,
        "btrfs",
    ),
    ("unknown parameter", "CreateVolume", _parameters(colour="blue"), INVALID, "colour"),
    ("unknown type", "CreateVolume", _parameters(type="cloud_gold"), INVALID, "cloud_gold"),
    ("unknown level", "CreateVolume", _parameters(performanceLevel="PL9"), INVALID, "PL9"),
    ("encrypted=perhaps", "CreateVolume", _parameters(encrypted="perhaps"), INVALID, "encrypted"),
    ("IOPS=many", "CreateVolume", _parameters(provisionedIops="many"), INVALID, "provisionedIops"),
    ("tag without colon", "CreateVolume", _parameters(diskTags="nocolon"), INVALID, "diskTags"),
    ("7 KiB of parameters", "CreateVolume", _create(parameters=TOO_MUCH), INVALID, "parameters"),
    (
        "unknown mutable parameter",
        "CreateVolume",
        _create(mutable_parameters={"colour": "blue"}),
        INVALID,
        "colour",
    ),
    ("negative size", "CreateVolume", _range(-1), INVALID, "capacity_range"),
    ("limit below size", "CreateVolume", _range(30 * GIB, 20 * GIB), INVALID, "limit_bytes"),
    ("100 TiB", "CreateVolume", _range(100 << 40), RANGE, "65536"),
    ("limit below the smallest disk", "CreateVolume", _range(0, GIB), RANGE, "20"),
    (
        "no GiB between size and limit",
        "CreateVolume",
        _range(20 * GIB + 1, 20 * GIB + 2),
        RANGE,
        "",
    ),
    (
        "absent snapshot",
        "CreateVolume",
        _create(volume_content_source=csi_client.snapshot_source("s-absent")),
        MISSING,
        "s-absent",
    ),
    (
        "absent source volume",
        "CreateVolume",
        _create(volume_content_source=csi_client.volume_source("d-absent")),
        MISSING,
        "d-absent",
    ),
    (
        "zone that does not exist",
        "CreateVolume",
        _create(accessibility_requirements=_zone("mars-a")),
        INVALID,
        "mars-a",
    ),
    (
        "zone of the class that the node cannot reach",
        "CreateVolume",
        _create(
            parameters={"type": "cloud_essd", "zoneId": "cn-hangzhou-j"},
            accessibility_requirements=_zone("cn-hangzhou-k"),
        ),
        Code.RESOURCE_EXHAUSTED,
        "cn-hangzhou-j",
    ),
)
OTHERS: tuple[Case, ...] = (
    ("delete without id", "DeleteVolume", lambda _: pb.DeleteVolumeRequest(), INVALID, "volume_id"),
    (
        "delete 129 bytes",
        "DeleteVolume",
        lambda _: pb.DeleteVolumeRequest(volume_id=TOO_LONG),
        INVALID,
        "volume_id",
    ),
    ("attach no volume", "ControllerPublishVolume", _attach(volume_id=""), INVALID, "volume_id"),
    ("attach no node", "ControllerPublishVolume", _attach(node_id=""), INVALID, "node_id"),
    (
        "attach no capability",
        "ControllerPublishVolume",
        _attach(volume_capability=None),
        INVALID,
        "volume_capability",
    ),
    (
        "attach absent volume",
        "ControllerPublishVolume",
        _attach(volume_id="d-absent"),
        MISSING,
        "d-absent",
    ),
    (
        "attach to absent node",
        "ControllerPublishVolume",
        _attach(node_id="i-absent"),
        MISSING,
        "i-absent",
    ),
    (
        "attach node id of 257 bytes",
        "ControllerPublishVolume",
        _attach(node_id="i" * 257),
        INVALID,
        "node_id",
    ),
    (
        "detach no volume",
        "ControllerUnpublishVolume",
        lambda _: pb.ControllerUnpublishVolumeRequest(),
        INVALID,
        "volume_id",
    ),
    (
        "expand no volume",
        "ControllerExpandVolume",
        _expand(GIB, volume_id=""),
        INVALID,
        "volume_id",
    ),
    (
        "expand no range",
        "ControllerExpandVolume",
        _expand(0, capacity_range=None),
        INVALID,
        "capacity_range",
    ),
    (
        "expand absent volume",
        "ControllerExpandVolume",
        _expand(40 * GIB, volume_id="d-absent"),
        MISSING,
        "d-absent",
    ),
    ("expand to 100 TiB", "ControllerExpandVolume", _expand(100 << 40), RANGE, "65536"),
    (
        "modify nothing",
        "ControllerModifyVolume",
        _modify(),
        INVALID,
        "mutable_parameters",
    ),
    ("modify unknown key", "ControllerModifyVolume", _modify(colour="blue"), INVALID, "colour"),
    (
        "modify one good and one bad key",
        "ControllerModifyVolume",
        _modify(performanceLevel="PL0", burstingEnabled="perhaps"),
        INVALID,
        "burstingEnabled",
    ),
    ("snapshot no name", "CreateSnapshot", _snapshot(name=""), INVALID, "name"),
    (
        "snapshot no volume",
        "CreateSnapshot",
        _snapshot(source_volume_id=""),
        INVALID,
        "source_volume_id",
    ),
    (
        "snapshot of absent volume",
        "CreateSnapshot",
        _snapshot(source_volume_id="d-absent"),
        MISSING,
        "d-absent",
    ),
    (
        "snapshot unknown parameter",
        "CreateSnapshot",
        _snapshot(parameters={"colour": "blue"}),
        INVALID,
        "colour",
    ),
    (
        "snapshot name of 129 bytes",
        "CreateSnapshot",
        _snapshot(name=TOO_LONG),
        INVALID,
        "name",
    ),
    (
        "delete snapshot without id",
        "DeleteSnapshot",
        lambda _: pb.DeleteSnapshotRequest(),
        INVALID,
        "snapshot_id",
    ),
    (
        "validate absent volume",
        "ValidateVolumeCapabilities",
        lambda _: pb.ValidateVolumeCapabilitiesRequest(
            volume_id="d-absent", volume_capabilities=[csi_client.mount_capability()]
        ),
        MISSING,
        "d-absent",
    ),
    (
        "get absent volume",
        "ControllerGetVolume",
        lambda _: pb.ControllerGetVolumeRequest(volume_id="d-absent"),
        MISSING,
        "d-absent",
    ),
    (
        "list from a bad token",
        "ListVolumes",
        lambda _: pb.ListVolumesRequest(starting_token="junk"),
        Code.ABORTED,
        "starting_token",
    ),
    (
        "list a negative number",
        "ListVolumes",
        lambda _: pb.ListVolumesRequest(max_entries=-1),
        INVALID,
        "max_entries",
    ),
    (
        "list snapshots from a bad token",
        "ListSnapshots",
        lambda _: pb.ListSnapshotsRequest(starting_token="junk"),
        Code.ABORTED,
        "starting_token",
    ),
)


@pytest.fixture(scope="module")
def ids(controller_deployment: stack.Stack) -> Ids:
    """One volume that bad requests are about."""
    return {"volume": controller_deployment.volume().volume_id}


@pytest.mark.parametrize("case", CREATE + OTHERS, ids=lambda case: case[0].replace(" ", "-"))
def test_bad_request_is_refused_with_a_clear_message_and_changes_nothing(
    controller_deployment: stack.Stack, ids: Ids, case: Case
) -> None:
    _, method, make, code, word = case
    control = controller_deployment.control
    before = control.resources("disk"), control.resources("snapshot")
    call = getattr(controller_deployment.client.controller, method)

    refused = rpc.refusal(lambda: call(make(ids), timeout=10))

    assert refused.code is code, f"{refused.code.name}: {refused.message}"
    assert refused.message
    assert word in refused.message
    assert "Traceback" not in refused.message
    assert (control.resources("disk"), control.resources("snapshot")) == before


def test_same_name_with_another_size_is_refused(controller_deployment: stack.Stack) -> None:
    client, control = controller_deployment.client, controller_deployment.control
    client.create("taken", size_gib=20)
    before = control.data_disks("taken")

    refused = rpc.refusal(lambda: client.create("taken", size_gib=40))

    assert refused.code is Code.ALREADY_EXISTS
    assert "taken" in refused.message
    assert control.data_disks("taken") == before

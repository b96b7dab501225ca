import json
from typing import Any

import pytest

from cloud import ecs_model
from core import errors
from core import settings as core_settings
from csi._pb import csi_pb2 as pb
from csi.disk.controller import (
    capacity,
    controller_requests,
    listing,
    params,
    service,
    settings,
    tags,
)
from tests.unit.csi_disk import disk_harness as harness

GIB = harness.GIB
NODE = harness.NODE
PARAMETERS = {"type": "cloud_essd", "zoneId": harness.ZONE}


def create_request(**fields: Any) -> pb.CreateVolumeRequest:
    told: dict[str, Any] = {
        "name": "pvc-1",
        "capacity_range": pb.CapacityRange(required_bytes=20 * GIB),
        "volume_capabilities": [harness.pb_capability()],
        "parameters": PARAMETERS,
        **fields,
    }
    return pb.CreateVolumeRequest(**told)


async def test_a_volume_s_life_over_the_servicer() -> None:
    parts = harness.Parts()
    serves = parts.servicers().controller

    volume = (await serves.CreateVolume(create_request(), None)).volume
    published = await serves.ControllerPublishVolume(
        pb.ControllerPublishVolumeRequest(
            volume_id=volume.volume_id, node_id=NODE, volume_capability=harness.pb_capability()
        ),
        None,
    )
    grown = await serves.ControllerExpandVolume(
        pb.ControllerExpandVolumeRequest(
            volume_id=volume.volume_id, capacity_range=pb.CapacityRange(required_bytes=40 * GIB)
        ),
        None,
    )
    listed = await serves.ListVolumes(pb.ListVolumesRequest(), None)
    got = await serves.ControllerGetVolume(
        pb.ControllerGetVolumeRequest(volume_id=volume.volume_id), None
    )
    await serves.ControllerUnpublishVolume(
        pb.ControllerUnpublishVolumeRequest(volume_id=volume.volume_id), None
    )
    await serves.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume.volume_id), None)

    assert published.publish_context == {"serialNumber": volume.volume_id.removeprefix("d-")}
    assert grown.capacity_bytes == 40 * GIB
    assert grown.node_expansion_required
    assert listed.entries[0].status.published_node_ids == [NODE]
    assert got.status.published_node_ids == [NODE]
    assert not got.status.volume_condition.abnormal
    assert got.status.volume_condition.message
    assert parts.disks.disks == {}


async def test_the_volume_tells_the_context_of_the_reference() -> None:
    serves = harness.Parts().servicers().controller

    volume = (
        await serves.CreateVolume(
            create_request(
                parameters={
                    **PARAMETERS,
                    "performanceLevel": "PL0,PL1",
                    "mkfsOptions": "-O x",
                    "csi.storage.k8s.io/pv/name": "pvc-1",
                }
            ),
            None,
        )
    ).volume

    prefix = "csi.alibabacloud.com/label-prefix/"
    selector = volume.volume_context.pop(
        "csi.alibabacloud.com/annotation-prefix/csi.alibabacloud.com/volume-topology"
    )
    assert dict(volume.volume_context) == {
        "type": "cloud_essd",
        "performanceLevel": "PL0",
        "zoneId": harness.ZONE,
        "mkfsOptions": "-O x",
        f"{prefix}topology.diskplugin.csi.alibabacloud.com/region": harness.REGION,
        f"{prefix}topology.diskplugin.csi.alibabacloud.com/zone": harness.ZONE,
        f"{prefix}csi.alibabacloud.com/disktype": "cloud_essd.PL0",
    }
    assert json.loads(selector) == {
        "nodeSelectorTerms": [
            {
                "matchExpressions": [
                    {
                        "key": "node.csi.alibabacloud.com/disktype.cloud_essd",
                        "operator": "In",
                        "values": ["available"],
                    }
                ]
            }
        ]
    }
    assert [dict(t.segments) for t in volume.accessible_topology] == [
        {"topology.diskplugin.csi.alibabacloud.com/zone": harness.ZONE}
    ]


@pytest.mark.parametrize(
    ("parameters", "private", "segments"),
    [
        (
            {"type": "cloud_regional_disk_auto"},
            False,
            {"topology.kubernetes.io/region": harness.REGION},
        ),
        (
            {"type": "cloud_regional_disk_auto"},
            True,
            {"topology.diskplugin.csi.alibabacloud.com/region": harness.REGION},
        ),
        (
            {"type": "elastic_ephemeral_disk_standard"},
            False,
            {
                "topology.diskplugin.csi.alibabacloud.com/zone": harness.ZONE,
                "alibabacloud.com/ecs-instance-id": NODE,
            },
        ),
    ],
)
async def test_accessible_topology_depends_on_the_type(
    parameters: dict[str, str], private: bool, segments: dict[str, str]
) -> None:
    config = settings.DiskSettings(private_topology_key=private)
    serves = harness.Parts(config=config).servicers().controller
    term = pb.Topology(
        segments={
            "alibabacloud.com/ecs-instance-id": NODE,
            "topology.kubernetes.io/zone": harness.ZONE,
        }
    )

    made = await serves.CreateVolume(
        create_request(
            parameters=parameters,
            capacity_range=pb.CapacityRange(required_bytes=64 * GIB),
            accessibility_requirements=pb.TopologyRequirement(requisite=[term], preferred=[term]),
        ),
        None,
    )

    assert dict(made.volume.accessible_topology[0].segments) == segments


async def test_the_source_is_echoed() -> None:
    parts = harness.Parts()
    parts.put_disk(disk_id="d-source")
    serves = parts.servicers().controller
    made = await serves.CreateSnapshot(
        pb.CreateSnapshotRequest(name="snap", source_volume_id="d-source"), None
    )
    snapshot = pb.VolumeContentSource.SnapshotSource(snapshot_id=made.snapshot.snapshot_id)
    volume = pb.VolumeContentSource.VolumeSource(volume_id="d-source")

    for number, source in enumerate(
        (pb.VolumeContentSource(snapshot=snapshot), pb.VolumeContentSource(volume=volume))
    ):
        request = create_request(name=f"copy-{number}", volume_content_source=source)
        assert (await serves.CreateVolume(request, None)).volume.content_source == source


NO_CAPABILITY = harness.pb_capability()
NO_CAPABILITY.ClearField("mount")


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("CreateVolume", create_request(name="")),
        ("CreateVolume", create_request(name="n" * 129)),
        ("CreateVolume", create_request(name="a\x01b")),
        ("CreateVolume", create_request(volume_capabilities=[])),
        ("CreateVolume", create_request(volume_capabilities=[NO_CAPABILITY])),
        ("CreateVolume", create_request(capacity_range=pb.CapacityRange(required_bytes=-1))),
        ("CreateVolume", create_request(parameters={"a" * 4000: "b" * 200})),
        ("CreateVolume", create_request(mutable_parameters={"XXX_FakeKey": "1"})),
        ("CreateVolume", create_request(secrets={"k": "v" * 5000})),
        (
            "CreateVolume",
            create_request(volume_content_source=pb.VolumeContentSource(snapshot={})),
        ),
        ("DeleteVolume", pb.DeleteVolumeRequest()),
        ("ControllerPublishVolume", pb.ControllerPublishVolumeRequest()),
        ("ControllerPublishVolume", pb.ControllerPublishVolumeRequest(volume_id="d-none")),
        (
            "ControllerPublishVolume",
            pb.ControllerPublishVolumeRequest(volume_id="d-none", node_id=NODE),
        ),
        ("ControllerUnpublishVolume", pb.ControllerUnpublishVolumeRequest()),
        ("ValidateVolumeCapabilities", pb.ValidateVolumeCapabilitiesRequest()),
        ("ValidateVolumeCapabilities", pb.ValidateVolumeCapabilitiesRequest(volume_id="d-none")),
        ("ListVolumes", pb.ListVolumesRequest(max_entries=-1)),
        ("ControllerGetVolume", pb.ControllerGetVolumeRequest()),
        ("CreateSnapshot", pb.CreateSnapshotRequest(name="s")),
        ("CreateSnapshot", pb.CreateSnapshotRequest(source_volume_id="d-none")),
        ("DeleteSnapshot", pb.DeleteSnapshotRequest()),
        ("GetSnapshot", pb.GetSnapshotRequest()),
        ("ControllerExpandVolume", pb.ControllerExpandVolumeRequest()),
        ("ControllerExpandVolume", pb.ControllerExpandVolumeRequest(volume_id="d-none")),
        ("ControllerModifyVolume", pb.ControllerModifyVolumeRequest()),
        ("ControllerModifyVolume", pb.ControllerModifyVolumeRequest(volume_id="d-none")),
    ],
)
async def test_bad_fields_are_refused_before_anything_is_asked(method: str, request_: Any) -> None:
    parts = harness.Parts()
    serves = parts.servicers().controller

    with pytest.raises(errors.Invalid):
        await getattr(serves, method)(request_, None)

    assert parts.disks.record.calls == []
    assert parts.snapshots.record.calls == []


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("CreateVolumeGroupSnapshot", pb.CreateVolumeGroupSnapshotRequest(source_volume_ids=["d"])),
        ("CreateVolumeGroupSnapshot", pb.CreateVolumeGroupSnapshotRequest(name="g")),
        ("GetVolumeGroupSnapshot", pb.GetVolumeGroupSnapshotRequest()),
        ("DeleteVolumeGroupSnapshot", pb.DeleteVolumeGroupSnapshotRequest()),
    ],
)
async def test_bad_group_fields_are_refused(method: str, request_: Any) -> None:
    serves = harness.Parts().servicers().group

    with pytest.raises(errors.InvalidField):
        await getattr(serves, method)(request_, None)


async def test_a_group_over_the_servicer() -> None:
    parts = harness.Parts()
    parts.put_disk()
    serves = parts.servicers().group
    assert serves is not None

    made = (
        await serves.CreateVolumeGroupSnapshot(
            pb.CreateVolumeGroupSnapshotRequest(name="g", source_volume_ids=["d-one", "d-one"]),
            None,
        )
    ).group_snapshot

    assert [row.group_snapshot_id for row in made.snapshots] == [made.group_snapshot_id]
    assert made.creation_time == made.snapshots[0].creation_time
    assert not made.ready_to_use


def test_the_group_service_can_be_switched_off() -> None:
    config = settings.DiskSettings(group_snapshots=False)

    assert harness.Parts(config=config).servicers().group is None


async def test_validate_confirms_only_what_the_disk_can_do() -> None:
    parts = harness.Parts()
    parts.put_disk()
    serves = parts.servicers().controller

    def request(*modes: str, **parameters: str) -> pb.ValidateVolumeCapabilitiesRequest:
        return pb.ValidateVolumeCapabilitiesRequest(
            volume_id="d-one",
            volume_capabilities=[harness.pb_capability(mode) for mode in modes],
            parameters=parameters,
        )

    good = await serves.ValidateVolumeCapabilities(request("SINGLE_NODE_WRITER"), None)
    bad = await serves.ValidateVolumeCapabilities(
        request("SINGLE_NODE_WRITER", "MULTI_NODE_MULTI_WRITER"), None
    )
    other = await serves.ValidateVolumeCapabilities(
        request("SINGLE_NODE_WRITER", type="cloud_ssd"), None
    )

    assert len(good.confirmed.volume_capabilities) == 1
    assert not bad.HasField("confirmed")
    assert "multiAttach" in bad.message
    assert "cloud_essd" in other.message


async def test_all_fifteen_capabilities_are_told() -> None:
    told = (
        await harness.Parts()
        .servicers()
        .controller.ControllerGetCapabilities(pb.ControllerGetCapabilitiesRequest(), None)
    )

    assert sorted(c.rpc.type for c in told.capabilities) == list(range(1, 16))
    assert len(service.CAPABILITIES) == 15


async def test_lists_show_only_our_data_disks() -> None:
    parts = harness.Parts(config=settings.DiskSettings(cluster_id="c1"))
    ours = {tags.CREATED_BY: tags.CREATED_BY_US, tags.CLUSTER: "c1"}
    parts.put_disk(disk_id="d-1", tags=ours)
    parts.put_disk(disk_id="d-2", tags={**ours, tags.CLUSTER: "c2"})
    parts.put_disk(disk_id="d-3")
    parts.put_disk(disk_id="d-4", tags=ours, disk_type="system")

    lister = listing.Lister(parts.disks, parts.config)

    listed = await lister.list(max_entries=0, starting_token="")
    assert [disk.disk_id for disk in listed.items] == ["d-1"]


@pytest.mark.parametrize(
    ("state", "abnormal"),
    [(state, state in (harness.State.REINITING, harness.State.UNKNOWN)) for state in harness.State],
)
def test_condition_tells_what_the_cloud_says(state: harness.State, abnormal: bool) -> None:
    told = listing.choose_condition(harness.disk_of(state=state))

    assert told.abnormal is abnormal
    assert told.message


OFFERS = (
    ecs_model.AvailableDisk(zone_id="a", category="cloud_essd", min_gib=1, max_gib=32768),
    ecs_model.AvailableDisk(zone_id="b", category="cloud_ssd", max_gib=100),
    ecs_model.AvailableDisk(zone_id="b", category="cloud_auto", sold_out=True),
    ecs_model.AvailableDisk(zone_id="", category="cloud_regional_disk_auto"),
    ecs_model.AvailableDisk(zone_id="", category="cloud_auto"),
)


@pytest.mark.parametrize(
    ("parameters", "segments", "sizes_gib"),
    [
        ({}, {}, (20, 100)),
        ({"type": "cloud_essd"}, {}, (20, 32768)),
        ({"type": "cloud_essd", "performanceLevel": "PL0"}, {}, (1, 32768)),
        ({"type": "cloud_essd", "performanceLevel": "PL3,PL2"}, {}, (461, 32768)),
        ({"type": "cloud_essd"}, {"topology.kubernetes.io/zone": "b"}, (0, 0)),
        ({"type": "cloud_essd", "zoneId": "b"}, {}, (0, 0)),
        ({"type": "cloud_essd", "zoneId": "b"}, {"topology.kubernetes.io/zone": "a"}, (0, 0)),
        ({"type": "cloud_essd"}, {"topology.kubernetes.io/region": "far"}, (0, 0)),
        ({"type": "cloud_auto"}, {}, (0, 0)),
        ({"type": "cloud_regional_disk_auto"}, {}, (10, 65536)),
        ({"type": "cloud_ssd,cloud_regional_disk_auto"}, {}, (10, 65536)),
        ({"type": "cloud_auto,cloud_regional_disk_auto"}, {}, (10, 65536)),
    ],
)
async def test_capacity_is_the_largest_disk_on_sale(
    parameters: dict[str, str], segments: dict[str, str], sizes_gib: tuple[int, int]
) -> None:
    parts = harness.Parts()
    parts.cloud.instances.offers = list(OFFERS)
    reader = capacity.CapacityReader(parts.cloud.instances, parts.cloud.region_id)

    found = await reader.read(
        controller_requests.CapacityRequest(
            capabilities=(), parameters=params.parse(parameters), segments=segments
        )
    )

    assert (found.minimum_bytes, found.maximum_bytes) == tuple(n * GIB for n in sizes_gib)
    assert found.available_bytes == found.maximum_bytes


async def test_capacity_for_modes_the_disks_cannot_serve_is_none() -> None:
    serves = harness.Parts().servicers().controller

    told = await serves.GetCapacity(
        pb.GetCapacityRequest(
            volume_capabilities=[harness.pb_capability("MULTI_NODE_MULTI_WRITER", block=True)]
        ),
        None,
    )

    assert told.available_capacity == 0
    assert not told.HasField("maximum_volume_size")


# -- settings


def test_settings_are_safe_by_default() -> None:
    reader = core_settings.Reader({})

    assert settings.read_disk(reader, {}) == settings.DiskSettings()
    assert reader.faults == []


def test_settings_are_read_from_environment_and_gates() -> None:
    reader = core_settings.Reader(
        {
            "DISK_FORCE_DETACHED": "true",
            "DISK_DETACH_BEFORE_DELETE": "yes",
            "DISK_DETACH_DISABLE": "true",
            "DISK_TAGED_BY_PLUGIN": "true",
            "DISK_DETACH_CONCURRENCY": "7",
            "CLUSTER_ID": "c1",
            "PRIVATE_TOPOLOGY_KEY": "true",
            "ADDON_VM_FATAL_EVENTS": "boom:fatal, bang",
        }
    )
    gates = {"DiskParallelAttach": True, "DiskParallelDetach": True}

    told = settings.read_disk(reader, {**gates, "EnableDeleteAutoSnapshots": True})

    assert (told.attach_slots, told.detach_slots) == (32, 7)
    assert told.steal_on_attach
    assert told.detach_on_delete
    assert told.keep_attached
    assert told.tag_on_attach
    assert told.snapshot_on_delete
    assert told.cluster_id == "c1"
    assert {"boom:fatal", "bang"} <= told.fatal_events
    assert told.fatal_events >= settings.FATAL_EVENTS


def test_bad_settings_are_faults() -> None:
    reader = core_settings.Reader(
        {"DISK_ATTACH_CONCURRENCY": "many", "DISK_MULTI_TENANT_ENABLE": "true"}
    )

    settings.read_disk(reader, {})

    assert len(reader.faults) == 2

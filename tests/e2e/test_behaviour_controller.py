"""Behaviour of the controller on the simulated cloud. Source: spec/csi-driver.md appendix G."""

import uuid
from collections.abc import Iterator

import pytest

from csi._pb import csi_pb2 as pb
from tests.support import csi_client, processes, rpc, stack

pytestmark = pytest.mark.e2e

GIB = csi_client.GIB
Code = rpc.Code
ZONES = ("cn-hangzhou-j", "cn-hangzhou-k")


def _name() -> str:
    return f"pvc-{uuid.uuid4()}"


@pytest.fixture
def sold_out(cloud: stack.Stack) -> Iterator[stack.Stack]:
    """A cloud where cloud_essd is sold out and cloud_auto is not."""
    rows = [
        {
            "zone_id": zone_id,
            "category": category,
            "performance_level": level,
            "min_gib": 1,
            "max_gib": 65536,
            "status": "WithoutStock" if category == "cloud_essd" else "WithStock",
        }
        for zone_id in ZONES
        for category, level in (("cloud_essd", "PL1"), ("cloud_auto", ""))
    ]
    cloud.control.request("POST", "world/stock", {"rows": rows})
    yield cloud
    cloud.control.request("POST", "reset")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"size_gib": 40}, str(20 * GIB), id="size"),
        pytest.param({"parameters": {"type": "cloud_auto"}}, "cloud_essd", id="type"),
        pytest.param({"zone_id": "cn-hangzhou-j"}, "cn-hangzhou-k", id="zone"),
    ],
)
def test_same_name_with_something_else_is_refused_and_told(
    cloud: stack.Stack, change: dict[str, object], told: str
) -> None:
    name = _name()
    made = cloud.client.create(name)

    refused = rpc.refusal(lambda: cloud.client.create(name, **change))  # type: ignore[arg-type]

    assert refused.code is Code.ALREADY_EXISTS
    assert told in refused.message
    assert cloud.client.create(name).volume_id == made.volume_id
    cloud.client.delete(made.volume_id)


def test_levels_that_need_a_larger_disk_are_passed_over(cloud: stack.Stack) -> None:
    parameters = {"type": "cloud_essd,cloud_ssd", "performanceLevel": "PL2,PL1"}

    volume = cloud.client.create(_name(), size_gib=100, parameters=parameters)

    disk = cloud.control.data_disks()[volume.volume_id]
    assert (disk["category"], disk["performance_level"]) == ("cloud_essd", "PL1")
    cloud.client.delete(volume.volume_id)


def test_a_sold_out_type_falls_back_to_the_next_one(sold_out: stack.Stack) -> None:
    volume = sold_out.client.create(_name(), parameters={"type": "cloud_essd,cloud_auto"})

    assert sold_out.control.data_disks()[volume.volume_id]["category"] == "cloud_auto"
    sold_out.client.delete(volume.volume_id)


def test_when_all_is_sold_out_the_scheduler_is_told_to_look_elsewhere(
    sold_out: stack.Stack,
) -> None:
    refused = rpc.refusal(
        lambda: sold_out.client.create(_name(), parameters={"type": "cloud_essd"})
    )

    assert refused.code is Code.RESOURCE_EXHAUSTED
    assert "cloud_essd" in refused.message


def test_a_regional_disk_has_no_zone(cloud: stack.Stack) -> None:
    volume = cloud.client.create(_name(), parameters={"type": "cloud_regional_disk_auto"})

    assert cloud.control.data_disks()[volume.volume_id]["zone_id"] == ""
    segments = [dict(each.segments) for each in volume.accessible_topology]
    assert segments
    assert not [key for each in segments for key in each if key.endswith("/zone")]
    cloud.client.delete(volume.volume_id)


def test_an_unknown_volume_is_deleted_and_detached_already(cloud: stack.Stack) -> None:
    cloud.client.delete("d-absent")
    cloud.client.detach("d-absent", processes.NODE_1)
    volume = cloud.volume()
    cloud.client.detach(volume.volume_id, processes.NODE_1)
    cloud.client.detach(volume.volume_id, "i-absent")
    volume.tear_down()


def test_attaching_twice_calls_the_cloud_once(cloud: stack.Stack) -> None:
    volume = cloud.volume().attach()
    cloud.control.clear_calls()

    volume.attach()

    assert cloud.control.changes() == []
    volume.tear_down()


def test_detach_without_a_node_detaches_from_all(cloud: stack.Stack) -> None:
    volume = cloud.volume().attach()

    cloud.client.detach(volume.volume_id, "")

    assert cloud.control.attachments(volume.volume_id) == {}
    volume.tear_down()


def test_a_multi_attach_block_volume_is_on_two_nodes(cloud: stack.Stack) -> None:
    capability = csi_client.block_capability("MULTI_NODE_MULTI_WRITER")
    parameters = {"type": "cloud_essd", "multiAttach": "true"}
    volume = cloud.volume(capability=capability, parameters=parameters).attach()

    cloud.client.attach(volume.message, processes.NODE_2, capability=capability)

    assert cloud.control.attachments(volume.volume_id) == dict.fromkeys(
        (processes.NODE_1, processes.NODE_2), "attached"
    )
    cloud.client.detach(volume.volume_id, processes.NODE_2)
    volume.tear_down()


def test_a_multi_attach_volume_moves_on_while_a_dead_node_does_not_let_go_of_it(
    cloud: stack.Stack,
) -> None:
    capability = csi_client.block_capability("MULTI_NODE_MULTI_WRITER")
    parameters = {"type": "cloud_essd", "multiAttach": "true"}
    volume = cloud.volume(capability=capability, parameters=parameters).attach()
    cloud.control.request("POST", "settings/ecs", {"stuck_instance_ids": [processes.NODE_1]})

    gave_up = rpc.refusal(lambda: cloud.client.detach(volume.volume_id, processes.NODE_1, 2.0))
    cloud.client.attach(volume.message, processes.NODE_2, capability=capability)
    cloud.client.detach(volume.volume_id, processes.NODE_2)
    cloud.client.attach(volume.message, processes.NODE_2, capability=capability)

    assert gave_up.code is Code.DEADLINE_EXCEEDED
    assert cloud.control.attachments(volume.volume_id) == {
        processes.NODE_1: "detaching",
        processes.NODE_2: "attached",
    }
    cloud.control.request("POST", "settings/ecs", {"stuck_instance_ids": []})
    cloud.client.detach(volume.volume_id, "")
    volume.tear_down()


@pytest.mark.parametrize("size_gib", [10, 20])
def test_expanding_to_what_is_there_changes_nothing(cloud: stack.Stack, size_gib: int) -> None:
    volume = cloud.volume()
    cloud.control.clear_calls()

    answer = cloud.client.expand(volume.volume_id, size_gib)

    assert answer.capacity_bytes == 20 * GIB
    assert cloud.control.changes() == []
    volume.tear_down()


def test_snapshots_are_listed_page_by_page_each_once(cloud: stack.Stack) -> None:
    volume = cloud.volume().attach()
    made = {
        cloud.client.snapshot(f"snap-{n}-{uuid.uuid4()}", volume.volume_id).snapshot_id
        for n in range(7)
    }

    for page_size in (1, 2, 3, 6, 7, 8):
        assert sorted(_walk_snapshots(cloud, page_size)) == sorted(made)

    for snapshot_id in made:
        cloud.client.delete_snapshot(snapshot_id)
        cloud.client.delete_snapshot(snapshot_id)
    volume.tear_down()


def test_volumes_are_listed_page_by_page_each_once(cloud: stack.Stack) -> None:
    made = {cloud.client.create(_name()).volume_id for _ in range(5)}

    for page_size in (1, 2, 5, 6):
        assert sorted(_walk_volumes(cloud, page_size)) == sorted(made)

    for volume_id in made:
        cloud.client.delete(volume_id)


def test_same_snapshot_name_of_another_volume_is_refused(cloud: stack.Stack) -> None:
    first, second = cloud.volume().attach(), cloud.volume().attach()
    name = f"snap-{uuid.uuid4()}"
    snapshot = cloud.client.snapshot(name, first.volume_id)

    refused = rpc.refusal(lambda: cloud.client.snapshot(name, second.volume_id))

    assert refused.code is Code.ALREADY_EXISTS
    assert cloud.client.snapshot(name, first.volume_id).snapshot_id == snapshot.snapshot_id
    cloud.client.delete_snapshot(snapshot.snapshot_id)
    first.tear_down()
    second.tear_down()


def test_a_group_snapshot_covers_all_its_volumes_and_goes_as_a_whole(cloud: stack.Stack) -> None:
    volumes = [cloud.volume().attach() for _ in range(2)]
    ids = [volume.volume_id for volume in volumes]
    name = f"group-{uuid.uuid4()}"
    group_stub = cloud.client.group

    def create(source_ids: list[str]) -> pb.VolumeGroupSnapshot:
        request = pb.CreateVolumeGroupSnapshotRequest(name=name, source_volume_ids=source_ids)
        made: pb.VolumeGroupSnapshot = group_stub.CreateVolumeGroupSnapshot(
            request, timeout=20
        ).group_snapshot
        return made

    group = create(ids)
    assert create(ids).group_snapshot_id == group.group_snapshot_id
    assert rpc.refusal(lambda: create(ids[:1])).code is Code.ALREADY_EXISTS
    assert sorted(each.source_volume_id for each in group.snapshots) == sorted(ids)
    members = [each.snapshot_id for each in group.snapshots]
    incomplete = pb.DeleteVolumeGroupSnapshotRequest(
        group_snapshot_id=group.group_snapshot_id, snapshot_ids=members[:1]
    )
    refused = rpc.refusal(lambda: group_stub.DeleteVolumeGroupSnapshot(incomplete, timeout=20))
    assert refused.code is Code.INVALID_ARGUMENT

    complete = pb.DeleteVolumeGroupSnapshotRequest(
        group_snapshot_id=group.group_snapshot_id, snapshot_ids=members
    )
    for _ in range(2):
        group_stub.DeleteVolumeGroupSnapshot(complete, timeout=20)

    for volume in volumes:
        volume.tear_down()


def test_a_permission_that_is_missing_is_told_by_its_action(cloud: stack.Stack) -> None:
    cloud.control.add_fault(
        "CreateDisk", "error", status=403, code="Forbidden.RAM", message="User not authorized"
    )

    refused = rpc.refusal(lambda: cloud.client.create(_name()))

    assert refused.code is Code.PERMISSION_DENIED
    assert "CreateDisk" in refused.message


def test_a_driver_that_starts_before_the_cloud_is_ready_once_the_cloud_is(
    cloud: stack.Stack,
) -> None:
    cloud.rig.sim.kill9()
    cloud.controller.terminate()
    cloud.restart(cloud.controller)
    probe = csi_client.Client(cloud.rig.socket("controller"))

    early = probe.identity.Probe(pb.ProbeRequest(), timeout=20, wait_for_ready=True)
    cloud.rig.start_sim()

    assert not early.ready.value
    rpc.wait_until(
        lambda: probe.identity.Probe(pb.ProbeRequest(), timeout=20).ready.value, timeout_s=20
    )
    cloud.volume().tear_down()
    probe.close()


def _walk_snapshots(cloud: stack.Stack, page_size: int) -> list[str]:
    found: list[str] = []
    token = ""
    while True:
        request = pb.ListSnapshotsRequest(max_entries=page_size, starting_token=token)
        page = cloud.client.controller.ListSnapshots(request, timeout=20)
        assert len(page.entries) <= page_size
        found += [entry.snapshot.snapshot_id for entry in page.entries]
        token = page.next_token
        if not token:
            return found


def _walk_volumes(cloud: stack.Stack, page_size: int) -> list[str]:
    found: list[str] = []
    token = ""
    while True:
        request = pb.ListVolumesRequest(max_entries=page_size, starting_token=token)
        page = cloud.client.controller.ListVolumes(request, timeout=20)
        assert len(page.entries) <= page_size
        found += [entry.volume.volume_id for entry in page.entries]
        token = page.next_token
        if not token:
            return found

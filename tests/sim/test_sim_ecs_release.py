"""DeleteInstance: what it refuses, what goes with an instance, what stays, what comes after it."""

import dataclasses
import json

import pytest

import sim.nas
from sim import world
from tests.sim.sim_ecs_harness import NODE_1, NODE_2, Ecs, world_of
from tests.sim.test_sim_ecs_machine import StrictHardware
from tests.sim.test_sim_eni_fabric import Recorder
from tests.sim.test_sim_eni_trunks import attach, create, member, shown, trunk

assert sim.nas  # registers the actions of storage channels

NEW = "i-bp1sim000000000003"
MISSING = (404, "InvalidInstanceId.NotFound")
GROUP, VSWITCH = "sg-bp1sim000000000001", "vsw-bp1sim000000000003"


@pytest.fixture
def ecs(tmp_path):
    made = Ecs(tmp_path)
    yield made
    made.cloud.close()


def release(ecs, instance_id=NODE_1):
    ecs("DeleteInstance", InstanceId=instance_id, Force=True)
    ecs.wait()


def successor(cloud, instance_id=NEW, **changes):
    """A row for a new instance with the released one's name and address."""
    old = next(row for row in world.load().instances if row.instance_id == NODE_1)
    plain = json.loads(json.dumps(dataclasses.asdict(old)))
    plain |= {"instance_id": instance_id, "eni_id": "eni-new", "mac": "00:16:3e:00:00:77"}
    return {"instances": [plain | changes]}


def statuses(ecs):
    rows = ecs("DescribeInstances")["Instances"]["Instance"]
    return {row["InstanceId"]: row["Status"] for row in rows}


def eni_ids(ecs, **filters):
    rows = ecs("DescribeNetworkInterfaces", **filters)["NetworkInterfaceSets"]
    return {row["NetworkInterfaceId"] for row in rows["NetworkInterfaceSet"]}


def test_a_running_instance_is_released_by_force_only(ecs):
    refused = (403, "IncorrectInstanceStatus")
    assert ecs.refused("DeleteInstance", InstanceId=NODE_1) == refused
    assert ecs.refused("DeleteInstance", InstanceId=NODE_1, Force=False) == refused

    assert ecs("DeleteInstance", InstanceId=NODE_1, Force=True, ForceStop=False) == {}

    assert statuses(ecs)[NODE_1] == "Stopping"
    ecs.wait()
    assert statuses(ecs) == {NODE_2: "Running"}


def test_a_stopped_instance_is_released_without_force(ecs):
    ecs("StopInstance", InstanceId=NODE_1)
    ecs.wait()

    ecs("DeleteInstance", InstanceId=NODE_1)
    ecs.wait()

    assert statuses(ecs) == {NODE_2: "Running"}


def test_an_instance_that_starts_is_not_even_released_by_force(ecs):
    ecs("RebootInstance", InstanceId=NODE_1)

    refused = ecs.refused("DeleteInstance", InstanceId=NODE_1, Force=True)

    assert refused == (403, "IncorrectInstanceStatus")


def test_a_dry_run_checks_and_releases_nothing(ecs):
    dry = {"InstanceId": NODE_1, "DryRun": True}
    assert ecs.refused("DeleteInstance", **dry) == (403, "IncorrectInstanceStatus")
    assert ecs.refused("DeleteInstance", **dry, Force=True) == (400, "DryRunOperation")
    ecs.wait()
    assert statuses(ecs)[NODE_1] == "Running"


def test_a_second_call_is_refused_while_it_goes_and_finds_nothing_afterwards(ecs):
    ecs("DeleteInstance", InstanceId=NODE_1, Force=True)
    again = {"InstanceId": NODE_1, "Force": True}
    assert ecs.refused("DeleteInstance", **again) == (403, "IncorrectInstanceStatus")
    assert ecs.refused("StartInstance", InstanceId=NODE_1) == (403, "IncorrectInstanceStatus")

    ecs.wait()

    assert ecs.refused("DeleteInstance", **again) == MISSING
    assert ecs.refused("StartInstance", InstanceId=NODE_1) == MISSING
    disk_id = ecs.new_disk()
    assert ecs.refused("AttachDisk", InstanceId=NODE_1, DiskId=disk_id) == MISSING
    assert ecs.refused("DetachDisk", InstanceId=NODE_1, DiskId=disk_id) == MISSING
    assert ecs.refused("DeleteInstance", InstanceId="i-none") == MISSING


def test_disks_stay_or_go_as_they_say_and_snapshots_stay(ecs):
    kept, gone = ecs.attached_disk(), ecs.new_disk()
    ecs("AttachDisk", InstanceId=NODE_1, DiskId=gone, DeleteWithInstance=True)
    ecs.wait()
    snapshot_id = ecs.new_snapshot(gone)
    assert len(ecs.disk_ids(DiskType="system")) == 2

    release(ecs)
    ecs.wait()

    row = ecs.disk(kept)
    assert (row["Status"], row["InstanceId"]) == ("Available", "")
    assert row["Attachments"]["Attachment"] == []
    assert ecs.disk_ids() == [kept]
    assert len(ecs.disk_ids(DiskType="system")) == 1
    assert ecs.snapshot(snapshot_id)["SourceDiskId"] == gone
    ecs("AttachDisk", InstanceId=NODE_2, DiskId=kept)
    ecs.wait()
    assert ecs.disk(kept)["InstanceId"] == NODE_2


@pytest.mark.parametrize("under_way", ["AttachDisk", "DetachDisk"])
def test_a_disk_that_comes_or_leaves_is_available_afterwards(ecs, under_way):
    disk_id = ecs.new_disk() if under_way == "AttachDisk" else ecs.attached_disk()
    ecs("DeleteInstance", InstanceId=NODE_2, Force=True)
    ecs.wait()
    ecs.cloud.change_world({"latencies": {"attach_disk": 60.0, "detach_disk": 60.0}})
    ecs(under_way, InstanceId=NODE_1, DiskId=disk_id)

    release(ecs)

    assert ecs.disk(disk_id)["Status"] == "Available"


def test_a_shared_disk_stays_on_the_other_instances(ecs):
    disk_id = ecs.attached_disk(MultiAttach="Enabled")
    ecs("AttachDisk", InstanceId=NODE_2, DiskId=disk_id)
    ecs.wait()

    release(ecs)

    row = ecs.disk(disk_id)
    assert row["Status"] == "In_use"
    assert [each["InstanceId"] for each in row["Attachments"]["Attachment"]] == [NODE_2]


def test_a_locked_instance_takes_its_disks_along(ecs):
    ecs.attached_disk()
    state = ecs.cloud.store.get("instance", NODE_1)
    with ecs.cloud.store.transaction():
        ecs.cloud.store.put("instance", NODE_1, {**state, "operation_locks": ["security"]})

    release(ecs)
    ecs.wait()

    assert ecs.disk_ids() == []


def test_a_dead_instance_gives_its_disk_back_when_it_is_released(ecs):
    disk_id = ecs.attached_disk()
    ecs.cloud.remember("ecs", {"stuck_instance_ids": [NODE_1]})
    ecs("DetachDisk", InstanceId=NODE_1, DiskId=disk_id)
    ecs.wait()
    assert ecs.disk(disk_id)["Status"] == "Detaching"

    release(ecs)

    assert ecs.disk(disk_id)["Status"] == "Available"


def test_a_snapshot_is_cut_before_its_disk_goes(ecs):
    disk_id = ecs.new_disk()
    ecs("AttachDisk", InstanceId=NODE_1, DiskId=disk_id, DeleteWithInstance=True)
    ecs.wait()
    ecs.cloud.change_world({"latencies": {"snapshot_cut": 30.0}})
    snapshot_id = ecs("CreateSnapshot", DiskId=disk_id)["SnapshotId"]

    release(ecs)
    assert ecs.disk(disk_id)["Status"] == "Detaching"
    ecs.wait(60)

    assert ecs.snapshot(snapshot_id)["Status"] == "accomplished"
    ecs.wait()
    assert ecs.disk_ids() == []


def test_a_device_that_is_open_keeps_its_disk_detaching(tmp_path):
    hardware = StrictHardware()
    ecs = Ecs(tmp_path, hardware=hardware)
    disk_id = ecs.attached_disk()
    hardware.busy.add(disk_id)

    release(ecs)
    assert (ecs.disk(disk_id)["Status"], statuses(ecs)) == ("Detaching", {NODE_2: "Running"})
    hardware.busy.clear()
    ecs.wait()

    assert ecs.disk(disk_id)["Status"] == "Available"
    assert NODE_1 not in hardware.machines
    ecs.cloud.close()


def test_interfaces_stay_or_go_as_they_say_with_their_addresses(ecs):
    gone = attach(ecs, create(ecs, VSwitchId=VSWITCH, SecondaryPrivateIpAddressCount=3))
    kept = attach(ecs, create(ecs, VSwitchId=VSWITCH, DeleteOnRelease=False))
    elsewhere = attach(ecs, create(ecs, VSwitchId=VSWITCH), NODE_2)
    addresses = shown(ecs, gone)["PrivateIpSets"]["PrivateIpSet"]

    release(ecs)

    assert eni_ids(ecs, Type="Secondary") == {kept, elsewhere}
    assert eni_ids(ecs, Type="Primary") == {"eni-bp1sim000000000002"}
    row = shown(ecs, kept)
    assert (row["Status"], row["InstanceId"]) == ("Available", "")
    freed = addresses[1]["PrivateIpAddress"]
    again = create(ecs, VSwitchId=VSWITCH, PrimaryIpAddress=freed)
    assert shown(ecs, again)["PrivateIpAddress"] == freed


def test_a_trunk_and_its_members_go_or_stay_each_for_itself(ecs):
    trunk_id = trunk(ecs)
    gone = member(ecs, trunk_id)
    kept = attach(ecs, create(ecs, DeleteOnRelease=False), TrunkNetworkInstanceId=trunk_id)

    release(ecs)

    left = eni_ids(ecs)
    assert not {trunk_id, gone} & left
    row = shown(ecs, kept)
    assert (row["Type"], row["Status"]) == ("Secondary", "Available")


def test_an_instance_that_a_route_leads_to_is_not_released(tmp_path):
    route = {"cidr_block": "172.16.0.0/16", "instance_id": NODE_1}
    ecs = Ecs(tmp_path, declared=world_of(first_vpcs={"routes": [route]}))
    wanted = {"InstanceId": NODE_1, "Force": True}
    assert ecs.refused("DeleteInstance", **wanted) == (400, "DependencyViolation.RouteEntry")
    table = "vtb-bp1sim000000000001"
    (entry,) = (
        row
        for row in ecs("DescribeRouteEntryList", RouteTableId=table)["RouteEntrys"]["RouteEntry"]
        if row["Type"] == "Custom"
    )
    ecs("DeleteRouteEntry", RouteEntryId=entry["RouteEntryId"])

    release(ecs)
    ecs.cloud.close()

    again = Ecs(tmp_path, declared=world_of(first_vpcs={"routes": [route]}))
    assert statuses(again) == {NODE_2: "Running"}
    again.cloud.close()


def test_storage_channels_go_with_their_instance(tmp_path):
    ecs = Ecs(tmp_path, declared=world_of(first_instances={"vsc_enabled": True}))
    ecs("CreateVsc", InstanceId=NODE_1)
    ecs.wait()

    release(ecs)

    assert ecs("DescribeVscs")["Vscs"] == []
    ecs.cloud.close()


def test_a_released_instance_stays_away_after_a_restart_and_comes_back_with_a_reset(tmp_path):
    ecs = Ecs(tmp_path)
    release(ecs)
    ecs.cloud.close()

    again = Ecs(tmp_path)

    assert statuses(again) == {NODE_2: "Running"}
    assert len(again.disk_ids(DiskType="system")) == 1
    again.cloud.reset()
    assert set(statuses(again)) == {NODE_1, NODE_2}
    again.cloud.close()


def test_its_name_and_address_may_be_used_again_but_not_its_id(ecs):
    with pytest.raises(world.WorldError, match="private_ip"):
        ecs.cloud.change_world(successor(ecs.cloud))
    release(ecs)

    ecs.cloud.change_world(successor(ecs.cloud))

    assert statuses(ecs) == {NODE_2: "Running", NEW: "Running"}
    with pytest.raises(world.WorldError, match=f"{NODE_1} was released"):
        ecs.cloud.change_world(successor(ecs.cloud, NODE_1, private_ip="192.168.1.99"))
    release(ecs, NEW)
    assert statuses(ecs) == {NODE_2: "Running"}


def test_a_network_that_fails_is_asked_again(tmp_path):
    network = Recorder()
    ecs = Ecs(tmp_path, network=network)
    network.failing = True
    release(ecs)
    assert statuses(ecs) == {NODE_2: "Running"}
    assert NODE_1 in network.fabric.instances

    network.failing = False
    ecs.wait()

    assert set(network.fabric.instances) == {NODE_2}
    assert {port.instance_id for port in network.fabric.ports} == {NODE_2}
    assert ecs.cloud.store.get("instance", NODE_1) is None
    ecs.cloud.close()

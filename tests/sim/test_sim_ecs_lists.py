"""Instances, types, zones, resources on sale, events and tags of the simulator."""

import json
import pathlib
from collections.abc import Iterator

import pytest

from sim import actions
from tests.sim.sim_ecs_harness import NODE_1, NODE_2, OTHER_ZONE, ZONE, Ecs, tags


@pytest.fixture
def ecs(tmp_path) -> Iterator[Ecs]:
    made = Ecs(tmp_path / "state")
    yield made
    made.cloud.close()


def instance_ids(ecs: Ecs, **filters: object) -> list[str]:
    rows = ecs("DescribeInstances", **filters)["Instances"]["Instance"]
    return [row["InstanceId"] for row in rows]


def test_instances_are_found_by_id_state_place_and_tag(ecs):
    assert instance_ids(ecs) == [NODE_1, NODE_2]
    assert instance_ids(ecs, InstanceIds=json.dumps([NODE_2, "i-none"])) == [NODE_2]
    assert instance_ids(ecs, ZoneId=OTHER_ZONE) == []
    assert instance_ids(ecs, Status="Running") == [NODE_1, NODE_2]
    assert instance_ids(ecs, InstanceName="node-1") == [NODE_1]
    assert instance_ids(ecs, PrivateIpAddresses=json.dumps(["192.168.1.12"])) == [NODE_2]
    ecs("AddTags", ResourceType="instance", ResourceId=NODE_2, Tag=tags({"role": "db"}))
    assert instance_ids(ecs, Tag=tags({"role": "db"})) == [NODE_2]
    assert instance_ids(ecs, Tag=[{"Key": "other"}]) == []


@pytest.mark.parametrize(
    ("action", "most"),
    [
        ("DescribeDisks", 500),
        ("DescribeInstances", 100),
        ("DescribeNetworkInterfaces", 500),
        ("DescribeInstanceHistoryEvents", 100),
    ],
)
def test_more_results_than_there_may_be_are_as_many_as_there_may_be(ecs, action, most):
    """Documented so for these; other actions refuse."""
    assert ecs(action, MaxResults=most + 1)["NextToken"] == ""
    assert ecs.refused(action, MaxResults="many") == (400, "InvalidParameter")


def test_an_instance_tells_type_place_and_network(ecs):
    (shown,) = ecs("DescribeInstances", InstanceIds=json.dumps([NODE_1]))["Instances"]["Instance"]

    assert (shown["ZoneId"], shown["InstanceType"], shown["Status"]) == (
        ZONE,
        "ecs.g7.large",
        "Running",
    )
    assert shown["VpcAttributes"]["PrivateIpAddress"]["IpAddress"] == ["192.168.1.11"]


def test_an_empty_list_of_ids_lets_nothing_pass(ecs):
    assert instance_ids(ecs, InstanceIds="[]") == []
    assert ecs("DescribeDisks")["TotalCount"] == 2
    assert ecs("DescribeDisks", DiskIds="[]")["TotalCount"] == 0


def test_interfaces_are_asked_for_by_a_hundred_ids_at_most(ecs):
    ids = [f"eni-{n}" for n in range(101)]

    assert ecs("DescribeNetworkInterfaces", NetworkInterfaceId=ids[1:])["TotalCount"] == 0
    assert ecs.refused("DescribeNetworkInterfaces", NetworkInterfaceId=ids) == (
        400,
        "InvalidParameter",
    )
    assert ecs("DescribeNetworkInterfaces", PageSize=1000)["PageSize"] == 1000


def test_an_interface_is_given_its_groups_in_one_way(ecs):
    wanted = {"VSwitchId": "vsw-bp1sim000000000003", "SecurityGroupId": "sg-bp1sim000000000001"}

    refused = ecs.refused(
        "CreateNetworkInterface", **wanted, SecurityGroupIds=["sg-bp1sim000000000001"]
    )

    assert refused == (400, "InvalidParameter")


def test_more_snapshots_on_a_page_than_there_may_be_are_refused(ecs):
    assert ecs.refused("DescribeSnapshots", MaxResults=101) == (400, "InvalidParameter")


def test_power_goes_through_the_states_in_between(ecs):
    def status() -> str:
        ids = json.dumps([NODE_1])
        return ecs("DescribeInstances", InstanceIds=ids)["Instances"]["Instance"][0]["Status"]

    ecs("StopInstance", InstanceId=NODE_1)
    assert status() == "Stopping"
    assert ecs.refused("StartInstance", InstanceId=NODE_1) == (403, "IncorrectInstanceStatus")
    ecs.wait()
    assert status() == "Stopped"
    ecs("StartInstance", InstanceId=NODE_1)
    assert status() == "Starting"
    ecs.wait()
    assert status() == "Running"
    assert ecs.refused("StopInstance", InstanceId="i-none") == (404, "InvalidInstanceId.NotFound")


def test_instance_types_tell_how_many_disks_they_take(ecs):
    rows = ecs("DescribeInstanceTypes", InstanceTypes=["ecs.g7.large", "ecs.none"])
    (shown,) = rows["InstanceTypes"]["InstanceType"]

    assert (shown["InstanceTypeId"], shown["DiskQuantity"]) == ("ecs.g7.large", 17)
    everything = ecs("DescribeInstanceTypes")["InstanceTypes"]["InstanceType"]
    assert len(everything) == len(ecs.cloud.world.instance_types)
    too_many = [f"ecs.t{n}" for n in range(11)]
    assert ecs.refused("DescribeInstanceTypes", InstanceTypes=too_many) == (400, "InvalidParameter")


def offers(ecs: Ecs, **filters: object) -> dict[str, dict]:
    wanted = {"DestinationResource": "DataDisk", "ResourceType": "disk", **filters}
    zones = ecs("DescribeAvailableResource", **wanted)["AvailableZones"]["AvailableZone"]
    return {
        f"{zone['ZoneId']}/{row['Value']}": row
        for zone in zones
        for resource in zone["AvailableResources"]["AvailableResource"]
        for row in resource["SupportedResources"]["SupportedResource"]
    }


def test_available_disks_of_a_zone_come_with_their_sizes(ecs):
    found = offers(ecs, ZoneId=ZONE)

    essd = found[f"{ZONE}/cloud_essd"]
    assert (essd["Status"], essd["StatusCategory"]) == ("Available", "WithStock")
    assert (essd["Min"], essd["Max"], essd["Unit"]) == (1, 65536, "GiB")
    assert found[f"{ZONE}/cloud_ssd"]["Max"] == 32768
    assert all(key.startswith(f"{ZONE}/") for key in found)
    assert len(offers(ecs)) == 2 * len(found)


def test_the_instance_type_narrows_what_is_available(ecs):
    found = offers(ecs, ZoneId=ZONE, InstanceType="ecs.g6.large")

    assert f"{ZONE}/cloud_essd" in found
    assert f"{ZONE}/elastic_ephemeral_disk_standard" not in found
    assert offers(ecs, ZoneId=ZONE, DataDiskCategory="cloud_ssd").keys() == {f"{ZONE}/cloud_ssd"}


def test_regional_disks_are_listed_without_a_zone(ecs):
    assert offers(ecs, Scope="region").keys() == {"/cloud_regional_disk_auto"}


def test_sold_out_disks_are_listed_as_such(ecs):
    row = {"zone_id": ZONE, "category": "cloud_ssd", "min_gib": 20, "max_gib": 32768}
    ecs.cloud.change_world({"disk_stock": [{**row, "status": "WithoutStock"}]})

    sold_out = offers(ecs, ZoneId=ZONE)[f"{ZONE}/cloud_ssd"]

    assert (sold_out["Status"], sold_out["StatusCategory"]) == ("SoldOut", "WithoutStock")
    zones = ecs("DescribeZones")["Zones"]["Zone"]
    assert ["cloud_ssd" in row["AvailableDiskCategories"]["DiskCategories"] for row in zones] == [
        True,
        False,
    ]


def test_available_resource_refuses_what_does_not_exist(ecs):
    wanted = {"DestinationResource": "DataDisk"}

    assert ecs.refused("DescribeAvailableResource") == (400, "MissingParameter")
    assert ecs.refused("DescribeAvailableResource", **wanted, ZoneId="z") == (
        404,
        "InvalidZoneId.NotFound",
    )
    assert ecs.refused("DescribeAvailableResource", **wanted, InstanceType="x") == (
        404,
        "InvalidInstanceType.NotFound",
    )
    assert ecs.refused("DescribeAvailableResource", DestinationResource="SystemDisk") == (
        400,
        "MissingParameter",
    )


def test_zones_and_regions_are_those_of_the_world(ecs):
    assert [row["ZoneId"] for row in ecs("DescribeZones")["Zones"]["Zone"]] == [OTHER_ZONE, ZONE]
    assert [row["RegionId"] for row in ecs("DescribeRegions")["Regions"]["Region"]] == [
        "cn-hangzhou"
    ]


def reasons(ecs: Ecs, **filters: object) -> list[str]:
    answer = ecs("DescribeInstanceHistoryEvents", **filters)
    return [row["Reason"] for row in answer["InstanceSystemEventSet"]["InstanceSystemEventType"]]


def test_history_events_are_injected_through_the_store_or_the_setting(ecs):
    old = {"instance_id": NODE_1, "reason": "old", "event_publish_time": "2020-01-01T00:00:00Z"}
    new = {"instance_id": NODE_1, "reason": "new", "event_publish_time": "2026-06-01T00:00:00Z"}
    with ecs.cloud.store.transaction():
        ecs.cloud.store.put("history_event", "e-1", old)
    ecs.cloud.remember("ecs", {"history_events": [new, {**new, "instance_id": NODE_2}]})

    since = {"EventPublishTime": {"Start": "2026-01-01T00:00:00Z"}}
    assert reasons(ecs) == ["new", "new", "old"]
    assert reasons(ecs, ResourceId=[NODE_1], ResourceType="instance", **since) == ["new"]
    assert reasons(ecs, InstanceEventCycleStatus=["Executed"]) == ["new", "new", "old"]
    assert reasons(ecs, InstanceEventCycleStatus=["Scheduled"]) == []


def test_tags_are_added_replaced_listed_and_removed(ecs):
    disk_id = ecs.new_disk()
    snapshot_id = ecs.new_snapshot(disk_id)
    group_id = ecs("CreateSnapshotGroup", DiskId=[disk_id])["SnapshotGroupId"]
    for kind, resource_id in (
        ("disk", disk_id),
        ("snapshot", snapshot_id),
        ("snapshotgroup", group_id),
        ("instance", NODE_1),
    ):
        which = {"ResourceType": kind, "ResourceId": [resource_id]}
        ecs("TagResources", **which, Tag=tags({"a": "1", "b": "2"}))
        ecs("TagResources", **which, Tag=tags({"a": "3"}))

        rows = ecs("ListTagResources", **which)["TagResources"]["TagResource"]
        assert [(row["TagKey"], row["TagValue"]) for row in rows] == [("a", "3"), ("b", "2")]
        ecs("UntagResources", **which, TagKey=["a", "absent"])
        assert len(ecs("ListTagResources", **which)["TagResources"]["TagResource"]) == 1
        ecs("UntagResources", **which, All=True)
        assert ecs("ListTagResources", **which)["TagResources"]["TagResource"] == []


def test_a_resource_holds_twenty_tags(ecs):
    disk_id = ecs.new_disk(Tag=tags({f"k{n}": "" for n in range(19)}))
    which = {"ResourceType": "disk", "ResourceId": [disk_id]}

    ecs("TagResources", **which, Tag=tags({"k19": ""}))
    ecs("TagResources", **which, Tag=tags({"k19": "replaced"}))

    assert ecs.refused("TagResources", **which, Tag=tags({"k20": ""})) == (400, "NumberExceed.Tags")


def test_tag_calls_are_all_or_nothing_and_name_what_is_wrong(ecs):
    disk_id = ecs.new_disk()
    both = {"ResourceType": "disk", "ResourceId": [disk_id, "d-none"]}

    assert ecs.refused("TagResources", **both, Tag=tags({"k": ""})) == (
        404,
        "InvalidResourceId.NotFound",
    )
    assert ecs.disk(disk_id)["Tags"]["Tag"] == []
    assert ecs.refused("TagResources", ResourceType="x", ResourceId=["y"], Tag=tags({"k": ""})) == (
        404,
        "InvalidResourceType.NotFound",
    )
    many = [f"d-{n}" for n in range(51)]
    assert ecs.refused(
        "TagResources", ResourceType="disk", ResourceId=many, Tag=tags({"k": ""})
    ) == (
        400,
        "NumberExceed.ResourceIds",
    )
    assert ecs.refused("TagResources", ResourceType="disk", ResourceId=[disk_id]) == (
        400,
        "MissingParameter",
    )
    assert ecs.refused("ListTagResources", ResourceType="disk") == (400, "MissingParameter")
    assert ecs.refused("UntagResources", ResourceType="disk", ResourceId=[disk_id]) == (
        400,
        "MissingParameter",
    )


def test_the_older_tag_calls_work_on_one_resource(ecs):
    disk_id = ecs.new_disk()
    which = {"ResourceType": "disk", "ResourceId": disk_id}
    ecs("AddTags", **which, Tag=tags({"a": "1", "b": "2"}))

    shown = ecs("DescribeTags", **which)["Tags"]["Tag"]
    assert [(row["TagKey"], row["ResourceTypeCount"]["Disk"]) for row in shown] == [
        ("a", 1),
        ("b", 1),
    ]
    ecs("RemoveTags", **which, Tag=[{"Key": "a", "Value": "other"}, {"Key": "b"}])
    assert ecs.disk(disk_id)["Tags"]["Tag"] == [{"TagKey": "a", "TagValue": "1"}]


def test_describe_lags_behind_while_actions_do_not(ecs):
    ecs.cloud.view.lag_s = 1.0
    disk_id = ecs("CreateDisk", ZoneId=ZONE, DiskCategory="cloud_essd", Size=20)["DiskId"]

    assert ecs.disk_ids() == []
    assert ecs.refused("CreateDisk", ZoneId=ZONE, DiskCategory="cloud_x", Size=20)[0] == 400
    ecs.wait(0.5)
    ecs("ModifyDiskAttribute", DiskId=disk_id, DiskName="known")
    ecs.wait(0.6)
    assert ecs.disk_ids() == [disk_id]
    assert ecs.disk(disk_id)["DiskName"] == ""


def test_the_reference_names_every_action():
    text = (pathlib.Path(__file__).parents[2] / "docs/reference/simulator-ecs.md").read_text()
    known = [name.removeprefix("ecs:") for name in actions.names() if name.startswith("ecs:")]

    assert [name for name in known if name not in text] == []

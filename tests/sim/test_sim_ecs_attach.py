"""AttachDisk and DetachDisk of the simulator."""

import dataclasses
from collections.abc import Iterator

import pytest

from sim import world
from tests.sim.sim_ecs_harness import NODE_1, NODE_2, OTHER_ZONE, Ecs, tags

OLD_TYPE = "ecs.g6.large"


@pytest.fixture
def ecs(tmp_path) -> Iterator[Ecs]:
    made = Ecs(tmp_path / "state")
    yield made
    made.cloud.close()


def with_nodes(tmp_path, count: int, **changes: object) -> Ecs:
    """A cloud with *count* further instances like the first one."""
    plain = world.load()
    first = plain.instances[0]
    more = [
        dataclasses.replace(
            first,
            instance_id=f"i-more{n}",
            private_ip=f"192.168.1.{100 + n}",
            system_disk_id="",
            **changes,
        )
        for n in range(count)
    ]
    return Ecs(
        tmp_path / "state", declared=dataclasses.replace(plain, instances=(*plain.instances, *more))
    )


def test_a_disk_is_attaching_then_in_use_then_detaching_then_available(ecs):
    disk_id = ecs.new_disk()

    ecs("AttachDisk", DiskId=disk_id, InstanceId=NODE_1)
    attaching = ecs.disk(disk_id)
    ecs.wait()
    in_use = ecs.disk(disk_id)
    ecs("DetachDisk", DiskId=disk_id, InstanceId=NODE_1)
    detaching = ecs.disk(disk_id)
    ecs.wait()
    available = ecs.disk(disk_id)

    assert [row["Status"] for row in (attaching, in_use, detaching, available)] == [
        "Attaching",
        "In_use",
        "Detaching",
        "Available",
    ]
    assert attaching["Attachments"]["Attachment"] == []
    assert in_use["InstanceId"] == detaching["InstanceId"] == NODE_1
    assert in_use["Device"] == "/dev/xvdb"
    (attachment,) = in_use["Attachments"]["Attachment"]
    assert attachment["InstanceId"] == NODE_1
    assert attachment["AttachedTime"].endswith("Z")
    assert available["Attachments"]["Attachment"] == []
    assert (available["InstanceId"], available["Device"]) == ("", "")
    assert available["DetachedTime"]


def test_unknown_disks_and_instances_are_not_found(ecs):
    disk_id = ecs.new_disk()

    for action in ("AttachDisk", "DetachDisk"):
        assert ecs.refused(action, DiskId=disk_id, InstanceId="i-none") == (
            404,
            "InvalidInstanceId.NotFound",
        )
        assert ecs.refused(action, DiskId="d-none", InstanceId=NODE_1) == (
            404,
            "InvalidDiskId.NotFound",
        )
        assert ecs.refused(action, DiskId=disk_id) == (400, "MissingParameter")


def test_attach_needs_an_available_disk(ecs):
    disk_id = ecs("CreateDisk", ZoneId="cn-hangzhou-k", DiskCategory="cloud_essd", Size=20)[
        "DiskId"
    ]
    expected = (403, "IncorrectDiskStatus")

    assert ecs.refused("AttachDisk", DiskId=disk_id, InstanceId=NODE_1) == expected
    ecs.wait()
    ecs("AttachDisk", DiskId=disk_id, InstanceId=NODE_1)
    assert ecs.refused("AttachDisk", DiskId=disk_id, InstanceId=NODE_1) == expected
    ecs.wait()
    assert ecs.refused("AttachDisk", DiskId=disk_id, InstanceId=NODE_1) == expected
    assert ecs.refused("AttachDisk", DiskId=disk_id, InstanceId=NODE_2) == expected
    ecs("DetachDisk", DiskId=disk_id, InstanceId=NODE_1)
    assert ecs.refused("AttachDisk", DiskId=disk_id, InstanceId=NODE_2) == expected


def test_disk_and_instance_must_be_in_one_zone_unless_the_disk_is_regional(ecs):
    zonal = ecs.new_disk(ZoneId=OTHER_ZONE)
    regional = ecs.new_disk(DiskCategory="cloud_regional_disk_auto", ZoneId=None)

    assert ecs.refused("AttachDisk", DiskId=zonal, InstanceId=NODE_1) == (
        403,
        "ResourcesNotInSameZone",
    )
    ecs("AttachDisk", DiskId=regional, InstanceId=NODE_1)


def test_the_instance_type_must_support_the_category(tmp_path):
    ecs = with_nodes(tmp_path, 1, instance_type_id=OLD_TYPE)
    disk_id = ecs.new_disk(DiskCategory="elastic_ephemeral_disk_standard", Size=64)

    refused = ecs.refused(
        "AttachDisk", DiskId=disk_id, InstanceId="i-more0", DeleteWithInstance=True
    )

    assert refused == (403, "InvalidInstanceType.NotSupportDiskCategory")
    ecs.cloud.close()


def test_an_instance_takes_as_many_disks_as_its_type_says_with_the_system_disk(ecs):
    for _ in range(16):
        ecs.attached_disk()

    assert ecs.refused("AttachDisk", DiskId=ecs.new_disk(), InstanceId=NODE_1) == (
        403,
        "InstanceDiskLimitExceeded",
    )
    ecs("AttachDisk", DiskId=ecs.new_disk(), InstanceId=NODE_2)


def test_attach_needs_an_instance_that_is_running_or_stopped(ecs):
    disk_id = ecs.new_disk()
    ecs("StopInstance", InstanceId=NODE_1)

    assert ecs.refused("AttachDisk", DiskId=disk_id, InstanceId=NODE_1) == (
        400,
        "IncorrectInstanceStatus",
    )
    ecs.wait()
    ecs("AttachDisk", DiskId=disk_id, InstanceId=NODE_1)


def test_an_instance_without_the_tag_does_one_operation_at_a_time(ecs):
    conflict = (403, "InvalidOperation.Conflict")
    first, second, third = ecs.attached_disk(), ecs.new_disk(), ecs.new_disk()

    ecs("AttachDisk", DiskId=second, InstanceId=NODE_1)
    assert ecs.refused("AttachDisk", DiskId=third, InstanceId=NODE_1) == conflict
    assert ecs.refused("DetachDisk", DiskId=first, InstanceId=NODE_1) == conflict
    ecs("AttachDisk", DiskId=third, InstanceId=NODE_2)
    ecs.wait()
    ecs("DetachDisk", DiskId=first, InstanceId=NODE_1)
    assert ecs.refused("DetachDisk", DiskId=second, InstanceId=NODE_1) == conflict


def test_a_tagged_instance_attaches_in_parallel_and_still_detaches_one_by_one(ecs):
    ecs(
        "TagResources",
        ResourceType="instance",
        ResourceId=[NODE_1],
        Tag=tags({"supportConcurrencyAttach": "true"}),
    )
    held = [ecs.attached_disk(), ecs.attached_disk()]
    fresh = [ecs.new_disk(), ecs.new_disk()]

    for disk_id in fresh:
        ecs("AttachDisk", DiskId=disk_id, InstanceId=NODE_1)
    ecs("DetachDisk", DiskId=held[0], InstanceId=NODE_1)

    assert ecs.refused("DetachDisk", DiskId=held[1], InstanceId=NODE_1) == (
        403,
        "InvalidOperation.Conflict",
    )


def test_a_tagged_instance_detaches_five_at_a_time(ecs):
    held = [ecs.attached_disk() for _ in range(6)]
    ecs(
        "TagResources",
        ResourceType="instance",
        ResourceId=[NODE_1],
        Tag=tags({"supportConcurrencyDetach": "true"}),
    )

    for disk_id in held[:5]:
        ecs("DetachDisk", DiskId=disk_id, InstanceId=NODE_1)

    assert ecs.refused("DetachDisk", DiskId=held[5], InstanceId=NODE_1) == (
        400,
        "DisksDetachingOnEcsExceeded",
    )


def test_two_disks_get_two_device_names(ecs):
    first, second = ecs.attached_disk(), ecs.attached_disk()

    assert ecs.disk(first)["Device"] == "/dev/xvdb"
    assert ecs.disk(second)["Device"] == "/dev/xvdc"


def test_detach_names_what_is_wrong(ecs):
    free, held = ecs.new_disk(), ecs.attached_disk()
    (system,) = ecs.disk_ids(DiskType="system", InstanceId=NODE_1)

    assert ecs.refused("DetachDisk", DiskId=free, InstanceId=NODE_1) == (403, "IncorrectDiskStatus")
    assert ecs.refused("DetachDisk", DiskId=held, InstanceId=NODE_2) == (403, "DependencyViolation")
    assert ecs.refused("DetachDisk", DiskId=system, InstanceId=NODE_1) == (403, "DiskTypeViolation")
    assert ecs.refused("AttachDisk", DiskId=system, InstanceId=NODE_2) == (403, "DiskNotPortable")


def test_a_multi_attach_disk_goes_to_several_instances(ecs):
    disk_id = ecs.new_disk(MultiAttach="Enabled")
    for node in (NODE_1, NODE_2):
        ecs("AttachDisk", DiskId=disk_id, InstanceId=node)
        ecs.wait()

    shown = ecs.disk(disk_id)
    assert shown["Status"] == "In_use"
    assert [row["InstanceId"] for row in shown["Attachments"]["Attachment"]] == [NODE_1, NODE_2]
    assert ecs.refused("AttachDisk", DiskId=disk_id, InstanceId=NODE_2) == (
        404,
        "InvalidDisk.InUse",
    )
    ecs("DetachDisk", DiskId=disk_id, InstanceId=NODE_1)
    ecs.wait()
    shown = ecs.disk(disk_id)
    assert (shown["Status"], len(shown["Attachments"]["Attachment"])) == ("In_use", 1)


def test_a_multi_attach_disk_goes_to_as_many_instances_as_the_quota_says(tmp_path):
    ecs = with_nodes(tmp_path, 15)
    nodes = [row.instance_id for row in ecs.cloud.world.instances]
    disk_id = ecs.new_disk(MultiAttach="Enabled")
    for node in nodes[:16]:
        ecs("AttachDisk", DiskId=disk_id, InstanceId=node)
    ecs.wait()

    assert ecs.refused("AttachDisk", DiskId=disk_id, InstanceId=nodes[16]) == (
        403,
        "DiskAttachedNumberExceeded",
    )
    ecs.cloud.close()


def test_multi_attach_needs_nvme_and_no_release_flag(tmp_path):
    ecs = with_nodes(tmp_path, 1, instance_type_id=OLD_TYPE)
    disk_id = ecs.new_disk(MultiAttach="Enabled")

    assert ecs.refused("AttachDisk", DiskId=disk_id, InstanceId="i-more0") == (
        403,
        "InvalidInstanceType.NotSupportMultiAttachDisk",
    )
    assert ecs.refused(
        "AttachDisk", DiskId=disk_id, InstanceId=NODE_1, DeleteWithInstance=False
    ) == (403, "InvalidOperation.MultiAttachDisk")
    ecs.cloud.close()


def test_force_takes_a_regional_disk_away_from_a_dead_node(ecs):
    disk_id = ecs.attached_disk(DiskCategory="cloud_regional_disk_auto", ZoneId=None)
    ecs.cloud.remember("ecs", {"stuck_instance_ids": [NODE_1]})
    ecs("DetachDisk", DiskId=disk_id, InstanceId=NODE_1)
    ecs.wait(3600)
    assert ecs.disk(disk_id)["Status"] == "Detaching"

    ecs("AttachDisk", DiskId=disk_id, InstanceId=NODE_2, Force=True)
    ecs.wait()

    assert ecs.disk(disk_id)["InstanceId"] == NODE_2
    assert ecs.refused("AttachDisk", DiskId=ecs.new_disk(), InstanceId=NODE_2, Force=True) == (
        400,
        "InvalidParameter",
    )


def test_a_stuck_detach_ends_when_the_node_is_back(ecs):
    disk_id = ecs.attached_disk()
    ecs.cloud.remember("ecs", {"stuck_instance_ids": [NODE_1]})
    ecs("DetachDisk", DiskId=disk_id, InstanceId=NODE_1)
    ecs.wait(60)
    ecs.cloud.remember("ecs", {})
    ecs.wait(1)

    assert ecs.disk(disk_id)["Status"] == "Available"


def test_an_elastic_ephemeral_disk_stays_with_its_first_instance(ecs):
    disk_id = ecs.new_disk(DiskCategory="elastic_ephemeral_disk_premium", Size=64)

    assert ecs.refused("AttachDisk", DiskId=disk_id, InstanceId=NODE_1) == (
        400,
        "InvalidParameter",
    )
    ecs("AttachDisk", DiskId=disk_id, InstanceId=NODE_1, DeleteWithInstance=True)
    ecs.wait()
    assert ecs.disk(disk_id)["DeleteWithInstance"] is True
    assert ecs.refused("DetachDisk", DiskId=disk_id, InstanceId=NODE_1) == (400, "InvalidParameter")
    ecs("DetachDisk", DiskId=disk_id, InstanceId=NODE_1, DeleteWithInstance=True)
    ecs.wait()
    assert ecs.refused(
        "AttachDisk", DiskId=disk_id, InstanceId=NODE_2, DeleteWithInstance=True
    ) == (403, "DiskNotPortable")
    ecs("AttachDisk", DiskId=disk_id, InstanceId=NODE_1, DeleteWithInstance=True)


def test_detaching_clears_the_release_flag(ecs):
    disk_id = ecs.new_disk()
    ecs("AttachDisk", DiskId=disk_id, InstanceId=NODE_1, DeleteWithInstance=True)
    ecs.wait()
    assert ecs.disk(disk_id)["DeleteWithInstance"] is True

    ecs("DetachDisk", DiskId=disk_id, InstanceId=NODE_1)
    ecs.wait()

    assert ecs.disk(disk_id)["DeleteWithInstance"] is False


def test_a_new_instance_of_the_world_gets_its_system_disk_at_the_next_start(tmp_path):
    Ecs(tmp_path / "state").cloud.close()

    ecs = with_nodes(tmp_path, 1)

    (system,) = ecs.disk_ids(DiskType="system", InstanceId="i-more0")
    assert ecs.disk(system)["Status"] == "In_use"
    ecs.cloud.close()

"""ResizeDisk, ModifyDiskSpec and tasks of the simulator."""

from collections.abc import Iterator

import pytest

from tests.sim.sim_ecs_harness import NODE_1, ZONE, Ecs


@pytest.fixture
def ecs(tmp_path) -> Iterator[Ecs]:
    made = Ecs(tmp_path / "state")
    yield made
    made.cloud.close()


def test_a_free_disk_is_resized_offline_and_a_running_one_online(ecs):
    free, held = ecs.new_disk(), ecs.attached_disk()

    ecs("ResizeDisk", DiskId=free, NewSize=21)
    ecs("ResizeDisk", DiskId=held, NewSize=40, Type="online")

    assert ecs.disk(free)["Size"] == 21
    assert ecs.disk(held)["Size"] == 40
    assert ecs.refused("ResizeDisk", DiskId=free, NewSize=30, Type="online") == (
        403,
        "IncorrectDiskStatus",
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"DiskId": "d-none"}, (404, "InvalidDiskId.NotFound")),
        ({"NewSize": None}, (400, "MissingParameter")),
        ({"NewSize": "x"}, (400, "InvalidParameter")),
        ({"NewSize": 20}, (403, "InvalidDiskSize.TooSmall")),
        ({"NewSize": 65537}, (403, "InvalidDiskSize.TooLarge")),
        ({"Type": "later"}, (400, "InvalidParameter")),
    ],
    ids=str,
)
def test_resize_refuses_with_the_documented_code(ecs, change, expected):
    disk_id = ecs.new_disk()

    assert ecs.refused("ResizeDisk", **{"DiskId": disk_id, "NewSize": 30, **change}) == expected


def test_resize_needs_a_disk_at_rest(ecs):
    disk_id = ecs("CreateDisk", ZoneId=ZONE, DiskCategory="cloud_essd", Size=20)["DiskId"]
    assert ecs.refused("ResizeDisk", DiskId=disk_id, NewSize=30) == (403, "IncorrectDiskStatus")
    ecs.wait()

    ecs("CreateSnapshot", DiskId=disk_id)
    assert ecs.refused("ResizeDisk", DiskId=disk_id, NewSize=30) == (403, "DiskCreatingSnapshot")
    ecs.wait()
    ecs("ModifyDiskSpec", DiskId=disk_id, DiskCategory="cloud_auto")
    assert ecs.refused("ResizeDisk", DiskId=disk_id, NewSize=30) == (403, "Operation.Conflict")


def test_a_second_resize_waits_for_the_first(ecs):
    ecs.cloud.change_world({"latencies": {"resize_disk": 5.0}})
    disk_id = ecs.new_disk()

    ecs("ResizeDisk", DiskId=disk_id, NewSize=30)
    assert ecs.disk(disk_id)["Size"] == 30
    assert ecs.refused("ResizeDisk", DiskId=disk_id, NewSize=40) == (400, "LastOrderProcessing")
    ecs.wait(5)
    ecs("ResizeDisk", DiskId=disk_id, NewSize=40)


def test_an_online_resize_needs_a_running_instance(ecs):
    disk_id = ecs.attached_disk()
    ecs("StopInstance", InstanceId=NODE_1)
    assert ecs.refused("ResizeDisk", DiskId=disk_id, NewSize=30) == (403, "IncorrectInstanceStatus")
    ecs.wait()

    assert ecs.refused("ResizeDisk", DiskId=disk_id, NewSize=30, Type="online") == (
        403,
        "InvalidInstanceStatus.NotRunning",
    )
    ecs("ResizeDisk", DiskId=disk_id, NewSize=30)


def test_a_category_change_is_a_task_that_takes_effect_at_its_end(ecs):
    disk_id = ecs.new_disk(DiskCategory="cloud_ssd", Size=40)

    task_id = ecs("ModifyDiskSpec", DiskId=disk_id, DiskCategory="cloud_auto", ProvisionedIops=100)[
        "TaskId"
    ]

    assert ecs.disk(disk_id)["Category"] == "cloud_ssd"
    (task,) = ecs("DescribeTasks", TaskIds=task_id)["TaskSet"]["Task"]
    assert (task["TaskStatus"], task["FinishedTime"]) == ("Processing", "")
    assert ecs.refused("ModifyDiskSpec", DiskId=disk_id, DiskCategory="cloud_essd") == (
        403,
        "InvalidStatus.DiskNotReady",
    )
    assert ecs.refused("AttachDisk", DiskId=disk_id, InstanceId=NODE_1) == (
        403,
        "IncorrectDiskStatus",
    )
    ecs.wait()
    shown = ecs.disk(disk_id)
    assert (shown["Category"], shown["ProvisionedIops"]) == ("cloud_auto", 100)
    (task,) = ecs("DescribeTasks", ResourceIds=[disk_id], TaskAction="ModifyDiskSpec")["TaskSet"][
        "Task"
    ]
    assert task["TaskStatus"] == "Finished"
    assert task["FinishedTime"]
    assert ecs("DescribeTaskAttribute", TaskId=task_id)["SuccessCount"] == 1


def test_a_dry_run_passes_with_its_own_code_and_changes_nothing(ecs):
    disk_id = ecs.new_disk(Size=500)

    assert ecs.refused("ModifyDiskSpec", DiskId=disk_id, PerformanceLevel="PL2", DryRun=True) == (
        400,
        "DryRunOperation",
    )
    assert ecs("DescribeTasks", ResourceIds=[disk_id])["TaskSet"]["Task"] == []


@pytest.mark.parametrize(
    ("disk", "change", "expected"),
    [
        ({}, {}, (403, "NoChangeInDiskCategoryAndPerformanceLevel")),
        ({}, {"PerformanceLevel": "PL1"}, (403, "NoChangeInDiskCategoryAndPerformanceLevel")),
        ({}, {"DiskCategory": "cloud_x"}, (400, "InvalidDiskCategory.ValueNotSupported")),
        ({}, {"DiskCategory": "cloud_efficiency"}, (403, "InvalidDiskCategory.NotSupported")),
        ({}, {"PerformanceLevel": "PL7"}, (400, "InvalidPerformanceLevel.Malformed")),
        ({}, {"PerformanceLevel": "PL2"}, (403, "OperationDenied.PerformanceLevelNotMatch")),
        ({}, {"PerformanceLevel": "PL0"}, (403, "OperationDenied.PerformanceLevelNotMatch")),
        ({}, {"ProvisionedIops": 10}, (400, "InvalidParameter")),
        (
            {"MultiAttach": "Enabled"},
            {"PerformanceLevel": "PL2"},
            (403, "InvalidOperation.MultiAttachDisk"),
        ),
        (
            {"DiskCategory": "cloud_auto"},
            {"ProvisionedIops": 50000},
            (400, "InvalidProvisionedIops.LimitExceed"),
        ),
        (
            {"DiskCategory": "cloud_regional_disk_auto", "ZoneId": None},
            {"DiskCategory": "cloud_essd"},
            (403, "InvalidDiskCategory.NotSupported"),
        ),
        (
            {"DiskCategory": "cloud_auto", "Size": 10},
            {"DiskCategory": "cloud_essd"},
            (403, "OperationDenied.PerformanceLevelNotMatch"),
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_modify_disk_spec_refuses_with_the_documented_code(ecs, disk, change, expected):
    disk_id = ecs.new_disk(**disk)

    assert ecs.refused("ModifyDiskSpec", DiskId=disk_id, **change) == expected


def test_a_spec_change_needs_stock_and_an_instance_type_that_takes_it(ecs):
    disk_id = ecs.attached_disk(DiskCategory="cloud_ssd", Size=500)
    row = {"zone_id": ZONE, "category": "cloud_essd", "min_gib": 20, "max_gib": 65536}
    ecs.cloud.change_world(
        {"disk_stock": [{**row, "performance_level": "PL2", "status": "WithoutStock"}]}
    )

    assert ecs.refused(
        "ModifyDiskSpec", DiskId=disk_id, DiskCategory="cloud_essd", PerformanceLevel="PL2"
    ) == (403, "OperationDenied.NoStock")
    ecs("ModifyDiskSpec", DiskId=disk_id, DiskCategory="cloud_essd", PerformanceLevel="PL1")


def test_the_cooling_period_refuses_the_next_change(ecs):
    ecs.cloud.remember("ecs", {"cooling_s": 60.0})
    disk_id = ecs.new_disk(Size=500)
    ecs("ModifyDiskSpec", DiskId=disk_id, PerformanceLevel="PL2")
    ecs.wait(1)

    assert ecs.refused("ModifyDiskSpec", DiskId=disk_id, PerformanceLevel="PL1") == (
        403,
        "DiskInCoolingPeriod",
    )
    ecs.wait(60)
    ecs("ModifyDiskSpec", DiskId=disk_id, PerformanceLevel="PL1")


def test_leaving_cloud_auto_ends_bursting_and_provisioned_performance(ecs):
    disk_id = ecs.new_disk(
        DiskCategory="cloud_auto", Size=40, BurstingEnabled=True, ProvisionedIops=9
    )

    ecs("ModifyDiskSpec", DiskId=disk_id, DiskCategory="cloud_essd")
    ecs.wait()

    shown = ecs.disk(disk_id)
    assert (shown["PerformanceLevel"], shown["BurstingEnabled"], shown["ProvisionedIops"]) == (
        "PL1",
        False,
        0,
    )


def test_a_task_can_be_made_to_fail_and_leaves_the_disk_as_it_was(ecs):
    disk_id = ecs.new_disk(Size=500)
    task_id = ecs("ModifyDiskSpec", DiskId=disk_id, PerformanceLevel="PL2")["TaskId"]
    with ecs.cloud.store.transaction():
        row = ecs.cloud.store.get("task", task_id)
        ecs.cloud.store.put("task", task_id, {**row, "fail": True})
    ecs.wait()

    assert ecs("DescribeTaskAttribute", TaskId=task_id)["TaskStatus"] == "Failed"
    assert ecs.disk(disk_id)["PerformanceLevel"] == "PL1"
    ecs("ModifyDiskSpec", DiskId=disk_id, PerformanceLevel="PL2")


def test_an_unknown_task_is_not_found(ecs):
    assert ecs.refused("DescribeTaskAttribute", TaskId="t-none") == (404, "InvalidTaskId.NotFound")


def test_an_offline_resize_is_seen_after_a_reboot(ecs):
    disk_id = ecs.attached_disk()
    ecs("ResizeDisk", DiskId=disk_id, NewSize=30)

    assert ecs.cloud.store.get("disk", disk_id)["stale_size"] is True
    ecs("RebootInstance", InstanceId=NODE_1)
    ecs.wait(0.2)
    ecs.wait(0.2)

    assert ecs.cloud.store.get("disk", disk_id)["stale_size"] is False

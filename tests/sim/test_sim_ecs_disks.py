"""CreateDisk, DescribeDisks, DeleteDisk, ModifyDiskAttribute of the simulator."""

import json
from collections.abc import Iterator

import pytest

from tests.sim.sim_ecs_harness import NODE_1, OTHER_ZONE, ZONE, Ecs, tags


@pytest.fixture
def ecs(tmp_path) -> Iterator[Ecs]:
    made = Ecs(tmp_path / "state")
    yield made
    made.cloud.close()


def test_a_disk_is_creating_and_then_available(ecs):
    disk_id = ecs("CreateDisk", ZoneId=ZONE, DiskCategory="cloud_essd", Size=20)["DiskId"]

    assert ecs.disk(disk_id)["Status"] == "Creating"
    ecs.wait()
    shown = ecs.disk(disk_id)
    assert shown["Status"] == "Available"
    assert shown["PerformanceLevel"] == "PL1"
    assert shown["SerialNumber"] == disk_id.removeprefix("d-")
    assert shown["Size"] == 20
    assert shown["Type"] == "data"
    assert shown["MultiAttach"] == "Disabled"


def test_every_field_of_a_create_request_is_told_back(ecs):
    disk_id = ecs.new_disk(
        DiskCategory="cloud_auto",
        Size=100,
        DiskName="pv-1",
        Description="a volume",
        Encrypted=True,
        KMSKeyId="key-1",
        ResourceGroupId="rg-1",
        StorageClusterId="dbsc-1",
        ProvisionedIops=500,
        BurstingEnabled=True,
        Tag=tags({"b": "2", "a": "1"}),
    )

    shown = ecs.disk(disk_id)
    assert (shown["DiskName"], shown["Description"]) == ("pv-1", "a volume")
    assert (shown["Encrypted"], shown["KMSKeyId"]) == (True, "key-1")
    assert (shown["ResourceGroupId"], shown["StorageClusterId"]) == ("rg-1", "dbsc-1")
    assert (shown["ProvisionedIops"], shown["BurstingEnabled"]) == (500, True)
    assert shown["Tags"]["Tag"] == [
        {"TagKey": "b", "TagValue": "2"},
        {"TagKey": "a", "TagValue": "1"},
    ]


BASE = {"ZoneId": ZONE, "DiskCategory": "cloud_essd", "Size": 20}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ZoneId": None}, (400, "MissingParameter")),
        ({"Size": None}, (400, "MissingParameter")),
        ({"ZoneId": "cn-hangzhou-z"}, (404, "InvalidZoneId.NotFound")),
        ({"DiskCategory": "cloud_x"}, (400, "InvalidDataDiskCategory.ValueNotSupported")),
        ({"DiskCategory": "cloud"}, (403, "InvalidDataDiskCategory.NotSupported")),
        ({"DiskCategory": "cloud_ssd", "Size": 19}, (400, "InvalidDataDiskSize.ValueNotSupported")),
        ({"Size": "x"}, (400, "InvalidDataDiskSize.ValueNotSupported")),
        ({"Size": 65537}, (400, "InvalidDataDiskSize.ValueNotSupported")),
        ({"PerformanceLevel": "PL9"}, (400, "InvalidPerformanceLevel.Malformed")),
        (
            {"DiskCategory": "cloud_auto", "PerformanceLevel": "PL1"},
            (400, "InvalidPerformanceLevel.Malformed"),
        ),
        ({"Size": 19}, (403, "OperationDenied.PerformanceLevelNotMatch")),
        ({"PerformanceLevel": "PL2"}, (403, "OperationDenied.PerformanceLevelNotMatch")),
        ({"ProvisionedIops": 1}, (400, "InvalidParameter")),
        (
            {"DiskCategory": "cloud_auto", "Size": 3, "ProvisionedIops": 1},
            (400, "InvalidProvisionedIops.LimitExceed"),
        ),
        (
            {"DiskCategory": "cloud_auto", "Size": 4, "ProvisionedIops": 1001},
            (400, "InvalidProvisionedIops.LimitExceed"),
        ),
        ({"BurstingEnabled": True}, (400, "BurstingEnabledForDiskCategoryUnsupported")),
        ({"DiskCategory": "cloud_auto", "MultiAttach": "Enabled"}, (400, "InvalidParameter")),
        ({"MultiAttach": "Sometimes"}, (400, "InvalidParameter")),
        ({"KMSKeyId": "key-1"}, (400, "InvalidParameter")),
        ({"InstanceId": NODE_1}, (400, "InvalidParameter")),
        ({"DiskName": "1st"}, (400, "InvalidDiskName.Malformed")),
        ({"DiskName": "a"}, (400, "InvalidDiskName.Malformed")),
        ({"DiskName": "x" * 129}, (400, "InvalidDiskName.Malformed")),
        ({"Description": "http://a"}, (400, "InvalidDescription.Malformed")),
        ({"SnapshotId": "s-none"}, (404, "InvalidSnapshotId.NotFound")),
        ({"StorageClusterId": "c", "StorageSetId": "s"}, (400, "InvalidParameter.Conflict")),
        ({"Tag": tags({"acs:x": ""})}, (400, "InvalidTagKey.Malformed")),
        ({"Tag": tags({"k" * 129: ""})}, (400, "InvalidTagKey.Malformed")),
        ({"Tag": tags({"k": "http://x"})}, (400, "InvalidTagValue.Malformed")),
        ({"Tag": [{"Key": "k"}, {"Key": "k"}]}, (400, "Duplicate.TagKey")),
        ({"Tag": tags({f"k{n}": "" for n in range(21)})}, (400, "NumberExceed.Tags")),
    ],
    ids=lambda value: str(value)[:60],
)
def test_create_disk_refuses_with_the_documented_code(ecs, change, expected):
    assert ecs.refused("CreateDisk", **{**BASE, **change}) == expected


def test_the_largest_provisioned_iops_are_accepted(ecs):
    disk_id = ecs.new_disk(DiskCategory="cloud_auto", Size=4, ProvisionedIops=1000)

    assert ecs.disk(disk_id)["IOPS"] == 3000 + 1000


def test_a_regional_disk_has_no_zone_and_tells_where_its_data_is(ecs):
    disk_id = ecs.new_disk(DiskCategory="cloud_regional_disk_auto", ZoneId=None)

    shown = ecs.disk(disk_id)
    assert shown["ZoneId"] == ""
    assert shown["Placement"]["ZoneIds"] == f"{OTHER_ZONE},{ZONE}"


def test_a_sold_out_category_is_refused_in_that_zone_only(ecs):
    row = {"zone_id": ZONE, "category": "cloud_ssd", "min_gib": 20, "max_gib": 32768}
    ecs.cloud.change_world({"disk_stock": [{**row, "status": "WithoutStock"}]})

    assert ecs.refused("CreateDisk", ZoneId=ZONE, DiskCategory="cloud_ssd", Size=20) == (
        403,
        "OperationDenied.NoStock",
    )
    ecs.new_disk(DiskCategory="cloud_ssd", ZoneId=OTHER_ZONE)


def test_a_size_that_the_zone_does_not_sell_is_refused(ecs):
    row = {"zone_id": ZONE, "category": "cloud_ssd", "min_gib": 20, "max_gib": 100}
    ecs.cloud.change_world({"disk_stock": [row]})

    assert ecs.refused("CreateDisk", ZoneId=ZONE, DiskCategory="cloud_ssd", Size=101) == (
        403,
        "InvalidDiskSize.NotSupported",
    )


def test_the_account_quota_counts_data_disks(ecs):
    ecs.cloud.change_world({"quotas": {"disks": 1}})
    ecs.new_disk()

    assert ecs.refused("CreateDisk", **BASE) == (403, "QuotaExceed.PostPaidDisk")


def test_an_encrypted_disk_without_a_key_gets_the_service_key(ecs):
    shown = ecs.disk(ecs.new_disk(Encrypted="true"))

    assert shown["Encrypted"] is True
    assert shown["KMSKeyId"]


def test_legacy_disks_have_no_serial_number(ecs):
    ecs.cloud.remember("ecs", {"legacy_serial": True})

    assert ecs.disk(ecs.new_disk())["SerialNumber"] == ""


def test_describe_leaves_unknown_ids_out(ecs):
    disk_id = ecs.new_disk()

    found = ecs("DescribeDisks", DiskIds=json.dumps([disk_id, "d-none"]))

    assert [row["DiskId"] for row in found["Disks"]["Disk"]] == [disk_id]
    assert found["TotalCount"] == 1


def test_describe_takes_at_most_100_ids(ecs):
    ids = [f"d-{n}" for n in range(101)]

    assert ecs.refused("DescribeDisks", DiskIds=json.dumps(ids)) == (400, "InvalidParameter")
    assert ecs.refused("DescribeDisks", DiskIds="d-1,d-2") == (400, "InvalidParameter")


def test_describe_filters_combine(ecs):
    plain = ecs.new_disk(DiskName="plain")
    tagged = ecs.new_disk(Tag=tags({"csi/pv": "pv 1", "k": "v"}), Encrypted=True)
    other = ecs.new_disk(ZoneId=OTHER_ZONE, DiskCategory="cloud_ssd")
    attached = ecs.attached_disk()

    assert ecs.disk_ids() == [attached, other, tagged, plain]
    assert ecs.disk_ids(Tag=tags({"csi/pv": "pv 1"})) == [tagged]
    assert ecs.disk_ids(Tag=[{"Key": "k"}]) == [tagged]
    assert ecs.disk_ids(Tag=tags({"csi/pv": "pv 2"})) == []
    assert ecs.disk_ids(ZoneId=OTHER_ZONE) == [other]
    assert ecs.disk_ids(Category="cloud_ssd") == [other]
    assert ecs.disk_ids(Category="all", Status="In_use") == [attached]
    assert ecs.disk_ids(DiskName="plain") == [plain]
    assert ecs.disk_ids(Encrypted=True) == [tagged]
    assert ecs.disk_ids(Encrypted=False) == ecs.disk_ids()
    assert ecs.disk_ids(InstanceId=NODE_1) == [attached]
    assert ecs.disk_ids(MultiAttach="Enabled") == []
    assert len(ecs.disk_ids(InstanceId=NODE_1, DiskType="all")) == 2
    assert ecs.disk_ids(Filter=[{"Key": "CreationStartTime", "Value": "2999-01-01T00:00Z"}]) == []


def test_pages_by_token_give_every_disk_once(ecs):
    made = {ecs.new_disk() for _ in range(23)}
    seen: list[str] = []
    token = ""
    while True:
        page = ecs("DescribeDisks", DiskType="data", MaxResults=10, NextToken=token)
        seen += [row["DiskId"] for row in page["Disks"]["Disk"]]
        token = page["NextToken"]
        if not token:
            break

    assert len(seen) == len(made)
    assert set(seen) == made


def test_a_dry_run_says_that_it_would_pass(ecs):
    assert ecs.refused("DescribeDisks", DryRun=True) == (400, "DryRunOperation")


def test_delete_is_refused_until_the_disk_is_initialized(ecs):
    disk_id = ecs("CreateDisk", **BASE)["DiskId"]

    assert ecs.refused("DeleteDisk", DiskId=disk_id) == (403, "IncorrectDiskStatus.Initializing")


def test_a_deleted_disk_is_gone_for_actions_at_once_and_for_describe_soon(ecs):
    disk_id = ecs.new_disk()
    ecs("DeleteDisk", DiskId=disk_id)

    assert ecs.disk_ids() == [disk_id]
    assert ecs.refused("DeleteDisk", DiskId=disk_id) == (404, "InvalidDiskId.NotFound")
    ecs.wait()
    assert ecs.disk_ids() == []


def test_without_a_delete_latency_the_disk_vanishes_with_the_answer(ecs):
    ecs.cloud.change_world({"latencies": {"delete_disk": 0.0}})
    disk_id = ecs.new_disk()

    ecs("DeleteDisk", DiskId=disk_id)

    assert ecs.disk_ids() == []


def test_delete_is_refused_while_in_use_and_while_a_snapshot_is_cut(ecs):
    attached = ecs.attached_disk()
    free = ecs.new_disk()
    ecs("CreateSnapshot", DiskId=free)

    assert ecs.refused("DeleteDisk", DiskId=attached) == (403, "IncorrectDiskStatus")
    assert ecs.refused("DeleteDisk", DiskId=free) == (403, "DiskCreatingSnapshot")
    ecs.wait()
    ecs("DeleteDisk", DiskId=free)


def test_attributes_can_be_changed_for_one_disk_and_for_many(ecs):
    first, second = ecs.new_disk(DiskCategory="cloud_auto"), ecs.new_disk(DiskCategory="cloud_auto")

    ecs("ModifyDiskAttribute", DiskId=first, DiskName="renamed", BurstingEnabled=True)
    ecs("ModifyDiskAttribute", DiskIds=[first, second], DeleteWithInstance=True, Description="both")

    shown = ecs.disk(first)
    assert (shown["DiskName"], shown["BurstingEnabled"]) == ("renamed", True)
    assert [ecs.disk(each)["Description"] for each in (first, second)] == ["both", "both"]
    assert ecs.disk(second)["DeleteWithInstance"] is True


def test_bursting_cannot_be_changed_on_other_categories_or_during_a_spec_change(ecs):
    essd = ecs.new_disk()
    auto = ecs.new_disk(DiskCategory="cloud_auto", Size=40)
    ecs("ModifyDiskSpec", DiskId=auto, ProvisionedIops=100)

    assert ecs.refused("ModifyDiskAttribute", DiskId=essd, BurstingEnabled=True) == (
        400,
        "BurstingEnabledForDiskCategoryUnsupported",
    )
    assert ecs.refused("ModifyDiskAttribute", DiskId=auto, BurstingEnabled=True) == (
        403,
        "BurstingEnabledForModifyingDiskUnsupported",
    )


def test_modify_refuses_unknown_disks_and_both_ways_of_naming_them(ecs):
    assert ecs.refused("ModifyDiskAttribute", DiskId="d-none", DiskName="ab") == (
        404,
        "InvalidDiskId.NotFound",
    )
    assert ecs.refused("ModifyDiskAttribute", DiskId="d-1", DiskIds=["d-2"]) == (
        400,
        "InvalidParameter.Conflict",
    )


def test_a_restart_loses_nothing(ecs, tmp_path):
    disk_id = ecs.attached_disk()
    before = ecs.disk(disk_id)
    ecs.cloud.close()

    again = Ecs(tmp_path / "state")
    try:
        assert again.disk(disk_id) == before
    finally:
        again.cloud.close()

"""Snapshots and snapshot-consistent groups of the simulator."""

import json
from collections.abc import Iterator

import pytest

from tests.sim.sim_ecs_harness import NODE_1, NODE_2, OTHER_ZONE, Ecs, tags


@pytest.fixture
def ecs(tmp_path) -> Iterator[Ecs]:
    made = Ecs(tmp_path / "state")
    yield made
    made.cloud.close()


def test_a_snapshot_is_cut_first_and_available_later(ecs):
    disk_id = ecs.new_disk()
    snapshot_id = ecs("CreateSnapshot", DiskId=disk_id, SnapshotName="snap")["SnapshotId"]

    asked = ecs.snapshot(snapshot_id)
    ecs.wait(0.1)
    cut = ecs.snapshot(snapshot_id)
    ecs.wait(0.5)
    done = ecs.snapshot(snapshot_id)

    assert (asked["CreationTime"], asked["Available"], asked["Status"]) == (
        "",
        False,
        "progressing",
    )
    assert cut["CreationTime"].endswith("Z")
    assert cut["Available"] is False
    assert (done["Available"], done["Status"], done["Progress"]) == (True, "accomplished", "100%")
    assert (done["SourceDiskId"], done["SourceDiskSize"]) == (disk_id, "20")
    assert done["SnapshotName"] == "snap"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"DiskId": "d-none"}, (404, "InvalidDiskId.NotFound")),
        ({"DiskId": None}, (400, "MissingParameter")),
        ({"SnapshotName": "auto-1"}, (400, "InvalidSnapshotName.Malformed")),
        ({"SnapshotName": "x"}, (400, "InvalidSnapshotName.Malformed")),
        ({"Description": "https://x"}, (400, "InvalidDescription.Malformed")),
        ({"RetentionDays": 0}, (400, "InvalidRetentionDays.Malformed")),
        ({"RetentionDays": 65537}, (400, "InvalidRetentionDays.Malformed")),
        ({"Tag": tags({"aliyun": ""})}, (400, "InvalidTagKey.Malformed")),
    ],
    ids=str,
)
def test_create_snapshot_refuses_with_the_documented_code(ecs, change, expected):
    disk_id = ecs.new_disk()

    assert ecs.refused("CreateSnapshot", **{"DiskId": disk_id, **change}) == expected


def test_the_next_snapshot_of_an_essd_waits_for_the_cut_only(ecs):
    essd, ssd = ecs.new_disk(), ecs.new_disk(DiskCategory="cloud_ssd")
    busy = (403, "IncorrectDiskStatus.CreatingSnapshot")
    ecs("CreateSnapshot", DiskId=essd)
    ecs("CreateSnapshot", DiskId=ssd)

    assert ecs.refused("CreateSnapshot", DiskId=essd) == busy
    ecs.wait(0.1)
    ecs("CreateSnapshot", DiskId=essd)
    assert ecs.refused("CreateSnapshot", DiskId=ssd) == busy
    ecs.wait()
    ecs("CreateSnapshot", DiskId=ssd)


def test_snapshots_need_a_disk_at_rest_and_a_category_that_has_them(ecs):
    ephemeral = ecs.new_disk(DiskCategory="elastic_ephemeral_disk_standard", Size=64)
    disk_id = ecs.new_disk()
    ecs("AttachDisk", DiskId=disk_id, InstanceId=NODE_1)

    assert ecs.refused("CreateSnapshot", DiskId=ephemeral) == (
        403,
        "InvalidDiskCategory.NotSupported",
    )
    assert ecs.refused("CreateSnapshot", DiskId=disk_id) == (403, "IncorrectDiskStatus")


def test_a_never_attached_disk_is_refused_when_the_switch_is_on(ecs):
    fresh, used = ecs.new_disk(), ecs.attached_disk()
    ecs.cloud.remember("ecs", {"snapshot_needs_attach": True})

    assert ecs.refused("CreateSnapshot", DiskId=fresh) == (
        403,
        "IncorrectDiskStatus.NeverAttached",
    )
    ecs("CreateSnapshot", DiskId=used)


def test_the_quota_counts_snapshots_of_one_disk(ecs):
    ecs.cloud.change_world({"quotas": {"snapshots_per_disk": 1}})
    disk_id, other = ecs.new_disk(), ecs.new_disk()
    ecs.new_snapshot(disk_id)

    assert ecs.refused("CreateSnapshot", DiskId=disk_id) == (403, "QuotaExceed.Snapshot")
    ecs.new_snapshot(other)


def test_a_snapshot_is_deleted_when_its_retention_ends(ecs):
    snapshot_id = ecs.new_snapshot(ecs.new_disk(), RetentionDays=2)
    ecs.wait(2 * 86_400 - 30)
    assert ecs.snapshot(snapshot_id)["RetentionDays"] == 2

    ecs.wait(60)

    assert ecs("DescribeSnapshots")["Snapshots"]["Snapshot"] == []


def test_describe_snapshots_filters_combine(ecs):
    first, second = ecs.attached_disk(), ecs.new_disk(Encrypted=True)
    plain = ecs.new_snapshot(first, SnapshotName="plain")
    secret = ecs.new_snapshot(second, Tag=tags({"k": "v"}))

    def ids(**filters: object) -> list[str]:
        rows = ecs("DescribeSnapshots", **filters)["Snapshots"]["Snapshot"]
        return [row["SnapshotId"] for row in rows]

    assert ids() == [secret, plain]
    assert ids(DiskId=first) == [plain]
    assert ids(InstanceId=NODE_1) == [plain]
    assert ids(SnapshotName="plain") == [plain]
    assert ids(Tag=tags({"k": "v"})) == [secret]
    assert ids(Encrypted=True) == [secret]
    assert ids(Status="accomplished") == [secret, plain]
    assert ids(Status="progressing") == []
    assert ids(SnapshotIds=json.dumps([plain, "s-none"])) == [plain]
    assert ids(Usage="disk") == []


def test_snapshot_pages_hold_at_least_ten(ecs):
    disk_id = ecs.new_disk()
    for _ in range(12):
        ecs.new_snapshot(disk_id)

    page = ecs("DescribeSnapshots", MaxResults=3)
    assert len(page["Snapshots"]["Snapshot"]) == 10
    rest = ecs("DescribeSnapshots", MaxResults=3, NextToken=page["NextToken"])
    assert len(rest["Snapshots"]["Snapshot"]) == 2
    assert rest["NextToken"] == ""
    assert ecs.refused("DescribeSnapshots", NextToken="nonsense")[0] == 400


def test_a_disk_from_a_snapshot_is_at_least_as_large(ecs):
    snapshot_id = ecs.new_snapshot(ecs.new_disk(Size=30))

    assert ecs.disk(ecs.new_disk(Size=40, SnapshotId=snapshot_id))["Size"] == 40
    restored = ecs.disk(ecs.new_disk(Size=None, SnapshotId=snapshot_id))
    assert (restored["Size"], restored["SourceSnapshotId"]) == (30, snapshot_id)
    wanted = {"ZoneId": OTHER_ZONE, "DiskCategory": "cloud_essd", "SnapshotId": snapshot_id}
    assert ecs.refused("CreateDisk", **wanted, Size=29) == (403, "InvalidDiskSize.TooSmall")
    ecs.cloud.remember("ecs", {"grow_to_snapshot": True})
    assert ecs.disk(ecs.new_disk(Size=20, SnapshotId=snapshot_id))["Size"] == 30


def test_a_disk_from_an_encrypted_snapshot_is_encrypted_with_its_key(ecs):
    snapshot_id = ecs.new_snapshot(ecs.new_disk(Encrypted=True, KMSKeyId="key-1"))

    shown = ecs.disk(ecs.new_disk(SnapshotId=snapshot_id))

    assert (shown["Encrypted"], shown["KMSKeyId"]) == (True, "key-1")


def test_an_essd_snapshot_is_restorable_once_cut_others_once_available(ecs):
    essd = ecs("CreateSnapshot", DiskId=ecs.new_disk())["SnapshotId"]
    ssd_disk = ecs.new_disk(DiskCategory="cloud_ssd")
    essd = ecs("CreateSnapshot", DiskId=ecs.new_disk())["SnapshotId"]
    ssd = ecs("CreateSnapshot", DiskId=ssd_disk)["SnapshotId"]
    wanted = {"ZoneId": OTHER_ZONE, "DiskCategory": "cloud_essd", "Size": 20}
    not_ready = (403, "InvalidSnapshotId.NotReady")

    assert ecs.refused("CreateDisk", **wanted, SnapshotId=essd) == not_ready
    ecs.wait(0.1)
    ecs("CreateDisk", **wanted, SnapshotId=essd)
    assert ecs.refused("CreateDisk", **wanted, SnapshotId=ssd) == not_ready
    ecs.wait()
    ecs("CreateDisk", **wanted, SnapshotId=ssd)


def test_a_snapshot_that_made_a_disk_is_deleted_only_by_force(ecs):
    snapshot_id = ecs.new_snapshot(ecs.new_disk())
    ecs.new_disk(SnapshotId=snapshot_id)

    assert ecs.snapshot(snapshot_id)["Usage"] == "disk"
    assert ecs.refused("DeleteSnapshot", SnapshotId=snapshot_id) == (403, "SnapshotCreatedDisk")
    ecs("DeleteSnapshot", SnapshotId=snapshot_id, Force=True)
    assert ecs.refused("DeleteSnapshot", SnapshotId=snapshot_id, Force=True) == (
        404,
        "InvalidSnapshotId.NotFound",
    )


def test_a_snapshot_outlives_its_disk(ecs):
    disk_id = ecs.new_disk()
    snapshot_id = ecs.new_snapshot(disk_id)
    ecs("DeleteDisk", DiskId=disk_id)
    ecs.wait()

    assert ecs.snapshot(snapshot_id)["Available"] is True


def group_of(ecs: Ecs, group_id: str) -> dict:
    (row,) = ecs("DescribeSnapshotGroups", SnapshotGroupId=[group_id])["SnapshotGroups"][
        "SnapshotGroup"
    ]
    return row


def test_a_group_snapshots_its_disks_together(ecs):
    disk_ids = [ecs.new_disk(), ecs.new_disk(DiskCategory="cloud_auto")]
    group_id = ecs("CreateSnapshotGroup", DiskId=disk_ids, Name="group", Tag=tags({"k": "v"}))[
        "SnapshotGroupId"
    ]

    assert group_of(ecs, group_id)["Status"] == "progressing"
    ecs.wait()
    shown = group_of(ecs, group_id)
    assert shown["Status"] == "accomplished"
    assert shown["Tags"]["Tag"] == [{"Key": "k", "Value": "v"}]
    members = shown["Snapshots"]["Snapshot"]
    assert [row["SourceDiskId"] for row in members] == disk_ids
    times = {ecs.snapshot(row["SnapshotId"])["CreationTime"] for row in members}
    assert len(times) == 1
    assert ecs.snapshot(members[0]["SnapshotId"])["SnapshotName"] == f"Created_from_{group_id}"


def test_a_group_of_an_instance_takes_its_disks_but_the_excluded(ecs):
    held, excluded, elsewhere = ecs.attached_disk(), ecs.attached_disk(), ecs.attached_disk(NODE_2)

    group_id = ecs("CreateSnapshotGroup", InstanceId=NODE_1, ExcludeDiskId=[excluded])[
        "SnapshotGroupId"
    ]

    sources = {row["SourceDiskId"] for row in group_of(ecs, group_id)["Snapshots"]["Snapshot"]}
    assert held in sources
    assert not {excluded, elsewhere} & sources
    assert len(sources) == 2  # and the system disk
    assert ecs.refused("CreateSnapshotGroup", InstanceId=NODE_1, DiskId=[elsewhere]) == (
        403,
        "DependencyViolation",
    )


def test_groups_refuse_what_they_cannot_hold(ecs):
    essd = ecs.new_disk()
    wrong = {
        "ssd": (ecs.new_disk(DiskCategory="cloud_ssd"), "InvalidDiskCategory.NotSupported"),
        "zone": (ecs.new_disk(ZoneId=OTHER_ZONE), "ResourcesNotInSameZone"),
        "shared": (ecs.new_disk(MultiAttach="Enabled"), "InvalidOperation.MultiAttachDisk"),
    }
    for disk_id, code in wrong.values():
        assert ecs.refused("CreateSnapshotGroup", DiskId=[essd, disk_id]) == (403, code)
    large = ecs.new_disk(Size=32768)
    assert ecs.refused("CreateSnapshotGroup", DiskId=[essd, large]) == (400, "InvalidParameter")
    assert ecs.refused("CreateSnapshotGroup") == (400, "MissingParameter")
    assert ecs.refused("CreateSnapshotGroup", DiskId=[essd], ExcludeDiskId=[large]) == (
        400,
        "InvalidParameter.Conflict",
    )
    many = [ecs.new_disk() for _ in range(17)]
    assert ecs.refused("CreateSnapshotGroup", DiskId=many) == (400, "InvalidParameter")


def test_deleting_a_group_deletes_its_snapshots(ecs):
    group_id = ecs("CreateSnapshotGroup", DiskId=[ecs.new_disk()], Name="gone")["SnapshotGroupId"]
    ecs.wait()

    answer = ecs("DeleteSnapshotGroup", SnapshotGroupId=group_id)
    ecs.wait()

    assert len(answer["OperationProgressSet"]["OperationProgress"]) == 1
    assert ecs("DescribeSnapshots")["Snapshots"]["Snapshot"] == []
    assert ecs("DescribeSnapshotGroups", Name="gone")["SnapshotGroups"]["SnapshotGroup"] == []
    assert ecs.refused("DeleteSnapshotGroup", SnapshotGroupId=group_id) == (
        404,
        "InvalidSnapshotId.NotFound",
    )

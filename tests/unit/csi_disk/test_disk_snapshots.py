import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from cloud import ecs_model
from core import errors
from csi.disk.controller import controller_requests, settings, snapshot, snapshot_params, tags
from tests.fakes import fake_refusals, fake_snapshots
from tests.unit.csi_disk import disk_harness as harness


def wish(
    name: str = "snap-1", disk_id: str = "d-one", **parameters: str
) -> controller_requests.SnapshotRequest:
    return controller_requests.SnapshotRequest(
        name=name, disk_id=disk_id, parameters=snapshot_params.parse(parameters)
    )


def parts_with_disks(**fields: Any) -> harness.Parts:
    parts = harness.Parts(**fields)
    parts.put_disk()
    parts.put_disk(disk_id="d-two")
    return parts


async def everything(parts: harness.Parts, **fields: Any) -> list[str]:
    wanted = {"snapshot_id": "", "source_disk_id": "", "max_entries": 0, "starting_token": ""}
    listed = await parts.snapshotter.list(**{**wanted, **fields})
    return [row.snapshot_id for row in listed.items]


async def test_a_snapshot_is_cut_when_create_answers_and_a_repeat_gives_the_same() -> None:
    parts = parts_with_disks()

    made = await parts.snapshotter.create(wish(retentionDays="3"))
    again = await harness.Parts(cloud=parts.cloud).snapshotter.create(wish(retentionDays="3"))

    assert made.creation_time == fake_snapshots.CUT_AT
    assert again.snapshot_id == made.snapshot_id
    assert made.tags[tags.CREATED_BY] == tags.CREATED_BY_US
    assert len(parts.snapshots.snapshots) == 1


async def test_the_name_of_another_volume_s_snapshot_is_taken() -> None:
    parts = parts_with_disks()
    await parts.snapshotter.create(wish())

    with pytest.raises(errors.Exists, match="d-one"):
        await parts.snapshotter.create(wish(disk_id="d-two"))


async def test_the_name_is_taken_also_while_the_tag_cannot_be_seen() -> None:
    parts = parts_with_disks()
    made = await parts.snapshotter.create(wish())
    # As the reference driver makes them: the name, but not our tag.
    parts.snapshots.snapshots[made.snapshot_id] = ecs_model.Snapshot(
        snapshot_id=made.snapshot_id,
        source_disk_id="d-one",
        name="snap-1",
        creation_time=fake_snapshots.CUT_AT,
    )

    with pytest.raises(errors.Exists):
        await parts.snapshotter.create(wish(disk_id="d-two"))


async def test_the_name_of_a_deleted_snapshot_is_free_again() -> None:
    parts = parts_with_disks()
    first = await parts.snapshotter.create(wish())
    await parts.snapshotter.delete(first.snapshot_id)

    second = await parts.snapshotter.create(wish())
    third = await parts.snapshotter.create(wish())

    assert second.snapshot_id != first.snapshot_id
    assert third.snapshot_id == second.snapshot_id


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("QuotaExceed.Snapshot", errors.Kind.EXHAUSTED),
        ("IncorrectDiskStatus.CreatingSnapshot", errors.Kind.BUSY),
        ("IncorrectDiskStatus.NeverAttached", errors.Kind.PRECONDITION),
        ("InvalidDiskCategory.NotSupported", errors.Kind.PRECONDITION),
        ("InvalidDiskId.NotFound", errors.Kind.NOT_FOUND),
        ("IdempotentProcessing", errors.Kind.BUSY),
        ("ServiceUnavailable", errors.Kind.UNAVAILABLE),
    ],
)
async def test_refusals_of_snapshots_have_their_meaning(code: str, kind: errors.Kind) -> None:
    parts = parts_with_disks()
    parts.snapshots.record.fail_next("create", fake_refusals.refusal("CreateSnapshot", code))

    with pytest.raises(errors.Error) as caught:
        await parts.snapshotter.create(wish())

    assert caught.value.kind is kind


async def test_a_missing_source_is_not_found() -> None:
    with pytest.raises(errors.NotFound):
        await harness.Parts().snapshotter.create(wish())


async def test_a_snapshot_the_cloud_could_not_cut_makes_room_for_another() -> None:
    parts = parts_with_disks()
    made = await parts.snapshotter.create(wish())
    parts.snapshots.snapshots[made.snapshot_id] = ecs_model.Snapshot(
        snapshot_id=made.snapshot_id, source_disk_id="d-one", tags=made.tags, status="failed"
    )

    with pytest.raises(errors.Unavailable, match="retry makes another"):
        await parts.snapshotter.create(wish())
    parts.snapshots.settle(made.snapshot_id)
    second = await parts.snapshotter.create(wish())

    assert list(parts.snapshots.snapshots) == [second.snapshot_id]


async def test_a_snapshot_that_failed_after_it_was_cut_is_told_and_kept() -> None:
    parts = parts_with_disks()
    made = await parts.snapshotter.create(wish())
    failed = dataclasses.replace(made, status="failed")
    parts.snapshots.snapshots[made.snapshot_id] = failed

    with pytest.raises(errors.Internal, match="delete it"):
        await parts.snapshotter.create(wish())

    assert parts.snapshots.snapshots == {made.snapshot_id: failed}


async def test_snapshots_and_groups_of_another_cluster_are_not_deleted() -> None:
    theirs = parts_with_disks(config=settings.DiskSettings(cluster_id="c-1"))
    made = await theirs.snapshotter.create(wish())
    group = await theirs.grouper.create(group_wish())
    ours = harness.Parts(cloud=theirs.cloud, config=settings.DiskSettings(cluster_id="c-2"))

    with pytest.raises(errors.Precondition, match="c-1"):
        await ours.snapshotter.delete(made.snapshot_id)
    with pytest.raises(errors.Precondition, match="c-1"):
        await ours.grouper.delete(group.group_id, [row.snapshot_id for row in group.snapshots])

    assert not {"delete", "delete_group"} & set(theirs.snapshots.record.names())


async def test_delete_twice_and_delete_of_nothing_are_fine() -> None:
    parts = parts_with_disks()
    made = await parts.snapshotter.create(wish())

    await parts.snapshotter.delete(made.snapshot_id)
    await parts.snapshotter.delete(made.snapshot_id)
    await parts.snapshotter.delete("reallyfakesnapshotid")

    assert parts.snapshots.snapshots == {}


@pytest.mark.parametrize("field", ["name", "description"])
async def test_a_member_of_a_group_is_not_deleted_alone(field: str) -> None:
    parts = parts_with_disks()
    parts.snapshots.snapshots["s-1"] = ecs_model.Snapshot(
        snapshot_id="s-1", **{field: "Created_from_ssg-1"}
    )

    with pytest.raises(errors.Invalid, match="ssg-1"):
        await parts.snapshotter.delete("s-1")


async def test_an_id_the_cloud_finds_malformed_is_one_that_does_not_exist() -> None:
    parts = parts_with_disks()
    refusal = fake_refusals.refusal("DescribeSnapshots", "InvalidSnapshotId.Malformed")
    parts.snapshots.record.fail_next("read", refusal, refusal)

    await parts.snapshotter.delete("nonsense")
    with pytest.raises(errors.NotFound):
        await parts.snapshotter.get("nonsense")


async def test_lists_show_by_id_by_source_and_ours() -> None:
    parts = parts_with_disks(config=settings.DiskSettings(cluster_id="c1"))
    one = await parts.snapshotter.create(wish("one"))
    two = await parts.snapshotter.create(wish("two", "d-two"))
    parts.snapshots.snapshots["s-foreign"] = ecs_model.Snapshot(
        snapshot_id="s-foreign", source_disk_id="d-one", creation_time=fake_snapshots.CUT_AT
    )

    assert await everything(parts) == [one.snapshot_id, two.snapshot_id]
    assert await everything(parts, snapshot_id=two.snapshot_id) == [two.snapshot_id]
    assert await everything(parts, snapshot_id="s-none") == []
    assert await everything(parts, source_disk_id="d-one") == [one.snapshot_id, "s-foreign"]
    assert await everything(parts, source_disk_id="d-none") == []
    assert await everything(parts, snapshot_id=two.snapshot_id, source_disk_id="d-one") == []


@pytest.mark.parametrize(
    "hidden",
    [{"creation_time": None}, {"tags": {tags.CLONE_FOR: "pvc-1"}}],
    ids=["not cut", "temporary"],
)
def test_lists_hide_what_is_not_a_snapshot_of_the_orchestrator(hidden: Mapping[str, Any]) -> None:
    fields = {"snapshot_id": "s-1", "creation_time": fake_snapshots.CUT_AT, **hidden}

    assert not snapshot.is_listed(ecs_model.Snapshot(**fields))


# -- groups


def group_wish(*disk_ids: str, name: str = "grp", **tags_: str) -> controller_requests.GroupRequest:
    parameters = {f"snapshotTags/{key}": value for key, value in tags_.items()}
    return controller_requests.GroupRequest(
        name=name,
        disk_ids=disk_ids or ("d-one", "d-two"),
        parameters=snapshot_params.parse_group(parameters),
    )


async def test_a_group_has_all_its_snapshots_and_a_repeat_gives_the_same() -> None:
    parts = parts_with_disks()

    made = await parts.grouper.create(group_wish())
    again = await harness.Parts(cloud=parts.cloud).grouper.create(group_wish())

    assert {row.source_disk_id for row in made.snapshots} == {"d-one", "d-two"}
    assert all(row.creation_time for row in made.snapshots)
    assert again.group_id == made.group_id


async def test_a_group_whose_members_are_not_all_shown_yet_is_waited_for() -> None:
    parts = parts_with_disks()
    whole = parts.snapshots.find_groups

    async def without_members(name: str) -> list[ecs_model.SnapshotGroup]:
        return [dataclasses.replace(group, snapshots=()) for group in await whole(name)]

    made = await parts.grouper.create(group_wish())
    parts.snapshots.find_groups = without_members  # type: ignore[method-assign]
    again = await parts.grouper.create(group_wish())

    assert {row.source_disk_id for row in again.snapshots} == {"d-one", "d-two"}
    assert again.group_id == made.group_id


async def test_a_group_that_never_shows_its_members_is_told_as_busy() -> None:
    parts = parts_with_disks()
    made = await parts.grouper.create(group_wish())
    parts.snapshots.groups[made.group_id] = dataclasses.replace(
        parts.snapshots.groups[made.group_id], snapshots=made.snapshots[:1]
    )
    parts.snapshots.stuck.add(made.snapshots[0].snapshot_id)

    with pytest.raises(errors.Busy, match="is still being made"):
        await parts.grouper.create(group_wish())


@pytest.mark.parametrize("other", [group_wish("d-one"), group_wish(team="b")])
async def test_the_name_of_another_group_is_taken(other: controller_requests.GroupRequest) -> None:
    parts = parts_with_disks()
    await parts.grouper.create(group_wish())

    with pytest.raises(errors.Exists):
        await parts.grouper.create(other)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"category": "cloud_ssd"}, "ESSD family"),
        ({"multi_attach": True}, "multiAttach"),
        ({"zone_id": "z-other"}, "zones"),
        ({"size_gib": 32768}, "GiB"),
    ],
)
async def test_disks_that_cannot_be_grouped_are_refused_beforehand(
    fields: Mapping[str, Any], told: str
) -> None:
    parts = parts_with_disks()
    parts.put_disk(**{"disk_id": "d-two", **fields})

    with pytest.raises(errors.Precondition, match=told):
        await parts.grouper.create(group_wish())

    assert "create_group" not in parts.snapshots.record.names()


async def test_a_missing_member_volume_is_not_found() -> None:
    with pytest.raises(errors.NotFound, match="d-none"):
        await parts_with_disks().grouper.create(group_wish("d-one", "d-none"))


async def test_a_group_is_read_and_deleted_only_with_all_its_snapshots_named() -> None:
    parts = parts_with_disks()
    made = await parts.grouper.create(group_wish())
    ids = [row.snapshot_id for row in made.snapshots]

    with pytest.raises(errors.InvalidField, match="snapshot_ids"):
        await parts.grouper.get(made.group_id, ids[:1])
    with pytest.raises(errors.InvalidField, match="snapshot_ids"):
        await parts.grouper.delete(made.group_id, [])
    assert (await parts.grouper.get(made.group_id, [*ids, "s-gone"])).group_id == made.group_id

    await parts.grouper.delete(made.group_id, ids)
    await parts.grouper.delete(made.group_id, ids)
    await parts.grouper.delete("fake-vol-id", [])

    assert parts.snapshots.groups == {}
    assert parts.snapshots.snapshots == {}
    with pytest.raises(errors.NotFound):
        await parts.grouper.get(made.group_id, ids)


async def test_the_name_of_a_deleted_group_is_free_again() -> None:
    parts = parts_with_disks()
    first = await parts.grouper.create(group_wish())
    await parts.grouper.delete(first.group_id, [row.snapshot_id for row in first.snapshots])

    second = await parts.grouper.create(group_wish())

    assert second.group_id != first.group_id

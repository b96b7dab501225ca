import dataclasses
import datetime
from typing import Any

import pytest

from core import errors
from csi import requests
from csi.disk.controller import controller_requests, expand, settings, tags
from tests.fakes import fake_refusals
from tests.unit.csi_disk import disk_harness as harness

GIB = harness.GIB
NODE = harness.NODE
State = harness.State
DETACH = settings.DiskSettings(detach_on_delete=True)


def parts_with(disk: Any = None, **fields: Any) -> harness.Parts:
    parts = harness.Parts(**fields)
    parts.disks.disks["d-one"] = disk or harness.disk_of()
    return parts


async def test_delete_answers_when_the_disk_is_gone_and_a_repeat_is_fine() -> None:
    parts = parts_with()

    await parts.deleter.delete("d-one")
    await parts.deleter.delete("d-one")

    assert parts.disks.disks == {}
    assert parts.disks.record.names().count("delete") == 1


OF_ANOTHER_CLUSTER = {tags.CLUSTER: "c-other"}
IN_CLUSTER = settings.DiskSettings(cluster_id="c-1")


async def test_a_disk_of_another_cluster_is_not_deleted() -> None:
    parts = parts_with(harness.disk_of(tags=OF_ANOTHER_CLUSTER), config=IN_CLUSTER)

    with pytest.raises(errors.Precondition, match="c-other"):
        await parts.deleter.delete("d-one")

    assert "delete" not in parts.disks.record.names()


@pytest.mark.parametrize(
    ("held", "config"),
    [
        (OF_ANOTHER_CLUSTER, settings.DiskSettings()),
        ({}, IN_CLUSTER),
        ({tags.CLUSTER: "c-1"}, IN_CLUSTER),
    ],
    ids=["we know no cluster", "it names none", "ours"],
)
async def test_a_disk_that_may_be_this_cluster_s_is_deleted(
    held: dict[str, str], config: settings.DiskSettings
) -> None:
    parts = parts_with(harness.disk_of(tags=held), config=config)

    await parts.deleter.delete("d-one")

    assert parts.disks.disks == {}


async def test_a_disk_in_use_is_not_deleted() -> None:
    parts = parts_with(harness.used_by(NODE))

    with pytest.raises(errors.Precondition, match=NODE):
        await parts.deleter.delete("d-one")

    assert "d-one" in parts.disks.disks


async def test_a_disk_in_use_is_detached_and_deleted_when_the_settings_say_so() -> None:
    parts = parts_with(harness.used_by(NODE), config=DETACH)

    await parts.deleter.delete("d-one")

    assert parts.disks.disks == {}


async def test_a_disk_of_a_serverless_pod_is_left_to_its_owner() -> None:
    parts = parts_with(harness.used_by("eci-1"), config=DETACH)

    with pytest.raises(errors.Precondition, match="eci-1"):
        await parts.deleter.delete("d-one")


async def test_a_disk_on_its_way_off_a_node_is_waited_for() -> None:
    parts = parts_with(harness.used_by(NODE))
    await parts.disks.detach("d-one", NODE)

    await parts.deleter.delete("d-one")

    assert parts.disks.disks == {}


async def test_a_disk_that_somebody_attached_while_it_was_going_is_left_to_them() -> None:
    parts = parts_with(harness.disk_of(state=State.DETACHING))
    taken = {"state": State.IN_USE, "instance_id": NODE, "attached_instance_ids": (NODE,)}
    parts.disks.becomes("d-one", **taken)

    with pytest.raises(errors.Precondition, match=NODE):
        await parts.deleter.delete("d-one")

    assert parts.disks.record.names().count("detach") == 0
    assert "d-one" in parts.disks.disks


async def test_a_system_disk_is_never_deleted() -> None:
    parts = parts_with(harness.disk_of(disk_type="system"), config=DETACH)

    with pytest.raises(errors.Precondition, match="system disk"):
        await parts.deleter.delete("d-one")

    assert "d-one" in parts.disks.disks


async def test_a_disk_that_goes_while_we_delete_it_is_fine() -> None:
    parts = parts_with()
    parts.disks.record.fail_next(
        "delete", fake_refusals.refusal("DeleteDisk", "InvalidDiskId.NotFound")
    )

    await parts.deleter.delete("d-one")


async def test_a_disk_being_initialized_is_tried_again_every_five_seconds() -> None:
    parts = parts_with()
    refusal = fake_refusals.refusal("DeleteDisk", "IncorrectDiskStatus.Initializing")
    parts.disks.record.fail_next("delete", refusal, refusal)

    await parts.deleter.delete("d-one")

    assert parts.time.slept_s == [5.0, 5.0]
    assert parts.disks.disks == {}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidDiskStatus.DeleteProtection", errors.Kind.PRECONDITION),
        ("DiskCreatingSnapshot", errors.Kind.BUSY),
        ("InternalError", errors.Kind.UNAVAILABLE),
    ],
)
async def test_other_refusals_of_delete_are_told_at_once(code: str, kind: errors.Kind) -> None:
    parts = parts_with()
    parts.disks.record.fail_next("delete", fake_refusals.refusal("DeleteDisk", code))

    with pytest.raises(errors.Error) as caught:
        await parts.deleter.delete("d-one")

    assert caught.value.kind is kind
    assert parts.time.slept_s == []


async def test_content_is_kept_for_the_time_of_the_retention_tag() -> None:
    disk = harness.disk_of(tags={tags.DELETE_RETENTION_DAYS: "7"})
    parts = parts_with(disk, config=settings.DiskSettings(snapshot_on_delete=True))

    await parts.deleter.delete("d-one")
    await parts.deleter.delete("d-one")

    (made,) = parts.snapshots.snapshots.values()
    assert made.name == "d-one-delprotect"
    assert parts.snapshots.record.calls[0][1]["retention_days"] == 7


@pytest.mark.parametrize("code", ["DiskInArrears", "InvalidDiskCategory.NotSupported"])
async def test_a_disk_whose_content_cannot_be_kept_is_not_deleted(code: str) -> None:
    disk = harness.disk_of(tags={tags.DELETE_RETENTION_DAYS: "7"})
    parts = parts_with(disk, config=settings.DiskSettings(snapshot_on_delete=True))
    parts.snapshots.record.fail_next("create", fake_refusals.refusal("CreateSnapshot", code))

    with pytest.raises(errors.Precondition):
        await parts.deleter.delete("d-one")

    assert "d-one" in parts.disks.disks


async def test_a_disk_that_was_written_to_again_is_kept_as_it_is_now() -> None:
    first = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    disk = dataclasses.replace(
        harness.disk_of(tags={tags.DELETE_RETENTION_DAYS: "7"}), detached_time=first
    )
    parts = parts_with(disk, config=settings.DiskSettings(snapshot_on_delete=True))
    refusal = fake_refusals.refusal("DeleteDisk", "InvalidDiskStatus.DeleteProtection")
    parts.disks.record.fail_next("delete", refusal)
    with pytest.raises(errors.Precondition):
        await parts.deleter.delete("d-one")

    later = dataclasses.replace(disk, detached_time=first + datetime.timedelta(hours=1))
    parts.disks.disks["d-one"] = later
    await parts.deleter.delete("d-one")

    assert len(parts.snapshots.snapshots) == 2


async def test_content_is_not_kept_without_the_tag_or_the_setting() -> None:
    tagged = harness.disk_of(tags={tags.DELETE_RETENTION_DAYS: "7"})

    unset = parts_with(tagged)
    untagged = parts_with(config=settings.DiskSettings(snapshot_on_delete=True))
    await unset.deleter.delete("d-one")
    await untagged.deleter.delete("d-one")

    assert unset.snapshots.snapshots == {}
    assert untagged.snapshots.snapshots == {}


# -- expand


def wish(required_gib: int, **fields: Any) -> controller_requests.ExpandRequest:
    return controller_requests.ExpandRequest(
        **{
            "volume_id": "d-one",
            "required_bytes": required_gib * GIB,
            "limit_bytes": 0,
            "capability": None,
            **fields,
        }
    )


async def test_expand_grows_once() -> None:
    parts = parts_with(harness.used_by(NODE))
    expander = expand.Expander(parts.disks, parts.time)

    assert await expander.expand(wish(40)) == 40 * GIB
    assert await expander.expand(wish(40)) == 40 * GIB
    assert await expander.expand(wish(30)) == 40 * GIB

    resizes = [a for name, a in parts.disks.record.calls if name == "resize"]
    assert resizes == [{"disk_id": "d-one", "size_gib": 40, "online": True}]


async def test_a_resize_whose_answer_was_lost_is_done_although_the_size_is_shown_late() -> None:
    parts = parts_with(harness.used_by(NODE))
    refusal = fake_refusals.refusal("ResizeDisk", "InvalidDiskSize.TooSmall")
    parts.disks.record.fail_next("resize", refusal)
    parts.disks.becomes("d-one", size_gib=40)

    assert await expand.Expander(parts.disks, parts.time).expand(wish(40)) == 40 * GIB


async def test_a_disk_that_was_detached_meanwhile_is_resized_with_another_token() -> None:
    parts = parts_with(harness.used_by(NODE))
    tokens = []

    async def resize(disk_id: str, size_gib: int, *, online: bool, client_token: str) -> None:
        tokens.append((online, client_token))
        raise fake_refusals.refusal("ResizeDisk", "InternalError")

    parts.disks.resize = resize  # type: ignore[assignment,method-assign]
    for disk in (harness.used_by(NODE), harness.disk_of()):
        parts.disks.disks["d-one"] = disk
        with pytest.raises(errors.Error, match="InternalError"):
            await expand.Expander(parts.disks, parts.time).expand(wish(40))

    assert [online for online, _ in tokens] == [True, False]
    assert len({token for _, token in tokens}) == 2


async def test_a_part_of_a_gib_is_a_whole_one() -> None:
    parts = parts_with()
    expander = expand.Expander(parts.disks, parts.time)

    assert await expander.expand(wish(0, required_bytes=30 * GIB + 1)) == 31 * GIB


@pytest.mark.parametrize(
    "asked",
    [
        wish(65537),
        wish(0, required_bytes=30 * GIB + 1, limit_bytes=30 * GIB + 2),
        wish(0, limit_bytes=10 * GIB),
    ],
)
async def test_sizes_that_cannot_be_are_out_of_range(
    asked: controller_requests.ExpandRequest,
) -> None:
    parts = parts_with()

    with pytest.raises(errors.OutOfRange):
        await expand.Expander(parts.disks, parts.time).expand(asked)

    assert "resize" not in parts.disks.record.names()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidDiskSize.TooLarge", errors.Kind.OUT_OF_RANGE),
        ("InvalidDiskCategory.NotSupported", errors.Kind.PRECONDITION),
        ("InvalidInstanceStatus.NotRunning", errors.Kind.PRECONDITION),
        ("DiskCreatingSnapshot", errors.Kind.BUSY),
    ],
)
async def test_refusals_of_resize_have_their_meaning(code: str, kind: errors.Kind) -> None:
    parts = parts_with()
    parts.disks.record.fail_next("resize", fake_refusals.refusal("ResizeDisk", code))

    with pytest.raises(errors.Error) as caught:
        await expand.Expander(parts.disks, parts.time).expand(wish(40))

    assert caught.value.kind is kind


async def test_the_last_resize_is_waited_for() -> None:
    parts = parts_with()
    refusal = fake_refusals.refusal("ResizeDisk", "LastOrderProcessing")
    parts.disks.record.fail_next("resize", refusal)

    assert await expand.Expander(parts.disks, parts.time).expand(wish(40)) == 40 * GIB
    assert parts.time.slept_s == [5.0]


async def test_a_missing_volume_is_not_found() -> None:
    parts = harness.Parts()

    with pytest.raises(errors.NotFound):
        await expand.Expander(parts.disks, parts.time).expand(wish(40))


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        (None, True),
        (harness.capability(), True),
        (harness.capability(access=requests.AccessType.BLOCK), False),
    ],
)
def test_only_file_systems_need_the_node(
    capability: requests.VolumeCapability | None, expected: bool
) -> None:
    assert expand.needs_node(capability) is expected

from collections.abc import Mapping

import pytest

from cloud import ecs_model
from core import errors
from csi.disk.controller import modify, mutable_params, tags
from tests.fakes import fake_refusals
from tests.unit.csi_disk import disk_harness as harness


def modifier(**fields: object) -> tuple[harness.Parts, modify.Modifier]:
    parts = harness.Parts()
    parts.put_disk(**fields)
    return parts, modify.Modifier(parts.disks, parts.time)


def wish(**parameters: str) -> mutable_params.MutableParameters:
    return mutable_params.parse({key.replace("__", "/"): v for key, v in parameters.items()})


def changes(parts: harness.Parts) -> list[str]:
    told = []
    for name, arguments in parts.disks.record.calls:
        if name == "modify_spec":
            told.append("dry run" if arguments["dry"] else "modify_spec")
        elif name not in ("read", "wait_spec_task", "latest_spec_task"):
            told.append(name)
    return told


async def test_everything_changes_in_order_and_a_repeat_changes_nothing() -> None:
    parts, does = modifier(tags={"old": "1"})
    wanted = mutable_params.parse(
        {
            "type": "cloud_auto",
            "provisionedIops": "100",
            "burstingEnabled": "true",
            "diskTags/new": "2",
            "-diskTags/old": "",
        }
    )

    await does.modify("d-one", wanted)
    first = changes(parts)
    parts.disks.record.calls.clear()
    await does.modify("d-one", wanted)

    disk = parts.disks.disks["d-one"]
    assert first == ["dry run", "untag", "tag", "modify_spec", "modify_bursting"]
    assert changes(parts) == ["dry run"]
    assert (disk.category, disk.provisioned_iops, disk.bursting_enabled) == (
        "cloud_auto",
        100,
        True,
    )
    assert disk.tags == {"new": "2"}


async def test_tags_alone_need_no_spec_call() -> None:
    parts, does = modifier()

    await does.modify("d-one", wish(diskTags__a="1"))

    assert changes(parts) == ["tag"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidDiskCategory.NotSupported", errors.Kind.INVALID),
        ("InvalidDiskCategory.ValueNotSupported", errors.Kind.INVALID),
        ("InvalidProvisionedIops.LimitExceed", errors.Kind.INVALID),
        ("InvalidParameter", errors.Kind.INVALID),
        ("OperationDenied.PerformanceLevelNotMatch", errors.Kind.PRECONDITION),
        ("DiskInCoolingPeriod", errors.Kind.PRECONDITION),
        ("ModifyingDiskCategoryLimitExceed", errors.Kind.PRECONDITION),
        ("OperationDenied.NoStock", errors.Kind.EXHAUSTED),
        ("InvalidDiskId.NotFound", errors.Kind.NOT_FOUND),
        ("InvalidStatus.DiskNotReady", errors.Kind.BUSY),
        ("IncorrectDiskStatus", errors.Kind.BUSY),
        ("Throttling", errors.Kind.UNAVAILABLE),
    ],
)
async def test_what_the_dry_run_refuses_changes_nothing(code: str, kind: errors.Kind) -> None:
    parts, does = modifier()
    parts.disks.record.fail_next("modify_spec", fake_refusals.refusal("ModifyDiskSpec", code))

    with pytest.raises(errors.Error) as caught:
        await does.modify("d-one", wish(type="cloud_auto", diskTags__a="1"))

    assert caught.value.kind is kind
    assert changes(parts) == ["dry run"]
    assert parts.disks.disks["d-one"] == harness.disk_of()


@pytest.mark.parametrize(
    ("parameters", "size_gib"),
    [
        ({"performanceLevel": "PL2"}, 460),
        ({"type": "cloud_essd_xc0"}, 39),
        ({"type": "elastic_ephemeral_disk_premium"}, 9000),
        ({"type": "cloud_auto", "provisionedIops": "17001"}, 20),
        ({"burstingEnabled": "true"}, 20),
        ({"provisionedIops": "5"}, 20),
    ],
)
async def test_what_the_tables_refuse_needs_no_call(
    parameters: Mapping[str, str], size_gib: int
) -> None:
    parts, does = modifier(size_gib=size_gib)

    with pytest.raises(errors.InvalidField):
        await does.modify("d-one", mutable_params.parse(parameters))

    assert changes(parts) == []


async def test_no_provisioned_iops_are_no_change_of_a_type_that_has_none() -> None:
    parts, does = modifier()

    await does.modify("d-one", wish(provisionedIops="0", diskTags__a="1"))

    assert changes(parts) == ["tag"]


async def test_too_many_tags_are_refused_beforehand() -> None:
    parts, does = modifier(tags={f"k{n}": "v" for n in range(20)})

    with pytest.raises(errors.InvalidField):
        await does.modify("d-one", wish(diskTags__a="1"))
    await does.modify("d-one", mutable_params.parse({"diskTags/a": "1", "-diskTags/k0": ""}))

    assert len(parts.disks.disks["d-one"].tags) == 20


async def test_a_task_of_an_earlier_process_is_waited_for() -> None:
    parts, does = modifier()
    await parts.disks.modify_spec("d-one", category="cloud_auto")
    parts.disks.record.calls.clear()
    parts.disks.record.fail_next(
        "modify_spec", fake_refusals.refusal("ModifyDiskSpec", "InvalidStatus.DiskNotReady")
    )

    await does.modify("d-one", wish(type="cloud_auto"))

    assert "wait_spec_task" in parts.disks.record.names()
    assert "modify_spec" not in changes(parts)


async def test_a_task_that_fails_is_told() -> None:
    parts, does = modifier()

    async def failed(task_id: str) -> ecs_model.SpecTask:
        return ecs_model.SpecTask(task_id=task_id, status="Failed")

    parts.disks.wait_spec_task = failed  # type: ignore[method-assign]

    with pytest.raises(errors.Internal, match="could not change"):
        await does.modify("d-one", wish(type="cloud_auto"))


async def test_bursting_is_tried_again_while_the_new_type_settles() -> None:
    parts, does = modifier()
    refusal = fake_refusals.refusal(
        "ModifyDiskAttribute", "BurstingEnabledForModifyingDiskUnsupported"
    )
    parts.disks.record.fail_next("modify_bursting", refusal, refusal)

    await does.modify("d-one", wish(type="cloud_auto", burstingEnabled="true"))

    assert parts.time.slept_s == [2.0, 2.0]
    assert parts.disks.disks["d-one"].bursting_enabled


async def test_a_missing_volume_is_not_found() -> None:
    parts = harness.Parts()

    with pytest.raises(errors.NotFound):
        await modify.Modifier(parts.disks, parts.time).modify("d-none", wish(diskTags__a="1"))


async def test_our_own_tags_cannot_be_touched() -> None:
    with pytest.raises(errors.InvalidField):
        mutable_params.parse({f"-diskTags/{tags.VOLUME_NAME}": ""})

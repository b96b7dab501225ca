import dataclasses
from typing import Any

import pytest

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import errors
from csi.disk import topology_keys
from csi.disk.controller import controller_requests, settings, snapshot_params, tags, topology
from tests.fakes import fake_refusals
from tests.unit.csi_disk import disk_harness as harness

GIB = harness.GIB
wish = harness.wish


def lost(action: str = "CreateDisk") -> cloud_errors.CloudUnavailable:
    return cloud_errors.CloudUnavailable(action=action, code="NoAnswer", status=0, message="lost")


def made_with(parts: harness.Parts) -> list[ecs_model.NewDisk]:
    return [arguments["new"] for name, arguments in parts.disks.record.calls if name == "create"]


async def test_same_name_and_wish_give_the_same_disk_in_any_process() -> None:
    parts = harness.Parts()
    first = await parts.provisioner.create(wish())

    again = await harness.Parts(cloud=parts.cloud).provisioner.create(wish())

    assert again.disk_id == first.disk_id
    assert len(parts.disks.disks) == 1


async def test_the_answer_to_create_is_lost_and_the_retry_finds_the_disk() -> None:
    parts = harness.Parts()
    real = parts.disks.create

    async def create(new: ecs_model.NewDisk, *, client_token: str | None) -> str:
        await real(new, client_token=client_token)
        raise lost()

    parts.disks.create = create  # type: ignore[method-assign]
    with pytest.raises(errors.Error) as caught:
        await parts.provisioner.create(wish())
    parts.disks.create = real  # type: ignore[method-assign]

    disk = await parts.provisioner.create(wish())

    assert caught.value.kind is errors.Kind.UNAVAILABLE
    assert list(parts.disks.disks) == [disk.disk_id]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"gib": 40}, "bytes"),
        ({"parameters": {"type": "cloud_ssd", "zoneId": harness.ZONE}}, "type is cloud_essd"),
        ({"parameters": {"type": "cloud_essd", "zoneId": "z-other"}}, harness.ZONE),
        ({"parameters": {"type": "cloud_essd", "encrypted": "true"}}, "encrypted"),
        ({"parameters": {"type": "cloud_essd", "multiAttach": "true"}}, "multiAttach"),
        ({"parameters": {"type": "cloud_essd", "diskTags": "a:2"}}, "tag a"),
        ({"parameters": {"type": "cloud_essd", "resourceGroupId": "rg-9"}}, "resourceGroupId"),
        ({"source": harness.from_snapshot("s-1")}, "made from nothing"),
        ({"source": harness.from_volume("d-1")}, "made from nothing"),
        (
            {
                "requirement": topology.Requirement(
                    requisite=({topology_keys.DISK_ZONE: "z-other"},)
                )
            },
            "not asked for",
        ),
    ],
)
async def test_same_name_with_another_wish_is_refused_and_changes_nothing(
    change: dict[str, Any], told: str
) -> None:
    parts = harness.Parts()
    await parts.provisioner.create(wish())

    with pytest.raises(errors.Exists, match=told):
        await parts.provisioner.create(wish(**change))

    assert len(parts.disks.disks) == 1


async def test_a_level_that_the_cloud_shows_of_a_type_without_levels_is_no_difference() -> None:
    parts = harness.Parts()
    parameters = {"type": "cloud_auto,cloud_essd", "performanceLevel": "PL2"}
    made = await parts.provisioner.create(
        wish(parameters={**parameters, "zoneId": harness.ZONE}, gib=500)
    )
    parts.disks.change(made.disk_id, performance_level="PL1")

    again = await parts.provisioner.create(
        wish(parameters={**parameters, "zoneId": harness.ZONE}, gib=500)
    )

    assert (made.category, again.disk_id) == ("cloud_auto", made.disk_id)


async def test_a_larger_disk_of_the_name_still_fits_unless_a_limit_forbids_it() -> None:
    parts = harness.Parts()
    made = await parts.provisioner.create(wish(gib=40))

    assert (await parts.provisioner.create(wish(gib=20))).disk_id == made.disk_id
    with pytest.raises(errors.Exists, match="above the limit"):
        await parts.provisioner.create(wish(gib=20, limit_bytes=30 * GIB))


async def test_a_token_spent_on_a_deleted_disk_leads_to_a_new_disk_and_always_the_same() -> None:
    parts = harness.Parts()
    first = await parts.provisioner.create(wish())
    del parts.disks.disks[first.disk_id]

    second = await parts.provisioner.create(wish())
    del parts.disks.disks[second.disk_id]
    third = await parts.provisioner.create(wish())
    # The tag cannot be seen for once: the chain of tokens must lead to the same disk.
    parts.disks.change(third.disk_id, tags={})
    again = await harness.Parts(cloud=parts.cloud).provisioner._creator.create(
        "pvc-1", made_with(parts)[-1]
    )

    assert len({first.disk_id, second.disk_id, third.disk_id}) == 3
    assert again.disk_id == third.disk_id


async def test_a_token_spent_on_another_wish_whose_disk_is_gone_leads_to_a_new_disk() -> None:
    parts = harness.Parts()
    first = await parts.provisioner.create(wish())
    del parts.disks.disks[first.disk_id]

    second = await parts.provisioner.create(wish(gib=40))

    assert second.size_gib == 40


async def test_a_new_disk_that_lists_do_not_show_yet_is_waited_for() -> None:
    parts = harness.Parts()
    real = parts.disks.read
    hidden = 1

    async def read(disk_id: str) -> ecs_model.Disk | None:
        nonlocal hidden
        hidden -= 1
        return None if hidden >= 0 else await real(disk_id)

    parts.disks.read = read  # type: ignore[method-assign]

    disk = await parts.provisioner.create(wish())

    assert list(parts.disks.disks) == [disk.disk_id]


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (["OperationDenied.NoStock"] * 2, errors.Kind.EXHAUSTED),
        (["InvalidDataDiskCategory.NotSupported"] * 2, errors.Kind.EXHAUSTED),
        (["InvalidDataDiskSize.ValueNotSupported"] * 2, errors.Kind.OUT_OF_RANGE),
        (["InvalidPerformanceLevel.Malformed"] * 2, errors.Kind.INVALID),
        (["InvalidDataDiskSize.ValueNotSupported", "Zone.NotOnSale"], errors.Kind.EXHAUSTED),
    ],
)
async def test_all_attempts_refused_tells_every_reason(codes: list[str], kind: errors.Kind) -> None:
    parts = harness.Parts()
    parts.disks.record.fail_next("create", *[fake_refusals.refusal("CreateDisk", c) for c in codes])

    with pytest.raises(errors.Error) as caught:
        await parts.provisioner.create(
            wish(parameters={"type": "cloud_essd,cloud_ssd", "zoneId": harness.ZONE})
        )

    assert caught.value.kind is kind
    assert all(code in str(caught.value) for code in codes)
    assert parts.disks.disks == {}


async def test_a_type_that_is_sold_out_falls_back_to_the_next() -> None:
    parts = harness.Parts()
    parts.disks.record.fail_next(
        "create", fake_refusals.refusal("CreateDisk", "OperationDenied.NoStock")
    )

    disk = await parts.provisioner.create(
        wish(parameters={"type": "cloud_essd,cloud_ssd", "zoneId": harness.ZONE})
    )

    assert disk.category == "cloud_ssd"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("QuotaExceed.PortableCloudDisk", errors.Kind.EXHAUSTED),
        ("Forbidden.RAM", errors.Kind.DENIED),
        ("Throttling.User", errors.Kind.UNAVAILABLE),
        ("IdempotentProcessing", errors.Kind.BUSY),
        ("InvalidSnapshotId.NotFound", errors.Kind.NOT_FOUND),
    ],
)
async def test_other_refusals_end_the_attempts(code: str, kind: errors.Kind) -> None:
    parts = harness.Parts()
    parts.disks.record.fail_next("create", fake_refusals.refusal("CreateDisk", code))

    with pytest.raises(errors.Error) as caught:
        await parts.provisioner.create(
            wish(parameters={"type": "cloud_essd,cloud_ssd", "zoneId": harness.ZONE})
        )

    assert caught.value.kind is kind
    assert parts.disks.record.names().count("create") == 1


async def test_zones_are_tried_in_the_order_of_the_orchestrator() -> None:
    parts = harness.Parts()
    parts.disks.record.fail_next(
        "create", fake_refusals.refusal("CreateDisk", "OperationDenied.NoStock")
    )
    asked = topology.Requirement(
        preferred=({topology_keys.DISK_ZONE: "z-2"}, {topology_keys.DISK_ZONE: "z-1"}),
        requisite=({topology_keys.DISK_ZONE: "z-1"}, {topology_keys.DISK_ZONE: "z-2"}),
    )

    disk = await parts.provisioner.create(
        wish(parameters={"type": "cloud_essd"}, requirement=asked)
    )

    assert [new.zone_id for new in made_with(parts)] == ["z-2", "z-1"]
    assert disk.zone_id == "z-1"


async def test_without_any_topology_the_driver_s_own_zone_is_taken() -> None:
    disk = await harness.Parts(own_zone="z-own").provisioner.create(
        wish(parameters={"type": "cloud_essd"})
    )

    assert disk.zone_id == "z-own"


async def test_without_any_zone_at_all_the_parameter_is_asked_for() -> None:
    with pytest.raises(errors.InvalidField, match="zoneId"):
        await harness.Parts().provisioner.create(wish(parameters={"type": "cloud_essd"}))


async def test_a_regional_disk_needs_no_zone() -> None:
    disk = await harness.Parts().provisioner.create(
        wish(parameters={"type": "cloud_regional_disk_auto"})
    )

    assert disk.zone_id == ""


async def test_a_regional_disk_is_not_made_for_nodes_of_another_region() -> None:
    parts = harness.Parts()
    far = topology.Requirement(requisite=({topology_keys.REGION: "cn-far"},))

    with pytest.raises(topology.Unreachable, match="cn-far"):
        await parts.provisioner.create(
            wish(parameters={"type": "cloud_regional_disk_auto"}, requirement=far)
        )

    assert parts.disks.disks == {}


async def test_another_region_is_refused() -> None:
    with pytest.raises(errors.InvalidField, match="regionId"):
        await harness.Parts().provisioner.create(wish(parameters={"regionId": "us-east-1"}))


async def test_what_is_sent_for_a_disk() -> None:
    parts = harness.Parts(config=settings.DiskSettings(cluster_id="c1"))

    await parts.provisioner.create(
        wish(
            parameters={
                "type": "cloud_auto",
                "zoneId": harness.ZONE,
                "provisionedIops": "100",
                "burstingEnabled": "true",
                "kmsKeyId": "unused without encryption",
            }
        )
    )

    (new,) = made_with(parts)
    assert new.name == "pvc-1"
    assert new.provisioned_iops == 100
    assert new.bursting_enabled is True
    assert new.kms_key_id == ""
    assert new.tags[tags.CLUSTER] == "c1"
    assert new.tags[tags.VOLUME_NAME] == "pvc-1"


async def test_iops_and_bursting_are_not_sent_for_other_types() -> None:
    parts = harness.Parts()

    await parts.provisioner.create(
        wish(
            parameters={
                "type": "cloud_essd",
                "zoneId": harness.ZONE,
                "provisionedIops": "1",
                "burstingEnabled": "true",
            }
        )
    )

    assert made_with(parts)[0].provisioned_iops is None
    assert made_with(parts)[0].bursting_enabled is None


async def test_parameters_that_leave_no_room_for_the_context_are_refused_beforehand() -> None:
    parts = harness.Parts()
    parameters = {"type": "cloud_essd", "zoneId": harness.ZONE, "mkfsOptions": "-" * 3900}

    with pytest.raises(errors.InvalidField, match="volume_context"):
        await parts.provisioner.create(wish(parameters=parameters))

    assert parts.disks.disks == {}


async def snapshot_in(parts: harness.Parts, gib: int = 20) -> str:
    source = parts.put_disk(disk_id="d-source", size_gib=gib)
    made = await parts.snapshotter.create(
        controller_requests.SnapshotRequest(
            name="snap", disk_id=source.disk_id, parameters=snapshot_params.SnapshotParameters()
        )
    )
    return made.snapshot_id


async def test_restore_is_at_least_as_large_as_the_snapshot() -> None:
    parts = harness.Parts()
    snapshot_id = await snapshot_in(parts, gib=40)

    disk = await parts.provisioner.create(wish(source=harness.from_snapshot(snapshot_id)))

    assert disk.size_gib == 40
    assert disk.source_snapshot_id == snapshot_id


@pytest.mark.parametrize("source", [harness.from_snapshot("s-none"), harness.from_volume("d-none")])
async def test_a_missing_source_is_not_found(source: controller_requests.Source) -> None:
    with pytest.raises(errors.NotFound):
        await harness.Parts().provisioner.create(wish(source=source))


def temporary(parts: harness.Parts) -> list[ecs_model.Snapshot]:
    return [s for s in parts.snapshots.snapshots.values() if tags.CLONE_FOR in s.tags]


def settle_deletes(parts: harness.Parts) -> None:
    for snapshot_id in list(parts.snapshots.snapshots):
        if snapshot_id in parts.snapshots._deleting:
            parts.snapshots.settle(snapshot_id)


async def test_a_clone_is_made_from_a_temporary_snapshot_that_is_gone_afterwards() -> None:
    parts = harness.Parts()
    parts.put_disk(disk_id="d-source", size_gib=40)

    disk = await parts.provisioner.create(wish(source=harness.from_volume("d-source")))
    again = await parts.provisioner.create(wish(source=harness.from_volume("d-source")))
    settle_deletes(parts)

    assert disk.size_gib == 40
    assert disk.tags[tags.CLONE_OF] == "d-source"
    assert again.disk_id == disk.disk_id
    assert temporary(parts) == []


@pytest.mark.parametrize("method", ["create", "wait", "find"])
async def test_a_clone_interrupted_in_the_cloud_goes_on_at_the_retry_and_leaks_nothing(
    method: str,
) -> None:
    parts = harness.Parts()
    parts.put_disk(disk_id="d-source")
    parts.disks.record.fail_next(method, lost())
    with pytest.raises(errors.Error):
        await parts.provisioner.create(wish(source=harness.from_volume("d-source")))

    disk = await harness.Parts(cloud=parts.cloud).provisioner.create(
        wish(source=harness.from_volume("d-source"))
    )
    settle_deletes(parts)

    assert disk.source_snapshot_id
    assert temporary(parts) == []
    assert set(parts.disks.disks) == {"d-source", disk.disk_id}


async def test_a_clone_that_can_never_be_made_leaves_no_snapshot() -> None:
    parts = harness.Parts()
    parts.put_disk(disk_id="d-source")
    parts.disks.record.fail_next(
        "create", fake_refusals.refusal("CreateDisk", "InvalidPerformanceLevel.Malformed")
    )

    with pytest.raises(errors.Invalid):
        await parts.provisioner.create(wish(source=harness.from_volume("d-source")))
    settle_deletes(parts)

    assert temporary(parts) == []


@pytest.mark.parametrize(
    ("origin", "expected"), [("", ""), ("s-origin", "s-origin")], ids=["empty", "restored"]
)
async def test_a_disk_that_was_never_attached_is_cloned_without_a_snapshot(
    origin: str, expected: str
) -> None:
    parts = harness.Parts()
    parts.put_disk(disk_id="d-source", source_snapshot_id=origin)
    parts.snapshots.snapshots["s-origin"] = ecs_model.Snapshot(snapshot_id="s-origin")
    parts.snapshots.record.fail_next(
        "create", fake_refusals.refusal("CreateSnapshot", "IncorrectDiskStatus.NeverAttached")
    )

    disk = await parts.provisioner.create(wish(source=harness.from_volume("d-source")))

    assert disk.source_snapshot_id == expected


async def test_the_disk_that_another_cluster_made_for_the_same_name_is_not_taken() -> None:
    theirs = harness.Parts(config=settings.DiskSettings(cluster_id="c-1"))
    await theirs.provisioner.create(wish())
    ours = harness.Parts(cloud=theirs.cloud, config=settings.DiskSettings(cluster_id="c-2"))

    with pytest.raises(errors.Exists, match="c-1"):
        await ours.provisioner.create(wish())


async def test_two_disks_of_one_name_are_not_chosen_between() -> None:
    parts = harness.Parts()
    first = parts.put_disk(disk_id="d-1", tags={tags.VOLUME_NAME: "pvc-1"})
    parts.disks.disks["d-2"] = dataclasses.replace(first, disk_id="d-2")

    with pytest.raises(errors.Internal, match="d-1, d-2"):
        await parts.provisioner.create(wish())

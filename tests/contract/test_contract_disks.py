"""Disks and snapshots: the same on the simulator through the real SDK, and on the fakes.

What unit tests see of a fake is what the cloud does, because both pass these.
"""

import asyncio
import dataclasses
import datetime
from collections.abc import AsyncIterator

import pytest

from cloud import client, ecs_disk, ecs_model, ecs_snapshot
from cloud import errors as cloud_errors
from core import clock, metrics
from tests.contract import contract_settings
from tests.fakes import fake_disks, fake_snapshots
from tests.support import processes

State = ecs_model.DiskState
Disks = ecs_disk.Disks | fake_disks.FakeDisks
Snapshots = ecs_snapshot.Snapshots | fake_snapshots.FakeSnapshots

NODE_1, NODE_2 = processes.NODE_1, processes.NODE_2
NEW = ecs_model.NewDisk(
    region_id="cn-hangzhou",
    zone_id="cn-hangzhou-k",
    category="cloud_essd",
    performance_level="PL1",
    size_gib=20,
    tags={"csi/a": "1", "b": "two words & more"},
)


@dataclasses.dataclass
class Cloud:
    disks: Disks
    snapshots: Snapshots

    async def make(self, **changes: object) -> str:
        """A disk that is ready."""
        disk_id = await self.disks.create(dataclasses.replace(NEW, **changes), client_token=None)
        await self.disks.wait(disk_id, is_(State.AVAILABLE), what=f"disk {disk_id} to be made")
        return disk_id

    async def make_attached(self, **changes: object) -> str:
        disk_id = await self.make(**changes)
        await self.disks.attach(disk_id, NODE_1)
        await self.disks.wait(disk_id, is_(State.IN_USE), what="it to be attached")
        return disk_id


@pytest.fixture(params=["simulator", "fake"])
async def cloud(request: pytest.FixtureRequest) -> AsyncIterator[Cloud]:
    if request.param == "fake":
        disks = fake_disks.FakeDisks()
        disks.snapshot_ids = set()
        yield Cloud(disks, fake_snapshots.FakeSnapshots(disks))
        return
    rig = request.getfixturevalue("rig")
    made = client.Alibaba(contract_settings.read(rig), metrics.Metrics(), clock.SystemClock())
    yield Cloud(made.disks, made.snapshots)
    await made.close()


def is_(state: State):
    return lambda disk: disk is not None and disk.state is state


def is_gone(found: object) -> bool:
    return found is None


# -- disks


async def test_a_new_disk_is_what_was_asked_for(cloud: Cloud) -> None:
    disk_id = await cloud.make()

    disk = await cloud.disks.read(disk_id)

    assert disk is not None
    assert (disk.region_id, disk.zone_id) == ("cn-hangzhou", "cn-hangzhou-k")
    assert (disk.category, disk.performance_level, disk.size_gib) == ("cloud_essd", "PL1", 20)
    assert (disk.state, disk.instance_id, disk.attached_instance_ids) == (State.AVAILABLE, "", ())
    assert disk.tags == NEW.tags
    assert (disk.disk_type, disk.multi_attach, disk.encrypted) == ("data", False, False)
    assert disk.serial_number
    assert disk.creation_time is not None
    assert disk.creation_time.utcoffset() == datetime.timedelta(0)


async def test_the_same_token_and_input_give_the_same_disk(cloud: Cloud) -> None:
    token = "token-same"

    first = await cloud.disks.create(NEW, client_token=token)
    second = await cloud.disks.create(NEW, client_token=token)

    assert first == second


async def test_the_same_token_with_another_input_is_a_mismatch(cloud: Cloud) -> None:
    await cloud.disks.create(NEW, client_token="token-other")

    with pytest.raises(cloud_errors.CloudExists) as raised:
        await cloud.disks.create(dataclasses.replace(NEW, size_gib=40), client_token="token-other")
    assert raised.value.code == "IdempotentParameterMismatch"


async def test_a_disk_that_is_not_there_is_none(cloud: Cloud) -> None:
    assert await cloud.disks.read("d-bp1nosuchdisk00001") is None


async def test_many_reads_give_each_its_own_disk(cloud: Cloud) -> None:
    ids = [await cloud.make() for _ in range(5)]

    found = await asyncio.gather(*(cloud.disks.read(i) for i in [*ids, "d-bp1nosuchdisk00001"]))

    assert [d.disk_id if d else None for d in found] == [*ids, None]


async def test_attach_and_detach(cloud: Cloud) -> None:
    disk_id = await cloud.make_attached()
    attached = await cloud.disks.read(disk_id)
    await cloud.disks.detach(disk_id, NODE_1)
    detached = await cloud.disks.wait(disk_id, is_(State.AVAILABLE), what="it to be detached")

    assert attached is not None
    assert (attached.instance_id, attached.attached_instance_ids) == (NODE_1, (NODE_1,))
    assert detached is not None
    assert (detached.instance_id, detached.attached_instance_ids) == ("", ())


async def test_a_shared_disk_is_attached_to_two_instances(cloud: Cloud) -> None:
    disk_id = await cloud.make_attached(multi_attach=True)
    await cloud.disks.attach(disk_id, NODE_2)
    shared = await cloud.disks.wait(
        disk_id,
        lambda d: d is not None and d.state is State.IN_USE and len(d.attached_instance_ids) == 2,
        what="it to be attached twice",
    )

    assert shared is not None
    assert shared.multi_attach
    assert set(shared.attached_instance_ids) == {NODE_1, NODE_2}


async def test_a_disk_that_is_in_use_is_not_attached_elsewhere(cloud: Cloud) -> None:
    disk_id = await cloud.make_attached()

    with pytest.raises(cloud_errors.CloudConflict):
        await cloud.disks.attach(disk_id, NODE_2)


async def test_a_disk_that_is_in_use_is_not_deleted(cloud: Cloud) -> None:
    disk_id = await cloud.make_attached()

    with pytest.raises(cloud_errors.CloudConflict) as raised:
        await cloud.disks.delete(disk_id)
    assert raised.value.code == "IncorrectDiskStatus"


async def test_a_deleted_disk_is_gone(cloud: Cloud) -> None:
    disk_id = await cloud.make()

    await cloud.disks.delete(disk_id)

    assert await cloud.disks.wait(disk_id, is_gone, what="it to be gone") is None


@pytest.mark.parametrize("action", ["attach", "detach", "delete", "resize", "modify_spec"])
async def test_an_unknown_disk_is_not_found(cloud: Cloud, action: str) -> None:
    nobody = "d-bp1nosuchdisk00001"
    calls = {
        "attach": lambda: cloud.disks.attach(nobody, NODE_1),
        "detach": lambda: cloud.disks.detach(nobody, NODE_1),
        "delete": lambda: cloud.disks.delete(nobody),
        "resize": lambda: cloud.disks.resize(nobody, 40, online=False),
        "modify_spec": lambda: cloud.disks.modify_spec(nobody, performance_level="PL2"),
    }

    with pytest.raises(cloud_errors.CloudNotFound) as raised:
        await calls[action]()
    assert raised.value.code == "InvalidDiskId.NotFound"


@pytest.mark.parametrize("attached", [False, True])
async def test_a_disk_grows(cloud: Cloud, attached: bool) -> None:
    disk_id = await (cloud.make_attached() if attached else cloud.make())

    await cloud.disks.resize(disk_id, 40, online=attached)
    grown = await cloud.disks.wait(
        disk_id, lambda d: d is not None and d.size_gib == 40, what="it to grow"
    )

    assert grown is not None


async def test_a_disk_does_not_shrink(cloud: Cloud) -> None:
    disk_id = await cloud.make()

    with pytest.raises(cloud_errors.CloudError) as raised:
        await cloud.disks.resize(disk_id, 10, online=False)
    assert raised.value.code == "InvalidDiskSize.TooSmall"


async def test_a_change_of_level_is_a_task_that_can_be_found_and_waited_for(cloud: Cloud) -> None:
    disk_id = await cloud.make(size_gib=500)
    before = await cloud.disks.latest_spec_task(disk_id)

    task_id = await cloud.disks.modify_spec(disk_id, performance_level="PL2")
    latest = await cloud.disks.latest_spec_task(disk_id)
    ended = await cloud.disks.wait_spec_task(task_id)
    changed = await cloud.disks.wait(
        disk_id, lambda d: d is not None and d.performance_level == "PL2", what="it to change"
    )

    assert before is None
    assert latest is not None
    assert latest.task_id == task_id
    assert (ended.task_id, ended.status) == (task_id, "Finished")
    assert changed is not None


async def test_a_dry_run_changes_nothing(cloud: Cloud) -> None:
    disk_id = await cloud.make(size_gib=500)

    with pytest.raises(cloud_errors.CloudError) as raised:
        await cloud.disks.modify_spec(disk_id, performance_level="PL2", dry_run=True)
    disk = await cloud.disks.read(disk_id)

    assert raised.value.code == "DryRunOperation"
    assert disk is not None
    assert disk.performance_level == "PL1"


async def test_a_change_to_what_is_already_so_is_told(cloud: Cloud) -> None:
    disk_id = await cloud.make()

    with pytest.raises(cloud_errors.CloudError) as raised:
        await cloud.disks.modify_spec(disk_id, performance_level="PL1")
    assert raised.value.code == "NoChangeInDiskCategoryAndPerformanceLevel"


async def test_bursting_is_switched(cloud: Cloud) -> None:
    disk_id = await cloud.make(category="cloud_auto", performance_level="", size_gib=40)

    await cloud.disks.modify_bursting(disk_id, enabled=True)
    disk = await cloud.disks.read(disk_id)

    assert disk is not None
    assert disk.bursting_enabled


async def test_tags_are_added_replaced_and_removed(cloud: Cloud) -> None:
    disk_id = await cloud.make()

    await cloud.disks.tag(disk_id, {"b": "new", "c": "3"})
    await cloud.disks.untag(disk_id, ["csi/a"])
    disk = await cloud.disks.read(disk_id)

    assert disk is not None
    assert disk.tags == {"b": "new", "c": "3"}


async def test_disks_are_found_by_all_of_the_tags(cloud: Cloud) -> None:
    mine = {await cloud.make(tags={"set": "x", "n": str(n)}) for n in range(3)}
    await cloud.make(tags={"set": "y", "n": "0"})

    found = await cloud.disks.find(tags={"set": "x"})
    one = await cloud.disks.find(tags={"set": "x", "n": "1"})

    assert {d.disk_id for d in found} == mine
    assert [d.tags["n"] for d in one] == ["1"]


async def test_disks_are_found_by_instance(cloud: Cloud) -> None:
    disk_id = await cloud.make_attached()

    found = await cloud.disks.find(instance_id=NODE_1)

    assert disk_id in {d.disk_id for d in found}


async def test_pages_cover_everything_once(cloud: Cloud) -> None:
    tags = {"paged": "yes"}
    ids = sorted([await cloud.disks.create(_tagged(tags, n), client_token=None) for n in range(23)])

    seen: list[str] = []
    token = ""
    while True:
        page = await cloud.disks.list_page(tags=tags, max_results=10, next_token=token)
        seen += [d.disk_id for d in page.items]
        token = page.next_token
        if not token:
            break

    assert sorted(seen) == ids


def _tagged(tags: dict[str, str], number: int) -> ecs_model.NewDisk:
    return dataclasses.replace(NEW, tags={**tags, "n": str(number)})


# -- snapshots


async def make_snapshot(cloud: Cloud, disk_id: str, **changes: object) -> str:
    wanted = {
        "disk_id": disk_id,
        "name": "snap-1",
        "retention_days": None,
        "resource_group_id": "",
        "tags": {"t": "1"},
        "client_token": None,
    }
    return await cloud.snapshots.create(**(wanted | changes))


async def test_a_snapshot_is_cut_and_then_available(cloud: Cloud) -> None:
    disk_id = await cloud.make_attached()

    snapshot_id = await make_snapshot(cloud, disk_id)
    cut = await cloud.snapshots.wait(
        snapshot_id, lambda s: s is not None and s.creation_time is not None, what="it to be cut"
    )
    ready = await cloud.snapshots.wait(
        snapshot_id, lambda s: s is not None and s.available, what="it to be available"
    )

    assert cut is not None
    assert ready is not None
    assert (ready.source_disk_id, ready.source_disk_size_gib) == (disk_id, 20)
    assert (ready.name, ready.tags) == ("snap-1", {"t": "1"})
    assert ready.creation_time == cut.creation_time
    assert ready.creation_time is not None
    assert ready.creation_time.utcoffset() == datetime.timedelta(0)


async def test_the_same_token_gives_the_same_snapshot(cloud: Cloud) -> None:
    disk_id = await cloud.make_attached()

    first = await make_snapshot(cloud, disk_id, client_token="snap-token")
    second = await make_snapshot(cloud, disk_id, client_token="snap-token")

    assert first == second


async def test_snapshots_are_found_by_disk_tags_and_exact_name(cloud: Cloud) -> None:
    disk_id = await cloud.make_attached()
    one = await make_snapshot(cloud, disk_id, name="find-1", tags={"find": "me"})
    await cloud.snapshots.wait(one, lambda s: s is not None and s.available, what="it")
    two = await make_snapshot(cloud, disk_id, name="find-12", tags={"find": "me"})

    by_disk = await cloud.snapshots.find(source_disk_id=disk_id)
    by_tag = await cloud.snapshots.find(tags={"find": "me"}, source_disk_id=disk_id)
    by_name = await cloud.snapshots.find(name="find-1")

    assert {s.snapshot_id for s in by_disk} == {s.snapshot_id for s in by_tag} == {one, two}
    assert one in {s.snapshot_id for s in by_name}
    assert {s.name for s in by_name} == {"find-1"}


async def test_a_disk_is_made_from_a_snapshot(cloud: Cloud) -> None:
    snapshot_id = await make_snapshot(cloud, await cloud.make_attached())
    await cloud.snapshots.wait(snapshot_id, lambda s: s is not None and s.available, what="it")

    disk = await cloud.disks.read(await cloud.make(snapshot_id=snapshot_id))

    assert disk is not None
    assert disk.source_snapshot_id == snapshot_id


async def test_a_disk_from_an_unknown_snapshot_is_refused(cloud: Cloud) -> None:
    with pytest.raises(cloud_errors.CloudNotFound) as raised:
        await cloud.make(snapshot_id="s-bp1nosuchsnap00001")
    assert raised.value.code == "InvalidSnapshotId.NotFound"


async def test_a_deleted_snapshot_is_gone_and_a_second_delete_finds_none(cloud: Cloud) -> None:
    snapshot_id = await make_snapshot(cloud, await cloud.make_attached())
    await cloud.snapshots.wait(snapshot_id, lambda s: s is not None and s.available, what="it")

    await cloud.snapshots.delete(snapshot_id)
    await cloud.snapshots.wait(snapshot_id, is_gone, what="it to be gone")

    assert await cloud.snapshots.read(snapshot_id) is None
    with pytest.raises(cloud_errors.CloudNotFound):
        await cloud.snapshots.delete(snapshot_id)


async def test_a_group_takes_all_its_disks_and_shows_little_of_its_members(cloud: Cloud) -> None:
    disk_ids = [await cloud.make_attached() for _ in range(2)]

    group_id = await cloud.snapshots.create_group(
        disk_ids=disk_ids,
        name="group-1",
        description="both",
        resource_group_id="",
        tags={"g": "1"},
        client_token="group-token",
    )
    group = await cloud.snapshots.read_group(group_id)
    found = await cloud.snapshots.find_groups("group-1")

    assert group is not None
    assert (group.name, group.tags) == ("group-1", {"g": "1"})
    assert {s.source_disk_id for s in group.snapshots} == set(disk_ids)
    assert [g.group_id for g in found] == [group_id]
    member = await cloud.snapshots.read(group.snapshots[0].snapshot_id)
    assert member is not None
    assert member.source_disk_size_gib == 20


async def test_unknown_groups_are_none_and_cannot_be_deleted(cloud: Cloud) -> None:
    assert await cloud.snapshots.read_group("ssg-bp1nosuchgroup001") is None
    assert await cloud.snapshots.find_groups("no-such-group") == []
    with pytest.raises(cloud_errors.CloudNotFound):
        await cloud.snapshots.delete_group("ssg-bp1nosuchgroup001")

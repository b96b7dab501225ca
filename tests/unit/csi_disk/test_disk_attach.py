import asyncio
from typing import Any

import hypothesis
import pytest
from hypothesis import stateful, strategies

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import errors
from csi import requests
from csi.disk.controller import settings, tags
from tests.fakes import fake_refusals
from tests.unit.csi_disk import disk_harness as harness

NODE, OTHER = harness.NODE, harness.OTHER_NODE
State = harness.State
STEAL = settings.DiskSettings(steal_on_attach=True)
READ_ONLY = tags.read_only_key(NODE)
SHARED = harness.capability(requests.AccessMode.MULTI_NODE_MULTI_WRITER, requests.AccessType.BLOCK)


def parts_with(disk: ecs_model.Disk | None = None, **fields: Any) -> harness.Parts:
    parts = harness.Parts(**fields)
    parts.disks.disks["d-one"] = disk or harness.disk_of()
    return parts


def changes(parts: harness.Parts) -> list[str]:
    reads = {"read", "wait", "find"}
    return [name for name in parts.disks.record.names() if name not in reads]


async def test_attach_answers_when_the_disk_is_there_and_a_repeat_calls_nothing() -> None:
    parts = parts_with()

    disk = await parts.attacher.attach(harness.publish_to())
    await parts.attacher.attach(harness.publish_to())

    assert disk.state is State.IN_USE
    assert disk.instance_id == NODE
    assert changes(parts) == ["attach"]


async def test_attach_goes_on_where_another_process_was_killed() -> None:
    parts = parts_with()
    await parts.disks.attach("d-one", NODE)

    disk = await parts.attacher.attach(harness.publish_to())

    assert disk.state is State.IN_USE
    assert changes(parts) == ["attach"]


async def test_attach_waits_when_disk_is_detaching_from_other_node() -> None:
    parts = parts_with(harness.used_by(OTHER))
    await parts.disks.detach("d-one", OTHER)

    disk = await parts.attacher.attach(harness.publish_to())

    assert disk.instance_id == NODE


async def test_attach_waits_for_a_disk_being_created() -> None:
    parts = parts_with(harness.disk_of(state=State.CREATING))
    parts.disks._pending["d-one"] = lambda: parts.disks.change("d-one", state=State.AVAILABLE)

    assert (await parts.attacher.attach(harness.publish_to())).instance_id == NODE


async def test_a_second_node_is_refused_and_nothing_changes() -> None:
    parts = parts_with(harness.used_by(OTHER))

    with pytest.raises(errors.Precondition, match=OTHER):
        await parts.attacher.attach(harness.publish_to())

    assert changes(parts) == []


async def test_a_second_node_takes_the_disk_when_the_settings_say_so() -> None:
    parts = parts_with(harness.used_by(OTHER), config=STEAL)

    disk = await parts.attacher.attach(harness.publish_to())

    assert disk.instance_id == NODE
    assert changes(parts) == ["detach", "attach"]


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_regional_disk_is_taken_by_force_only_when_its_detach_hangs(hangs: bool) -> None:
    disk = harness.used_by(OTHER, category="cloud_regional_disk_auto", zone_id="")
    parts = parts_with(disk, config=STEAL, patience_s=0.0 if hangs else 5.0)
    await parts.disks.detach("d-one", OTHER)
    if hangs:
        real, waits = parts.disks.wait, 0

        async def wait(*arguments: Any, **options: Any) -> ecs_model.Disk | None:
            nonlocal waits
            waits += 1
            return await (_forever() if waits == 1 else real(*arguments, **options))

        parts.disks.wait = wait  # type: ignore[method-assign]

    attached = await parts.attacher.attach(harness.publish_to())

    forced = [a["force"] for name, a in parts.disks.record.calls if name == "attach"]
    assert (attached.instance_id, forced) == (NODE, [hangs])


async def test_a_shared_disk_goes_to_both_nodes() -> None:
    parts = parts_with(harness.disk_of(multi_attach=True))

    await parts.attacher.attach(harness.publish_to(NODE, capability=SHARED))
    disk = await parts.attacher.attach(harness.publish_to(OTHER, capability=SHARED))

    assert set(disk.attached_instance_ids) == {NODE, OTHER}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidInstanceId.NotFound", errors.Kind.NOT_FOUND),
        ("InvalidInstanceId.Malformed", errors.Kind.NOT_FOUND),
        ("InvalidDiskId.NotFound", errors.Kind.NOT_FOUND),
        ("InstanceDiskLimitExceeded", errors.Kind.EXHAUSTED),
        ("InvalidInstanceType.NotSupportDiskCategory", errors.Kind.PRECONDITION),
        ("DiskNotPortable", errors.Kind.PRECONDITION),
        ("ResourcesNotInSameZone", errors.Kind.PRECONDITION),
        ("Throttling.User", errors.Kind.UNAVAILABLE),
        ("InternalError", errors.Kind.UNAVAILABLE),
        ("Forbidden.RAM", errors.Kind.DENIED),
        ("IncorrectInstanceStatus", errors.Kind.BUSY),
    ],
)
async def test_refusals_of_attach_have_their_meaning(code: str, kind: errors.Kind) -> None:
    parts = parts_with()
    parts.disks.record.fail_next("attach", fake_refusals.refusal("AttachDisk", code))

    with pytest.raises(errors.Error) as caught:
        await parts.attacher.attach(harness.publish_to())

    assert caught.value.kind is kind


@pytest.mark.parametrize("code", ["IncorrectDiskStatus", "InvalidOperation.Conflict"])
async def test_a_refusal_that_may_be_over_soon_is_tried_again(code: str) -> None:
    parts = parts_with()
    parts.disks.record.fail_next("attach", *[fake_refusals.refusal("AttachDisk", code)] * 3)

    await parts.attacher.attach(harness.publish_to())

    assert parts.time.slept_s == [1.0] * 3


async def test_a_refusal_that_never_ends_is_told_as_busy() -> None:
    parts = parts_with()
    refusal = fake_refusals.refusal("AttachDisk", "InvalidOperation.Conflict")
    parts.disks.record.fail_next("attach", *[refusal] * 50)

    with pytest.raises(errors.Busy):
        await parts.attacher.attach(harness.publish_to())


async def test_a_missing_disk_is_not_found() -> None:
    with pytest.raises(errors.NotFound):
        await harness.Parts().attacher.attach(harness.publish_to())


@pytest.mark.parametrize(
    "disk", [harness.disk_of(disk_type="system"), harness.disk_of(serial_number="")]
)
async def test_disks_that_cannot_be_volumes_are_refused(disk: ecs_model.Disk) -> None:
    parts = parts_with(disk)

    with pytest.raises(errors.Precondition):
        await parts.attacher.attach(harness.publish_to())

    assert changes(parts) == []


async def test_several_writers_on_a_single_attach_disk_are_invalid() -> None:
    with pytest.raises(errors.InvalidField):
        await parts_with().attacher.attach(harness.publish_to(capability=SHARED))


@pytest.mark.parametrize("readonly", [False, True])
async def test_publishing_again_with_another_readonly_flag_is_refused(readonly: bool) -> None:
    parts = parts_with()
    await parts.attacher.attach(harness.publish_to(readonly=readonly))
    other = harness.Parts(cloud=parts.cloud)

    await other.attacher.attach(harness.publish_to(readonly=readonly))
    with pytest.raises(errors.Exists, match="readonly"):
        await other.attacher.attach(harness.publish_to(readonly=not readonly))


async def test_readers_on_many_nodes_use_up_no_tags() -> None:
    parts = parts_with(harness.disk_of(multi_attach=True))
    readers = harness.capability(requests.AccessMode.MULTI_NODE_READER_ONLY)
    nodes = [f"i-node{n}" for n in range(16)]

    for node in nodes:
        wanted = harness.publish_to(node, capability=readers, readonly=True)
        await parts.attacher.attach(wanted)
        await parts.attacher.attach(wanted)

    assert parts.disks.disks["d-one"].tags == {}
    assert set(parts.disks.disks["d-one"].attached_instance_ids) == set(nodes)


async def test_the_readonly_note_goes_with_the_detach() -> None:
    parts = parts_with()
    await parts.attacher.attach(harness.publish_to(readonly=True))
    assert READ_ONLY in parts.disks.disks["d-one"].tags

    await parts.detacher.unpublish("d-one", NODE)

    assert READ_ONLY not in parts.disks.disks["d-one"].tags


async def test_a_readonly_note_left_by_a_crash_does_not_stick() -> None:
    parts = parts_with(harness.disk_of(tags={READ_ONLY: "true"}))

    await parts.attacher.attach(harness.publish_to(readonly=False))
    await parts.attacher.attach(harness.publish_to(readonly=False))

    assert READ_ONLY not in parts.disks.disks["d-one"].tags


async def test_the_disk_is_tagged_at_attach_when_wanted() -> None:
    parts = parts_with(config=settings.DiskSettings(tag_on_attach=True))

    await parts.attacher.attach(harness.publish_to())

    assert parts.disks.disks["d-one"].tags == {tags.MANAGED: "true"}


async def test_a_stuck_attach_ends_with_the_deadline_and_says_what_it_waits_for() -> None:
    parts = parts_with()
    parts.disks.stuck.add("d-one")

    with pytest.raises(errors.DeadlineExceeded, match="d-one to be attached to i-node1"):
        await parts.attacher.attach(harness.publish_to())


# -- detach


@pytest.mark.parametrize("instance_id", [NODE, ""])
async def test_detach_answers_when_the_disk_is_off_and_a_repeat_calls_nothing(
    instance_id: str,
) -> None:
    parts = parts_with(harness.used_by(NODE))

    await parts.detacher.unpublish("d-one", instance_id)
    await parts.detacher.unpublish("d-one", instance_id)

    assert parts.disks.disks["d-one"].state is State.AVAILABLE
    assert changes(parts) == ["detach"]


async def test_detach_of_a_missing_disk_or_from_another_node_is_fine() -> None:
    parts = parts_with(harness.used_by(OTHER))

    await parts.detacher.unpublish("d-none", NODE)
    await parts.detacher.unpublish("d-one", NODE)

    assert changes(parts) == []


async def test_no_node_means_all_nodes() -> None:
    parts = parts_with(harness.used_by(NODE, OTHER, multi_attach=True))

    # The second is refused while the first is on its way; it is looked at again.
    await parts.detacher.unpublish("d-one", "")

    assert parts.disks.disks["d-one"].attached_instance_ids == ()


async def test_a_shared_disk_leaves_a_node_while_another_node_never_lets_go_of_it() -> None:
    parts = parts_with(
        harness.used_by("i-dead", NODE, state=State.DETACHING, multi_attach=True),
    )

    await parts.detacher.unpublish("d-one", NODE)

    assert parts.disks.disks["d-one"].attached_instance_ids == ("i-dead",)


async def test_a_shared_disk_comes_to_a_node_while_another_node_never_lets_go_of_it() -> None:
    parts = parts_with(harness.used_by("i-dead", state=State.DETACHING, multi_attach=True))

    disk = await parts.attacher.attach(harness.publish_to(NODE, capability=SHARED))

    assert NODE in disk.attached_instance_ids


async def test_a_shared_disk_that_the_cloud_gives_nobody_while_it_detaches_is_waited_for() -> None:
    parts = parts_with(harness.used_by("i-leaving", state=State.DETACHING, multi_attach=True))
    refusal = fake_refusals.refusal("AttachDisk", "IncorrectDiskStatus")
    parts.disks.record.fail_next("attach", refusal)
    real, waits = parts.disks.wait, 0

    async def wait(*args: Any, **kwargs: Any) -> Any:
        nonlocal waits
        waits += 1
        if waits == 1:
            assert "which is Detaching, before it is asked for again" in kwargs["what"]
            return parts.disks.disks["d-one"]
        return await real(*args, **kwargs)

    parts.disks.wait = wait  # type: ignore[method-assign]

    disk = await parts.attacher.attach(harness.publish_to(NODE, capability=SHARED))

    assert NODE in disk.attached_instance_ids
    assert waits == 2, "for the other node, then for our own attach"
    assert changes(parts) == ["attach", "attach"]


async def test_detach_of_a_shared_disk_goes_on_where_another_process_was_killed() -> None:
    parts = parts_with(harness.used_by(NODE, OTHER, multi_attach=True))
    await parts.disks.detach("d-one", NODE)
    refusal = fake_refusals.refusal("DetachDisk", "IncorrectDiskStatus")
    parts.disks.record.fail_next("detach", refusal)

    await parts.detacher.unpublish("d-one", NODE)

    assert parts.disks.disks["d-one"].attached_instance_ids == (OTHER,)


async def test_detach_goes_on_where_another_process_was_killed() -> None:
    parts = parts_with(harness.used_by(NODE))
    await parts.disks.detach("d-one", NODE)

    await parts.detacher.unpublish("d-one", NODE)

    assert changes(parts) == ["detach"]
    assert parts.disks.disks["d-one"].state is State.AVAILABLE


async def test_detach_waits_for_an_attach_under_way() -> None:
    parts = parts_with()
    await parts.disks.attach("d-one", NODE)

    await parts.detacher.unpublish("d-one", NODE)

    assert parts.disks.disks["d-one"].state is State.AVAILABLE


async def test_detach_can_be_switched_off() -> None:
    parts = parts_with(harness.used_by(NODE), config=settings.DiskSettings(keep_attached=True))

    await parts.detacher.unpublish("d-one", NODE)

    assert parts.disks.record.calls == []


async def test_a_system_disk_is_never_detached() -> None:
    parts = parts_with(harness.used_by(NODE, disk_type="system"))

    with pytest.raises(errors.Precondition):
        await parts.detacher.unpublish("d-one", NODE)

    assert changes(parts) == []


async def _forever(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


async def test_a_dead_instance_is_not_waited_for() -> None:
    parts = parts_with(harness.used_by(NODE), patience_s=0.0)
    parts.disks.wait = _forever  # type: ignore[assignment,method-assign]
    reason = "ecs_alarm_center.vm.guest_os_oom:critical"
    parts.cloud.instances.events[NODE] = [(parts.time.now(), reason)]

    await parts.detacher.unpublish("d-one", NODE)

    assert parts.disks.disks["d-one"].state is State.DETACHING


@pytest.mark.parametrize("broken", [False, True])
async def test_a_slow_instance_is_waited_for(broken: bool) -> None:
    parts = parts_with(harness.used_by(NODE), patience_s=0.0)
    real = parts.disks.wait
    waits = 0

    async def wait(*args: Any, **kwargs: Any) -> Any:
        nonlocal waits
        waits += 1
        return await (_forever() if waits == 1 else real(*args, **kwargs))

    parts.disks.wait = wait  # type: ignore[method-assign]
    if broken:
        parts.cloud.instances.record.fail_next(
            "history_event_reasons",
            cloud_errors.CloudDenied(action="x", code="Forbidden.RAM", status=403, message=""),
        )

    await parts.detacher.unpublish("d-one", NODE)

    assert parts.disks.disks["d-one"].state is State.AVAILABLE
    assert waits == 2


async def test_a_crowd_on_one_node_goes_one_by_one() -> None:
    parts = harness.Parts()
    ids = [f"d-{n}" for n in range(10)]
    for disk_id in ids:
        parts.put_disk(disk_id=disk_id)
    most = 0
    real = parts.disks.attach

    async def attach(*args: Any, **kwargs: Any) -> None:
        nonlocal most
        await real(*args, **kwargs)
        states = [disk.state for disk in parts.disks.disks.values()]
        most = max(most, states.count(State.ATTACHING))

    parts.disks.attach = attach  # type: ignore[method-assign]

    await asyncio.gather(
        *(parts.attacher.attach(harness.publish_to(volume_id=disk_id)) for disk_id in ids)
    )

    assert most == 1
    assert all(disk.state is State.IN_USE for disk in parts.disks.disks.values())


class AttachMachine(stateful.RuleBasedStateMachine):
    """Two processes and a failing cloud: the disk is where the last success says, on one node."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud = harness.FakeCloud()
        self.cloud.disks.disks["d-one"] = harness.disk_of()
        self.told: str | None = ""

    @stateful.rule(
        node=strategies.sampled_from([NODE, OTHER]),
        readonly=strategies.booleans(),
        fault=strategies.sampled_from(["", "read", "attach", "wait", "tag", "untag"]),
    )
    def publish(self, node: str, readonly: bool, fault: str) -> None:
        self._order(fault)
        parts = harness.Parts(cloud=self.cloud)
        want = harness.publish_to(node, readonly=readonly)
        outcome = asyncio.run(_outcome(parts.attacher.attach(want)))
        if outcome is None:
            disk = self.cloud.disks.disks["d-one"]
            assert (disk.state, disk.instance_id) == (State.IN_USE, node)
            assert (tags.read_only_key(node) in disk.tags) == readonly
        if outcome is errors.Kind.PRECONDITION:
            assert self.cloud.disks.disks["d-one"].instance_id not in ("", node)

    @stateful.rule(
        node=strategies.sampled_from([NODE, OTHER, ""]),
        fault=strategies.sampled_from(["", "read", "detach", "wait", "untag"]),
    )
    def unpublish(self, node: str, fault: str) -> None:
        self._order(fault)
        parts = harness.Parts(cloud=self.cloud)
        outcome = asyncio.run(_outcome(parts.detacher.unpublish("d-one", node)))
        assert outcome in (None, errors.Kind.UNAVAILABLE)
        if outcome is None:
            holder = self.cloud.disks.disks["d-one"].instance_id
            assert not holder or (node and holder != node)

    @stateful.rule()
    def time_passes(self) -> None:
        self.cloud.disks.settle("d-one")

    @stateful.invariant()
    def one_node_at_most(self) -> None:
        assert len(self.cloud.disks.disks["d-one"].attached_instance_ids) <= 1

    def _order(self, fault: str) -> None:
        self.cloud.disks.record._failures.clear()
        if fault:
            self.cloud.disks.record.fail_next(
                fault,
                cloud_errors.CloudUnavailable(action=fault, code="x", status=503, message=""),
            )


async def _outcome(call: Any) -> errors.Kind | None:
    try:
        await call
    except errors.Error as e:
        return e.kind
    return None


AttachMachine.TestCase.settings = hypothesis.settings(max_examples=40, deadline=None)
test_attach_machine = AttachMachine.TestCase

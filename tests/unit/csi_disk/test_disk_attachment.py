import pytest

from cloud import ecs_model
from core import errors
from csi.disk.controller import attach_plan
from tests.unit.csi_disk import disk_harness as harness

Action = attach_plan.AttachAction
State = harness.State
NODE, OTHER = harness.NODE, harness.OTHER_NODE
REGIONAL = {"category": "cloud_regional_disk_auto", "zone_id": ""}

SINGLE = [
    ("available", harness.disk_of(), Action.ATTACH),
    ("in use here", harness.used_by(NODE), Action.NOTHING),
    ("attaching, nobody tells where", harness.disk_of(state=State.ATTACHING), Action.WAIT),
    ("attaching here", harness.used_by(NODE, state=State.ATTACHING), Action.WAIT),
    ("detaching from here", harness.used_by(NODE, state=State.DETACHING), Action.WAIT),
    ("detaching elsewhere", harness.used_by(OTHER, state=State.DETACHING), Action.WAIT),
    ("creating", harness.disk_of(state=State.CREATING), Action.WAIT),
    ("being re-initialized", harness.disk_of(state=State.REINITING), Action.WAIT),
    ("in use by nobody", harness.disk_of(state=State.IN_USE), Action.ATTACH),
]


@pytest.mark.parametrize("may_steal", [False, True])
@pytest.mark.parametrize(
    ("disk", "action"), [row[1:] for row in SINGLE], ids=[row[0] for row in SINGLE]
)
def test_action_follows_the_disk_s_state(
    disk: ecs_model.Disk, action: Action, may_steal: bool
) -> None:
    chosen = attach_plan.choose_attach_action(disk, NODE, shared=False, may_steal=may_steal)

    assert chosen is action


def test_a_disk_in_use_elsewhere_is_refused_naming_the_node() -> None:
    with pytest.raises(errors.Precondition, match=OTHER):
        attach_plan.choose_attach_action(
            harness.used_by(OTHER), NODE, shared=False, may_steal=False
        )


def test_a_disk_in_use_elsewhere_is_taken_when_the_settings_say_so() -> None:
    chosen = attach_plan.choose_attach_action(
        harness.used_by(OTHER), NODE, shared=False, may_steal=True
    )

    assert chosen is Action.DETACH_FIRST


@pytest.mark.parametrize(
    ("shared", "state", "expected"),
    [
        (True, State.IN_USE, Action.ATTACH),
        (True, State.DETACHING, Action.ATTACH),
        (False, State.DETACHING, Action.WAIT),
        (True, State.ATTACHING, Action.WAIT),
    ],
)
def test_a_multi_attach_disk_goes_to_a_second_node(
    shared: bool, state: State, expected: Action
) -> None:
    disk = harness.used_by(OTHER, state=state, multi_attach=True)

    chosen = attach_plan.choose_attach_action(disk, NODE, shared=shared, may_steal=False)

    assert chosen is expected


def test_a_multi_attach_disk_that_leaves_this_node_is_waited_for() -> None:
    disk = harness.used_by(NODE, OTHER, state=State.DETACHING, multi_attach=True)

    chosen = attach_plan.choose_attach_action(disk, NODE, shared=True, may_steal=False)

    assert chosen is Action.WAIT


def test_a_single_node_mode_keeps_even_a_multi_attach_disk_to_one_node() -> None:
    disk = harness.used_by(OTHER, multi_attach=True)

    with pytest.raises(errors.Precondition):
        attach_plan.choose_attach_action(disk, NODE, shared=False, may_steal=False)


def test_a_regional_disk_is_taken_by_force_from_a_detach_that_hangs() -> None:
    disk = harness.used_by(OTHER, state=State.DETACHING, **REGIONAL)

    assert (
        attach_plan.choose_attach_action(disk, NODE, shared=False, may_steal=True)
        is Action.FORCE_ATTACH
    )
    assert (
        attach_plan.choose_attach_action(disk, NODE, shared=False, may_steal=False) is Action.WAIT
    )


def test_an_unknown_state_is_left_alone() -> None:
    with pytest.raises(errors.Busy):
        attach_plan.choose_attach_action(
            harness.disk_of(state=State.UNKNOWN), NODE, shared=False, may_steal=True
        )


@pytest.mark.parametrize(
    ("instance_id", "targets"), [(NODE, (NODE,)), ("", (NODE, OTHER)), ("i-none", ())]
)
def test_no_node_means_every_node_at_detach(instance_id: str, targets: tuple[str, ...]) -> None:
    disk = harness.used_by(NODE, OTHER, multi_attach=True)

    assert attach_plan.choose_detach_targets(disk, instance_id) == targets

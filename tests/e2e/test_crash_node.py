"""SIGKILL of the node at every command that changes the host; then a restart and a retry.

The commands are those an undisturbed run shows. At each the driver dies before the command,
before a command that then runs on alone, or after it. Binds come and go by a kernel call of the
driver's own: there it dies instead of the call, or when the call is done. What else it does without
a command, such as making a directory, lies between two of these points.
"""

import dataclasses
import functools
from collections.abc import Callable

import pytest

from tests.support import csi_client, kernel_calls, rpc, stack, wrappers

pytestmark = [pytest.mark.e2e, pytest.mark.kernel, pytest.mark.timeout(180)]

State = tuple[stack.Volume, str]
"""A volume, and the checksum of the data on it, "" for none."""
FIRST_GIB, LARGER_GIB = 20, 40


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of the node. prepare: up to the call; call: repeatable; check: data and state.

    bind: the kernel call by which it changes a bind, "" for none.
    """

    name: str
    prepare: Callable[[stack.Stack], State]
    call: Callable[[stack.Stack, State], object]
    check: Callable[[State], None]
    bind: str = ""

    def __str__(self) -> str:
        return self.name


def _attached(on: stack.Stack, fs_type: str) -> stack.Volume:
    capability = csi_client.mount_capability(fs_type) if fs_type else csi_client.block_capability()
    return on.volume(size_gib=FIRST_GIB, capability=capability).attach()


def _empty(fs_type: str) -> Callable[[stack.Stack], State]:
    return lambda on: (_attached(on, fs_type), "")


def _staged(fs_type: str) -> Callable[[stack.Stack], State]:
    """Staged, with data on it, not published."""

    def prepare(on: stack.Stack) -> State:
        volume, checksum = _published(fs_type)(on)
        return volume.unpublish(), checksum

    return prepare


def _written(fs_type: str) -> Callable[[stack.Stack], State]:
    """Attached, with data on it, not staged."""

    def prepare(on: stack.Stack) -> State:
        volume, checksum = _published(fs_type)(on)
        return volume.unpublish().unstage(), checksum

    return prepare


def _published(fs_type: str) -> Callable[[stack.Stack], State]:
    """Published, with data on it."""

    def prepare(on: stack.Stack) -> State:
        volume = _attached(on, fs_type).stage().publish()
        return volume, stack.write_data(volume.target)

    return prepare


def _grown(fs_type: str) -> Callable[[stack.Stack], State]:
    """Published, with data on it, on a disk that is larger than its file system."""

    def prepare(on: stack.Stack) -> State:
        volume, checksum = _published(fs_type)(on)
        on.client.expand(volume.volume_id, LARGER_GIB)
        return volume, checksum

    return prepare


def _grown_offline(fs_type: str) -> Callable[[stack.Stack], State]:
    """Attached, with data on it, not staged, on a disk that is larger than its file system."""

    def prepare(on: stack.Stack) -> State:
        volume, checksum = _written(fs_type)(on)
        on.client.expand(volume.volume_id, LARGER_GIB)
        return volume, checksum

    return prepare


def _expand(on: stack.Stack, state: State) -> None:
    volume, _ = state
    on.client.expand_node(
        volume.volume_id,
        volume.target,
        LARGER_GIB,
        staging=volume.staging,
        capability=volume.capability,
    )


def _stage(_: stack.Stack, state: State) -> None:
    state[0].stage()


def _publish(_: stack.Stack, state: State) -> None:
    state[0].publish()


def _usable(state: State) -> None:
    """It can be staged and published, and holds what was written."""
    volume, checksum = state
    volume.stage().publish()
    if checksum:
        assert stack.read_data(volume.target) == checksum
    stack.write_data(volume.target, 4096)


def _larger(state: State) -> None:
    _usable(state)
    assert stack.total_bytes(state[0].target) > 1.9 * FIRST_GIB * csi_client.GIB


def _unpublished(state: State) -> None:
    assert not state[0].target.exists()
    _usable(state)


STEPS = (
    Step(name="stage-new-ext4", prepare=_empty("ext4"), call=_stage, check=_usable),
    Step(name="stage-new-xfs", prepare=_empty("xfs"), call=_stage, check=_usable),
    Step(name="stage-data-ext4", prepare=_written("ext4"), call=_stage, check=_usable),
    Step(name="stage-data-xfs", prepare=_written("xfs"), call=_stage, check=_usable),
    Step(name="stage-block", prepare=_written(""), call=_stage, check=_usable, bind="move_mount"),
    Step(
        name="publish-ext4",
        prepare=_staged("ext4"),
        call=_publish,
        check=_usable,
        bind="move_mount",
    ),
    Step(
        name="publish-block", prepare=_staged(""), call=_publish, check=_usable, bind="move_mount"
    ),
    Step(name="stage-grow-ext4", prepare=_grown_offline("ext4"), call=_stage, check=_larger),
    Step(name="expand-xfs", prepare=_grown("xfs"), call=_expand, check=_larger),
    Step(
        name="unpublish-ext4",
        prepare=_published("ext4"),
        call=lambda _, state: state[0].unpublish(),
        check=_unpublished,
        bind="umount2",
    ),
    Step(
        name="unpublish-block",
        prepare=_published(""),
        call=lambda _, state: state[0].unpublish(),
        check=_unpublished,
        bind="umount2",
    ),
    Step(
        name="unstage-ext4",
        prepare=_staged("ext4"),
        call=lambda _, state: state[0].unstage(),
        check=_usable,
    ),
    Step(
        name="unstage-block",
        prepare=_staged(""),
        call=lambda _, state: state[0].unstage(),
        check=_usable,
        bind="umount2",
    ),
)


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_node_killed_at_any_host_change_resumes(disks: stack.Stack, step: Step) -> None:
    commands = _commands(disks, step)
    assert commands or step.bind, f"{step} changes nothing on the host"
    for number, command in enumerate(commands, start=1):
        for phase in wrappers.Phase:
            state = step.prepare(disks)
            disks.tools.arm(disks.node.pid, number, phase)
            _call_killed(disks, step, state, f"{phase} command {number}, {command}")
            _resume(disks, step, state)
    for moment in kernel_calls.Moment if step.bind else ():
        state = step.prepare(disks)
        with kernel_calls.killed_at(disks.node.pid, step.bind, moment):
            _call_killed(disks, step, state, f"{moment} {step.bind}")
        _resume(disks, step, state)


def _call_killed(disks: stack.Stack, step: Step, state: State, where: str) -> None:
    error = rpc.refusal(functools.partial(step.call, disks, state))
    assert error.code is rpc.Code.UNAVAILABLE, f"{where}: {error.message}"


def _resume(disks: stack.Stack, step: Step, state: State) -> None:
    """Start the driver anew, call again, and look at what came of it."""
    disks.tools.disarm()
    disks.restart(disks.node)
    rpc.retry(functools.partial(step.call, disks, state))

    step.call(disks, state)
    step.check(state)
    state[0].tear_down()


def _commands(disks: stack.Stack, step: Step) -> list[str]:
    """Command lines of one undisturbed call."""
    state = step.prepare(disks)
    disks.tools.disarm()
    step.call(disks, state)
    commands = disks.tools.calls()
    step.check(state)
    state[0].tear_down()
    return commands

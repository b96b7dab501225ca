"""SIGKILL of the controller at every change it makes in the cloud; then a restart and a retry.

Which changes a call makes is not written down here: an undisturbed run shows them.
"""

import functools

import pytest

from tests.support import control, rpc, scenarios, stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

WHEN = ("before", "after", "late")
"""The request is lost; its effect happens but nobody hears of it; it happens after the restart."""


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("scenario", scenarios.CONTROLLER, ids=str)
def test_controller_killed_at_any_cloud_change_resumes(
    cloud: stack.Stack, scenario: scenarios.Scenario, when: str
) -> None:
    for change in _changes(cloud, scenario):
        action, after = change.action, when == "after"
        state = scenario.prepare(cloud)
        skip = change.changes_before if after else change.calls_before
        fault_id = cloud.control.add_fault(action, "notify", skip=skip, after_effect=after)
        running = rpc.Running(functools.partial(scenario.call, cloud, state, 60.0))
        cloud.control.wait_held(fault_id)

        cloud.controller.kill9()
        running.join()
        assert running.error is not None, f"{action}: answered although it was killed"
        if when != "late":
            cloud.control.release(fault_id, drop=True)
        cloud.restart(cloud.controller)
        cloud.control.release(fault_id)
        result = rpc.retry(functools.partial(scenario.call, cloud, state, 30.0))

        again = scenario.call(cloud, state, 30.0)
        assert again == result, f"{action}: another call answers differently"
        scenario.check(cloud, state, result)
        scenario.undo(cloud, state)


_learned: dict[str, list[control.Change]] = {}


def _changes(cloud: stack.Stack, scenario: scenarios.Scenario) -> list[control.Change]:
    """Changes of one undisturbed call, in order."""
    if scenario.name not in _learned:
        state = scenario.prepare(cloud)
        cloud.control.clear_calls()
        scenario.check(cloud, state, scenario.call(cloud, state, 30.0))
        _learned[scenario.name] = cloud.control.changes()
        scenario.undo(cloud, state)
    assert _learned[scenario.name], f"{scenario.name} changes nothing in the cloud"
    return _learned[scenario.name]


def test_a_disk_that_describe_does_not_show_yet_is_not_made_again(cloud: stack.Stack) -> None:
    scenario = scenarios.CONTROLLER[0]
    state = scenario.prepare(cloud)
    cloud.control.set_consistency_lag(5.0)
    fault_id = cloud.control.add_fault("CreateDisk", "notify", after_effect=True)
    running = rpc.Running(functools.partial(scenario.call, cloud, state, 60.0))
    cloud.control.wait_held(fault_id)

    cloud.controller.kill9()
    running.join()
    cloud.control.release(fault_id, drop=True)
    cloud.restart(cloud.controller)
    result = rpc.retry(functools.partial(scenario.call, cloud, state, 30.0))

    cloud.control.set_consistency_lag(0.0)
    scenario.check(cloud, state, result)
    scenario.undo(cloud, state)

"""The cloud misbehaves at each API action of each call; the caller gets a retryable answer in time.

Which actions a call uses is not written down here: an undisturbed run shows them.
"""

import functools
from typing import Any

import pytest

from tests.support import rpc, scenarios, stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

FAULTS: dict[str, dict[str, Any]] = {
    "answer-lost": {"effect": "lost_answer"},
    "connection-dropped": {"effect": "drop"},
    "throttled": {"effect": "error", "status": 400, "code": "Throttling.User", "always": True},
    "internal-error": {"effect": "error", "status": 500, "code": "InternalError", "always": True},
    "html-503": {"effect": "http_5xx", "always": True},
    "no-answer": {"effect": "notify", "always": True},
}
"""`no-answer` holds the request until the call under test is over, then lets it have its effect."""
SHORT_S = 1.0
PATIENT_S = 30.0


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("scenario", scenarios.CONTROLLER, ids=str)
def test_call_with_a_failing_action_ends_in_time_and_its_retry_succeeds(
    cloud: stack.Stack, scenario: scenarios.Scenario, fault: str
) -> None:
    for action in _actions(cloud, scenario):
        state = scenario.prepare(cloud)
        fault_id = cloud.control.add_fault(action, **FAULTS[fault])

        disturbed = rpc.Running(functools.partial(scenario.call, cloud, state, SHORT_S))
        disturbed.join()

        applied = cloud.control.fault(fault_id)["applied"]
        cloud.control.clear_faults()
        if disturbed.error is not None:
            _require_retryable(disturbed.error, f"{action} {fault}")
        result = rpc.retry(functools.partial(scenario.call, cloud, state, PATIENT_S))
        scenario.check(cloud, state, result)
        scenario.undo(cloud, state)
        assert applied, f"{action} was not called in the disturbed run"


def test_calls_outlive_a_stall_of_30_seconds(cloud: stack.Stack) -> None:
    stalled = {"create": "CreateDisk", "attach": "AttachDisk", "delete": "DeleteDisk"}
    chosen = [scenario for scenario in scenarios.CONTROLLER if scenario.name in stalled]
    states = [scenario.prepare(cloud) for scenario in chosen]
    for scenario in chosen:
        cloud.control.add_fault(stalled[scenario.name], "stall", seconds=30)

    def call(number: int, timeout_s: float) -> Any:
        return chosen[number].call(cloud, states[number], timeout_s)

    first = rpc.together([functools.partial(call, n, 5.0) for n in range(len(chosen))])
    for scenario, running in zip(chosen, first, strict=True):
        assert running.error is not None, f"{scenario} succeeded although it was stalled"
        _require_retryable(running.error, str(scenario))
    second = rpc.together(
        [
            functools.partial(rpc.retry, functools.partial(call, n, 5.0), timeout_s=60)
            for n in range(len(chosen))
        ]
    )

    for scenario, state, running in zip(chosen, states, second, strict=True):
        assert running.error is None, f"{scenario}: {running.error}"
        scenario.check(cloud, state, running.result)
        scenario.undo(cloud, state)


def _require_retryable(error: rpc.Refusal, where: str) -> None:
    told = f"{where}: {error.code.name} {error.message!r}"
    assert error.code in rpc.RETRYABLE, told
    assert error.message != rpc.CLIENT_GAVE_UP, told
    assert error.message, told


_learned: dict[str, list[str]] = {}


def _actions(cloud: stack.Stack, scenario: scenarios.Scenario) -> list[str]:
    """Names of the actions of one undisturbed call."""
    if scenario.name not in _learned:
        state = scenario.prepare(cloud)
        cloud.control.clear_calls()
        scenario.check(cloud, state, scenario.call(cloud, state, PATIENT_S))
        _learned[scenario.name] = sorted(set(cloud.control.actions()))
        scenario.undo(cloud, state)
    return _learned[scenario.name]

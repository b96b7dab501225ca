"""Kills a driver before and after every change that a call makes in the cloud, and retries."""

import functools
from collections.abc import Callable
from typing import Any, Protocol

from tests.support import control as sim_control
from tests.support import processes, rpc

WHEN = ("before", "after")
Call = Callable[[float], Any]


class Stage(Protocol):
    """A driver process over a simulator, which may be set up from nothing again and again."""

    driver: processes.Process

    @property
    def control(self) -> sim_control.Control: ...

    def afresh(self) -> None: ...


def at_every_change(
    stage: Stage, prepare: Callable[[], Call], shape: Callable[[], Any], *, may_change_nothing: bool
) -> None:
    """What *prepare* gives ends as if undisturbed, whatever happens to it.

    prepare: makes what the call needs; the call takes its time limit in seconds. shape: of what
    there is in the cloud, the same for every undisturbed run.
    """
    call = prepare()
    stage.control.clear_calls()
    call(30.0)
    changes = stage.control.changes()
    wanted = shape()
    assert changes or may_change_nothing
    for change in changes:
        for when in WHEN:
            stage.afresh()
            result = _killed(stage, call := prepare(), change, when)
            assert call(30.0) == result, change
            assert shape() == wanted, (change, when)
        stage.afresh()
        call = prepare()
        stage.control.add_fault(change.action, "lost_answer", skip=change.changes_before)
        rpc.retry(functools.partial(call, 30.0))
        assert shape() == wanted, (change, "lost answer")


def _killed(stage: Stage, call: Call, change: sim_control.Change, when: str) -> Any:
    """Answer of the driver that follows the one killed *when* it made *change*."""
    skip = change.changes_before if when == "after" else change.calls_before
    fault = stage.control.add_fault(
        change.action, "notify", skip=skip, after_effect=when == "after"
    )
    running = rpc.Running(functools.partial(call, 60.0))
    stage.control.wait_held(fault)
    stage.driver.kill9()
    running.join()
    stage.control.release(fault, drop=True)
    stage.driver.start(processes.DRIVER_READY)
    return rpc.retry(functools.partial(call, 30.0))

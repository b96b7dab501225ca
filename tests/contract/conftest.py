"""The real SDK against the simulator as a process of its own."""

from collections.abc import AsyncIterator, Iterator

import pytest

from cloud import client
from core import clock, metrics
from tests.contract import contract_settings
from tests.support import control, processes


@pytest.fixture(scope="module")
def rig() -> Iterator[processes.Rig]:
    """A simulator for the tests of a module; none starts a driver."""
    made = processes.Rig(hardware="none", time_scale=0.02)
    try:
        made.start_sim()
        yield made
    finally:
        made.close()


@pytest.fixture
def sim(rig: processes.Rig) -> Iterator[control.Control]:
    """The simulator's control API; faults of a test end with it."""
    rig.control.clear_calls()
    yield rig.control
    rig.control.clear_faults()


@pytest.fixture
def registry() -> metrics.Metrics:
    return metrics.Metrics()


@pytest.fixture
async def alibaba(
    rig: processes.Rig, sim: control.Control, registry: metrics.Metrics
) -> AsyncIterator[client.Alibaba]:
    """A client with the simulator's access key."""
    made = client.Alibaba(contract_settings.read(rig), registry, clock.SystemClock())
    yield made
    await made.close()

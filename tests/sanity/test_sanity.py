"""csi-sanity against the driver on the simulated cloud and real block devices.

What is not run is asserted by name, so that a lost capability shows.
"""

import os
import pathlib
from collections.abc import Iterator

import pytest

from tests.support import leaks, processes, sanity, worlds

pytestmark = [
    pytest.mark.sanity,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices and mounts"),
]

DATA_DISKS_PER_NODE = 4
"""Small, so that the spec that fills a node up does so soon."""

PENDING = {
    (
        "Controller Service [Controller Server] ListVolumes pagination should detect volumes added "
        "between pages and accept tokens when the last volume from a page is deleted"
    ),
}
"""Pending in csi-sanity itself (XIt)."""

SKIPPED: dict[str, str] = {}
"""Spec → the capability that truly does not apply to a cloud disk."""


@pytest.fixture
def rig(tmp_path: pathlib.Path) -> Iterator[processes.Rig]:
    made = processes.Rig(
        time_scale=0.0, world=worlds.with_small_instances(tmp_path, DATA_DISKS_PER_NODE)
    )
    try:
        made.start_sim()
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("access_type", ["mount", "block"])
def test_combined_socket_twice_and_again_after_kill_9(
    rig: processes.Rig, access_type: str, seed: int
) -> None:
    driver = rig.start_driver("csi")

    for _ in range(2):
        _run(rig, access_type=access_type, seed=seed)
    driver.kill9()
    rig.sim.kill9()
    rig.start_sim()
    driver.start(processes.DRIVER_READY)
    _run(rig, access_type=access_type, seed=seed + 10)


@pytest.mark.parametrize("access_type", ["mount", "block"])
def test_split_sockets(rig: processes.Rig, access_type: str) -> None:
    rig.start_driver("controller", node=False)
    rig.start_driver("csi", controller=False)

    _run(rig, access_type=access_type, seed=3, controller="controller")


def _run(rig: processes.Rig, *, access_type: str, seed: int, controller: str = "") -> None:
    """One run of all specs, and a look at what it left."""
    report = sanity.run(
        rig.kubelet / "sanity",
        rig.socket("csi"),
        access_type=access_type,
        seed=seed,
        controller_endpoint=rig.socket(controller) if controller else None,
    )

    assert not report.failed, f"{report.failed}\n{report.output[-6000:]}"
    assert set(report.pending) == PENDING
    assert set(report.skipped) == set(SKIPPED)
    assert report.passed
    assert not leaks.left_behind(rig)
    assert leaks.logs_with(rig.dir, [sanity.SECRET_VALUE, processes.ACCESS_KEY_SECRET]) == []

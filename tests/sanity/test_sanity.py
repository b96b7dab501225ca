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

_NEWER = "volume health calls are newer than CSI 1.13, which we serve; VolumeCondition tells health"
_REGIONAL = "cloud snapshots belong to the region, not to a zone: every zone can restore them"
SKIPPED: dict[str, str] = {
    "ControllerGetVolumeHealth [Controller Server] should fail when no volume id is provided": (
        _NEWER
    ),
    "ControllerGetVolumeHealth [Controller Server] should return health for a valid volume": _NEWER,
    "ControllerListVolumeHealth [Controller Server] should return appropriate response": _NEWER,
    "CreateSnapshot [Controller Server] should succeed when creating a snapshot with accessibility "
    "requirements": _REGIONAL,
    "Node Service NodeGetStorageHealth should return appropriate response": _NEWER,
    "Node Service NodeGetVolumeHealth should fail when no volume id is provided": _NEWER,
    "Node Service NodeGetVolumeHealth should return health for a valid volume": _NEWER,
}
"""Spec → why its capability does not apply; also told in docs/guides/run-csi-sanity.md."""


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
    assert [*made.mounts(), *made.loop_devices()] == []


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("access_type", ["mount", "block"])
def test_combined_socket_twice_and_again_after_kill_9(
    rig: processes.Rig, access_type: str, seed: int
) -> None:
    driver = rig.start_driver("csi", **processes.HURRY)

    for _ in range(2):
        _run(rig, access_type=access_type, seed=seed)
    driver.kill9()
    rig.sim.kill9()
    rig.start_sim()
    driver.start(processes.DRIVER_READY)
    _run(rig, access_type=access_type, seed=seed + 10)


@pytest.mark.parametrize("access_type", ["mount", "block"])
def test_split_sockets(rig: processes.Rig, access_type: str) -> None:
    rig.start_driver("controller", node=False, **processes.HURRY)
    rig.start_driver("csi", controller=False, **processes.HURRY)

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

"""Disks that simulated instances have of their own. Needs root; leaves nothing behind."""

import os
import pathlib

import pytest

from sim import world
from sim.hardware import local_disks, loop
from tests.sim import sim_ecs_harness as harness

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root"),
]
SYSFS = pathlib.Path("/sys")


def test_local_disks_come_back_with_their_content(tmp_path: pathlib.Path) -> None:
    def made() -> local_disks.LocalDisks:
        return local_disks.LocalDisks(
            tmp_path / "state",
            sizes_gib={"i-1": (1, 2), "i-2": ()},
            by_id_dirs={"i-1": tmp_path / "by-id", "i-2": tmp_path / "by-id"},
        )

    first, second = made().ensure()
    try:
        assert made().ensure() == [first, second]
        assert (first.name, second.name) == ("virtio-local1-0", "virtio-local1-1")
        with second.open("r+b") as disk:
            assert disk.seek(0, os.SEEK_END) == 2 << 30
            disk.seek(4096)
            disk.write(b"kept")
        assert made().release() == []
        assert not list((tmp_path / "by-id").iterdir())

        _, again = made().ensure()

        with again.open("rb") as disk:
            disk.seek(4096)
            assert disk.read(4) == b"kept"
    finally:
        assert made().release() == []
    assert loop.bound_under(tmp_path / "state/local", sysfs=SYSFS) == {}


def test_a_world_tells_them() -> None:
    declared = harness.world_of(first_instances={"local_disks_gib": [5, 7]})

    assert declared.instances[0].local_disks_gib == (5, 7)
    with pytest.raises(world.WorldError, match="local_disks_gib"):
        harness.world_of(first_instances={"local_disks_gib": ["large"]})

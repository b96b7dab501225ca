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
        return local_disks.LocalDisks(tmp_path / "state")

    by_id_dir = tmp_path / "by-id"
    first, second = made().ensure("i-1", (1, 2), by_id_dir)
    try:
        assert made().ensure("i-1", (1, 2), by_id_dir) == [first, second]
        assert made().ensure("i-2", (), by_id_dir) == []
        assert (first.name, second.name) == ("virtio-local1-0", "virtio-local1-1")
        with second.open("r+b") as disk:
            assert disk.seek(0, os.SEEK_END) == 2 << 30
            disk.seek(4096)
            disk.write(b"kept")
        assert made().release() == []
        assert not list(by_id_dir.iterdir())

        _, again = made().ensure("i-1", (1, 2), by_id_dir)

        with again.open("rb") as disk:
            disk.seek(4096)
            assert disk.read(4) == b"kept"
    finally:
        assert made().release() == []
    assert loop.bound_under(tmp_path / "state/local", sysfs=SYSFS) == {}


def test_local_disks_of_a_released_instance_are_gone_with_their_content(
    tmp_path: pathlib.Path,
) -> None:
    made = local_disks.LocalDisks(tmp_path / "state")
    by_id_dir = tmp_path / "by-id"
    try:
        made.ensure("i-1", (1, 1), by_id_dir)
        (kept,) = made.ensure("i-10", (1,), by_id_dir)

        made.remove("i-1")
        made.remove("i-1")

        assert list(by_id_dir.iterdir()) == [kept]
        assert [path.name for path in (tmp_path / "state/local").iterdir()] == ["local10-0.img"]
        assert list(loop.bound_under(tmp_path / "state/local", sysfs=SYSFS)) == ["local10-0.img"]
    finally:
        assert made.release() == []


def test_a_world_tells_them() -> None:
    declared = harness.world_of(first_instances={"local_disks_gib": [5, 7]})

    assert declared.instances[0].local_disks_gib == (5, 7)
    with pytest.raises(world.WorldError, match="local_disks_gib"):
        harness.world_of(first_instances={"local_disks_gib": ["large"]})

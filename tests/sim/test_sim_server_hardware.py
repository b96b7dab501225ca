import os
import pathlib
import stat
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.sim.conftest import Sim

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root"),
]


@pytest.fixture
def by_id(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "by-id"


@pytest.fixture
def hardware_sim(tmp_path: pathlib.Path, by_id: pathlib.Path) -> Iterator[Sim]:
    running = Sim(
        tmp_path / "state", "--hardware", "disks", "--by-id-dir", str(by_id), "--time-scale", "0"
    )
    running.start()
    yield running
    running.stop()
    clean(running, by_id)


def clean(sim: Sim, by_id: pathlib.Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sim", "clean", "--state-dir", str(sim.state_dir)]
    command += ["--by-id-dir", str(by_id)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def attach(sim: Sim) -> str:
    values = {"ZoneId": "cn-hangzhou-k", "DiskCategory": "cloud_essd", "Size": "20"}
    disk_id = sim.rpc("CreateDisk", values).json["DiskId"]
    where = {"DiskId": disk_id, "InstanceId": "i-bp1sim000000000001"}
    assert sim.rpc("AttachDisk", where).status == 200
    (row,) = sim.rpc("DescribeDisks", {"DiskIds": f'["{disk_id}"]'}).json["Disks"]["Disk"]
    assert row["Status"] == "In_use"
    return row["SerialNumber"]


def test_an_attached_disk_is_a_block_device_until_it_is_cleaned(
    hardware_sim: Sim, by_id: pathlib.Path
) -> None:
    link = by_id / f"virtio-{attach(hardware_sim)}"

    assert stat.S_ISBLK(link.stat().st_mode)
    while_running = clean(hardware_sim, by_id)
    hardware_sim.kill()
    assert link.exists()
    after = clean(hardware_sim, by_id)

    assert while_running.returncode == 1
    assert "another cloudsim" in while_running.stderr
    assert after.returncode == 0, after.stderr
    assert not link.is_symlink()


def test_a_restart_finds_the_devices_again(hardware_sim: Sim, by_id: pathlib.Path) -> None:
    link = by_id / f"virtio-{attach(hardware_sim)}"
    link.resolve().write_bytes(b"mark")

    hardware_sim.kill()
    clean(hardware_sim, by_id)
    hardware_sim.start()

    with link.open("rb") as device:
        assert device.read(4) == b"mark"


def test_release_on_exit_leaves_nothing(tmp_path: pathlib.Path, by_id: pathlib.Path) -> None:
    sim = Sim(
        tmp_path / "state", "--hardware", "disks", "--by-id-dir", str(by_id), "--release-on-exit"
    )
    sim.start()
    sim.control("POST", "latency", {"create_disk": 0, "attach_disk": 0})
    link = by_id / f"virtio-{attach(sim)}"
    device = link.resolve()

    assert sim.stop() == 0

    assert not link.is_symlink()
    backing = pathlib.Path(f"/sys/block/{device.name}/loop/backing_file")
    assert not backing.exists() or str(tmp_path) not in backing.read_text()

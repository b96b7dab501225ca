"""What the processes load and how much memory they keep; goals of issue 3."""

import pathlib
import signal
import subprocess
import sys

import pytest

from csi._pb import csi_pb2 as pb
from tests.support import csi_client, processes, stack

pytestmark = pytest.mark.e2e

NODE_GOAL_KIB = 40 * 1024
CONTROLLER_GOAL_KIB = 100 * 1024
NOT_ON_A_NODE = ("alibabacloud", "darabonba", "Tea", "aiohttp", "cryptography", "requests", "oss2")


def test_idle_node_stays_under_40_mib(disks: stack.Stack) -> None:
    disks.node.terminate()
    disks.restart(disks.node)
    client = csi_client.Client(disks.rig.socket("node"))

    client.node.NodeGetInfo(pb.NodeGetInfoRequest(), timeout=20, wait_for_ready=True)
    client.identity.Probe(pb.ProbeRequest(), timeout=20)

    client.close()
    assert disks.node.rss_kib() < NODE_GOAL_KIB


def test_controller_stays_under_100_mib_with_its_sdk_loaded(disks: stack.Stack) -> None:
    volume = disks.volume().attach()
    volume.tear_down()

    assert disks.controller.rss_kib() < CONTROLLER_GOAL_KIB


def test_node_process_maps_no_library_of_an_sdk(disks: stack.Stack) -> None:
    volume = disks.volume().attach().stage().publish()
    maps = pathlib.Path(f"/proc/{disks.node.pid}/maps").read_text()
    of_controller = pathlib.Path(f"/proc/{disks.controller.pid}/maps").read_text()

    assert "/pyexpat" in of_controller, "the SDK's own library; this test would see nothing"
    assert "/pyexpat" not in maps
    assert "cryptography" not in of_controller
    assert not [name for name in NOT_ON_A_NODE if f"/{name}" in maps]
    volume.tear_down()


def test_node_service_imports_no_sdk(tmp_path: pathlib.Path) -> None:
    rig = processes.Rig(hardware="none")
    try:
        rig.start_sim()
        node = rig.driver("node", controller=False)
        node.argv[1:1] = ["-X", "importtime"]
        node.start(processes.DRIVER_READY)
        client = csi_client.Client(rig.socket("node"))
        client.node.NodeGetInfo(pb.NodeGetInfoRequest(), timeout=30, wait_for_ready=True)
        client.close()
        node.terminate()
        imported = {
            line.rsplit("|", 1)[-1].strip().split(".")[0]
            for line in node.log.read_text().splitlines()
            if line.startswith("import time:")
        }
    finally:
        rig.close()

    assert {"grpc", "csi", "host"} <= imported
    assert not [
        name for name in imported if name.startswith(NOT_ON_A_NODE) and name != "requests_toolbelt"
    ]


def test_help_and_version_need_no_cloud_and_end_at_once() -> None:
    for flag in ("--help", "--version"):
        done = subprocess.run(
            [sys.executable, "-m", "csi", flag],
            cwd=processes.ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )

        assert done.returncode == 0, done.stderr
        assert "csi-plugin" in done.stdout


def test_sigterm_ends_the_driver_cleanly_and_removes_its_socket(disks: stack.Stack) -> None:
    socket = disks.rig.socket("node")
    assert socket.is_socket()

    assert disks.node.terminate() == 0

    assert not socket.exists()
    assert disks.node.wait_dead() != -signal.SIGKILL
    disks.restart(disks.node)

"""The cluster itself: `up` may be repeated and interrupted, `down` leaves nothing."""

import contextlib
import pathlib
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator

import pytest

from tests.support import processes
from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import layout, remains

UP_S = 120


def command(*words: str | pathlib.Path) -> list[str]:
    return [sys.executable, "-m", "tests.support.cluster", *map(str, words)]


@contextlib.contextmanager
def place() -> Iterator[layout.Layout]:
    """A state directory that does not exist yet; what is in it is taken down."""
    with tempfile.TemporaryDirectory(prefix="k8s-", dir="/tmp") as directory:
        where = layout.Layout(state_dir=pathlib.Path(directory).resolve() / "cluster")
        try:
            yield where
        finally:
            argv = command("down", "--state-dir", where.state_dir)
            subprocess.run(argv, cwd=processes.ROOT, check=True, capture_output=True)
        assert remains.of_cluster(where) == []


def test_all_of_it_is_well_and_a_second_up_starts_nothing(cluster: cluster_module.Cluster) -> None:
    before = cluster.status()
    assert [row for row in before if not row.well] == []
    cluster.up()
    assert cluster.status() == before


@pytest.mark.parametrize(
    "when", ["cloudsim: started", "kube-apiserver: started", "node-1/kubelet: started"]
)
def test_an_up_that_was_killed_leaves_nothing_after_down(when: str) -> None:
    with place() as where:
        argv = command("up", "--state-dir", where.state_dir)
        with subprocess.Popen(
            argv, cwd=processes.ROOT, stdout=subprocess.PIPE, text=True
        ) as starting:
            assert starting.stdout is not None
            assert any(when in line for line in starting.stdout), "up ended before"
            starting.send_signal(signal.SIGKILL)
        assert remains.of_cluster(where) != []


@pytest.fixture
def alone() -> Iterator[list[str]]:
    """The words before a command that has no network but loopback, as on a machine offline."""
    name = f"alone-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield ["nsenter", f"--net=/run/netns/{name}"]
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def test_an_up_that_was_killed_can_be_finished_and_neither_needs_the_internet(
    alone: list[str],
) -> None:
    with place() as where:
        argv = [*alone, *command("up", "--state-dir", where.state_dir, "--network", "ptp")]
        with subprocess.Popen(
            argv, cwd=processes.ROOT, stdout=subprocess.PIPE, text=True
        ) as starting:
            assert starting.stdout is not None
            assert any("etcd: started" in line for line in starting.stdout)
            starting.send_signal(signal.SIGKILL)
        subprocess.run(argv, cwd=processes.ROOT, check=True, timeout=UP_S)
        status = [*alone, *command("status", "--state-dir", where.state_dir)]
        told = subprocess.run(status, cwd=processes.ROOT, check=True, capture_output=True)
        assert b"node node-2" in told.stdout
        assert b"does not run" not in told.stdout


def test_a_directory_that_is_somebody_elses_is_not_touched() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        precious = pathlib.Path(directory) / "file"
        precious.touch()
        for what, status in (("up", 1), ("down", 0), ("status", 1)):
            argv = command(what, "--state-dir", directory)
            done = subprocess.run(argv, cwd=processes.ROOT, check=False, capture_output=True)
            assert done.returncode == status
        assert list(pathlib.Path(directory).iterdir()) == [precious]

"""Fixtures of the lab, and the gate: its tests are collected only in the lab's guest.

tools/lab.py boots the guest; `make lab` calls it.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import sys
from collections.abc import Iterator

import pytest

from tests.support import machine, nas_driver, processes
from tests.support import nas_cloud as cloud_module
from tests.support import nfs_server as server_module
from tests.support import volume_group as group_module

IN_THE_LAB = "User Mode Linux" in pathlib.Path("/proc/cpuinfo").read_text()
SERVER = "nas.test"
collect_ignore_glob = [] if IN_THE_LAB else ["test_*.py"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine that reaches `nfs_server` at *server_address*."""

    machine: machine.Machine
    server_address: str

    def mount(self, target: pathlib.Path, *, version: str, path: str = "/", more: str = "") -> None:
        """Mount *path* of the server on *target*. more: options, each with a comma before it."""
        self.machine.run(
            "mount", "-t", "nfs", *nfs_arguments(version, more), self._at(path), target
        )

    def refused(
        self, target: pathlib.Path, *, version: str, path: str = "/", more: str = ""
    ) -> str:
        """What mount says, which must fail."""
        arguments = nfs_arguments(version, more)
        return self.machine.fails("mount", "-t", "nfs", *arguments, self._at(path), target)

    def _at(self, path: str) -> str:
        return f"{self.server_address}:{path}"


def nfs_arguments(version: str, more: str = "") -> tuple[str, str]:
    """Options of mount. NFS 3 without locks, which need rpc.statd on the node."""
    locks = ",nolock" if version == "3" else ""
    return "-o", f"vers={version},proto=tcp{locks}{more}"


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """A test leaves no mount, loop device, mapped device, namespace or link behind."""
    before = _things()
    yield
    left = {kind: sorted(now - before[kind]) for kind, now in _things().items()}
    assert {kind: rows for kind, rows in left.items() if rows} == {}


@pytest.fixture
def nfs_server(tmp_path: pathlib.Path) -> Iterator[server_module.NfsServer]:
    """A server with a network of its own, which exports "/": a directory in memory."""
    root = tmp_path / "served"
    root.mkdir()
    server = server_module.NfsServer(root)
    server.add_export("/")
    yield server
    server.close()


@pytest.fixture
def nodes(nfs_server: server_module.NfsServer) -> Iterator[tuple[Node, Node]]:
    """Two nodes that reach `nfs_server`. What a test leaves mounted there ends with them."""
    with machine.Machine() as first, machine.Machine() as second:
        one, two = (
            Node(machine=node, server_address=nfs_server.connect(node)) for node in (first, second)
        )
        yield one, two


@pytest.fixture
def drivers(
    nodes: tuple[Node, Node], tmp_path: pathlib.Path
) -> Iterator[tuple[nas_driver.NasDriver, nas_driver.NasDriver]]:
    """A NAS driver on each node, and `nfs_server` under the name SERVER."""
    with contextlib.ExitStack() as undo:
        made = []
        for node, name in zip(nodes, ("node-a", "node-b"), strict=True):
            hosts = tmp_path / f"{name}-hosts"
            hosts.write_text(f"127.0.0.1 localhost\n{node.server_address} {SERVER}\n")
            node.machine.run("mount", "--bind", hosts, "/etc/hosts")
            made.append(nas_driver.NasDriver(node.machine, tmp_path, name, SERVER))
            undo.callback(made[-1].close)
        yield made[0], made[1]


@pytest.fixture
def nas_cloud(
    tmp_path: pathlib.Path,
) -> Iterator[tuple[cloud_module.NasCloud, machine.Machine, machine.Machine]]:
    """A simulator whose mount targets are real exports, and two machines that mount them by name.

    What a test leaves mounted there ends with the machines.
    """
    cloud = cloud_module.NasCloud(tmp_path)
    with contextlib.closing(cloud), machine.Machine() as one, machine.Machine() as two:
        cloud.start()
        for node in (one, two):
            cloud.join(node)
        yield cloud, one, two


@pytest.fixture
def cloud_drivers(
    nas_cloud: tuple[cloud_module.NasCloud, machine.Machine, machine.Machine],
    tmp_path: pathlib.Path,
) -> Iterator[tuple[nas_driver.NasDriver, nas_driver.NasDriver]]:
    """A NAS driver on each machine of `nas_cloud`, with a mount proxy that speaks NFS."""
    cloud, *machines = nas_cloud
    with contextlib.ExitStack() as undo:
        made = []
        for node, name in zip(machines, ("node-a", "node-b"), strict=True):
            socket = tmp_path / f"{name}-proxy.sock"
            argv = node.argv(sys.executable, "-m", "tests.support.mount_proxy", socket)
            environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(processes.ROOT)}
            proxy = processes.Process(argv, tmp_path / f"{name}-proxy.log", environment)
            proxy.start("mount proxy ready")
            undo.callback(proxy.kill9)
            made.append(
                nas_driver.NasDriver(
                    node,
                    tmp_path,
                    name,
                    cloud_module.DOMAIN,
                    endpoint=cloud.endpoint,
                    NAS_MOUNT_PROXY_SOCKET=str(socket),
                    CLUSTER_ID="c-lab",
                )
            )
            undo.callback(made[-1].close)
        yield made[0], made[1]


@pytest.fixture
def volume_group(tmp_path: pathlib.Path) -> Iterator[group_module.VolumeGroup]:
    """A volume group of two loop devices with 256 MiB each, in memory."""
    group = group_module.VolumeGroup(tmp_path)
    yield group
    group.close()


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A group with a volume, and a disk without one, all of somebody else with data.

    Not a byte of them may change while a module's tests run.
    """
    directory = tmp_path_factory.mktemp("foreign")
    with group_module.loop_device(directory, 32) as disk:
        group = group_module.VolumeGroup(directory, size_mib=32)
        things = [pathlib.Path(group.create("pvc-1", "--size", "16m")), pathlib.Path(disk)]
        for thing in things:
            with thing.open("r+b") as device:
                device.write(b"data of somebody else" * 1000)
        things += [pathlib.Path(device) for device in group.devices]
        before = [_checksum(thing) for thing in things]
        yield
        after = [_checksum(thing) for thing in things]
        group.close()
        assert after == before


def _checksum(device: pathlib.Path) -> str:
    machine.run("blockdev", "--flushbufs", device)
    with device.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _things() -> dict[str, set[str]]:
    mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    backing = pathlib.Path("/sys/block").glob("loop*/loop/backing_file")
    return {
        "mounts": {line for line in mounts if " /run/netns " not in line},  # ip mounts it for good
        "loop devices": {path.read_text() for path in backing},
        "mapped devices": {path.name for path in pathlib.Path("/dev/mapper").iterdir()},
        "namespaces": {path.name for path in pathlib.Path("/run/netns").glob("*")},
        "links": {path.name for path in pathlib.Path("/sys/class/net").iterdir()},
    }

"""What tests of NAS volumes stand on: the kernel's NFS client and server."""

import pathlib
import subprocess

import pytest

from tests.lab.conftest import Node, nfs_arguments
from tests.support import volume_group as group_module
from tests.support.machine import run
from tests.support.nfs_server import NfsServer

VERSIONS = ("3", "4.0", "4.1")
QUICKLY_LOST = ",soft,timeo=5,retrans=1"
"""Half a second, and one more try: EIO or ETIMEDOUT after about two seconds."""

Nodes = tuple[Node, Node]


@pytest.fixture
def target(tmp_path: pathlib.Path) -> pathlib.Path:
    made = tmp_path / "target"
    made.mkdir()
    return made


@pytest.mark.parametrize("version", VERSIONS)
def test_two_nodes_mount_one_export_and_see_each_others_files(
    version: str, nfs_server: NfsServer, nodes: Nodes, target: pathlib.Path
) -> None:
    one, two = nodes
    one.mount(target, version=version)
    two.mount(target, version=version)

    one.machine.run("sh", "-c", f"echo hello >{target}/file")

    assert two.machine.run("cat", f"{target}/file") == "hello\n"
    assert (nfs_server.root / "file").read_text() == "hello\n"
    assert not list(target.iterdir()), "a node's mounts are its own"
    assert f"vers={version}" in one.machine.run("grep", str(target), "/proc/mounts")


@pytest.mark.parametrize("version", ["3", "4.1"])
def test_servers_on_several_loopback_addresses_have_their_own_root(
    version: str, tmp_path: pathlib.Path, target: pathlib.Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/inner").mkdir()
    addresses = ("127.0.1.1", "127.0.1.2")
    for address in addresses:
        run("ip", "address", "add", f"{address}/8", "dev", "lo")
    server = NfsServer(tmp_path / "one", own_network=False)
    try:
        server.add_export("/")
        for address in addresses:
            run("mount", "-t", "nfs", *nfs_arguments(version), f"{address}:/", target)
            assert [path.name for path in target.iterdir()] == ["inner"]
            run("umount", target)
    finally:
        server.close()
        for address in addresses:
            run("ip", "address", "delete", f"{address}/8", "dev", "lo")


@pytest.mark.parametrize("version", ["3", "4.1"])
def test_a_name_of_a_mount_target_is_looked_up_in_etc_hosts(
    version: str, nodes: Nodes, target: pathlib.Path
) -> None:
    node = nodes[0]
    name = "0123abcd-xyz.cn-hangzhou.nas.aliyuncs.com"
    node.machine.run("sh", "-c", f"echo {node.server_address} {name} >/run/hosts")
    node.machine.run("mount", "--bind", "/run/hosts", "/etc/hosts")

    node.machine.run("mount", "-t", "nfs", *nfs_arguments(version), f"{name}:/", target)

    assert f"{name}:/" in node.machine.run("grep", str(target), "/proc/mounts")
    pathlib.Path("/run/hosts").unlink()


@pytest.mark.parametrize("version", ["3", "4.1"])
def test_exports_come_and_go_while_the_server_runs(
    version: str, nfs_server: NfsServer, nodes: Nodes, target: pathlib.Path
) -> None:
    (nfs_server.root / "other").mkdir()
    nfs_server.remove_export("/")
    assert nodes[0].refused(target, version=version, path="/other")

    nfs_server.add_export("/other")
    nodes[0].mount(target, version=version, path="/other")
    nodes[0].machine.run("touch", target / "file")

    nfs_server.remove_export("/other")
    said = nodes[0].machine.fails("touch", target / "new")
    assert "Permission denied" in said or "Stale file handle" in said


def test_a_read_only_export_refuses_writes(
    nfs_server: NfsServer, nodes: Nodes, target: pathlib.Path
) -> None:
    nfs_server.add_export("/", "ro,insecure,no_subtree_check")
    nodes[0].mount(target, version="4.1")

    assert "Read-only file system" in nodes[0].machine.fails("touch", target / "file")


@pytest.mark.parametrize("version", ["3", "4.1"])
def test_a_directory_made_again_is_stale_for_who_has_it_mounted(
    version: str, nfs_server: NfsServer, nodes: Nodes, target: pathlib.Path
) -> None:
    directory = nfs_server.root / "volume"
    directory.mkdir()
    nodes[0].mount(target, version=version, path="/volume", more=",noac,lookupcache=none")

    directory.rmdir()
    directory.mkdir()

    assert "Stale file handle" in nodes[0].machine.fails("ls", target)


@pytest.mark.parametrize("version", ["3", "4.1"])
def test_a_hard_mount_waits_for_a_server_that_restarts(
    version: str, nfs_server: NfsServer, nodes: Nodes, target: pathlib.Path
) -> None:
    nodes[0].mount(target, version=version, more=",timeo=10")
    nfs_server.stop()
    write = nodes[0].machine.argv("sh", "-c", f"echo waited >{target}/file")

    with subprocess.Popen(write) as writer:
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(2)
        nfs_server.resume()
        assert writer.wait(60) == 0

    assert (nfs_server.root / "file").read_text() == "waited\n"


def test_a_soft_mount_fails_while_the_server_is_unreachable_and_works_after(
    nfs_server: NfsServer, nodes: Nodes, target: pathlib.Path
) -> None:
    node = nodes[0]
    node.mount(target, version="3", more=QUICKLY_LOST)

    with nfs_server.unreachable(node.server_address):
        said = node.machine.fails("touch", target / "file")
    # TCP may wait a while before it tries again.
    again = f"until touch {target}/file; do sleep 0.2; done"
    node.machine.run("sh", "-c", again, timeout_s=60)

    assert "Input/output error" in said or "Connection timed out" in said
    assert (nfs_server.root / "file").exists()


@pytest.mark.parametrize(
    ("version", "options"),
    # umount takes 20 seconds for NFS 4.1, for which the client ends its session with the server.
    [("3", ("-l",)), ("3", ("-f",)), ("4.1", ("-f", "-l"))],
    ids=["3-l", "3-f", "4.1-f-l"],
)
def test_a_mount_of_a_dead_server_can_be_taken_off(
    version: str,
    options: tuple[str, ...],
    nfs_server: NfsServer,
    nodes: Nodes,
    target: pathlib.Path,
) -> None:
    node = nodes[0]
    node.mount(target, version=version, more=QUICKLY_LOST)

    with nfs_server.unreachable(node.server_address):
        node.machine.run("umount", *options, target)

        assert str(target) not in node.machine.run("cat", "/proc/mounts")


def test_a_project_quota_of_the_server_is_edquot_for_the_client(
    nfs_server: NfsServer, nodes: Nodes, target: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    server = nfs_server.machine
    with group_module.loop_device(tmp_path, 64) as device:
        run("mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota", device)
        exported = nfs_server.root / "exported"
        exported.mkdir()
        server.run("mount", "-o", "prjquota", device, exported)
        server.run("chmod", "0777", exported)
        server.run("chattr", "+P", "-p", "7", exported)
        server.run("setquota", "-P", "7", "0", "4096", "0", "0", exported)
        # No quota holds for root on the server, so no client may act as root.
        nfs_server.add_export("/exported", "rw,insecure,all_squash,no_subtree_check")
        nodes[0].mount(target, version="4.1", path="/exported")

        fill = f"dd if=/dev/zero of={target}/file bs=1M count=8 conv=fsync"
        said = nodes[0].machine.fails("sh", "-c", fill)

        assert "Disk quota exceeded" in said
        nodes[0].machine.run("umount", target)
        nfs_server.stop()  # which closes the file that it keeps open for a while
        server.run("umount", exported)


def test_a_lock_of_one_node_is_seen_by_the_other(nodes: Nodes, target: pathlib.Path) -> None:
    one, two = nodes
    for node in nodes:
        node.mount(target, version="4.1")
    hold = one.machine.argv("flock", target / "lock", "sh", "-c", "echo held; read line")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}

    with subprocess.Popen(hold, **pipes) as holder:  # type: ignore[call-overload]
        assert holder.stdout.readline() == "held\n"
        two.machine.fails("flock", "--nonblock", target / "lock", "true")
        holder.communicate("\n")

    two.machine.run("flock", "--nonblock", target / "lock", "true")


def test_a_lock_over_nfs_3_works_where_statd_runs(
    tmp_path: pathlib.Path, target: pathlib.Path
) -> None:
    (tmp_path / "served").mkdir()
    server = NfsServer(tmp_path / "served", own_network=False)
    try:
        server.add_export("/")
        mount = f"mount -t nfs -o vers=3,proto=tcp 127.0.0.1:/ {target}"
        server.machine.run("sh", "-ec", f"{mount}; flock -n {target}/lock true; umount {target}")
    finally:
        server.close()

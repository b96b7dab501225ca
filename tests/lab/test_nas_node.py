"""The node half with a real NFS server: images with locks, servers that go away, dead mounts."""

import subprocess
import time

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from tests.lab.conftest import Node
from tests.support import csi_client, nfs_server, processes
from tests.support.doubled import double_in
from tests.support.nas_driver import MODE, NasDriver

MIB = 1 << 20
LIMIT_S = 60.0
SOFT = "soft,timeo=20,retrans=1,proto=tcp,nolock"
Code = grpc.StatusCode
Drivers = tuple[NasDriver, NasDriver]


def static(driver: NasDriver, name: str, **context: str) -> pb.Volume:
    told = {"server": driver.server, "path": f"/{name}", **context}
    return pb.Volume(volume_id=name, volume_context=told)


def refused(driver: NasDriver, volume: pb.Volume, pod: str = "pod") -> tuple[Code, str]:
    with pytest.raises(grpc.RpcError) as caught:
        driver.publish(volume, pod=pod)
    return caught.value.code(), caught.value.details() or ""


def shell(driver: NasDriver, script: str, *, fails: bool = False) -> str:
    machine = driver.machine
    return (machine.fails if fails else machine.run)("sh", "-ec", script, timeout_s=LIMIT_S)


def expand(driver: NasDriver, volume: pb.Volume, target: str, size: int) -> int:
    request = pb.NodeExpandVolumeRequest(
        volume_id=volume.volume_id,
        volume_path=target,
        capacity_range=pb.CapacityRange(required_bytes=size),
        volume_capability=csi_client.mount_capability("", mode=MODE),
    )
    return driver.client.node.NodeExpandVolume(request, timeout=LIMIT_S).capacity_bytes


def restarted(driver: NasDriver) -> None:
    """As a driver that is killed and started again."""
    driver.process.kill9()
    driver.process.start(processes.DRIVER_READY)


def image_volume(driver: NasDriver, version: str) -> pb.Volume:
    return static(driver, "image", mountType="losetup", loopImageSize=str(64 * MIB), vers=version)


def test_an_image_is_used_by_one_node_at_a_time_and_grows(drivers: Drivers) -> None:
    one, two = drivers
    volume = image_volume(one, "4.1")

    here = one.publish(volume)
    also = one.publish(volume, pod="other")
    shell(one, f"echo kept >{here}/file")
    seen = shell(one, f"cat {also}/file; stat -f -c %T {also}")
    restarted(one)
    code, told = refused(two, volume)
    grown = expand(one, volume, here, 128 * MIB)
    size = int(shell(one, f"stat -f -c '%b' {here}")) * int(shell(one, f"stat -f -c %S {here}"))
    one.unpublish(volume, also)
    still, _ = refused(two, volume)
    one.unpublish(volume, here)
    there = two.publish(volume)
    moved = shell(two, f"cat {there}/file")
    two.unpublish(volume, there)
    left = shell(two, "losetup --list --noheadings")

    assert seen == "kept\next2/ext3\n"
    assert code is still is Code.FAILED_PRECONDITION
    assert "node-a:10.77.1.2" in told
    assert grown == 128 * MIB
    assert size > 100 * MIB
    assert moved == "kept\n"
    assert left == ""


def test_an_image_goes_to_another_node_when_the_server_knows_that_its_node_is_gone(
    drivers: Drivers, nodes: tuple[Node, Node], nfs_server: nfs_server.NfsServer
) -> None:
    one, two = drivers
    volume = image_volume(one, "4.1")
    here = one.publish(volume)
    shell(one, f"echo kept >{here}/file; sync -f {here}")

    with nfs_server.unreachable(nodes[0].server_address):
        until_s = time.monotonic() + 6 * LIMIT_S
        there = ""
        while not there and time.monotonic() < until_s:
            try:
                there = two.publish(volume)
            except grpc.RpcError as e:
                assert e.code() is Code.FAILED_PRECONDITION  # noqa: PT017
                time.sleep(2)
        moved = shell(two, f"cat {there}/file; echo two >{there}/second; sync -f {there}")
    # The first node is back, and still has it mounted: nothing of it may reach the image.
    shell(one, f"echo bad >{here}/third; sync -f {here}", fails=True)
    two.unpublish(volume, there)
    again = two.publish(volume)
    seen = shell(two, f"ls {again}")
    two.unpublish(volume, again)
    one.unpublish(volume, here)

    assert moved == "kept\n"
    assert seen.split() == ["file", "lost+found", "second"]


def test_without_locks_of_the_server_only_a_person_takes_an_image_away(
    drivers: Drivers, nfs_server: nfs_server.NfsServer
) -> None:
    one, two = drivers
    volume = image_volume(one, "3")
    here = one.publish(volume)

    code, told = refused(two, volume)
    one.unpublish(volume, here)
    directory = nfs_server.root / "image"
    lock = directory / "loopsetup.nas.csi.alibabacloud.com.lck"
    nfs_server.machine.run("sh", "-c", f"printf %s gone:10.0.0.9 >{lock}")
    still, of_whom = refused(two, volume)
    nfs_server.machine.run("rm", lock)
    there = two.publish(volume)
    two.unpublish(volume, there)
    left = nfs_server.machine.run("ls", "-A", directory)

    assert code is still is Code.FAILED_PRECONDITION
    assert "node-a" in told
    assert "gone:10.0.0.9" in of_whom
    assert left == "loopsetup.nas.csi.alibabacloud.com.img\n"


def test_a_writer_goes_on_when_its_server_is_back(
    drivers: Drivers, nodes: tuple[Node, Node], nfs_server: nfs_server.NfsServer
) -> None:
    one, _ = drivers
    volume = static(one, "hard", vers="4.1")
    here = one.publish(volume)

    with nfs_server.unreachable(nodes[0].server_address):
        script = f"echo written >{here}/file; sync {here}/file"
        writer = subprocess.Popen(one.machine.argv("sh", "-ec", script))
        time.sleep(2)
        started_s = time.monotonic()
        ill = one.stats(volume, here)
        stats_s = time.monotonic() - started_s
        code, told = refused(one, volume)
        blocked = writer.poll() is None
    status = writer.wait(LIMIT_S)
    one.publish(volume)
    well = one.stats(volume, here)
    content = shell(one, f"cat {here}/file")
    one.unpublish(volume, here)

    assert ill.volume_condition.abnormal
    assert stats_s < 25
    assert code is Code.UNAVAILABLE
    assert "the mount is kept" in told
    assert blocked
    assert status == 0
    assert not well.volume_condition.abnormal
    assert content == "written\n"


def test_giving_one_volume_up_fails_no_write_that_another_one_waits_with(
    drivers: Drivers, nodes: tuple[Node, Node], nfs_server: nfs_server.NfsServer
) -> None:
    """Directories of one server are one file system to the kernel; `umount -f` fails all of it."""
    one, _ = drivers
    waiting, given_up = static(one, "waiting", vers="3"), static(one, "given-up", vers="3")
    here, there = one.publish(waiting), one.publish(given_up, pod="other")
    user = subprocess.Popen(one.machine.argv("sh", "-c", f"cd {there}; exec sleep 300"))
    time.sleep(1)

    with nfs_server.unreachable(nodes[0].server_address):
        script = f"echo written >{here}/file; sync {here}/file"
        writer = subprocess.Popen(one.machine.argv("sh", "-ec", script))
        time.sleep(2)
        one.unpublish(given_up, there)
        blocked = writer.poll() is None
    status = writer.wait(LIMIT_S)
    user.kill()
    user.wait()
    content = shell(one, f"cat {here}/file")
    one.unpublish(waiting, here)

    assert blocked
    assert status == 0
    assert content == "written\n"


def test_giving_up_a_volume_that_is_seen_at_two_paths_ends_what_waits_with_it(
    drivers: Drivers, nodes: tuple[Node, Node], nfs_server: nfs_server.NfsServer
) -> None:
    """As on ACK's nodes. Nobody else has it: it is forced, and not only made lazy."""
    one, _ = drivers
    double_in(one.machine, one.kubelet)
    volume = static(one, "hard", vers="3")
    here = one.publish(volume)

    with nfs_server.unreachable(nodes[0].server_address):
        script = f"echo written >{here}/file; sync {here}/file"
        writer = subprocess.Popen(one.machine.argv("sh", "-ec", script))
        time.sleep(2)
        one.unpublish(volume, here)
        status = writer.wait(LIMIT_S)
    left = shell(one, "grep /pods/ /proc/self/mountinfo || true")

    assert status != 0
    assert left == ""


def test_a_mount_in_use_goes_when_its_server_is_gone_but_not_before(
    drivers: Drivers, nodes: tuple[Node, Node], nfs_server: nfs_server.NfsServer
) -> None:
    one, _ = drivers
    volume = static(one, "busy", vers="3")
    here = one.publish(volume)
    user = subprocess.Popen(one.machine.argv("sh", "-c", f"cd {here}; exec sleep 300"))
    time.sleep(1)
    with pytest.raises(grpc.RpcError) as caught:
        one.unpublish(volume, here)

    with nfs_server.unreachable(nodes[0].server_address):
        started_s = time.monotonic()
        one.unpublish(volume, here)
        took_s = time.monotonic() - started_s
        other = static(one, "other")
        other.volume_context["server"] = "127.0.0.1"
        code, told = refused(one, other)
    user.kill()
    user.wait()

    assert caught.value.code() is Code.ABORTED
    assert took_s < LIMIT_S
    assert code is Code.UNAVAILABLE
    assert "127.0.0.1" in told
    assert "2049" in told


def test_a_directory_of_modes_and_a_stale_mount(
    drivers: Drivers, nfs_server: nfs_server.NfsServer
) -> None:
    one, _ = drivers
    base = nfs_server.root / "modes"
    nfs_server.machine.run(
        "sh",
        "-ec",
        f"mkdir -p {base}/a/b; touch {base}/../out; chmod 600 {base}/../out;"
        f"ln -s ../out {base}/link; touch {base}/a/b/c",
    )
    volume = static(one, "modes", vers="4.1", mode="0751", modeType="recursive", options="soft")
    here = one.publish(volume)
    modes = nfs_server.machine.run(
        "sh", "-ec", f"cd {base}; stat -c %a . a a/b a/b/c ../out"
    ).split()
    nfs_server.machine.run("sh", "-ec", f"rm -rf {base}; mkdir {base}; touch {base}/new")
    healed = one.publish(volume)
    seen = shell(one, f"ls {healed}")
    reader = one.publish(volume, readonly=True, pod="reader")
    shell(one, f"touch {reader}/x", fails=True)
    one.unpublish(volume, reader)
    one.unpublish(volume, here)

    assert modes == ["751", "751", "751", "751", "600"]
    assert seen == "new\n"


def test_an_image_whose_server_is_gone_holds_up_no_unpublish(
    drivers: Drivers, nodes: tuple[Node, Node], nfs_server: nfs_server.NfsServer
) -> None:
    one, two = drivers
    volume = image_volume(one, "4.1")
    here = one.publish(volume)
    shell(one, f"echo synced >{here}/file; sync -f {here}")
    shell(one, f"echo late >{here}/late")

    with nfs_server.unreachable(nodes[0].server_address):
        started_s = time.monotonic()
        one.unpublish(volume, here)
        took_s = time.monotonic() - started_s
        one.unpublish(volume, here)
    until_s = time.monotonic() + LIMIT_S
    while shell(one, "losetup --list --noheadings") and time.monotonic() < until_s:
        time.sleep(1)
    there = two.publish(volume)
    seen = shell(two, f"cat {there}/file")
    two.unpublish(volume, there)

    assert took_s < LIMIT_S
    assert seen == "synced\n"

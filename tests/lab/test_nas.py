"""The NAS driver with a real NFS server and two nodes: a server of one's own, no cloud needed."""

import time

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from tests.lab.conftest import Node
from tests.support import nfs_server
from tests.support.nas_driver import NasDriver

Drivers = tuple[NasDriver, NasDriver]


def test_two_nodes_share_a_volume_and_archiving_keeps_what_they_wrote(
    drivers: Drivers, nfs_server: nfs_server.NfsServer
) -> None:
    one, two = drivers
    volume = one.create("pvc-1")
    again = one.create("pvc-1")
    here, there = one.publish(volume), two.publish(volume)
    one.machine.run("sh", "-c", f"echo from-one > {here}/file")
    seen = two.machine.run("cat", f"{there}/file")
    usage = one.stats(volume, here)
    reader = two.publish(volume, readonly=True, pod="reader")
    refused = two.machine.fails("touch", f"{reader}/other")
    one.publish(volume)
    two.unpublish(volume, reader)
    two.unpublish(volume, there)
    one.unpublish(volume, here)
    one.unpublish(volume, here)

    assert again == volume
    assert volume.volume_id == "nfs#nas.test#/base#pvc-1"
    assert volume.capacity_bytes == 1 << 30
    assert seen == "from-one\n"
    assert not usage.volume_condition.abnormal
    assert usage.usage[0].total >= usage.usage[0].available > 0
    assert "Read-only file system" in refused
    with pytest.raises(grpc.RpcError) as caught:
        one.create("pvc-1", size=2 << 30)
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS

    one.delete(volume.volume_id)
    one.delete(volume.volume_id)

    base = nfs_server.root / "base"
    left = nfs_server.machine.run("sh", "-c", f"cd {base}; find . -type f; ls .csi-volumes")
    assert left.startswith("./archived-pvc-1.")
    assert left.endswith("/file\n")


def test_deleting_leaves_nothing_and_follows_no_link(
    drivers: Drivers, nfs_server: nfs_server.NfsServer
) -> None:
    one, _ = drivers
    volume = one.create("pvc-2", archiveOnDelete="false")
    target = one.publish(volume)
    neighbour = nfs_server.root / "base/neighbour"
    script = f"mkdir {neighbour}; touch {neighbour}/kept"
    nfs_server.machine.run("sh", "-ec", script)
    run = one.machine.run
    run("sh", "-ec", f"cd {target}; mkdir -p a/b; touch a/b/c; ln -s ../../neighbour link")
    one.unpublish(volume, target)

    one.delete(volume.volume_id)

    left = nfs_server.machine.run("sh", "-c", f"cd {nfs_server.root}/base; find . -mindepth 1")
    assert sorted(left.split()) == ["./.csi-volumes", "./neighbour", "./neighbour/kept"]


def test_a_directory_that_is_missing_is_made_at_publish_with_its_mode(
    drivers: Drivers, nfs_server: nfs_server.NfsServer
) -> None:
    one, _ = drivers
    context = {"server": one.server, "path": "/not/yet/there", "mode": "0750"}
    volume = pb.Volume(volume_id="static", volume_context={**context, "vers": "4.1"})

    target = one.publish(volume)
    mode = one.machine.run("stat", "-c", "%a", target)
    one.unpublish(volume, target)

    assert mode == "750\n"
    assert nfs_server.machine.run("ls", "-d", nfs_server.root / "not/yet/there")


def test_a_server_that_is_gone_holds_nobody_up_and_a_mount_that_died_is_replaced(
    drivers: Drivers, nodes: tuple[Node, Node], nfs_server: nfs_server.NfsServer
) -> None:
    one, two = drivers
    options = {"options": "soft,timeo=20,retrans=1,proto=tcp,nolock"}
    volume = one.create("pvc-3", **options)
    here = one.publish(volume)
    there = two.publish(volume)

    with nfs_server.unreachable(nodes[0].server_address):
        started_s = time.monotonic()
        ill = one.stats(volume, here)
        stats_s = time.monotonic() - started_s
        with pytest.raises(grpc.RpcError) as caught:
            one.create("pvc-4", **options)
        started_s = time.monotonic()
        one.unpublish(volume, here)
        unpublish_s = time.monotonic() - started_s
    well = two.stats(volume, there)

    assert ill.volume_condition.abnormal
    assert stats_s < 30
    assert unpublish_s < 60
    assert caught.value.code() in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
    )
    assert not well.volume_condition.abnormal

    path = nfs_server.root / "base/pvc-3"
    nfs_server.machine.run("sh", "-ec", f"rm -rf {path}; mkdir -m 777 {path}; touch {path}/new")
    two.publish(volume)
    assert two.machine.run("ls", there) == "new\n"
    two.unpublish(volume, there)

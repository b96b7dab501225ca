"""The NAS driver on the simulated NAS, whose file systems are real: every kind of volume."""

import functools
import pathlib
import subprocess
import time
from collections.abc import Callable

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from tests.support import machine, nas_cloud, processes, rpc, sanity, sanity_skips
from tests.support.nas_cloud import FILE_SYSTEM, NasCloud
from tests.support.nas_driver import NasDriver

Cloud = tuple[NasCloud, machine.Machine, machine.Machine]
Drivers = tuple[NasDriver, NasDriver]
GIB = 1 << 30
NETWORK = {"vpcId": "vpc-bp1sim000000000001", "vSwitchId": "vsw-bp1sim000000000002"}
CLASSES: dict[str, dict[str, str]] = {
    "subpath": {"volumeCapacity": "true"},
    "sharepath": {"volumeAs": "sharepath", "server": f"{nas_cloud.DOMAIN}:/shared"},
    "filesystem": {"volumeAs": "filesystem", "deleteVolume": "true", **NETWORK},
    "extreme": {
        "volumeAs": "filesystem",
        "fileSystemType": "extreme",
        "deleteVolume": "true",
        **NETWORK,
    },
    "accesspoint": {
        "volumeAs": "accesspoint",
        "fileSystemId": FILE_SYSTEM,
        "path": "/points",
        "volumeCapacity": "true",
        **NETWORK,
    },
}
SKIPPED = sanity_skips.of(
    "SNAPSHOTS",  # NAS has none that could be restored as a volume
    "GROUP_SNAPSHOTS",
    "CLONE",
    "MODIFY",
    "LIST",  # a directory does not tell that it is a volume of this cluster
    "CAPACITY",  # a file system grows by itself
    "ATTACH_LIMIT",  # nothing is attached
    "PUBLISH_READONLY",
    "STAGE",  # a pod's mount is the volume's only one
    "PUBLISH",  # nothing is attached
    "HEALTH",  # newer than CSI 1.13, which we serve; VolumeCondition tells health
)


@pytest.mark.parametrize("kind", CLASSES)
def test_csi_sanity(cloud_drivers: Drivers, nas_cloud: Cloud, kind: str) -> None:
    one, _ = cloud_drivers
    cloud, _, _ = nas_cloud
    parameters = {"archiveOnDelete": "false"} if kind == "subpath" else {}
    if kind == "subpath":
        parameters["server"] = f"{one.server}:/sanity"

    report = sanity.run(
        one.kubelet / "sanity",
        one.socket,
        access_type="mount",
        seed=1,
        parameters={**CLASSES[kind], **parameters},
        mutable_parameters={},
        prefix=one.machine.argv(),
        size_gib=100 if kind == "extreme" else 20,
    )

    assert not report.failed, f"{report.failed}\n{report.output[:6000]}"
    assert list(report.skipped) == SKIPPED
    assert one.machine.run("sh", "-c", f"grep -c {one.kubelet} /proc/mounts || true") == "0\n"
    assert left_in(cloud) == {}


def left_in(cloud: NasCloud) -> dict[str, list[str]]:
    """What is there beyond the declared world."""
    declared = {
        "nas_file_system": {FILE_SYSTEM, nas_cloud.EXTREME, "bmcpfs-0a1b2c3d4e5f6072"},
        "nas_access_point": set(),
        "nas_dir_quota": set(),
    }
    left = {kind: set(cloud.control.resources(kind)) - there for kind, there in declared.items()}
    return {kind: sorted(names) for kind, names in left.items() if names}


@pytest.mark.parametrize("kind", CLASSES)
def test_two_nodes_write_and_read_one_volume(cloud_drivers: Drivers, kind: str) -> None:
    one, two = cloud_drivers
    volume = one.create("pvc-1", 100 * GIB, **CLASSES[kind])
    here, there = one.publish(volume), two.publish(volume)
    one.machine.run("sh", "-c", f"echo from-one >{here}/one")
    two.machine.run("sh", "-c", f"echo from-two >{there}/two")
    seen = (one.machine.run("cat", f"{here}/two"), two.machine.run("cat", f"{there}/one"))
    one.unpublish(volume, here)
    two.unpublish(volume, there)
    one.delete(volume.volume_id)
    one.delete(volume.volume_id)

    assert seen == ("from-two\n", "from-one\n")


@pytest.mark.parametrize("server", [nas_cloud.DOMAIN, nas_cloud.EXTREME_DOMAIN])
def test_a_second_cluster_with_the_same_handle_deletes_nothing(
    cloud_drivers: Drivers, nas_cloud: Cloud, tmp_path: pathlib.Path, server: str
) -> None:
    one, two = cloud_drivers
    cloud, _, _ = nas_cloud
    base = f"{server}:/share" if "extreme" in server else f"{server}:/base"
    told = {"server": base, "archiveOnDelete": "false", "volumeCapacity": "true"}
    volume = one.create("pvc-1", **told)
    path = one.publish(volume)
    one.machine.run("sh", "-c", f"echo kept >{path}/file")
    other = NasDriver(
        two.machine, tmp_path, "other", server, endpoint=cloud.endpoint, CLUSTER_ID="c-other"
    )
    try:
        with pytest.raises(grpc.RpcError) as caught:
            other.delete(volume.volume_id)
        quotas = cloud.control.resources("nas_dir_quota")
    finally:
        other.close()

    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "made by cluster c-lab" in (caught.value.details() or "")
    assert one.machine.run("cat", f"{path}/file") == "kept\n"
    assert len(quotas) == (0 if "extreme" in server else 1)
    one.unpublish(volume, path)
    one.delete(volume.volume_id)
    assert left_in(cloud) == {}


@pytest.mark.parametrize("protocol", ["cpfs-nfs", "nfs"])
def test_cpfs_is_mounted_through_its_protocol_service(
    cloud_drivers: Drivers, nas_cloud: Cloud, protocol: str
) -> None:
    """cpfs-nfs by the broker, nfs by the kernel; a directory that is missing is made by either."""
    one, two = cloud_drivers
    cloud, _, _ = nas_cloud
    file_system_id, domain = cpfs_of(cloud)
    context = {"server": domain, "path": "/share/team/a", "mountProtocol": protocol, "vers": "3"}
    volume = pb.Volume(volume_id="static-cpfs", volume_context=context)

    here, there = one.publish(volume), two.publish(volume)
    one.machine.run("sh", "-c", f"echo from-one >{here}/file")
    seen = two.machine.run("cat", f"{there}/file")
    one.unpublish(volume, here)
    two.unpublish(volume, there)

    assert seen == "from-one\n"
    assert (cloud.tree(file_system_id) / "team/a/file").read_text() == "from-one\n"


def cpfs_of(cloud: NasCloud) -> tuple[str, str]:
    """Id of a new CPFS file system, and the domain that its protocol service exports it at."""
    wish = {"FileSystemType": "cpfs", "ProtocolType": "cpfs", "StorageType": "advance_100"}
    place = {"VpcId": NETWORK["vpcId"], "VSwitchId": NETWORK["vSwitchId"]}
    wish |= {"ZoneId": "cn-hangzhou-k", "Capacity": "3600", **place}
    system = {"FileSystemId": str(cloud.call("CreateFileSystem", **wish)["FileSystemId"])}
    cloud.wait("nas_file_system", system["FileSystemId"], "Running")
    made = cloud.call("CreateProtocolService", ProtocolType="NFS", ProtocolSpec="General", **system)
    service = {"ProtocolServiceId": str(made["ProtocolServiceId"])}
    cloud.wait("cpfs_protocol_service", service["ProtocolServiceId"], "RUNNING")
    made = cloud.call("CreateProtocolMountTarget", **system, **service, **place, Path="/")
    cloud.wait("cpfs_protocol_mount_target", str(made["ExportId"]), "ACTIVE")
    told = cloud.call("DescribeProtocolMountTarget", **system)["ProtocolMountTargets"][0]
    return system["FileSystemId"], str(told["ProtocolMountTargetDomain"])


def test_a_pod_hits_its_quota_and_goes_on_when_the_volume_has_grown(
    cloud_drivers: Drivers, nas_cloud: Cloud
) -> None:
    one, _ = cloud_drivers
    cloud, _, _ = nas_cloud
    volume = one.create("pvc-1", GIB, volumeCapacity="true")
    here = one.publish(volume)
    tree = cloud.tree() / "base/pvc-1"

    def write(name: str) -> tuple[str, ...]:
        # Another file each: the kernel tells a file's error once more to who opens it next.
        return ("dd", "if=/dev/zero", f"of={here}/{name}", "bs=1M", "count=8")

    # Almost all of it, without writing it.
    free = machine.run("df", "--output=avail", "-B1", tree).split()[1]
    machine.run("fallocate", "-l", str(int(free) - (2 << 20)), tree / "reserved")
    said = one.machine.fails(*write("first"))
    grown = one.expand(volume.volume_id, 2 * GIB)
    # The cloud raises a quota in its own time.
    rpc.wait_until(lambda: cloud.files["quotas"][0]["size_bytes"] == 2 * GIB, timeout_s=20)
    one.machine.run(*write("second"))
    smaller = one.expand(volume.volume_id, GIB)
    total = one.stats(volume, here).usage[0].total
    one.unpublish(volume, here)

    assert "No space left on device" in said or "Disk quota exceeded" in said
    assert grown == smaller == 2 * GIB
    assert total == 2 * GIB


def test_g36_archiving_and_deleting_leave_exactly_what_they_promise(
    cloud_drivers: Drivers, nas_cloud: Cloud
) -> None:
    one, _ = cloud_drivers
    cloud, _, _ = nas_cloud
    base = cloud.tree() / "base"
    volumes = {
        archive: one.create(f"pvc-{archive}", archiveOnDelete=archive, volumeCapacity="true")
        for archive in ("true", "false")
    }
    for volume in volumes.values():
        here = one.publish(volume)
        one.machine.run("sh", "-ec", f"cd {here}; mkdir -p a/b; echo kept >a/b/c; ln -s / root")
        one.unpublish(volume, here)
    (base / "neighbour").mkdir()
    (base / "neighbour/file").touch()
    for volume in volumes.values():
        one.delete(volume.volume_id)
        one.delete(volume.volume_id)

    found = sorted(str(path.relative_to(base)) for path in base.rglob("*"))
    archived = next(name for name in found if name.startswith("archived-pvc-true."))
    assert found == [
        ".csi-volumes",
        *(f"{archived}{below}" for below in ("", "/a", "/a/b", "/a/b/c", "/root")),
        *("neighbour", "neighbour/file"),
    ]
    assert (base / archived / "a/b/c").read_text() == "kept\n"
    assert set(cloud.control.resources("nas_dir_quota")) == set()


@pytest.mark.timeout(300)
def test_killed_at_any_point_a_deletion_is_finished_by_the_next_one(
    cloud_drivers: Drivers, nas_cloud: Cloud
) -> None:
    one, _ = cloud_drivers
    cloud, _, _ = nas_cloud
    base = cloud.tree() / "base"
    trash = base / ".csi-volumes/.trash-pvc-1"
    one.create("neighbour")

    def killed_when(reached: Callable[[], object]) -> None:
        volume = one.create("pvc-1", volumeCapacity="true", archiveOnDelete="false")
        machine.run("sh", "-ec", f"cd {base}/pvc-1; mkdir d; touch d/$(seq -s ' d/' 1 3000)")
        running = rpc.Running(lambda: one.delete(volume.volume_id))
        reached()
        one.process.kill9()
        running.join()
        cloud.control.clear_faults()
        one.process.start(processes.DRIVER_READY)
        rpc.retry(lambda: one.delete(volume.volume_id))
        one.delete(volume.volume_id)

        left = sorted(str(path.relative_to(base)) for path in base.rglob("*"))
        record = ".csi-volumes/neighbour"
        assert [each for each in left if not each.startswith(record)] == [
            *(".csi-volumes", "neighbour"),
        ]
        assert set(cloud.control.resources("nas_dir_quota")) == set()

    for after in (False, True):
        fault = cloud.control.add_fault("CancelDirQuota", "notify", after_effect=after)
        killed_when(functools.partial(cloud.control.wait_held, fault, 60))
    killed_when(lambda: rpc.wait_until(trash.exists, timeout_s=60))


@pytest.mark.timeout(300)
def test_a_minute_without_the_server_costs_writers_nothing_but_the_minute(
    cloud_drivers: Drivers, nas_cloud: Cloud
) -> None:
    one, two = cloud_drivers
    cloud, _, _ = nas_cloud
    volume = one.create("pvc-1")
    other = two.create("pvc-2")
    here, there = one.publish(volume), two.publish(other)

    with cloud.unreachable(one.server):
        ends_s = time.monotonic() + 60
        script = f"echo written >{here}/file; sync {here}/file"
        writer = subprocess.Popen(one.machine.argv("sh", "-ec", script))
        started_s = time.monotonic()
        ill = one.stats(volume, here)
        stats_s = time.monotonic() - started_s
        started_s = time.monotonic()
        two.unpublish(other, there)
        unpublish_s = time.monotonic() - started_s
        with pytest.raises(grpc.RpcError) as caught:
            one.publish(volume)
        time.sleep(max(0.0, ends_s - time.monotonic()))
        blocked = writer.poll() is None
    status = writer.wait(120)
    well = one.stats(volume, here)
    content = one.machine.run("cat", f"{here}/file")
    one.unpublish(volume, here)

    assert ill.volume_condition.abnormal
    assert stats_s < 25
    assert unpublish_s < 60
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert blocked
    assert status == 0
    assert content == "written\n"
    assert not well.volume_condition.abnormal


def test_a_directory_that_was_made_anew_is_stale_and_the_next_publish_heals_it(
    cloud_drivers: Drivers, nas_cloud: Cloud
) -> None:
    one, _ = cloud_drivers
    cloud, _, _ = nas_cloud
    volume = one.create("pvc-1")
    here = one.publish(volume)
    directory = cloud.tree() / "base/pvc-1"
    machine.run("sh", "-ec", f"rm -r {directory}; mkdir -m 777 {directory}; touch {directory}/new")

    ill = one.stats(volume, here)
    one.publish(volume)
    seen = one.machine.run("ls", here)
    well = one.stats(volume, here)
    one.unpublish(volume, here)

    assert ill.volume_condition.abnormal
    assert "stale" in ill.volume_condition.message
    assert seen == "new\n"
    assert not well.volume_condition.abnormal


def test_nothing_is_mounted_for_a_volume_whose_class_is_wrong(
    cloud_drivers: Drivers, tmp_path: pathlib.Path
) -> None:
    one, _ = cloud_drivers
    good = one.create("pvc-1")
    before = one.machine.run("cat", "/proc/mounts")
    for key, value, code in (
        ("server", "a,b", grpc.StatusCode.INVALID_ARGUMENT),
        ("server", "a b", grpc.StatusCode.INVALID_ARGUMENT),
        ("server", "a\nb", grpc.StatusCode.INVALID_ARGUMENT),
        ("path", "/base/../..", grpc.StatusCode.INVALID_ARGUMENT),
        ("path", "/base/pvc-1,rw", grpc.StatusCode.INVALID_ARGUMENT),
        ("options", "vers=3,bind", grpc.StatusCode.INVALID_ARGUMENT),
        ("vers", "5", grpc.StatusCode.INVALID_ARGUMENT),
        ("server", "[2001:db8::1]", grpc.StatusCode.UNAVAILABLE),
        ("server", "no-such-host.example", grpc.StatusCode.UNAVAILABLE),
    ):
        volume = type(good)()
        volume.CopyFrom(good)
        volume.volume_context[key] = value
        if key == "server":
            volume.volume_context["fileSystemType"] = "standard"
        with pytest.raises(grpc.RpcError) as caught:
            one.publish(volume)
        assert caught.value.code() is code, (key, value, caught.value.details())
    assert one.machine.run("cat", "/proc/mounts") == before

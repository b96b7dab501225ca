"""The driver of node-local volumes on real LVM: csi-sanity, and what volumes are like."""

import functools
import os
import pathlib
from collections.abc import Iterator

import pytest

from csi._pb import csi_pb2 as pb
from tests.support import csi_client, rpc, sanity, sanity_skips
from tests.support.lvm_driver import MIB, LvmDriver, capability, code_of
from tests.support.machine import run
from tests.support.volume_group import VolumeGroup

pytestmark = pytest.mark.usefixtures("foreign")
EXTENT = 4 * MIB
OF_ANOTHER_PLACE = (  # a snapshot is where its volume is
    "CreateSnapshot [Controller Server] should succeed when creating a snapshot with accessibility "
    "requirements"
)
SKIPPED = sanity_skips.of(
    "GROUP_SNAPSHOTS",
    "MODIFY",
    "ATTACH_LIMIT",  # nothing is attached
    "PUBLISH_READONLY",
    "PUBLISH",  # nothing is attached
    "EXPAND",  # external-resizer runs once in a cluster; NodeExpandVolume does it all
    "HEALTH",  # newer than CSI 1.13, which we serve; VolumeCondition tells health
)


@pytest.fixture
def driver(volume_group: VolumeGroup, tmp_path: pathlib.Path) -> Iterator[LvmDriver]:
    driver = LvmDriver(tmp_path, volume_group.devices)
    yield driver
    driver.close()


@pytest.fixture
def large_group(tmp_path: pathlib.Path) -> Iterator[VolumeGroup]:
    """Two disks of 8 GiB, of which only what is written takes memory."""
    group = VolumeGroup(tmp_path, size_mib=8192)
    yield group
    group.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("access_type", ["mount", "block"])
@pytest.mark.parametrize("lvm_type", ["linear", "thin"])
def test_csi_sanity(
    large_group: VolumeGroup, tmp_path: pathlib.Path, lvm_type: str, access_type: str
) -> None:
    left = ""
    if lvm_type == "thin":
        run("lvcreate", "-qq", "--yes", "--type", "thin-pool", "--name", "pool", "--size", "8g",
            large_group.name)  # fmt: skip
        left = "pool"
    driver = LvmDriver(tmp_path, large_group.devices)
    try:
        report = sanity.run(
            driver.kubelet / "sanity",
            driver.socket,
            access_type=access_type,
            seed=1,
            parameters={"volumeType": "LVM", "vgName": large_group.name, "lvmType": lvm_type},
            mutable_parameters={},
            size_gib=1 / 16,
        )

        assert not report.failed, f"{report.failed}\n{report.output[:8000]}"
        assert list(report.skipped) == sorted([*SKIPPED, OF_ANOTHER_PLACE])
        assert driver.listed() == {}
        assert run("lvs", "--noheadings", "-o", "lv_name", large_group.name).strip() == left
    finally:
        driver.close()


@pytest.mark.parametrize("fs_type", ["ext4", "xfs"])
def test_a_volume_through_its_life(
    driver: LvmDriver, volume_group: VolumeGroup, fs_type: str
) -> None:
    size = 320 * MIB if fs_type == "xfs" else 64 * MIB
    volume = driver.create("pvc-1", size, vgName=volume_group.name, fs_type=fs_type)
    assert driver.create("pvc-1", size, vgName=volume_group.name, fs_type=fs_type) == volume
    assert (volume.volume_id, volume.capacity_bytes) == ("pvc-1", size)
    assert dict(volume.accessible_topology[0].segments) == {"kubernetes.io/hostname": "node-a"}
    assert volume.volume_context["vgName"] == volume_group.name

    target = driver.publish(volume, fs_type=fs_type)
    (target / "file").write_text("kept")
    assert driver.publish(volume, fs_type=fs_type) == target
    stats = driver.stats(volume, target)
    assert not stats.volume_condition.abnormal
    before = stats.usage[0].total
    assert driver.expand(volume, target, size + 64 * MIB) == size + 64 * MIB
    assert driver.expand(volume, target, size + 64 * MIB) == size + 64 * MIB
    assert driver.stats(volume, target).usage[0].total - before > 50 * MIB
    assert code_of(driver.unstage, volume) == "ABORTED"
    driver.unpublish(volume, target)
    driver.unpublish(volume, target)

    target = driver.publish(volume, fs_type=fs_type)
    assert (target / "file").read_text() == "kept"
    assert code_of(driver.delete, volume.volume_id) == "ABORTED"
    driver.unpublish(volume, target)
    driver.delete(volume.volume_id)
    driver.delete(volume.volume_id)
    assert run("lvs", "--noheadings", volume_group.name) == ""


def test_a_raw_block_volume(driver: LvmDriver, volume_group: VolumeGroup) -> None:
    volume = driver.create("pvc-1", block=True, vgName=volume_group.name)
    target = driver.publish(volume, block=True)
    with target.open("r+b") as device:
        device.write(b"x" * 4096)
    assert driver.expand(volume, target, 128 * MIB) == 128 * MIB
    driver.unpublish(volume, target)

    target = driver.publish(volume, block=True)
    with target.open("rb") as device:
        assert device.read(4096) == b"x" * 4096
        assert device.seek(0, os.SEEK_END) == 128 * MIB
    driver.unpublish(volume, target)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("block_first", [False, True])
@pytest.mark.parametrize("encrypted", ["", "true"])
def test_a_volume_is_not_a_file_system_and_a_writable_device_at_once(
    driver: LvmDriver, volume_group: VolumeGroup, encrypted: str, block_first: bool
) -> None:
    key = {"luksPassphrase": "correct horse battery staple"} if encrypted else None
    volume = driver.create("pvc-1", 64 * MIB, vgName=volume_group.name, encrypted=encrypted)
    # A file system is on it: its first user was a pod that had it mounted.
    driver.unpublish(volume, driver.publish(volume, secrets=key))
    staged = driver.stage(volume, block=block_first, secrets=key)
    # Nor is its container a file system, and what the container is on a device.
    plain = pb.Volume(volume_id="pvc-1", volume_context={"vgName": volume_group.name})

    for other in (volume, plain):
        refusal = rpc.refusal(
            functools.partial(
                driver.stage, other, block=not block_first, where="second", secrets=key
            )
        )
        assert refusal.code.name == "ALREADY_EXISTS"
        assert str(staged) in refusal.message

    driver.unstage(volume)
    driver.stage(volume, block=not block_first, where="second", secrets=key)
    driver.unstage(volume, where="second")
    driver.delete("pvc-1")


def test_volumes_leave_reserved_room_free_and_snapshots_take_it(
    volume_group: VolumeGroup, tmp_path: pathlib.Path
) -> None:
    driver = LvmDriver(tmp_path, volume_group.devices, LVM_RESERVED=f"{volume_group.name}=64Mi")
    try:
        room = driver.capacity().maximum_volume_size.value
        for named in ({}, {"vgName": volume_group.name}):
            code = code_of(driver.create, "pvc-1", room + EXTENT, **named)
            assert code == "RESOURCE_EXHAUSTED"
        volume = driver.create("pvc-1", room, vgName=volume_group.name)
        free = run("vgs", "--noheadings", "--units", "m", "--nosuffix", "-o", "vg_free",
                   volume_group.name)  # fmt: skip
        assert float(free) == 64.0
        assert driver.capacity().maximum_volume_size.value == 0
        target = driver.publish(volume)
        assert code_of(driver.expand, volume, target, room + EXTENT) == "RESOURCE_EXHAUSTED"
        driver.snapshot("one", "pvc-1", **{"csi.aliyun.com/snapshot-initial-size": "32Mi"})
        driver.unpublish(volume, target)
    finally:
        driver.close()


@pytest.mark.parametrize("lvm_type", ["linear", "striping", "mirror"])
def test_the_capacity_that_is_told_is_exact(
    driver: LvmDriver, volume_group: VolumeGroup, lvm_type: str
) -> None:
    driver.create("first", 12 * MIB, vgName=volume_group.name)
    room = driver.capacity(lvmType=lvm_type).maximum_volume_size.value

    for size in (room + 1, room + EXTENT):
        code = code_of(driver.create, "pvc-1", size, lvmType=lvm_type)
        assert code == "RESOURCE_EXHAUSTED"
    made = driver.create("pvc-1", room, lvmType=lvm_type)

    assert made.capacity_bytes == room
    assert driver.capacity(lvmType=lvm_type).maximum_volume_size.value == 0
    assert set(driver.listed()) == {"first", "pvc-1"}
    for name in ("first", "pvc-1"):
        driver.delete(name)


def test_a_volume_goes_where_the_class_wants_it(
    volume_group: VolumeGroup, tmp_path: pathlib.Path
) -> None:
    """Among several groups, of which one is larger and one turns."""
    large = VolumeGroup(tmp_path, size_mib=320)
    turning = VolumeGroup(tmp_path, size_mib=384)
    kinds = {volume_group: "ssd", large: "ssd", turning: "hdd"}
    for group, kind in kinds.items():
        run("vgchange", "-qq", "--addtag", f"csi-media={kind}", group.name)
    driver = LvmDriver(tmp_path, [device for group in kinds for device in group.devices])
    try:
        rooms = {
            group.name: driver.capacity(vgName=group.name).maximum_volume_size.value
            for group in kinds
        }
        of_ssd = {volume_group.name: rooms[volume_group.name], large.name: rooms[large.name]}
        told = driver.capacity(mediaType="ssd")
        assert told.available_capacity == sum(of_ssd.values())
        assert told.maximum_volume_size.value == of_ssd[large.name]

        for number, (wanted, group) in enumerate(
            (
                ({"mediaType": "ssd", "strategy": "binpack"}, volume_group),
                ({"mediaType": "ssd", "strategy": "spread"}, large),
                ({"mediaType": "hdd"}, turning),
                ({"strategy": "spread"}, turning),
            )
        ):
            volume = driver.create(f"pvc-{number}", 8 * MIB, **wanted)
            assert volume.volume_context["vgName"] == group.name, wanted
            driver.delete(volume.volume_id)
        most = told.maximum_volume_size.value
        code = code_of(driver.create, "pvc-1", most + EXTENT, mediaType="ssd")
        assert code == "RESOURCE_EXHAUSTED"
        assert driver.create("pvc-1", most, mediaType="ssd").capacity_bytes == most
        driver.delete("pvc-1")
    finally:
        driver.close()
        large.close()
        turning.close()


def test_what_lay_on_the_disk_before_is_never_seen(
    driver: LvmDriver, volume_group: VolumeGroup
) -> None:
    """A volume that lvcreate made and did not live to wipe is made empty when it is first used."""
    first = driver.create("pvc-1", vgName=volume_group.name)
    target = driver.publish(first)
    (target / "secret").write_text("of somebody else")
    driver.unpublish(first, target)
    # As if lvcreate had been killed before it wiped what lay there.
    run("lvchange", "--addtag", "csi-fresh", f"{volume_group.name}/pvc-1")

    target = driver.publish(first)

    assert [path.name for path in target.iterdir()] == ["lost+found"]
    driver.unpublish(first, target)
    assert "csi-fresh" not in volume_group.report("pvc-1", "lv_tags")


def test_what_comes_of_a_volume_that_nobody_used_is_empty_too(
    driver: LvmDriver, volume_group: VolumeGroup
) -> None:
    volume = driver.create("pvc-1", 16 * MIB, vgName=volume_group.name)
    # As if lvcreate had been killed before it wiped what lay there.
    run("mkfs.ext4", "-q", volume_group.path("pvc-1"))
    assert code_of(driver.stage, volume, mode="SINGLE_NODE_READER_ONLY") == "FAILED_PRECONDITION"
    clone = driver.create("pvc-2", 16 * MIB, source=csi_client.volume_source("pvc-1"))
    snapshot = driver.snapshot("snapshot-1", "pvc-1")
    source = csi_client.snapshot_source(snapshot.snapshot_id)
    restored = driver.create("pvc-3", 16 * MIB, source=source)
    for each in (clone, restored):
        mode = "SINGLE_NODE_READER_ONLY"
        assert code_of(driver.stage, each, mode=mode) == "FAILED_PRECONDITION"
    driver.delete_snapshot(snapshot.snapshot_id)
    for name in ("pvc-1", "pvc-2", "pvc-3"):
        driver.delete(name)


@pytest.mark.parametrize("lvm_type", ["linear", "thin"])
def test_a_snapshot_keeps_what_was_there(
    driver: LvmDriver, volume_group: VolumeGroup, lvm_type: str
) -> None:
    if lvm_type == "thin":
        run("lvcreate", "-qq", "--yes", "--type", "thin-pool", "--name", "pool", "--size", "250m",
            volume_group.name)  # fmt: skip
    volume = driver.create("pvc-1", 32 * MIB, lvmType=lvm_type)
    target = driver.publish(volume)
    (target / "file").write_text("before")
    run("sync", "-f", target)
    snapshot = driver.snapshot("snapshot-1", "pvc-1")
    assert (snapshot.ready_to_use, snapshot.size_bytes) == (True, 32 * MIB)
    assert driver.snapshot("snapshot-1", "pvc-1") == snapshot
    (target / "file").write_text("after")

    source = csi_client.snapshot_source(snapshot.snapshot_id)
    restored = driver.create("pvc-2", 48 * MIB, source=source, lvmType=lvm_type)
    assert driver.create("pvc-2", 48 * MIB, source=source, lvmType=lvm_type) == restored
    cloned = driver.create(
        "pvc-3", 32 * MIB, source=csi_client.volume_source("pvc-1"), lvmType=lvm_type
    )

    at = driver.publish(restored)
    assert (at / "file").read_text() == "before"
    assert driver.stats(restored, at).usage[0].total > 38 * MIB
    of_clone = driver.publish(cloned, pod="other")
    assert (of_clone / "file").read_text() == "after"
    assert (target / "file").read_text() == "after"
    for each, path in ((volume, target), (restored, at), (cloned, of_clone)):
        driver.unpublish(each, path)
    if lvm_type == "linear":
        assert code_of(driver.delete, "pvc-1") == "FAILED_PRECONDITION"
    driver.delete_snapshot(snapshot.snapshot_id)
    driver.delete_snapshot(snapshot.snapshot_id)
    for name in ("pvc-1", "pvc-2", "pvc-3"):
        driver.delete(name)
    left = run("lvs", "--noheadings", "-o", "lv_name", volume_group.name).split()
    assert left == (["pool"] if lvm_type == "thin" else [])


def test_a_read_only_volume_is_the_snapshot_itself(
    driver: LvmDriver, volume_group: VolumeGroup
) -> None:
    volume = driver.create("pvc-1", 32 * MIB)
    target = driver.publish(volume)
    (target / "file").write_text("before")
    run("sync", "-f", target)
    snapshot = driver.snapshot("snapshot-1", "pvc-1", **{"csi.aliyun.com/readonly": "true"})
    (target / "file").write_text("after")
    source = csi_client.snapshot_source(snapshot.snapshot_id)

    shown = driver.create("pvc-2", 32 * MIB, source=source)

    assert driver.create("pvc-2", 32 * MIB, source=source) == shown
    at = driver.publish(shown, pod="other")
    assert (at / "file").read_text() == "before"
    with pytest.raises(OSError, match="Read-only"):
        (at / "file").write_text("no")
    assert driver.expand(shown, at, 32 * MIB) == 32 * MIB
    assert code_of(driver.expand, shown, at, 48 * MIB) == "FAILED_PRECONDITION"
    other = driver.snapshot("snapshot-2", "pvc-1", **{"csi.aliyun.com/readonly": "true"})
    again = csi_client.snapshot_source(other.snapshot_id)
    assert code_of(driver.create, "pvc-2", 32 * MIB, source=again) == "ALREADY_EXISTS"
    driver.delete_snapshot(other.snapshot_id)
    assert code_of(driver.delete_snapshot, snapshot.snapshot_id) == "FAILED_PRECONDITION"
    driver.unpublish(shown, at)
    driver.delete("pvc-2")
    driver.delete_snapshot(snapshot.snapshot_id)
    driver.unpublish(volume, target)
    driver.delete("pvc-1")


def test_an_inline_volume_lives_as_long_as_its_pod(
    driver: LvmDriver, volume_group: VolumeGroup
) -> None:
    volume_id = f"csi-{'0a' * 32}"
    target = driver.kubelet / "pods/pod/volumes" / volume_id
    target.parent.mkdir(parents=True)
    request = pb.NodePublishVolumeRequest(
        volume_id=volume_id,
        target_path=str(target),
        volume_capability=capability(),
        volume_context={
            "csi.storage.k8s.io/ephemeral": "true",
            "csi.storage.k8s.io/pod.name": "pod",
            "vgName": volume_group.name,
            "size": "32Mi",
        },
    )
    for _ in range(2):
        driver.client.node.NodePublishVolume(request, timeout=60)
    (target / "file").write_text("gone soon")
    assert volume_group.report(volume_id, "lv_size") == str(32 * MIB)
    request.volume_context["lvmType"] = "thin"
    assert code_of(driver.client.node.NodePublishVolume, request) == "INVALID_ARGUMENT"
    kept = driver.create(f"csi-{'0b' * 32}", 16 * MIB)

    for each in (volume_id, kept.volume_id):
        gone = pb.NodeUnpublishVolumeRequest(volume_id=each, target_path=str(target))
        for _ in range(2):
            driver.client.node.NodeUnpublishVolume(gone, timeout=60)

    assert set(driver.listed()) == {kept.volume_id}
    driver.delete(kept.volume_id)


def test_io_limits_are_set_on_the_pod(driver: LvmDriver, volume_group: VolumeGroup) -> None:
    pod = pathlib.Path("/sys/fs/cgroup/kubepods/podu-1")
    for path in (pod.parent.parent, pod.parent):
        path.mkdir(exist_ok=True)
        (path / "cgroup.subtree_control").write_text("+io")
    pod.mkdir()
    try:
        if not (pod / "io.max").exists():
            pytest.skip("this kernel was built without blk-throttle")
        volume = driver.create("pvc-1", 16 * MIB, readIOPS="100", bps="2048")
        uid = {"csi.storage.k8s.io/pod.uid": "u-1"}
        target = driver.publish(volume, **uid)
        told = (pod / "io.max").read_text()
        assert "rbps=2097152 wbps=2097152 riops=100 wiops=max" in told
        driver.unpublish(volume, target)
        driver.delete("pvc-1")
    finally:
        pod.rmdir()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", [False, True])
def test_an_encrypted_volume(driver: LvmDriver, volume_group: VolumeGroup, block: bool) -> None:
    key = {"luksPassphrase": "correct horse battery staple"}
    volume = driver.create("pvc-1", 64 * MIB, encrypted="true", vgName=volume_group.name)
    assert code_of(driver.stage, volume, block=block) == "INVALID_ARGUMENT"
    target = driver.publish(volume, block=block, secrets=key)
    marker = b"plain text that must not lie on the disk"
    if block:
        with target.open("r+b") as device:
            device.write(marker)
    else:
        (target / "file").write_bytes(marker)
    assert driver.expand(volume, target, 96 * MIB) == 96 * MIB
    # Whoever finds it open needs no key.
    other = driver.publish(volume, pod="other", block=block)
    other_gone = pb.NodeUnpublishVolumeRequest(volume_id="pvc-1", target_path=str(other))
    driver.client.node.NodeUnpublishVolume(other_gone, timeout=60)
    driver.unpublish(volume, target)
    run("sync")
    assert not pathlib.Path("/dev/mapper/csi-luks-pvc-1").exists()
    assert "crypto_LUKS" in run("blkid", "-p", volume_group.path("pvc-1"))
    for device in volume_group.devices:
        assert marker not in pathlib.Path(device).read_bytes()

    wrong = {"luksPassphrase": "wrong"}
    assert code_of(driver.stage, volume, block=block, secrets=wrong) == "UNAUTHENTICATED"
    target = driver.publish(volume, block=block, secrets=key)
    if block:
        with target.open("rb") as device:
            assert device.read(len(marker)) == marker
    else:
        assert (target / "file").read_bytes() == marker
    driver.unpublish(volume, target)
    # Something else that has the name of the container is neither used nor closed.
    theirs = volume_group.create("theirs", "--size", "96m")
    run("dmsetup", "create", "csi-luks-pvc-1", "--table", f"0 196608 linear {theirs} 0")
    code = code_of(driver.stage, volume, block=block, secrets=key)
    run("dmsetup", "remove", "--retry", "csi-luks-pvc-1")
    assert code == "FAILED_PRECONDITION"
    driver.delete("pvc-1")
    assert key["luksPassphrase"] not in driver.process.log.read_text()


@pytest.mark.timeout(300)
def test_a_snapshot_of_an_encrypted_volume_has_all_that_was_written(
    driver: LvmDriver, volume_group: VolumeGroup
) -> None:
    """LVM freezes the file system of a volume, but not one that is in a container on it."""
    key = {"luksPassphrase": "correct horse battery staple"}
    volume = driver.create("pvc-1", 64 * MIB, encrypted="true", vgName=volume_group.name)
    target = driver.publish(volume, secrets=key)
    (target / "file").write_text("not synced")
    read_only = {"csi.aliyun.com/readonly": "true"}
    snapshot = driver.snapshot("snapshot-1", "pvc-1", **read_only)
    (target / "file").write_text("after")
    source = csi_client.snapshot_source(snapshot.snapshot_id)
    shown = driver.create("pvc-2", 64 * MIB, source=source, encrypted="true")

    at = driver.publish(shown, pod="other", secrets=key)

    assert (at / "file").read_text() == "not synced"
    assert (target / "file").read_text() == "after"
    # As if the driver had been killed while it held the container still.
    run("dmsetup", "suspend", "csi-luks-pvc-1")
    again = LvmDriver(driver.kubelet.parent, volume_group.devices, socket="again")
    again.close()
    (target / "file").write_text("goes on")
    driver.unpublish(shown, at)
    driver.delete("pvc-2")
    driver.delete_snapshot(snapshot.snapshot_id)
    driver.unpublish(volume, target)
    driver.delete("pvc-1")


def test_a_raw_volume_that_is_being_copied_is_not_given_to_a_pod(
    driver: LvmDriver, volume_group: VolumeGroup
) -> None:
    volume = driver.create("pvc-1", 16 * MIB, block=True)
    driver.unpublish(volume, driver.publish(volume, block=True))
    copied = os.open(volume_group.path("pvc-1"), os.O_RDWR | os.O_EXCL)

    assert code_of(driver.stage, volume, block=True) == "ABORTED"

    os.close(copied)
    driver.unpublish(volume, driver.publish(volume, block=True))
    driver.delete("pvc-1")

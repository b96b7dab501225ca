"""Node-local volumes without LVM, on the running kernel: files, mount points and whole disks."""

import contextlib
import os
import pathlib
import stat
import time
import uuid

import pytest

from core import errors
from core import settings as core_settings
from csi._pb import csi_pb2 as pb
from csi.lvm import model, params, settings
from csi.lvm.stores import (
    loop_files,
    mount_points,
    quota_dirs,
    records,
    whole_devices,
)
from host import marks
from tests.support import volume_group
from tests.support.doubled import doubled
from tests.support.lvm_driver import MIB, LvmDriver, capability, code_of
from tests.support.machine import run
from tests.support.volume_group import loop_device

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices and mounts"),
]


def linked(device: str) -> contextlib.AbstractContextManager[str]:
    """A link of /dev/disk to *device*."""
    return volume_group.linked(device, f"csi-test-{uuid.uuid4().hex[:8]}")


def test_a_file_through_its_life(tmp_path: pathlib.Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "theirs.img").write_bytes(b"of somebody else")
    driver = LvmDriver(
        tmp_path,
        [],
        LOCAL_SPARSE_TEMPLATE_FILEDIR=str(files),
        LOCAL_SPARSE_TOTAL_AVAILABLE_GI="1",
    )
    try:
        volume = driver.create("pvc-1", 320 * MIB, volumeType="LoopDevice", fsType="xfs")
        assert driver.create("pvc-1", 320 * MIB, volumeType="LoopDevice", fsType="xfs") == volume
        assert stat.S_IMODE((files / "pvc-1.img").stat().st_mode) == 0o600
        room = driver.capacity(volumeType="LoopDevice").maximum_volume_size.value
        assert room == (1024 - 320 - 1) * MIB
        code = code_of(driver.create, "pvc-2", room + 1, volumeType="LoopDevice")
        assert code == "RESOURCE_EXHAUSTED"
        target = driver.publish(volume, fs_type="")
        (target / "file").write_text("kept")
        assert driver.expand(volume, target, 400 * MIB) == 400 * MIB
        assert driver.stats(volume, target).usage[0].total > 330 * MIB
        assert code_of(driver.delete, "pvc-1") == "ABORTED"
        driver.unpublish(volume, target)
        assert str(files) not in run("losetup", "--list", "--output", "BACK-FILE")
        target = driver.publish(volume, fs_type="")
        assert (target / "file").read_text() == "kept"
        driver.unpublish(volume, target)

        driver.delete("pvc-1")
        assert code_of(driver.delete, "theirs") == "FAILED_PRECONDITION"
        assert [path.name for path in files.iterdir()] == ["theirs.img"]
    finally:
        driver.close()


def test_a_file_in_use_stays_in_use_for_the_next_container(tmp_path: pathlib.Path) -> None:
    """A container of the driver bound the directory, attached the file, and is gone."""
    files, inside = tmp_path / "files", tmp_path / "inside"
    files.mkdir()
    inside.mkdir()
    driver = LvmDriver(tmp_path, [], LOCAL_SPARSE_TEMPLATE_FILEDIR=str(files))
    try:
        volume = driver.create("pvc-1", 64 * MIB, volumeType="LoopDevice")
        file = f"{volume.volume_id}.img"
        script = f"mount --bind {files} {inside} && losetup --find --show {inside}/{file}"
        device = run("unshare", "--mount", "sh", "-ec", script).strip()
        assert str(files) not in run("losetup", "--list", "--output", "BACK-FILE")
        target = driver.publish(volume)
        assert run("findmnt", "--noheadings", "--output", "SOURCE", str(target)).strip() == device
        assert code_of(driver.delete, volume.volume_id) == "ABORTED"
        driver.unpublish(volume, target)
        driver.delete(volume.volume_id)
        assert device not in run("losetup", "--list", "--output", "NAME").split()
    finally:
        driver.close()


def test_an_inline_file_goes_with_its_pod_and_a_claims_file_stays(tmp_path: pathlib.Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    driver = LvmDriver(tmp_path, [], LOCAL_SPARSE_TEMPLATE_FILEDIR=str(files))
    try:
        volume_id = f"csi-{'0a' * 32}"
        kept = driver.create(f"csi-{'0b' * 32}", 64 * MIB, volumeType="LoopDevice")
        target = driver.kubelet / "pods/pod/volumes" / volume_id
        target.parent.mkdir(parents=True)
        request = pb.NodePublishVolumeRequest(
            volume_id=volume_id,
            target_path=str(target),
            volume_capability=capability(fs_type=""),
            volume_context={
                "csi.storage.k8s.io/ephemeral": "true",
                "volumeType": "LoopDevice",
                "size": "64Mi",
            },
        )
        for _ in range(2):
            driver.client.node.NodePublishVolume(request, timeout=60)
        (target / "file").write_text("gone soon")
        assert (files / f"{volume_id}.img").stat().st_size == 64 * MIB
        for wrong in (
            *({"vgName": "group"}, {"volumeType": "QuotaPath"}, {"wipePolicy": "zero"}),
            {"mkfsOptions": "-d etc"},  # mkfs would copy the node's /etc for whoever makes pods
        ):
            refused = pb.NodePublishVolumeRequest()
            refused.CopyFrom(request)
            refused.volume_context.update(wrong)
            code = code_of(driver.client.node.NodePublishVolume, refused)
            assert code == "INVALID_ARGUMENT", wrong

        for each in (volume_id, kept.volume_id):
            gone = pb.NodeUnpublishVolumeRequest(volume_id=each, target_path=str(target))
            for _ in range(2):
                driver.client.node.NodeUnpublishVolume(gone, timeout=60)
        assert [path.name for path in files.iterdir()] == [f"{kept.volume_id}.img"]
        assert str(files) not in run("losetup", "--list", "--output", "BACK-FILE")
    finally:
        driver.close()


def test_a_mount_point_is_taken_emptied_and_given_back(tmp_path: pathlib.Path) -> None:
    with contextlib.ExitStack() as undo:
        for number, name in enumerate(("used", "small", "large")):
            device = undo.enter_context(loop_device(tmp_path, 32 * (number + 1)))
            run("mkfs.ext4", "-q", device)
            (tmp_path / "mnt" / name).mkdir(parents=True)
            run("mount", device, tmp_path / "mnt" / name)
            undo.callback(run, "umount", tmp_path / "mnt" / name)
        (tmp_path / "mnt/used/file").write_text("of somebody else")
        (tmp_path / "mnt/none").mkdir()
        os.setxattr(tmp_path / "mnt/used", "trusted.csi-local", b'{"version": 9}')
        (tmp_path / "state").mkdir()
        (tmp_path / "state/unknown.json").write_text("not of this version")
        driver = LvmDriver(
            tmp_path,
            [],
            LOCAL_MOUNT_POINTS=f"{tmp_path}/mnt/*",
            LOCAL_STATE_DIR=str(tmp_path / "state"),
        )
        undo.callback(driver.close)

        volume = driver.create("pvc-1", 16 * MIB, volumeType="MountPoint")
        assert driver.create("pvc-1", 16 * MIB, volumeType="MountPoint") == volume
        assert volume.volume_context["MountPoint"] == f"{tmp_path}/mnt/small"
        driver.create("pvc-2", 64 * MIB, volumeType="MountPoint")
        code = code_of(driver.create, "pvc-3", 16 * MIB, volumeType="MountPoint")
        assert code == "RESOURCE_EXHAUSTED"
        target = driver.publish(volume)
        (target / "directory").mkdir()
        (target / "directory/file").write_text("to be deleted")
        assert (tmp_path / "mnt/small/directory/file").exists()
        assert code_of(driver.expand, volume, target, 512 * MIB) == "FAILED_PRECONDITION"
        assert code_of(driver.delete, "pvc-1") == "ABORTED"
        driver.unpublish(volume, target)
        # What somebody mounted below is not the volume's.
        below = tmp_path / "mnt/small/directory"
        run("mount", "--bind", tmp_path / "mnt/used", below)
        assert code_of(driver.delete, "pvc-1") == "ABORTED"
        run("umount", below)

        driver.delete("pvc-1")
        assert [path.name for path in (tmp_path / "mnt/small").iterdir()] == ["lost+found"]
        again = driver.create("pvc-3", 16 * MIB, volumeType="MountPoint")
        assert again.volume_context["MountPoint"] == f"{tmp_path}/mnt/small"
        assert set(driver.listed()) == {"pvc-2", "pvc-3"}
        for name in ("pvc-2", "pvc-3"):
            driver.delete(name)
        assert (tmp_path / "mnt/used/file").read_text() == "of somebody else"


def test_a_node_whose_mounts_are_seen_twice_counts_each_once(tmp_path: pathlib.Path) -> None:
    only = {"mode": "SINGLE_NODE_SINGLE_WRITER"}
    with contextlib.ExitStack() as undo:
        for each in ("kubelet", "mnt"):
            undo.enter_context(doubled(tmp_path / each))
        device = undo.enter_context(loop_device(tmp_path, 32))
        run("mkfs.ext4", "-q", device)
        (tmp_path / "mnt/disk").mkdir()
        run("mount", device, tmp_path / "mnt/disk")
        undo.callback(run, "umount", tmp_path / "mnt/disk")
        driver = LvmDriver(tmp_path, [], LOCAL_MOUNT_POINTS=f"{tmp_path}/mnt/*")
        undo.callback(driver.close)
        volume = driver.create("pvc-1", 16 * MIB, volumeType="MountPoint")

        for pod in ("one", "two"):
            target = driver.publish(volume, pod=pod, **only)
            assert code_of(driver.publish, volume, pod="three", **only) == "FAILED_PRECONDITION"
            assert code_of(driver.delete, "pvc-1") == "ABORTED"
            driver.unpublish(volume, target)
        driver.delete("pvc-1")

        assert driver.listed() == {}


def test_a_mount_point_of_the_reference_is_taken_with_its_files(tmp_path: pathlib.Path) -> None:
    with contextlib.ExitStack() as undo:
        for name in ("old", "other"):
            device = undo.enter_context(loop_device(tmp_path, 32))
            run("mkfs.ext4", "-q", device)
            (tmp_path / "mnt" / name).mkdir(parents=True)
            run("mount", device, tmp_path / "mnt" / name)
            undo.callback(run, "umount", tmp_path / "mnt" / name)
        (tmp_path / "mnt/old/file").write_text("kept")
        config = settings.read(core_settings.Reader({"LOCAL_MOUNT_POINTS": f"{tmp_path}/mnt/*"}))
        points = mount_points.MountPoints(config)
        for wrong in (f"{tmp_path}/mnt", "/", f"{tmp_path}/mnt/none"):
            with pytest.raises(errors.Precondition, match="LOCAL_MOUNT_POINTS"):
                points.take("local-1", wrong)

        points.take("local-1", f"{tmp_path}/mnt/old/")
        with pytest.raises(errors.Exists):
            points.take("local-2", f"{tmp_path}/mnt/old")

        driver = LvmDriver(tmp_path, [], LOCAL_MOUNT_POINTS=f"{tmp_path}/mnt/*")
        undo.callback(driver.close)
        volume = driver.get("local-1").volume
        target = driver.publish(volume)
        assert (target / "file").read_text() == "kept"
        driver.unpublish(volume, target)
        driver.delete("local-1")
        assert [path.name for path in (tmp_path / "mnt/old").iterdir()] == ["lost+found"]


def test_a_disk_of_the_reference_is_taken_with_its_files(tmp_path: pathlib.Path) -> None:
    with contextlib.ExitStack() as undo:
        device = undo.enter_context(loop_device(tmp_path, 32))
        run("mkfs.ext4", "-q", device)
        link = undo.enter_context(linked(device))
        other = undo.enter_context(linked(undo.enter_context(loop_device(tmp_path, 32))))
        told = {"LOCAL_DEVICES": link, "LOCAL_STATE_DIR": str(tmp_path / "state")}
        disks = whole_devices.WholeDevices(settings.read(core_settings.Reader(told)))
        for wrong in (other, "/dev/disk/by-id/none"):
            with pytest.raises(errors.Precondition, match="LOCAL_DEVICES"):
                disks.take("local-1", wrong)

        disks.take("local-1", link)
        with pytest.raises(errors.Precondition, match="another volume's"):
            disks.take("local-2", link)

        driver = LvmDriver(tmp_path, [], **told)
        undo.callback(driver.close)
        volume = driver.get("local-1").volume
        target = driver.publish(volume)
        assert (target / "lost+found").is_dir()
        driver.unpublish(volume, target)
        driver.delete("local-1")
        assert driver.listed() == {}


@pytest.mark.parametrize("block", [False, True])
def test_a_disk_is_taken_made_blank_and_given_back(tmp_path: pathlib.Path, block: bool) -> None:
    with contextlib.ExitStack() as undo:
        names = []
        for size_mib in (32, 64, 96):
            device = undo.enter_context(loop_device(tmp_path, size_mib))
            names.append(undo.enter_context(linked(device)))
        used, blank, raw = names
        run("mkfs.ext4", "-q", used)
        with pathlib.Path(raw).open("r+b") as disk:
            disk.seek(MIB)
            disk.write(b"a database's own format")
        settings = {"LOCAL_DEVICES": ",".join(names), "LOCAL_STATE_DIR": str(tmp_path / "state")}
        driver = LvmDriver(tmp_path, [], **settings)
        undo.callback(driver.close)

        volume = driver.create("pvc-1", 16 * MIB, volumeType="Device")
        assert driver.create("pvc-1", 16 * MIB, volumeType="Device") == volume
        assert (volume.volume_context["Device"], volume.capacity_bytes) == (blank, 64 * MIB)
        code = code_of(driver.create, "pvc-2", 16 * MIB, volumeType="Device")
        assert code == "RESOURCE_EXHAUSTED"
        driver.close()
        driver = LvmDriver(tmp_path, [], **settings)
        undo.callback(driver.close)
        target = driver.publish(volume, block=block)
        if block:
            with target.open("r+b") as disk:
                disk.write(b"kept" * 1024)
        else:
            (target / "file").write_text("kept")
        assert code_of(driver.delete, "pvc-1") == "ABORTED"
        driver.unpublish(volume, target)
        assert set(driver.listed()) == {"pvc-1"}

        driver.delete("pvc-1")
        driver.delete("pvc-1")
        again = driver.create("pvc-2", 16 * MIB, volumeType="Device")
        assert again.volume_context["Device"] == blank
        driver.delete("pvc-2")
        assert "ext4" in run("blkid", "-p", used)
        assert b"a database" in pathlib.Path(raw).read_bytes()[: 2 * MIB]


def test_a_disk_is_given_to_one_volume_whatever_its_names(tmp_path: pathlib.Path) -> None:
    with contextlib.ExitStack() as undo:
        first, second = (undo.enter_context(loop_device(tmp_path, 32)) for _ in range(2))
        names = [undo.enter_context(linked(each)) for each in (first, first, second)]
        settings = {"LOCAL_DEVICES": ",".join(names), "LOCAL_STATE_DIR": str(tmp_path / "state")}
        driver = LvmDriver(tmp_path, [second], **settings)
        undo.callback(driver.close)
        told = driver.capacity(volumeType="Device")
        assert (told.available_capacity, told.maximum_volume_size.value) == (32 * MIB, 32 * MIB)

        volume = driver.create("pvc-1", 16 * MIB, volumeType="Device")

        assert volume.volume_context["Device"] in names[:2]
        assert driver.capacity(volumeType="Device").available_capacity == 0
        code = code_of(driver.create, "pvc-2", 16 * MIB, volumeType="Device")
        assert code == "RESOURCE_EXHAUSTED"
        driver.close()
        others = [name for name in names if name != volume.volume_context["Device"]]
        settings["LOCAL_DEVICES"] = ",".join(others)
        driver = LvmDriver(tmp_path, [second], **settings)
        undo.callback(driver.close)
        assert driver.capacity(volumeType="Device").available_capacity == 0


def test_a_volume_with_a_long_name_is_unstaged(tmp_path: pathlib.Path) -> None:
    """Longer than the name of a container can be, if it were encrypted."""
    driver = LvmDriver(tmp_path, [])
    try:
        driver.unstage(pb.Volume(volume_id="v" * 120))
    finally:
        driver.close()


def test_a_note_that_cannot_be_understood_holds_up_no_other_file_or_directory(
    tmp_path: pathlib.Path,
) -> None:
    reader = core_settings.Reader(
        {"LOCAL_SPARSE_TEMPLATE_FILEDIR": str(tmp_path), "LOCAL_QUOTA_PATHS": str(tmp_path)}
    )
    config = settings.read(reader)
    of_file = model.VolumeWish(
        name="pvc-1",
        volume_id="pvc-1",
        required_bytes=MIB,
        limit_bytes=0,
        parameters=params.Parameters(volume_type=params.VolumeType.LOOP_DEVICE),
    )
    files, directories = loop_files.LoopFiles(config), quota_dirs.QuotaDirs(config)
    files.create(of_file)
    (tmp_path / "pvc-2").mkdir()
    records.write(tmp_path / "pvc-2", records.Record.of(of_file, MIB))
    (tmp_path / "ill.img").write_bytes(b"")
    (tmp_path / "ill").mkdir()
    for name in ("ill.img", "ill"):
        marks.write(tmp_path / name, records.NAME, "{")

    assert [volume.volume_id for volume in files.listed()] == ["pvc-1"]
    assert [volume.volume_id for volume in directories.listed()] == ["pvc-2"]
    with pytest.raises(errors.Precondition, match="cannot be understood"):
        files.delete("ill")


def test_who_only_looks_at_a_loop_device_does_not_keep_its_volume_from_going(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings.read(core_settings.Reader({"LOCAL_SPARSE_TEMPLATE_FILEDIR": str(tmp_path)}))
    files = loop_files.LoopFiles(config)
    files.create(
        model.VolumeWish(
            name="pvc-1",
            volume_id="pvc-1",
            required_bytes=MIB,
            limit_bytes=0,
            parameters=params.Parameters(volume_type=params.VolumeType.LOOP_DEVICE),
        )
    )
    device = files.open("pvc-1").device
    looking = [os.open(device, os.O_RDONLY)]
    with pytest.raises(errors.Busy):
        files.delete("pvc-1")

    def look_away(_: float) -> None:
        while looking:
            os.close(looking.pop())

    monkeypatch.setattr(time, "sleep", look_away)
    assert files.delete("pvc-1")
    assert not looking
    assert list(tmp_path.iterdir()) == []

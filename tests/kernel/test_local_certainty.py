"""What is written to or removed is what was looked at: files, mount points and whole disks."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from core import call, clock, errors
from core import settings as core_settings
from csi._pb import csi_pb2 as pb
from csi.lvm import model, params, settings
from csi.lvm.node import node_requests, stage
from csi.lvm.stores import mount_points, volumes, whole_devices
from host import filesystem, mounts
from tests.support import rpc, volume_group
from tests.support.lvm_driver import MIB, LvmDriver, capability
from tests.support.machine import run
from tests.support.volume_group import loop_device

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices and mounts"),
]


def linked(device: str) -> contextlib.AbstractContextManager[str]:
    """A link of /dev/disk to *device*."""
    return volume_group.linked(device, f"csi-test-{uuid.uuid4().hex[:8]}")


@pytest.mark.parametrize("block_first", [False, True])
@pytest.mark.parametrize("kind", ["LoopDevice", "Device"])
def test_a_volume_is_not_a_file_system_and_a_writable_device_at_once(
    tmp_path: pathlib.Path, kind: str, block_first: bool
) -> None:
    with contextlib.ExitStack() as undo:
        files = tmp_path / "files"
        files.mkdir()
        disk = undo.enter_context(linked(undo.enter_context(loop_device(tmp_path, 64))))
        settings = {
            "LOCAL_SPARSE_TEMPLATE_FILEDIR": str(files),
            "LOCAL_DEVICES": disk,
            "LOCAL_STATE_DIR": str(tmp_path / "state"),
        }
        driver = LvmDriver(tmp_path, [], **settings)
        undo.callback(driver.close)
        volume = driver.create("pvc-1", 64 * MIB, volumeType=kind)
        # A file system is on it: its first user was a pod that had it mounted.
        driver.unpublish(volume, driver.publish(volume))
        staged = driver.stage(volume, block=block_first)

        refusal = rpc.refusal(
            lambda: driver.stage(volume, block=not block_first, where="second"),
        )

        assert refusal.code.name == "ALREADY_EXISTS"
        assert str(staged) in refusal.message
        driver.unstage(volume)
        driver.stage(volume, block=not block_first, where="second")
        driver.unstage(volume, where="second")
        driver.delete(volume.volume_id)


def test_a_blank_disk_of_a_pod_is_no_devices(tmp_path: pathlib.Path) -> None:
    """Its pod has it raw, and has not written to it yet."""
    with (
        loop_device(tmp_path, 32) as device,
        volume_group.linked(device, "virtio-bp1csitest") as link,
    ):
        note = tmp_path / "kubelet/plugins/kubernetes.io/csi/volumeDevices/pv-1/data/vol_data.json"
        note.parent.mkdir(parents=True)
        note.write_text(json.dumps({"volumeHandle": "d-bp1csitest"}))
        told = {
            "LOCAL_DEVICES": link,
            "LOCAL_STATE_DIR": str(tmp_path / "state"),
            "KUBELET_ROOT_DIR": str(tmp_path / "kubelet"),
        }
        disks = whole_devices.WholeDevices(settings.read(core_settings.Reader(told)))
        wish = model.VolumeWish(
            name="pvc-1", volume_id="pvc-1", required_bytes=MIB, limit_bytes=0,
            parameters=params.parse({"volumeType": "Device"}),
        )  # fmt: skip

        assert disks.capacity(wish.parameters).available_bytes == 0
        with pytest.raises(errors.Exhausted):
            disks.create(wish)

        note.unlink()
        assert disks.create(wish).volume_id == "pvc-1"


@pytest.mark.parametrize("step", ["emptying", "removing"])
def test_what_is_below_a_mount_point_stays_when_it_is_unmounted_meanwhile(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """An operator unmounts it before or while the files of a deleted volume are removed."""
    place = tmp_path / "mnt/disk"
    place.mkdir(parents=True)
    for name in ("first", "second"):
        (place / name).mkdir()
        (place / name / "file").write_text("of the node")
    with loop_device(tmp_path, 32) as device:
        run("mkfs.ext4", "-q", device)
        run("mount", device, place)
        config = settings.read(core_settings.Reader({"LOCAL_MOUNT_POINTS": f"{tmp_path}/mnt/*"}))
        points = mount_points.MountPoints(config)
        points.create(
            model.VolumeWish(
                name="pvc-1", volume_id="pvc-1", required_bytes=MIB, limit_bytes=0,
                parameters=params.parse({"volumeType": "MountPoint"}),
            )
        )  # fmt: skip
        for name in ("first", "second"):
            (place / name).mkdir()

        def unmount(*_: object) -> None:
            if str(place) in run("findmnt", "-rn", "-o", "TARGET").split():
                run("umount", "--lazy", place)

        if step == "emptying":
            monkeypatch.setattr(call, "doing", unmount)
        else:
            remove = shutil.rmtree

            def rmtree(*args: Any, **named: Any) -> None:
                remove(*args, **named)
                unmount()

            monkeypatch.setattr(shutil, "rmtree", rmtree)
        with contextlib.suppress(errors.Unavailable):
            points.delete("pvc-1")

        for name in ("first", "second"):
            assert (place / name / "file").read_text() == "of the node"


@contextlib.contextmanager
def own_loop(number: int) -> Iterator[str]:
    """A loop device that no other test takes, as its number is used by two disks."""
    add, remove = 0x4C80, 0x4C81  # LOOP_CTL_ADD, LOOP_CTL_REMOVE of <linux/loop.h>
    with pathlib.Path("/dev/loop-control").open("rb") as control:
        fcntl.ioctl(control, add, number)
        try:
            yield f"/dev/loop{number}"
        finally:
            fcntl.ioctl(control, remove, number)


@pytest.mark.parametrize("step", ["probe", "mount", "bind"])
def test_a_disk_that_is_swapped_while_it_is_staged_is_not_touched(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Its path is the next disk's, which is blank, as one of a pod."""
    files = [tmp_path / name for name in ("first.img", "second.img")]
    for file in files:
        with file.open("wb") as made:
            made.truncate(32 * MIB)
    with own_loop(1047) as loop, contextlib.ExitStack() as undo:
        run("losetup", loop, files[0])
        undo.callback(run, "losetup", "--detach", loop)
        told = {
            "LOCAL_DEVICES": undo.enter_context(linked(loop)),
            "LOCAL_STATE_DIR": str(tmp_path / "state"),
            "KUBELET_ROOT_DIR": str(tmp_path / "kubelet"),
        }
        config = settings.read(core_settings.Reader(told))
        stores = volumes.Volumes(config, clock.SystemClock())
        stores.create(
            model.VolumeWish(
                name="pvc-1", volume_id="pvc-1", required_bytes=MIB, limit_bytes=0,
                parameters=params.parse({"volumeType": "Device"}),
            )
        )  # fmt: skip
        swapped: list[str] = []

        def swap() -> None:
            if not swapped:
                run("losetup", "--detach", loop)
                run("losetup", loop, files[1])
                swapped.append(checksum(files[1]))

        module, name = (filesystem, "probe") if step == "probe" else (mounts, step)
        real = getattr(module, name)

        def swap_first(*args: Any, **named: Any) -> Any:
            if step == "mount":  # the next disk has a file system, of somebody else
                run("cp", "--sparse=always", files[0], files[1])
            swap()
            return real(*args, **named)

        monkeypatch.setattr(module, name, swap_first)
        path = tmp_path / "kubelet/plugins/kubernetes.io/csi/local/pvc-1/globalmount"
        path.parent.mkdir(parents=True)
        wanted = capability(block=step == "bind")
        request = pb.NodeStageVolumeRequest(
            volume_id="pvc-1", staging_target_path=str(path), volume_capability=wanted
        )
        want = node_requests.parse_stage(request, tmp_path / "kubelet")

        with pytest.raises(errors.Unavailable, match="changed while"):
            stage.Stager(config, stores).stage(want)

        assert str(tmp_path) not in run("findmnt", "-rn", "-o", "TARGET")
        if step != "mount":  # a journal is looked at by who mounts it
            assert checksum(files[1]) == swapped[0]


def checksum(file: pathlib.Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()

"""The driver is killed at every command that changes something, and the call is made again.

Before the command, while it runs on alone, and after it. The result must be the same as without:
no volume too many, none too few, the same tags, and the same data.
"""

import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from tests.support import csi_client, rpc, wrappers
from tests.support.lvm_driver import MIB, LvmDriver
from tests.support.machine import run
from tests.support.volume_group import VolumeGroup

pytestmark = pytest.mark.usefixtures("foreign")
COMMANDS = (
    "blkdiscard", "blockdev", "cryptsetup", "dmsetup", "lvchange", "lvconvert", "lvcreate",
    "lvextend", "lvremove", "mkfs.ext4", "mount", "resize2fs", "umount",
)  # fmt: skip
PASSING_TAGS = re.compile(r"csi-time=\d+")
ALSO = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.FAILED_PRECONDITION})
"""While a command of the killed driver still runs, LVM may say anything."""


class Stage:
    """A driver that can be killed at a command, and started again."""

    def __init__(self, group: VolumeGroup, directory: pathlib.Path) -> None:
        self.group = group
        self._directory = directory
        self.wrappers = wrappers.Wrappers(directory / "bin", COMMANDS)
        self.driver = self.start()

    def start(self) -> LvmDriver:
        path = f"{self.wrappers.directory}:{os.environ['PATH']}"
        return LvmDriver(self._directory, self.group.devices, path=path, LVM_WATCH_INTERVAL="0s")

    def restart(self) -> None:
        self.driver.close()
        self.driver = self.start()

    def shape(self) -> list[str]:
        """Volumes, their sizes, tags and whether they are active."""
        fields = "lv_name,lv_size,lv_tags,lv_active,origin"
        told = run("lvs", "--noheadings", "--units", "b", "-o", fields, self.group.name)
        return sorted(" ".join(PASSING_TAGS.sub("", line).split()) for line in told.splitlines())

    def close(self) -> None:
        self.driver.close()


@pytest.fixture
def stage(volume_group: VolumeGroup, tmp_path: pathlib.Path) -> Iterator[Stage]:
    stage = Stage(volume_group, tmp_path)
    yield stage
    stage.close()


def at_every_command(
    stage: Stage,
    prepare: Callable[[LvmDriver], Any],
    call: Callable[[LvmDriver, Any], object],
    clean: Callable[[LvmDriver, Any], None],
) -> None:
    """What *call* brings about is the same, whenever the driver is killed."""
    before = stage.shape()
    given = prepare(stage.driver)
    stage.wrappers.disarm()
    call(stage.driver, given)
    commands, wanted = stage.wrappers.calls(), stage.shape()
    clean(stage.driver, given)
    assert stage.shape() == before
    assert commands
    for number, command in enumerate(commands, start=1):
        for phase in wrappers.Phase:
            given = prepare(stage.driver)
            stage.wrappers.arm(stage.driver.process.pid, number, phase)
            with pytest.raises(grpc.RpcError):
                call(stage.driver, given)
            stage.wrappers.disarm()
            stage.restart()
            rpc.retry(lambda given=given: call(stage.driver, given), also=ALSO)
            assert stage.shape() == wanted, (command, phase)
            clean(stage.driver, given)
            assert stage.shape() == before, (command, phase)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("lvm_type", ["linear", "mirror"])
def test_create(stage: Stage, lvm_type: str) -> None:
    group = stage.group.name
    at_every_command(
        stage,
        prepare=lambda driver: None,
        call=lambda driver, _: driver.create("pvc-1", 16 * MIB, vgName=group, lvmType=lvm_type),
        clean=lambda driver, _: driver.delete("pvc-1"),
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("policy", ["none", "zero"])
def test_delete(stage: Stage, policy: str) -> None:
    at_every_command(
        stage,
        prepare=lambda driver: driver.create("pvc-1", 16 * MIB, wipePolicy=policy),
        call=lambda driver, _: driver.delete("pvc-1"),
        clean=lambda driver, _: None,
    )


@pytest.mark.timeout(600)
def test_stage_and_publish(stage: Stage) -> None:
    def clean(driver: LvmDriver, volume: Any) -> None:
        target = driver.kubelet / "pods/pod/volumes/pvc-1"
        assert (target / "lost+found").is_dir()
        driver.unpublish(volume, target)
        driver.delete("pvc-1")

    at_every_command(
        stage,
        prepare=lambda driver: driver.create("pvc-1", 16 * MIB),
        call=lambda driver, volume: driver.publish(volume),
        clean=clean,
    )


def published(driver: LvmDriver) -> Any:
    """A volume with a file, in use."""
    volume = driver.create("pvc-1", 16 * MIB)
    target = driver.publish(volume)
    (target / "file").write_text("kept")
    run("sync", "-f", target)
    return volume, target


def clean_published(driver: LvmDriver, given: Any) -> None:
    volume, target = given
    assert (target / "file").read_text() == "kept"
    driver.unpublish(volume, target)
    driver.delete("pvc-1")


@pytest.mark.timeout(600)
def test_expand(stage: Stage) -> None:
    def clean(driver: LvmDriver, given: Any) -> None:
        _, target = given
        assert os.statvfs(target).f_blocks * os.statvfs(target).f_frsize > 40 * MIB
        clean_published(driver, given)

    at_every_command(
        stage,
        prepare=published,
        call=lambda driver, given: driver.expand(*given, 64 * MIB),
        clean=clean,
    )


@pytest.mark.timeout(600)
def test_unpublish(stage: Stage) -> None:
    def clean(driver: LvmDriver, given: Any) -> None:
        volume, _ = given
        target = driver.publish(volume)
        clean_published(driver, (volume, target))

    at_every_command(
        stage,
        prepare=published,
        call=lambda driver, given: driver.unpublish(*given),
        clean=clean,
    )


@pytest.mark.timeout(600)
def test_snapshot_and_its_deletion(stage: Stage) -> None:
    def clean(driver: LvmDriver, given: Any) -> None:
        driver.delete_snapshot("csi-snapshot-1")
        clean_published(driver, given)

    at_every_command(
        stage,
        prepare=published,
        call=lambda driver, given: driver.snapshot("snapshot-1", "pvc-1"),
        clean=clean,
    )

    def snapshotted(driver: LvmDriver) -> Any:
        given = published(driver)
        driver.snapshot("snapshot-1", "pvc-1")
        return given

    at_every_command(
        stage,
        prepare=snapshotted,
        call=lambda driver, given: driver.delete_snapshot("csi-snapshot-1"),
        clean=clean_published,
    )


@pytest.mark.timeout(600)
def test_deletion_of_a_snapshot_that_is_wiped(stage: Stage) -> None:
    def snapshotted(driver: LvmDriver) -> None:
        driver.create("pvc-1", 16 * MIB, wipePolicy="zero")
        driver.snapshot("snapshot-1", "pvc-1")

    at_every_command(
        stage,
        prepare=snapshotted,
        call=lambda driver, _: driver.delete_snapshot("csi-snapshot-1"),
        clean=lambda driver, _: driver.delete("pvc-1"),
    )


@pytest.mark.timeout(900)
def test_thin_volumes_and_their_clones(stage: Stage) -> None:
    """A clone that is larger takes three commands."""
    run("lvcreate", "-qq", "--yes", "--type", "thin-pool", "--name", "pool", "--size", "128m",
        stage.group.name)  # fmt: skip

    def clean(driver: LvmDriver, _: Any) -> None:
        driver.delete("pvc-2")
        driver.delete("pvc-1")

    at_every_command(
        stage,
        prepare=lambda driver: None,
        call=lambda driver, _: driver.create("pvc-1", 16 * MIB, lvmType="thin"),
        clean=lambda driver, _: driver.delete("pvc-1"),
    )
    source = csi_client.volume_source("pvc-1")
    at_every_command(
        stage,
        prepare=lambda driver: driver.create("pvc-1", 16 * MIB, lvmType="thin"),
        call=lambda driver, _: driver.create("pvc-2", 32 * MIB, source=source, lvmType="thin"),
        clean=clean,
    )


MARKER = b"kept" * 1024


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("used", [True, False])
def test_clone(stage: Stage, used: bool) -> None:
    """Of a raw device, which is copied from a snapshot while it is used."""

    def prepare(driver: LvmDriver) -> Any:
        volume = driver.create("pvc-1", 16 * MIB, block=True)
        target = driver.publish(volume, block=True)
        with target.open("r+b") as device:
            device.seek(MIB)
            device.write(MARKER)
        if not used:
            driver.unpublish(volume, target)
        return volume, target

    def clean(driver: LvmDriver, given: Any) -> None:
        volume, target = given
        with pathlib.Path(stage.group.path("pvc-2")).open("rb") as device:
            device.seek(MIB)
            assert device.read(len(MARKER)) == MARKER
        driver.delete("pvc-2")
        if used:
            driver.unpublish(volume, target)
        driver.delete("pvc-1")

    source = csi_client.volume_source("pvc-1")
    at_every_command(
        stage,
        prepare=prepare,
        call=lambda driver, _: driver.create("pvc-2", 16 * MIB, source=source, block=True),
        clean=clean,
    )

"""Volumes of type QuotaPath on XFS and ext4 with project quotas, which many kernels lack."""

import pathlib
from collections.abc import Iterator

import pytest

from tests.support import sanity, sanity_skips
from tests.support.lvm_driver import MIB, LvmDriver, code_of
from tests.support.machine import run
from tests.support.volume_group import loop_device

pytestmark = pytest.mark.usefixtures("foreign")
SKIPPED = sanity_skips.of(
    "SNAPSHOTS",  # a directory has none
    "CLONE",
    "GROUP_SNAPSHOTS",
    "MODIFY",
    "ATTACH_LIMIT",  # nothing is attached
    "PUBLISH_READONLY",
    "PUBLISH",  # nothing is attached
    "EXPAND",  # external-resizer runs once in a cluster; NodeExpandVolume does it all
    "HEALTH",  # newer than CSI 1.13, which we serve; VolumeCondition tells health
)
MAKE = {
    "xfs": ("mkfs.xfs", "-q"),
    "ext4": ("mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota"),
}


@pytest.fixture(params=["xfs", "ext4"])
def root(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file system of 2 GiB with project quotas."""
    root = tmp_path / "quota"
    root.mkdir()
    with loop_device(tmp_path, 2048) as device:
        run(*MAKE[request.param], device)
        run("mount", "-o", "prjquota", device, root)
        yield root
        run("umount", root)


@pytest.fixture
def driver(tmp_path: pathlib.Path, root: pathlib.Path) -> Iterator[LvmDriver]:
    driver = LvmDriver(tmp_path, [], LOCAL_QUOTA_PATHS=str(root))
    yield driver
    driver.close()


def test_csi_sanity(driver: LvmDriver, root: pathlib.Path) -> None:
    report = sanity.run(
        driver.kubelet / "sanity",
        driver.socket,
        access_type="mount",
        seed=1,
        parameters={"volumeType": "QuotaPath", "rootPath": str(root)},
        mutable_parameters={},
        size_gib=1 / 16,
    )

    assert not report.failed, f"{report.failed}\n{report.output[:8000]}"
    assert list(report.skipped) == SKIPPED
    assert driver.listed() == {}


def test_the_quota_holds_grows_and_goes(driver: LvmDriver, root: pathlib.Path) -> None:
    (root / "theirs").mkdir()
    (root / "theirs/file").write_text("of somebody else")
    before = driver.capacity(volumeType="QuotaPath").maximum_volume_size.value
    volume = driver.create("pvc-1", 16 * MIB, volumeType="QuotaPath")
    assert driver.create("pvc-1", 16 * MIB, volumeType="QuotaPath") == volume
    assert code_of(driver.create, "pvc-1", 32 * MIB, volumeType="QuotaPath") == "ALREADY_EXISTS"
    assert code_of(driver.create, "pvc-1", 16 * MIB, volumeType="LoopDevice") == "ALREADY_EXISTS"
    assert before - driver.capacity(volumeType="QuotaPath").maximum_volume_size.value == 16 * MIB
    assert code_of(driver.create, "pvc-2", before, volumeType="QuotaPath") == "RESOURCE_EXHAUSTED"

    target = driver.publish(volume)
    write = f"dd if=/dev/zero of={target}/file bs=1M count=24 conv=fsync 2>&1"
    # Without the capability that no quota of ext4 holds for.
    unprivileged = ("--bounding-set=-sys_resource", "--inh-caps=-sys_resource")
    as_pod = ("setpriv", *unprivileged, "sh", "-ec", write)
    with pytest.raises(AssertionError, match=r"No space left|quota exceeded"):
        run(*as_pod)
    assert driver.stats(volume, target).usage[0].total == 16 * MIB
    assert driver.expand(volume, target, 48 * MIB) == 48 * MIB
    run(*as_pod)
    assert driver.listed()["pvc-1"].volume.capacity_bytes == 48 * MIB
    driver.unpublish(volume, target)

    driver.delete("pvc-1")
    assert code_of(driver.delete, "theirs") == "FAILED_PRECONDITION"
    assert (root / "theirs/file").read_text() == "of somebody else"
    assert driver.capacity(volumeType="QuotaPath").maximum_volume_size.value == before
    assert [path.name for path in root.iterdir() if path.name != "lost+found"] == ["theirs"]


def test_volumes_of_one_file_system_do_not_hold_each_other(
    driver: LvmDriver, root: pathlib.Path
) -> None:
    first, second = (
        driver.create(name, 16 * MIB, volumeType="QuotaPath") for name in ("pvc-1", "pvc-2")
    )
    mode = "SINGLE_NODE_SINGLE_WRITER"
    at = driver.publish(first, mode=mode)
    beside = driver.publish(second, pod="other", mode=mode)
    assert code_of(driver.publish, second, pod="third", mode=mode) == "FAILED_PRECONDITION"
    (beside / "file").write_text("kept")
    assert code_of(driver.delete, "pvc-2") == "ABORTED"
    assert (beside / "file").read_text() == "kept"
    assert code_of(driver.unstage, second) == "ABORTED"

    driver.unpublish(first, at)
    driver.delete("pvc-1")

    assert (beside / "file").read_text() == "kept"
    driver.unpublish(second, beside)
    run("mkdir", root / "pvc-2/below")
    run("mount", "-t", "tmpfs", "none", root / "pvc-2/below")
    (root / "pvc-2/below/theirs").write_text("of somebody else")
    assert code_of(driver.delete, "pvc-2") == "ABORTED"
    assert (root / "pvc-2/below/theirs").exists()
    run("umount", root / "pvc-2/below")
    driver.delete("pvc-2")


def test_roots_of_one_file_system_share_its_room(
    tmp_path: pathlib.Path, root: pathlib.Path
) -> None:
    roots = [root / "a", root / "b"]
    for each in roots:
        each.mkdir()
    driver = LvmDriver(tmp_path, [], LOCAL_QUOTA_PATHS=",".join(map(str, roots)))
    try:
        before = driver.capacity(volumeType="QuotaPath")
        assert before.available_capacity == before.maximum_volume_size.value
        driver.create("pvc-1", 512 * MIB, volumeType="QuotaPath", rootPath=str(roots[1]))
        told = driver.capacity(volumeType="QuotaPath", rootPath=str(roots[0]))
        assert told.available_capacity == before.available_capacity - 512 * MIB
        driver.delete("pvc-1")
    finally:
        driver.close()


def test_what_a_killed_call_left_is_gone_on_with(driver: LvmDriver, root: pathlib.Path) -> None:
    (root / ".csi-making-pvc-1").mkdir()
    volume = driver.create("pvc-1", 16 * MIB, volumeType="QuotaPath")
    target = driver.publish(volume)
    (target / "file").write_text("to be deleted")
    driver.unpublish(volume, target)
    (root / "pvc-1").rename(root / ".csi-going-pvc-1")

    # The name is in use again, and what was left is not in its way.
    volume = driver.create("pvc-1", 16 * MIB, volumeType="QuotaPath")
    target = driver.publish(volume)
    (target / "file").write_text("to be deleted too")
    driver.unpublish(volume, target)

    driver.delete("pvc-1")

    assert [path.name for path in root.iterdir() if path.name != "lost+found"] == []

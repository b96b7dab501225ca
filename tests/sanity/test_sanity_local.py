"""csi-sanity on node-local volumes that need no device-mapper; LVM's are in tests/lab."""

import os
import pathlib
from collections.abc import Iterator

import pytest

from tests.support import sanity, sanity_skips
from tests.support.lvm_driver import LvmDriver

pytestmark = [
    pytest.mark.sanity,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices and mounts"),
]
SKIPPED = sanity_skips.of(
    "SNAPSHOTS",  # without LVM_DEVICES there are none, nor clones
    "CLONE",
    "GROUP_SNAPSHOTS",
    "MODIFY",
    "ATTACH_LIMIT",  # nothing is attached
    "PUBLISH_READONLY",
    "PUBLISH",  # nothing is attached
    "EXPAND",  # external-resizer runs once in a cluster; NodeExpandVolume does it all
    "HEALTH",  # newer than CSI 1.13, which we serve; VolumeCondition tells health
)


@pytest.fixture
def driver(tmp_path: pathlib.Path) -> Iterator[LvmDriver]:
    files = tmp_path / "files"
    files.mkdir()
    driver = LvmDriver(
        tmp_path,
        [],
        LOCAL_SPARSE_TEMPLATE_FILEDIR=str(files),
        LOCAL_SPARSE_TOTAL_AVAILABLE_GI="100",
    )
    yield driver
    driver.close()


@pytest.mark.parametrize("access_type", ["mount", "block"])
def test_csi_sanity(driver: LvmDriver, access_type: str) -> None:
    report = sanity.run(
        driver.kubelet / "sanity",
        driver.socket,
        access_type=access_type,
        seed=1,
        parameters={"volumeType": "LoopDevice", "fsType": "xfs"},
        mutable_parameters={},
        size_gib=1 / 2,
    )

    assert not report.failed, f"{report.failed}\n{report.output[:8000]}"
    assert list(report.skipped) == SKIPPED
    assert driver.listed() == {}

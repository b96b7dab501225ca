"""The command `cloudsim` with real files, on the running kernel, whatever it can. Needs root."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.support import machine, nas_cloud, rpc

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="exports and mounts need root"),
]

OWNER = {"OwnerUserId": 1000, "OwnerGroupId": 1000, "Permission": "0750"}
QUOTA = {"QuotaType": "Enforcement", "UserType": "AllUsers", "SizeLimit": 1}


@pytest.fixture
def cloud(tmp_path: pathlib.Path):
    made = nas_cloud.NasCloud(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.close()


def directory(cloud, path):
    place = {"FileSystemId": nas_cloud.FILE_SYSTEM, "RootDirectory": path}
    cloud.call("CreateDir", **place, **OWNER)
    return cloud.tree() / path.strip("/")


def test_it_says_what_it_can_and_does_all_of_it(cloud):
    told = cloud.files

    exported = {row["domain"] for row in told["exports"] if row["serves"]}
    assert told["exports_off"] or nas_cloud.DOMAIN in exported
    assert told["quotas_off"] or os.path.ismount(cloud.tree().parents[1])
    assert cloud.status(nas_cloud.DOMAIN) == "Active"


def test_directories_are_real_and_their_use_is_told(cloud):
    made = directory(cloud, "/a/b")
    (made / "file").write_bytes(bytes(1 << 20))
    cloud.call("SetDirQuota", FileSystemId=nas_cloud.FILE_SYSTEM, Path="/a/b", **QUOTA)

    rpc.wait_until(lambda: bool(cloud.files["quotas"]), timeout_s=10)
    quota = cloud.files["quotas"][0]
    told = cloud.call("DescribeDirQuotas", FileSystemId=nas_cloud.FILE_SYSTEM)["DirQuotaInfos"][0]

    found = made.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1000, 1000, 0o750)
    assert (quota["size_bytes"], quota["used_bytes"], quota["used_files"]) == (1 << 30, 1 << 20, 1)
    assert told["UserQuotaInfos"][0]["SizeRealInByte"] == 1 << 20


def test_trees_outlive_a_kill_and_clean_and_go_with_their_file_system(cloud):
    made = directory(cloud, "/kept")
    cloud.kill()
    cloud.start()
    assert made.is_dir()

    cloud.call(
        "DeleteMountTarget", FileSystemId=nas_cloud.FILE_SYSTEM, MountTargetDomain=nas_cloud.DOMAIN
    )
    rpc.wait_until(lambda: cloud.status(nas_cloud.DOMAIN) == "", timeout_s=10)
    cloud.call("DeleteFileSystem", FileSystemId=nas_cloud.FILE_SYSTEM)
    rpc.wait_until(lambda: not cloud.tree().exists(), timeout_s=10)

    cloud.stop()
    sim("clean", "--state-dir", cloud.state_dir)
    assert str(cloud.state_dir) not in pathlib.Path("/proc/self/mountinfo").read_text()


def test_an_unknown_kind_of_hardware_is_refused(tmp_path):
    argv = [sys.executable, "-m", "sim", "serve", "--state-dir", str(tmp_path)]
    argv += ["--hardware", "disks,tapes"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "'tapes' is unknown; allowed: none, linux, or a list of disks, network" in done.stderr


def sim(*words):
    machine.run(sys.executable, "-m", "sim", *words)

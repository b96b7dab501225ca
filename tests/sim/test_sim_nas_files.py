"""The NAS side with file hardware: what it asks for, and when a mount target is active."""

import pathlib
from collections.abc import Iterator

import pytest

from sim.hardware import files_api
from tests.sim import sim_nas_harness as nas_tests
from tests.sim.sim_nas_harness import DIR, EXTREME, LINGJUN, QUOTA, STANDARD, TARGET, Nas


class Recorded:
    """Files that keep what they were asked for; an export answers once `up` has its name."""

    def __init__(self) -> None:
        self.wanted = files_api.Wanted(file_system_ids=(), exports=(), quotas=())
        self.up: set[str] = set()
        self.removed: list[tuple[str, str]] = []

    def sync(self, wanted: files_api.Wanted) -> None:
        self.wanted = wanted

    def serves(self, domain: str) -> bool:
        return domain in self.up

    def make_directory(
        self, file_system_id: str, path: str, *, user_id: int, group_id: int, mode: int
    ) -> None:
        del file_system_id, path, user_id, group_id, mode

    def is_directory(self, file_system_id: str, path: str) -> bool | None:
        return None if path == "/new" else bool(file_system_id)

    def usage(self, file_system_id: str, path: str) -> files_api.Usage:
        return files_api.Usage(size_bytes=len(file_system_id), file_count=len(path))

    def remove_directory(self, file_system_id: str, path: str) -> None:
        self.removed.append((file_system_id, path))

    def release(self) -> None:
        self.wanted = files_api.Wanted(file_system_ids=(), exports=(), quotas=())

    def export(self, domain: str) -> files_api.Export | None:
        return next((row for row in self.wanted.exports if row.domain == domain), None)


@pytest.fixture
def files() -> Recorded:
    return Recorded()


@pytest.fixture
def nas(tmp_path: pathlib.Path, files: Recorded) -> Iterator[Nas]:
    made = Nas(tmp_path, files=files)
    yield made
    made.cloud.close()


def status(nas: Nas, domain: str) -> str:
    found = nas("DescribeMountTargets", MountTargetDomain=domain)["MountTargets"]["MountTarget"]
    return found[0]["Status"]


def test_the_declared_file_systems_are_asked_for_at_the_start(nas, files):
    assert set(files.wanted.file_system_ids) == {STANDARD, EXTREME, LINGJUN}
    exported = {row.file_system_id: row for row in files.wanted.exports}
    assert exported.keys() == {STANDARD, EXTREME}, "CPFS has a client of its own"
    assert (exported[STANDARD].prefix, exported[EXTREME].prefix) == ("", "/share")
    assert all(row.named for row in exported.values())


def test_a_mount_target_is_active_only_when_its_export_answers(nas, files):
    domain = nas("CreateMountTarget", FileSystemId=STANDARD, **TARGET)["MountTargetDomain"]
    assert files.export(domain) is not None
    assert not files.export(domain).named, "made ready, but not found yet"

    nas.wait()
    assert status(nas, domain) == "Pending"
    files.up.add(domain)
    nas.wait()

    assert status(nas, domain) == "Active"
    assert files.export(domain).named
    nas("DeleteMountTarget", FileSystemId=STANDARD, MountTargetDomain=domain)
    assert files.export(domain) is None


def test_an_inactive_mount_target_is_not_exported(nas, files):
    domain = next(row.domain for row in files.wanted.exports if row.file_system_id == STANDARD)
    told = {"FileSystemId": STANDARD, "MountTargetDomain": domain}

    nas("ModifyMountTarget", **told, Status="Inactive")
    assert files.export(domain) is None
    nas("ModifyMountTarget", **told, Status="Active")
    assert files.export(domain) is not None


def test_an_access_point_exports_its_directory(nas, files):
    told = {key: value for key, value in TARGET.items() if key != "NetworkType"}
    told = {"AccessGroup": told.pop("AccessGroupName"), "VswId": told.pop("VSwitchId"), **told}
    told |= {"OwnerUserId": "0", "OwnerGroupId": "0"}
    made = nas("CreateAccessPoint", FileSystemId=STANDARD, RootDirectory="/new", **told)
    domain = made["AccessPoint"]["AccessPointDomain"]

    assert files.export(domain).path == "/new"
    assert not files.export(domain).named


def test_enforced_quotas_of_all_users_are_asked_for_and_usage_is_told(nas, files):
    nas("CreateDir", **DIR, RootDirectory="/a")
    nas("SetDirQuota", **QUOTA)
    accounting = {**QUOTA, "Path": "/b", "QuotaType": "Accounting"}
    nas("SetDirQuota", **accounting)

    quota = files_api.Quota(file_system_id=STANDARD, path="/a", size_bytes=20 * nas_tests.GIB)
    assert files.wanted.quotas == (quota,)
    told = nas("DescribeDirQuotas", FileSystemId=STANDARD, Path="/a")["DirQuotaInfos"][0]
    assert told["UserQuotaInfos"][0]["SizeRealInByte"] == len(STANDARD)


def test_the_quota_of_a_fileset_is_asked_for_as_long_as_it_is_there(nas, files):
    nas.cloud.remember("nas", {"keep_released": True})
    limits = {"Quota.SizeLimit": 10 * nas_tests.GIB, "Quota.FileCountLimit": 10_000}
    made = nas("CreateFileset", FileSystemId=LINGJUN, FileSystemPath="/new/", **limits)
    which = {"FileSystemId": LINGJUN, "FsetId": made["FsetId"]}
    asked = [files.wanted.quotas]
    nas.wait()
    nas("SetFilesetQuota", **which, SizeLimit=20 * nas_tests.GIB)
    asked.append(files.wanted.quotas)
    nas("CancelFilesetQuota", **which)
    asked.append(files.wanted.quotas)
    nas("SetFilesetQuota", **which, FileCountLimit=20_000)
    nas("DeleteFileset", **which)
    nas.wait()

    where = {"file_system_id": LINGJUN, "path": "/new"}
    first = files_api.Quota(**where, size_bytes=10 * nas_tests.GIB, file_count=10_000)
    second = files_api.Quota(**where, size_bytes=20 * nas_tests.GIB)
    assert asked == [(first,), (second,), ()]
    assert files.wanted.quotas == ()
    assert files.removed == [(LINGJUN, "/new")]

"""The NAS side: what it refuses, how states pass, and that answers have the SDK's shapes."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models as ecs_models
from alibabacloud_nas20170626 import models

import sim.nas
from sim import actions
from tests.sim import sim_ecs_harness as harness
from tests.sim import test_sim_shapes as shapes

assert sim.nas  # registers the actions

NODE = harness.NODE_1
STANDARD, EXTREME = "0a1b2c3d4e", "extreme-0a1b2c3d4e5f6071"
LINGJUN = "bmcpfs-0a1b2c3d4e5f6072"
NETWORK = {"VpcId": "vpc-bp1sim000000000001", "VSwitchId": "vsw-bp1sim000000000002"}
TARGET = {"NetworkType": "Vpc", "AccessGroupName": "DEFAULT_VPC_GROUP_NAME", **NETWORK}
NEW = {"ProtocolType": "NFS", "StorageType": "Performance"}
NEW_EXTREME = {
    "FileSystemType": "extreme",
    "ProtocolType": "NFS",
    "StorageType": "standard",
    "ZoneId": harness.ZONE,
}
NEW_CPFS = {
    "FileSystemType": "cpfs",
    "ProtocolType": "cpfs",
    "StorageType": "advance_100",
    "ZoneId": harness.ZONE,
    "Capacity": 3600,
    **NETWORK,
}
DIR = {"FileSystemId": STANDARD, "OwnerUserId": 0, "OwnerGroupId": 0, "Permission": "0777"}
QUOTA = {
    "FileSystemId": STANDARD,
    "Path": "/a",
    "QuotaType": "Enforcement",
    "UserType": "AllUsers",
    "SizeLimit": 20,
}
GIB = 1024**3


class Nas(harness.Ecs):
    """Calls NAS actions; ECS ones where NAS has none of the name. Keeps the answers."""

    versions = ("2017-06-26", harness.VERSION)

    def __init__(self, state_dir: pathlib.Path, **options: Any) -> None:
        self.answers: dict[str, list[dict[str, Any]]] = {}
        super().__init__(state_dir, **options)

    def call(self, action, parameters):
        answer = super().call(action, parameters)
        self.answers.setdefault(action, []).append({"RequestId": "R", **answer})
        return answer

    def make(self, **parameters: object) -> str:
        file_system_id: str = self("CreateFileSystem", **(parameters or NEW))["FileSystemId"]
        self.wait()
        return file_system_id

    def file_system(self, file_system_id: str) -> dict[str, Any]:
        found = self("DescribeFileSystems", FileSystemId=file_system_id)
        (row,) = found["FileSystems"]["FileSystem"]
        return row


@pytest.fixture
def nas(tmp_path: pathlib.Path) -> Iterator[Nas]:
    declared = harness.world_of(first_instances={"vsc_enabled": True})
    made = Nas(tmp_path, declared=declared)
    yield made
    made.cloud.close()


def run_every_action(nas: Nas) -> None:
    """At least one answer of each action with every list filled."""
    nas("DescribeZones", FileSystemType="all")
    made = nas.make(**NEW, Tag=harness.tags({"k": "v"}), ClientToken="t")
    nas("ModifyFileSystem", FileSystemId=made, Description="of-a-test")
    domain = nas("CreateMountTarget", FileSystemId=made, **TARGET)["MountTargetDomain"]
    nas.wait()
    nas("DescribeMountTargets", FileSystemId=made)
    nas("DescribeFileSystems", FileSystemId=made)
    one = {"FileSystemId": made, "MountTargetDomain": domain}
    nas("ModifyMountTarget", **one, Status="Inactive")
    group = {"AccessGroupName": "group-1"}
    nas("CreateAccessGroup", **group, AccessGroupType="Vpc")
    rule = nas("CreateAccessRule", **group, SourceCidrIp="10.0.0.0/8")["AccessRuleId"]
    nas("DescribeAccessGroups")
    nas("DescribeAccessRules", **group)
    nas("DeleteAccessRule", **group, AccessRuleId=rule)
    nas("DeleteAccessGroup", **group)
    run_directory_actions(nas)
    run_access_point_actions(nas)
    run_cpfs_actions(nas)
    tagged = {"ResourceType": "filesystem", "ResourceId": [made]}
    nas("TagResources", **tagged, Tag=harness.tags({"x": "y"}))
    nas("ListTagResources", **tagged)
    nas("UntagResources", **tagged, TagKey=["x"])
    nas("DeleteMountTarget", **one)
    nas.wait()
    nas("DeleteFileSystem", FileSystemId=made)
    extreme = nas.make(**NEW_EXTREME, Capacity=100)
    nas("UpgradeFileSystem", FileSystemId=extreme, Capacity=200)


def run_directory_actions(nas: Nas) -> None:
    nas("CreateDir", **DIR, RootDirectory="/a")
    nas("GetDirectoryOrFileProperties", FileSystemId=STANDARD, Path="/a")
    nas("SetDirQuota", **QUOTA)
    nas.wait()
    nas("DescribeDirQuotas", FileSystemId=STANDARD)
    nas("CancelDirQuota", FileSystemId=STANDARD, Path="/a", UserType="AllUsers")
    nas("EnableRecycleBin", FileSystemId=STANDARD, ReservedDays=7)
    nas("UpdateRecycleBinAttribute", FileSystemId=STANDARD, ReservedDays=9)
    nas("GetRecycleBinAttribute", FileSystemId=STANDARD)
    nas("DisableAndCleanRecycleBin", FileSystemId=STANDARD)


def new_access_point(nas: Nas, **changes: object) -> str:
    told = {
        "FileSystemId": STANDARD,
        "AccessGroup": "DEFAULT_VPC_GROUP_NAME",
        "VpcId": NETWORK["VpcId"],
        "VswId": NETWORK["VSwitchId"],
        "RootDirectory": "/points/a",
        **changes,
    }
    point: str = nas("CreateAccessPoint", **told)["AccessPoint"]["AccessPointId"]
    nas.wait()
    return point


def run_access_point_actions(nas: Nas) -> None:
    point = new_access_point(nas, PosixSecondaryGroupIds="5,6", Tag=harness.tags({"k": "v"}))
    one = {"FileSystemId": STANDARD, "AccessPointId": point}
    nas("DescribeAccessPoint", **one)
    nas("DescribeAccessPoints", FileSystemId=STANDARD)
    nas("ModifyAccessPoint", **one, AccessPointName="other")
    nas("DeleteAccessPoint", **one)


def new_fileset(nas: Nas, path: str = "/pv-1/", **changes: object) -> str:
    told = {"FileSystemId": LINGJUN, "FileSystemPath": path, **changes}
    fileset_id: str = nas("CreateFileset", **told)["FsetId"]
    nas.wait()
    return fileset_id


def run_cpfs_actions(nas: Nas) -> None:
    fileset = {"FileSystemId": LINGJUN, "FsetId": new_fileset(nas, Description="of-a-test")}
    nas("ModifyFileset", **fileset, Description="other")
    nas("SetFilesetQuota", **fileset, SizeLimit=20 * GIB)
    nas("DescribeFilesets", FileSystemId=LINGJUN)
    nas("CancelFilesetQuota", **fileset)
    nas("DeleteFileset", **fileset)
    cpfs = nas.make(**NEW_CPFS)
    told = {"FileSystemId": cpfs, "ProtocolType": "NFS", "ProtocolSpec": "General"}
    service = nas("CreateProtocolService", **told)["ProtocolServiceId"]
    nas.wait()
    nas("DescribeProtocolService", FileSystemId=cpfs)
    which = {"FileSystemId": cpfs, "ProtocolServiceId": service}
    export = nas("CreateProtocolMountTarget", **which, Path="/", **NETWORK)["ExportId"]
    nas.wait()
    nas("DescribeProtocolMountTarget", FileSystemId=cpfs)
    nas("DeleteProtocolMountTarget", **which, ExportId=export)
    nas.wait()
    nas("DeleteProtocolService", **which)
    vsc = nas("CreateVsc", InstanceId=NODE, Tag=harness.tags({"k": "v"}))["VscId"]
    nas.wait()
    nas("DescribeVscs", InstanceId=NODE)
    pair = {"ResourceIds": [{"FileSystemId": LINGJUN, "VscId": vsc}]}
    nas("AttachVscToFilesystems", **pair)
    nas("DescribeFilesystemsVscAttachInfo", **pair)
    nas("DetachVscFromFilesystems", **pair)
    nas.wait()
    nas("DeleteVsc", VscId=vsc)


ACTIONS = sorted(name.removeprefix("nas:") for name in actions.names() if name.startswith("nas:"))
VSC_ACTIONS = ["CreateVsc", "DeleteVsc", "DescribeVscs"]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[dict[str, Any]]]]:
    declared = harness.world_of(first_instances={"vsc_enabled": True})
    made = Nas(tmp_path_factory.mktemp("nas"), declared=declared)
    run_every_action(made)
    yield made.answers
    made.cloud.close()


@pytest.mark.parametrize("action", [*ACTIONS, *VSC_ACTIONS])
def test_answers_have_the_shape_of_the_sdks_models(answers, action):
    home = ecs_models if action in VSC_ACTIONS else models
    model = getattr(home, f"{action}ResponseBody")

    for answer in answers[action]:
        assert model().from_map(answer).to_map() == answer
        # What only files have is left out for directories. Source: the SDK's comments.
        if action != "GetDirectoryOrFileProperties":
            assert list(shapes.describe_faults(model().from_map(answer), action)) == []


REFUSED = [
    ("CreateFileSystem", {**NEW, "StorageType": "standard"}, 400, "InvalidParameter"),
    ("CreateFileSystem", {"StorageType": "Performance"}, 400, "MissingParameter"),
    ("CreateFileSystem", {**NEW, "ZoneId": "cn-x"}, 404, "InvalidAZone.NotFound"),
    ("CreateFileSystem", {**NEW_EXTREME, "Capacity": 99}, 400, "InvalidParameter"),
    ("CreateFileSystem", NEW_EXTREME, 400, "MissingParameter"),
    ("CreateFileSystem", {**NEW_CPFS, "VSwitchId": "vsw-x"}, 404, "InvalidVSwitchId.NotFound"),
    ("CreateFileSystem", {**NEW, "Description": "1"}, 400, "InvalidDescription.InvalidFormat"),
    ("CreateFileSystem", {**NEW, "EncryptType": 2}, 400, "MissingParameter"),
    ("CreateFileSystem", {**NEW, "SnapshotId": "s-1"}, 400, "InvalidParameter"),
    ("DescribeFileSystems", {"FileSystemId": "x"}, 404, "InvalidFileSystem.NotFound"),
    ("DescribeFileSystems", {"FileSystemType": "tape"}, 400, "InvalidParameter"),
    ("DeleteFileSystem", {"FileSystemId": "x"}, 404, "InvalidFileSystem.NotFound"),
    (
        "DeleteFileSystem",
        {"FileSystemId": STANDARD},
        403,
        "OperationDenied.MountTargetNotEmpty",
    ),
    (
        "UpgradeFileSystem",
        {"FileSystemId": STANDARD, "Capacity": 200},
        400,
        "InvalidFileSystemType.NotSupport",
    ),
    ("UpgradeFileSystem", {"FileSystemId": EXTREME, "Capacity": 100}, 400, "InvalidParameter"),
    (
        "CreateMountTarget",
        {**TARGET, "FileSystemId": EXTREME},
        403,
        "OperationDenied.MountTargetCountsExceeded",
    ),
    (
        "CreateMountTarget",
        {**TARGET, "FileSystemId": STANDARD, "AccessGroupName": "x"},
        404,
        "InvalidAccessGroup.NotFound",
    ),
    (
        "CreateMountTarget",
        {**TARGET, "FileSystemId": STANDARD, "VpcId": "vpc-x"},
        404,
        "InvalidVpcId.NotFound",
    ),
    (
        "DeleteMountTarget",
        {"FileSystemId": STANDARD, "MountTargetDomain": "x"},
        404,
        "InvalidMountTarget.NotFound",
    ),
    ("CreateDir", {**DIR, "RootDirectory": "/a/../b"}, 400, "InvalidParameter"),
    ("CreateDir", {**DIR, "RootDirectory": "a"}, 400, "InvalidParameter"),
    ("CreateDir", {**DIR, "RootDirectory": "/a b"}, 400, "InvalidParameter"),
    ("CreateDir", {**DIR, "RootDirectory": "/a", "Permission": "rwx"}, 400, "InvalidParameter"),
    (
        "CreateDir",
        {**DIR, "RootDirectory": "/a/b", "Recursion": False},
        404,
        "InvalidParameter.DirPathNotExist",
    ),
    (
        "CreateDir",
        {**DIR, "FileSystemId": EXTREME, "RootDirectory": "/a"},
        400,
        "InvalidFileSystemType.NotSupport",
    ),
    ("SetDirQuota", {**QUOTA, "Path": "/x"}, 404, "InvalidParameter.DirPathNotExist"),
    (
        "CancelDirQuota",
        {"FileSystemId": STANDARD, "Path": "/x", "UserType": "AllUsers"},
        404,
        "InvalidParameter.QuotaNotExistOnPath",
    ),
    (
        "GetDirectoryOrFileProperties",
        {"FileSystemId": STANDARD, "Path": "/x"},
        404,
        "InvalidParameter.DirPathNotExist",
    ),
    (
        "DescribeAccessPoint",
        {"FileSystemId": STANDARD, "AccessPointId": "ap-x"},
        404,
        "InvalidAccessPointId.NotFound",
    ),
    (
        "DeleteAccessGroup",
        {"AccessGroupName": "DEFAULT_VPC_GROUP_NAME"},
        403,
        "OperationDenied.AccessGroupInUse",
    ),
    (
        "CreateFileset",
        {"FileSystemId": LINGJUN, "FileSystemPath": "/a"},
        404,
        "InvalidFilesetPath.InvalidParameter",
    ),
    (
        "CreateFileset",
        {"FileSystemId": LINGJUN, "FileSystemPath": "/a/b/c/d/e/f/g/h/i/"},
        403,
        "OperationDenied.TooManyDepths",
    ),
    (
        "CreateFileset",
        {"FileSystemId": LINGJUN, "FileSystemPath": "/a/", "Description": "two words"},
        400,
        "InvalidDescription.InvalidFormat",
    ),
    (
        "DescribeFilesets",
        {"FileSystemId": LINGJUN, "Filters": [{"Key": "FsetId", "Value": "x"}]},
        404,
        "InvalidFilterParam",
    ),
    (
        "DescribeFilesets",
        {"FileSystemId": LINGJUN, "OrderByField": "SpaceUsage"},
        400,
        "InvalidParameter",
    ),
    (
        "SetFilesetQuota",
        {"FileSystemId": LINGJUN, "FsetId": "fset-x", "SizeLimit": 10 * GIB},
        400,
        "InvalidFilesetId.NotFound",
    ),
    (
        "CreateFileset",
        {"FileSystemId": LINGJUN, "FileSystemPath": "/a/b/"},
        404,
        "InvalidFileSystemPath.ParentNotFound",
    ),
    (
        "CreateFileset",
        {"FileSystemId": LINGJUN, "FileSystemPath": "/a/", "Quota.SizeLimit": 10 * GIB + 1},
        400,
        "InvalidParameter",
    ),
    (
        "CreateFileset",
        {"FileSystemId": STANDARD, "FileSystemPath": "/a/"},
        400,
        "InvalidFileSystemType.NotSupport",
    ),
    (
        "DeleteFileset",
        {"FileSystemId": LINGJUN, "FsetId": "fset-x"},
        404,
        "InvalidFsetId.NotFound",
    ),
    ("CreateVsc", {"InstanceId": harness.NODE_2}, 403, "InvalidOperation.VscNotEnabled"),
    ("CreateVsc", {"InstanceId": NODE, "DryRun": True}, 400, "DryRunOperation"),
    (
        "DetachVscFromFilesystems",
        {"ResourceIds": [{"FileSystemId": LINGJUN, "VscId": "vsc-x"}]},
        400,
        "Resource.Check.Fail",
    ),
    (
        "AttachVscToFilesystems",
        {"ResourceIds": [{"FileSystemId": STANDARD, "VscId": "vsc-x"}]},
        400,
        "AttachVscTarget.VscAttachNotSupported",
    ),
    (
        "DescribeFilesystemsVscAttachInfo",
        {
            "ResourceIds": [
                {"FileSystemId": LINGJUN, "VscId": "vsc-x"},
                {"FileSystemId": LINGJUN, "VscId": "vsc-y"},
            ]
        },
        400,
        "InvalidParameter",
    ),
    (
        "TagResources",
        {"ResourceType": "filesystem", "ResourceId": ["x"], "Tag": [{"Key": "a", "Value": "b"}]},
        404,
        "InvalidResourceId.NotFound",
    ),
]


@pytest.mark.parametrize(("action", "parameters", "status", "code"), REFUSED)
def test_what_is_refused_is_refused_with_its_code(nas, action, parameters, status, code):
    assert nas.refused(action, **parameters) == (status, code)


def test_a_file_system_is_pending_before_it_runs(nas):
    made = nas("CreateFileSystem", **NEW)["FileSystemId"]
    before = nas.file_system(made)["Status"]
    early = nas.refused("CreateMountTarget", **TARGET, FileSystemId=made)
    nas.wait()

    assert before == "Pending"
    assert early == (403, "OperationDenied.InvalidState")
    assert nas.file_system(made)["Status"] == "Running"


def test_what_is_in_a_file_system_goes_with_it(nas):
    made = nas.make()
    nas("CreateDir", **{**DIR, "FileSystemId": made}, RootDirectory="/a")
    nas("SetDirQuota", **{**QUOTA, "FileSystemId": made})
    nas("DeleteFileSystem", FileSystemId=made)
    nas.wait()

    left = [row for kind in ("nas_directory", "nas_dir_quota") for row in nas.cloud.store.all(kind)]

    assert [row for row in left if row["file_system_id"] == made] == []


def test_quotas_of_the_account_are_kept(nas):
    nas.cloud.change_world({"quotas": {"nas_file_systems": 4, "nas_access_points": 0}})
    nas.make()

    assert nas.refused("CreateFileSystem", **NEW) == (
        403,
        "OperationDenied.FileSystemCountsExceeded",
    )
    assert nas.refused(
        "CreateAccessPoint",
        FileSystemId=STANDARD,
        AccessGroup="DEFAULT_VPC_GROUP_NAME",
        VpcId=NETWORK["VpcId"],
        VswId=NETWORK["VSwitchId"],
    ) == (403, "OperationDenied.AccessPointCountsExceeded")


def test_a_quota_is_initialized_once_and_changed_at_once(nas):
    nas("CreateDir", **DIR, RootDirectory="/a")
    nas("SetDirQuota", **QUOTA)

    def told():
        (info,) = nas("DescribeDirQuotas", FileSystemId=STANDARD)["DirQuotaInfos"]
        return info["Status"], info["UserQuotaInfos"][0]["SizeLimit"]

    first = told()
    nas.wait()
    nas("SetDirQuota", **{**QUOTA, "SizeLimit": 30})

    assert first == ("Initializing", 20)
    assert told() == ("Normal", 30)


def test_filesets_do_not_nest_and_can_be_protected(nas):
    made = new_fileset(nas, DeletionProtection=True)
    inside = {"FileSystemId": LINGJUN, "FileSystemPath": "/pv-1/x/"}

    assert nas.refused("CreateFileset", **inside) == (403, "OperationDenied.NestedDir")
    assert nas.refused("DeleteFileset", FileSystemId=LINGJUN, FsetId=made) == (
        403,
        "InvalidOperation.DeletionProtection",
    )
    again = {**inside, "FileSystemPath": "/pv-1/"}
    assert nas.refused("CreateFileset", **again) == (403, "OperationDenied.AlreadyExists")


def test_a_fileset_is_deleted_only_while_all_of_its_file_system_are_at_rest(nas):
    first, second = new_fileset(nas, "/a/"), new_fileset(nas, "/b/")
    busy = (403, "OperationDenied.InvalidState")

    nas("CreateFileset", FileSystemId=LINGJUN, FileSystemPath="/c/")
    while_made = nas.refused("DeleteFileset", FileSystemId=LINGJUN, FsetId=first)
    nas.wait()
    nas("DeleteFileset", FileSystemId=LINGJUN, FsetId=first)
    while_going = [
        nas.refused("DeleteFileset", FileSystemId=LINGJUN, FsetId=each) for each in (first, second)
    ]
    nas.wait()

    assert [while_made, *while_going] == [busy] * 3
    nas("DeleteFileset", FileSystemId=LINGJUN, FsetId=second)


def test_a_dry_run_changes_no_fileset(nas):
    fileset = {"FileSystemId": LINGJUN, "FsetId": new_fileset(nas, Description="of-a-test")}
    nas("SetFilesetQuota", **fileset, SizeLimit=20 * GIB)
    before = nas("DescribeFilesets", FileSystemId=LINGJUN)["Entries"]

    nas("ModifyFileset", **fileset, Description="other", DryRun=True)
    nas("SetFilesetQuota", **fileset, SizeLimit=30 * GIB, DryRun=True)
    nas("CancelFilesetQuota", **fileset, DryRun=True)
    nas("DeleteFileset", **fileset, DryRun=True)
    nas.wait()

    assert nas("DescribeFilesets", FileSystemId=LINGJUN)["Entries"] == before
    assert nas.refused("SetFilesetQuota", **fileset) == (400, "MissingParameter")


def test_exports_are_found_by_what_they_are_and_a_dry_run_deletes_none(nas):
    cpfs = nas.make(**NEW_CPFS)
    fileset_id = nas("CreateFileset", FileSystemId=cpfs, FileSystemPath="/a/")["FsetId"]
    told = {"FileSystemId": cpfs, "ProtocolType": "NFS", "ProtocolSpec": "General"}
    service = nas("CreateProtocolService", **told)["ProtocolServiceId"]
    nas.wait()
    which = {"FileSystemId": cpfs, "ProtocolServiceId": service}
    root = nas("CreateProtocolMountTarget", **which, Path="/", **NETWORK)["ExportId"]
    of_set = nas("CreateProtocolMountTarget", **which, FsetId=fileset_id, **NETWORK)["ExportId"]
    nas.wait()

    def found(key, value):
        filters = [{"Key": key, "Value": value}]
        answer = nas("DescribeProtocolMountTarget", FileSystemId=cpfs, Filters=filters)
        return {each["ExportId"] for each in answer["ProtocolMountTargets"]}

    nas("DeleteProtocolMountTarget", **which, ExportId=of_set, DryRun=True)
    nas.wait()

    assert found("Paths", "/") == {root}
    assert found("Paths", "/a/,/b/") == found("FsetIds", fileset_id) == {of_set}
    assert found("VpcIds", NETWORK["VpcId"]) == found("ProtocolServiceIds", service)
    nas("DeleteProtocolMountTarget", **which, ExportId=of_set)
    nas("DeleteProtocolMountTarget", **which, ExportId=root)
    nas.wait()
    nas("DeleteProtocolService", **which, DryRun=True)
    assert nas("DescribeProtocolService", FileSystemId=cpfs)["ProtocolServices"]


def test_filesets_are_found_by_a_part_of_their_path_and_by_whole_ids(nas):
    made = [new_fileset(nas, f"/team-{n}/", Description=f"of-team-{n}") for n in range(3)]

    def found(key, value):
        filters = [{"Key": key, "Value": value}]
        told = nas("DescribeFilesets", FileSystemId=LINGJUN, Filters=filters)
        return sorted(each["FsetId"] for each in told["Entries"]["Entrie"])

    assert found("FileSystemPath", "/team") == sorted(made)
    assert found("Description", "team-1") == made[1:2]
    assert found("FsetIds", f"{made[0]},{made[2]}") == sorted((made[0], made[2]))
    assert found("FsetIds", made[0][:-1]) == []


def test_a_cpfs_file_system_has_ten_filesets_at_most(nas):
    cpfs = nas.make(**NEW_CPFS)
    for n in range(10):
        nas("CreateFileset", FileSystemId=cpfs, FileSystemPath=f"/set-{n}/")

    more = nas.refused("CreateFileset", FileSystemId=cpfs, FileSystemPath="/set-x/")

    assert more == (403, "OperationDenied.TooManyFilesets")


def test_a_released_fileset_may_still_be_told_of(nas):
    nas.cloud.remember("nas", {"keep_released": True})
    made = new_fileset(nas)
    which = {"FileSystemId": LINGJUN, "FsetId": made}
    nas("DeleteFileset", **which)
    nas.wait()

    (told,) = nas("DescribeFilesets", FileSystemId=LINGJUN)["Entries"]["Entrie"]

    assert (told["FsetId"], told["Status"]) == (made, "RELEASED")
    assert nas.refused("DeleteFileset", **which) == (404, "InvalidFsetId.NotFound")
    assert new_fileset(nas) != made, "the path is free again"


def test_everything_is_there_after_a_restart(nas, tmp_path):
    made = nas.make()
    nas("CreateMountTarget", FileSystemId=made, **TARGET)
    nas("CreateDir", **DIR, RootDirectory="/a")
    before = nas.file_system(made)
    nas.cloud.close()

    again = Nas(tmp_path, declared=nas.cloud.world)
    after = again.file_system(made)
    kind = again("GetDirectoryOrFileProperties", FileSystemId=STANDARD, Path="/a")["Entry"]["Type"]
    again.cloud.close()

    assert json.dumps(after, sort_keys=True) == json.dumps(before, sort_keys=True)
    assert kind == "Directory"

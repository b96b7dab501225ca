"""The NAS side: what it refuses, how states pass, and that answers have the SDK's shapes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models as ecs_models
from alibabacloud_nas20170626 import models

from sim import actions
from tests.sim import sim_ecs_harness as harness
from tests.sim import test_sim_shapes as shapes
from tests.sim.sim_nas_harness import (
    DIR,
    EXTREME,
    GIB,
    LINGJUN,
    NETWORK,
    NEW,
    NEW_CPFS,
    NEW_EXTREME,
    NODE,
    QUOTA,
    STANDARD,
    TARGET,
    Nas,
    new_access_point,
    new_fileset,
)


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


def run_access_point_actions(nas: Nas) -> None:
    point = new_access_point(nas, PosixSecondaryGroupIds="5,6", Tag=harness.tags({"k": "v"}))
    one = {"FileSystemId": STANDARD, "AccessPointId": point}
    nas("DescribeAccessPoint", **one)
    nas("DescribeAccessPoints", FileSystemId=STANDARD)
    nas("ModifyAccessPoint", **one, AccessPointName="other")
    nas("DeleteAccessPoint", **one)


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
    (
        "UntagResources",
        {
            "ResourceType": "filesystem",
            "ResourceId": [STANDARD],
            "TagKey": [f"k{n}" for n in range(21)],
        },
        400,
        "NumberExceed.Tags",
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


def test_an_access_point_of_a_new_directory_needs_its_owner(nas):
    told = {
        "FileSystemId": STANDARD,
        "AccessGroup": "DEFAULT_VPC_GROUP_NAME",
        "VpcId": NETWORK["VpcId"],
        "VswId": NETWORK["VSwitchId"],
    }
    owner = {"OwnerUserId": 0, "OwnerGroupId": 0}

    assert nas.refused("CreateAccessPoint", **told, RootDirectory="/new") == (
        400,
        "MissingParameter",
    )
    nas("CreateAccessPoint", **told, RootDirectory="/new", **owner)
    nas("CreateAccessPoint", **told, RootDirectory="/new")
    nas("CreateAccessPoint", **told)


@pytest.mark.parametrize("permission", ["777", "0999", "rwx", "07777"])
def test_an_access_points_permission_is_four_octal_digits(nas, permission):
    told = {
        "FileSystemId": STANDARD,
        "AccessGroup": "DEFAULT_VPC_GROUP_NAME",
        "VpcId": NETWORK["VpcId"],
        "VswId": NETWORK["VSwitchId"],
        "OwnerUserId": 0,
        "OwnerGroupId": 0,
        "RootDirectory": "/new",
    }

    refused = nas.refused("CreateAccessPoint", **told, Permission=permission)

    assert refused == (400, "InvalidParameter")


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

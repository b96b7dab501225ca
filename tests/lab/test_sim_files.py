"""Mount targets of the simulator as real NFS exports."""

import contextlib
import pathlib
import time

import pytest

from tests.lab.conftest import nfs_arguments
from tests.support import machine, rpc, signed_api
from tests.support.nas_cloud import DOMAIN, EXTREME, EXTREME_DOMAIN, FILE_SYSTEM, NETWORK, NasCloud

Lab = tuple[NasCloud, machine.Machine, machine.Machine]


@pytest.fixture
def target(tmp_path: pathlib.Path) -> pathlib.Path:
    made = tmp_path / "target"
    made.mkdir()
    return made


def mount(node: machine.Machine, source: str, target: pathlib.Path, version: str = "4.0") -> None:
    node.run("mount", "-t", "nfs", *nfs_arguments(version), source, target, timeout_s=60)


def test_two_machines_share_declared_file_systems_by_name(
    nas_cloud: Lab, target: pathlib.Path
) -> None:
    cloud, one, two = nas_cloud

    for version, source in (("3", f"{DOMAIN}:/"), ("4.0", f"{EXTREME_DOMAIN}:/share")):
        mount(one, source, target, version)
        mount(two, source, target, version)
        one.run("sh", "-c", f"echo {version} >{target}/file")
        assert two.run("cat", f"{target}/file") == f"{version}\n"
        one.run("umount", target)
        two.run("umount", target)

    assert (cloud.tree() / "file").read_text() == "3\n"
    assert (cloud.tree(EXTREME) / "file").read_text() == "4.0\n"


def test_a_mount_target_is_active_when_it_can_be_mounted_and_its_name_goes_with_it(
    nas_cloud: Lab, target: pathlib.Path
) -> None:
    cloud, node, _ = nas_cloud
    group = {"AccessGroupName": "DEFAULT_VPC_GROUP_NAME", "NetworkType": "Vpc"}
    made = cloud.call("CreateMountTarget", FileSystemId=FILE_SYSTEM, **group, **NETWORK)
    domain = made["MountTargetDomain"]

    rpc.wait_until(lambda: cloud.status(domain) == "Active", timeout_s=60)
    node.run("getent", "ahosts", domain)
    mount(node, f"{domain}:/", target)
    node.run("touch", target / "file")
    node.run("umount", target)
    cloud.call("DeleteMountTarget", FileSystemId=FILE_SYSTEM, MountTargetDomain=domain)

    node.fails("getent", "ahosts", domain)
    assert domain not in [row["domain"] for row in cloud.files["exports"]]


def test_a_killed_cloud_takes_its_exports_over(nas_cloud: Lab, target: pathlib.Path) -> None:
    cloud, node, _ = nas_cloud
    mount(node, f"{DOMAIN}:/", target)
    before = cloud.files["exports"]

    cloud.kill()
    node.run("touch", target / "meanwhile")
    cloud.start()

    assert cloud.files["exports"] == before
    node.run("touch", target / "after")
    assert {path.name for path in cloud.tree().iterdir()} == {"meanwhile", "after"}


@pytest.mark.parametrize("version", ["3", "4.0"])
def test_a_file_system_goes_with_its_tree_and_is_stale_for_who_has_it_mounted(
    version: str, nas_cloud: Lab, target: pathlib.Path
) -> None:
    cloud, node, _ = nas_cloud
    mount(node, f"{DOMAIN}:/", target, version)
    cloud.call("DeleteMountTarget", FileSystemId=FILE_SYSTEM, MountTargetDomain=DOMAIN)
    (cloud.tree() / "directory").mkdir()

    rpc.wait_until(lambda: cloud.status(DOMAIN) == "", timeout_s=60)
    cloud.call("DeleteFileSystem", FileSystemId=FILE_SYSTEM)

    rpc.wait_until(lambda: not cloud.tree().exists(), timeout_s=60)
    with pytest.raises(signed_api.Refused, match="InvalidFileSystem"):
        cloud.call("DescribeFileSystems", FileSystemId=FILE_SYSTEM)
    assert "Stale file handle" in node.fails("ls", target)
    node.run("umount", target)


def test_a_cloud_killed_while_exports_start_is_whole_after_the_next_start(
    tmp_path: pathlib.Path, target: pathlib.Path
) -> None:
    cloud = NasCloud(tmp_path)
    with contextlib.closing(cloud), machine.Machine() as node:
        # A server takes two seconds here: some way into it, and into the next one.
        for pause_s in (0.0, 0.3, 0.8, 2.5):
            cloud.start(until="exports")
            time.sleep(pause_s)
            cloud.kill()
        cloud.start()
        cloud.join(node)
        mount(node, f"{DOMAIN}:/", target)
        node.run("touch", target / "file")

        assert all(row["serves"] for row in cloud.files["exports"])


def test_a_directory_quota_holds_for_root_on_a_node(nas_cloud: Lab, target: pathlib.Path) -> None:
    cloud, node, _ = nas_cloud
    owner = {"OwnerUserId": 0, "OwnerGroupId": 0, "Permission": "0777"}
    cloud.call("CreateDir", FileSystemId=FILE_SYSTEM, RootDirectory="/volume", **owner)
    tree = cloud.tree() / "volume"
    (tree / "before").write_bytes(bytes(1 << 20))
    limit = {"QuotaType": "Enforcement", "UserType": "AllUsers", "SizeLimit": 1}
    cloud.call("SetDirQuota", FileSystemId=FILE_SYSTEM, Path="/volume", FileCountLimit=4, **limit)
    rpc.wait_until(lambda: bool(cloud.files["quotas"]), timeout_s=20)
    mount(node, f"{DOMAIN}:/volume", target)

    # Almost all of it, without writing it.
    free = machine.run("df", "--output=avail", "-B1", tree).split()[1]
    machine.run("fallocate", "-l", str(int(free) - (1 << 20)), tree / "reserved")
    too_much = node.fails("dd", "if=/dev/zero", f"of={target}/file", "bs=1M", "count=4")
    node.run("rm", target / "file", target / "reserved")
    node.run("touch", *(target / name for name in "abc"))
    too_many = node.fails("touch", target / "d")
    told = cloud.call("DescribeDirQuotas", FileSystemId=FILE_SYSTEM)["DirQuotaInfos"][0]
    cloud.call("CancelDirQuota", FileSystemId=FILE_SYSTEM, Path="/volume", UserType="AllUsers")
    node.run("touch", target / "d")

    for said in (too_much, too_many):
        assert "No space left on device" in said or "Disk quota exceeded" in said
    assert told["UserQuotaInfos"][0]["FileCountReal"] == 4
    assert told["UserQuotaInfos"][0]["SizeRealInByte"] >= 1 << 20


def test_a_fileset_of_cpfs_and_an_access_point_are_exported_as_roots(
    nas_cloud: Lab, target: pathlib.Path
) -> None:
    cloud, node, _ = nas_cloud
    cpfs = {"FileSystemType": "cpfs", "ProtocolType": "cpfs", "StorageType": "advance_100"}
    cpfs |= {"ZoneId": "cn-hangzhou-k", "Capacity": "3600", **NETWORK}
    system = {"FileSystemId": cloud.call("CreateFileSystem", **cpfs)["FileSystemId"]}
    cloud.wait("nas_file_system", system["FileSystemId"], "Running")
    service = {"ProtocolType": "NFS", "ProtocolSpec": "General", **system}
    service = {
        "ProtocolServiceId": cloud.call("CreateProtocolService", **service)["ProtocolServiceId"]
    }
    fileset = cloud.call("CreateFileset", **system, FileSystemPath="/inner/")["FsetId"]
    point = {"FileSystemId": FILE_SYSTEM, "RootDirectory": "/point", "VpcId": NETWORK["VpcId"]}
    point |= {"AccessGroup": "DEFAULT_VPC_GROUP_NAME", "VswId": NETWORK["VSwitchId"]}
    point |= {"OwnerUserId": 0, "OwnerGroupId": 0}
    made = cloud.call("CreateAccessPoint", **point)["AccessPoint"]
    cloud.wait("cpfs_protocol_service", service["ProtocolServiceId"], "RUNNING")
    cloud.wait("cpfs_fileset", fileset, "CREATED")
    network = {**system, **service, **NETWORK}
    export = cloud.call("CreateProtocolMountTarget", **network, FsetId=fileset)["ExportId"]
    cloud.wait("cpfs_protocol_mount_target", export, "ACTIVE")
    cloud.wait("nas_access_point", made["AccessPointId"], "Active")
    told = cloud.call("DescribeProtocolMountTarget", **system)["ProtocolMountTargets"][0]

    for domain, path in (
        (told["ProtocolMountTargetDomain"], "/share"),
        (made["AccessPointDomain"], "/"),
    ):
        mount(node, f"{domain}:{path}", target, "3")
        node.run("touch", target / "file")
        node.run("umount", target)

    assert (cloud.tree(system["FileSystemId"]) / "inner/file").exists()
    assert (cloud.tree() / "point/file").exists()


def test_a_server_that_is_unreachable_for_a_while_is_used_again(
    nas_cloud: Lab, target: pathlib.Path
) -> None:
    cloud, node, _ = nas_cloud
    options = "vers=3,proto=tcp,nolock,soft,timeo=5,retrans=1"
    node.run("mount", "-t", "nfs", "-o", options, f"{DOMAIN}:/", target)

    with cloud.unreachable(DOMAIN):
        node.fails("touch", target / "file")
    again = f"until touch {target}/file; do sleep 0.2; done"
    node.run("sh", "-c", again, timeout_s=60)

    assert (cloud.tree() / "file").exists()

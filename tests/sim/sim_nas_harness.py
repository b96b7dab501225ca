"""The simulated NAS, called as its clients call it, and what tests make in it."""

import pathlib
from collections.abc import Mapping
from typing import Any

import sim.nas  # noqa: F401  # registers the actions
from tests.sim import sim_ecs_harness as harness

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

    def call(self, action: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        answer = super().call(action, parameters)
        self.answers.setdefault(action, []).append({"RequestId": "R", **answer})
        return answer

    def make(self, **parameters: object) -> str:
        file_system_id: str = self("CreateFileSystem", **(parameters or NEW))["FileSystemId"]
        self.wait()
        return file_system_id

    def file_system(self, file_system_id: str) -> dict[str, Any]:
        found = self("DescribeFileSystems", FileSystemId=file_system_id)
        row: dict[str, Any]
        (row,) = found["FileSystems"]["FileSystem"]
        return row


def new_access_point(nas: Nas, **changes: object) -> str:
    told = {
        "FileSystemId": STANDARD,
        "AccessGroup": "DEFAULT_VPC_GROUP_NAME",
        "VpcId": NETWORK["VpcId"],
        "VswId": NETWORK["VSwitchId"],
        "RootDirectory": "/points/a",
        "OwnerUserId": 0,
        "OwnerGroupId": 0,
        **changes,
    }
    point: str = nas("CreateAccessPoint", **told)["AccessPoint"]["AccessPointId"]
    nas.wait()
    return point


def new_fileset(nas: Nas, path: str = "/pv-1/", **changes: object) -> str:
    told = {"FileSystemId": LINGJUN, "FileSystemPath": path, **changes}
    fileset_id: str = nas("CreateFileset", **told)["FsetId"]
    nas.wait()
    return fileset_id

"""Appendix G 42: which client mounts what a ContainerNetworkFileSystem names."""

from typing import Any

import pytest

from core import errors
from csi.nas import clients, cnfs, volume_context
from kube import cnfs as kube_cnfs
from tests.fakes import fake_kubernetes

NAS = "0a1b2c-x.cn-hangzhou.nas.aliyuncs.com"
CPFS = "cpfs-1-x.cn-hangzhou.cpfs.aliyuncs.com"


def made(name: str = "shared", **told: Any) -> kube_cnfs.Cnfs:
    return kube_cnfs.parse(fake_kubernetes.cnfs_object(name, **told))


def standard(**more: Any) -> kube_cnfs.Cnfs:
    return made(filesystemType="standard", filesystemId="0a1b2c", server=NAS, **more)


def cpfs(**more: Any) -> kube_cnfs.Cnfs:
    told = {"filesystemType": "cpfs", "filesystemId": "cpfs-1", "server": CPFS}
    return made(**told, protocolServer="proto.cpfs", **more)


MATRIX = {
    "standard, nothing said": (standard(), clients.Client.NFS, NAS),
    "standard, NFS": (standard(useClient="NFSClient"), clients.Client.NFS, NAS),
    "standard, elastic": (standard(useClient="EFCClient"), clients.Client.EFC, NAS),
    "standard, elastic by switch": (
        standard(useElasticAccelerationClient="true"),
        clients.Client.EFC,
        NAS,
    ),
    "cpfs, NFS": (cpfs(useClient="NFSClient"), clients.Client.CPFS_NFS, "proto.cpfs"),
    "cpfs, elastic": (cpfs(useClient="EFCClient"), clients.Client.EFC, CPFS),
    "cpfs, native": (cpfs(useClient="NativeClient"), clients.Client.CPFS_NATIVE, CPFS),
}


@pytest.mark.parametrize(("found", "client", "server"), MATRIX.values(), ids=MATRIX.keys())
def test_g42_the_object_chooses_client_and_server(
    found: kube_cnfs.Cnfs, client: clients.Client, server: str
) -> None:
    told = {"containerNetworkFileSystem": "shared", "path": "/a", "Server": "old", "useclient": "x"}

    volume = volume_context.parse(cnfs.mounted_as(told, found))

    assert (volume.client, volume.place.host, volume.place.base) == (client, server, "/a")


def test_g42_a_client_that_does_not_serve_the_type_is_refused() -> None:
    told = cnfs.mounted_as({"path": "/a"}, standard(useClient="NativeClient"))

    with pytest.raises(errors.InvalidField, match="NativeClient"):
        volume_context.parse(told)


def test_an_object_without_its_server_is_not_mounted() -> None:
    found = made(filesystemType="standard", status="Pending")

    with pytest.raises(errors.Precondition, match=r"fsAttributes\.server; its status is Pending"):
        cnfs.mounted_as({"path": "/a"}, found)


def test_a_class_gets_what_the_object_tells() -> None:
    told = cnfs.complete({"containerNetworkFileSystem": "shared", "path": "/base"}, standard())

    assert told["server"] == NAS
    assert told["fileSystemId"] == "0a1b2c"
    assert told["path"] == "/base"


def test_a_class_of_access_points_gets_network_and_file_system() -> None:
    told = cnfs.complete({"volumeAs": "accesspoint"}, standard(vpcId="vpc-1", vSwitchId="vsw-1"))

    assert (told["fileSystemId"], told["vpcId"], told["vSwitchId"]) == ("0a1b2c", "vpc-1", "vsw-1")


BAD = {
    "a server too": ({"server": "a"}, standard(), r"\[server\] 'a' does not go with"),
    "a protocol too": ({"mountProtocol": "nfs"}, standard(), r"\[mountProtocol\]"),
    "a network too": ({"volumeAs": "accesspoint", "vpcId": "v"}, standard(), r"\[vpcId\]"),
    "object storage": (
        {},
        made(kind="oss", bucketName="b"),
        r"is of type oss; allowed: nas or cpfs",
    ),
    "access points of cpfs": ({"volumeAs": "accesspoint"}, cpfs(), "has no access points"),
    "access points without a network": (
        {"volumeAs": "accesspoint"},
        standard(vpcId="vpc-1"),
        r"fsAttributes\.vSwitchId",
    ),
}


@pytest.mark.parametrize(("parameters", "found", "told"), BAD.values(), ids=BAD.keys())
def test_what_does_not_go_together_is_refused_by_name(
    parameters: dict[str, str], found: kube_cnfs.Cnfs, told: str
) -> None:
    with pytest.raises((errors.InvalidField, errors.Precondition), match=told):
        resolve(parameters, found)


def resolve(parameters: dict[str, str], found: kube_cnfs.Cnfs) -> None:
    cnfs.require_alone(parameters)
    cnfs.complete(parameters, found)

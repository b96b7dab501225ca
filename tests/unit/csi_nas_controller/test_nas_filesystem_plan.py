"""Decisions about a file system of a volume's own."""

import pytest

from cloud import nas_model
from core import errors
from csi import requests
from csi.nas.controller import filesystem_plan, made, params, parse_params, tags

GIB = 1 << 30
ZONES = {"vsw-1": "zone-a", "vsw-2": "zone-b"}


def wanted(required: int = 0, limit: int = 0, *flags: str) -> made.VolumeRequest:
    mount = requests.VolumeCapability(
        access=requests.AccessType.MOUNT,
        mode=requests.AccessMode.MULTI_NODE_MULTI_WRITER,
        mount_flags=flags,
    )
    return made.VolumeRequest(
        name="pvc-1", required_bytes=required, limit_bytes=limit, capabilities=(mount,)
    )


def class_(**changes: str) -> params.FilesystemParameters:
    told = {"volumeAs": "filesystem", "vpcId": "vpc-1", "vSwitchId": "vsw-1,vsw-2", **changes}
    found = parse_params.parse(told)
    assert isinstance(found, params.FilesystemParameters)
    return found


@pytest.mark.parametrize(
    ("zones", "told", "meant"),
    [
        (("zone-b", "zone-a"), "", ("vsw-2", "zone-b")),
        (("zone-x", "zone-a"), "", ("vsw-1", "zone-a")),
        (("zone-b",), "zone-b", ("vsw-2", "zone-b")),
        (("zone-x",), "zone-x", ("vsw-1", "zone-x")),
        ((), "", ("vsw-1", "zone-a")),
    ],
    ids=["the best zone", "the next", "the class's", "without a vSwitch there", "nothing said"],
)
def test_a_vswitch_follows_the_zone(
    zones: tuple[str, ...], told: str, meant: tuple[str, str]
) -> None:
    assert filesystem_plan.choose_vswitch(ZONES, zones, told) == meant


@pytest.mark.parametrize(
    ("kind", "asked", "told"),
    [("standard", 5 * GIB, 0), ("extreme", 5 * GIB, 100), ("extreme", 100 * GIB + 1, 101)],
)
def test_extreme_has_a_size_of_at_least_100_gib(kind: str, asked: int, told: int) -> None:
    assert filesystem_plan.choose_capacity_gib(wanted(asked), class_(fileSystemType=kind)) == told


def test_a_limit_below_the_least_size_is_out_of_range() -> None:
    with pytest.raises(errors.OutOfRange, match="at least 100 GiB"):
        filesystem_plan.choose_capacity_gib(wanted(GIB, 99 * GIB), class_(fileSystemType="extreme"))


@pytest.mark.parametrize("flag", ["vers=4.0", "nfsvers=4.1", "vers=3,nolock"])
def test_a_version_of_the_class_is_left_to_its_flags(flag: str) -> None:
    assert filesystem_plan.version(wanted(0, 0, flag)) == {}
    assert filesystem_plan.version(wanted()) == {"vers": "3"}


def test_another_wish_for_the_same_name_is_told() -> None:
    told = {tags.CAPACITY: str(GIB), tags.DELETE_VOLUME: "true"}
    found = nas_model.FileSystem(
        file_system_id="aaaa",
        type=nas_model.FileSystemType.STANDARD,
        status="Running",
        protocol="NFS",
        storage_type="performance",
        zone_id="zone-a",
        tags=told,
    )

    filesystem_plan.require_same(found, "pvc-1", class_(deleteVolume="true"), GIB)
    for parameters, size_bytes in (
        (class_(), GIB),
        (class_(deleteVolume="true"), 2 * GIB),
        (class_(deleteVolume="true", storageType="Capacity"), GIB),
    ):
        with pytest.raises(errors.Exists, match="aaaa"):
            filesystem_plan.require_same(found, "pvc-1", parameters, size_bytes)

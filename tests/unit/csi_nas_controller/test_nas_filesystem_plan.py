"""Decisions about a file system of a volume's own."""

import dataclasses

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


@pytest.mark.parametrize(
    "changes",
    [
        {"encryptType": "1"},
        {"encryptType": "2", "kmsKeyId": "key-1"},
        {"zoneId": "zone-b"},
        {"snapshotID": "s-1"},
        {"resourceGroupId": "rg-1"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_a_file_system_does_not_show_is_compared_too(changes: dict[str, str]) -> None:
    first, other = class_(), class_(**changes)
    told = filesystem_plan.new_file_system(
        "pvc-1", first, size_bytes=GIB, zone_id="zone-a", vswitch_id="vsw-1", cluster_id=""
    ).tags
    found = nas_model.FileSystem(
        file_system_id="aaaa",
        type=nas_model.FileSystemType.STANDARD,
        status="Running",
        protocol="NFS",
        storage_type="Performance",
        zone_id="zone-a",
        tags=told,
    )

    filesystem_plan.require_same(found, "pvc-1", first, GIB)
    with pytest.raises(errors.Exists, match="something else was asked for"):
        filesystem_plan.require_same(found, "pvc-1", other, GIB)
    older = {key: text for key, text in told.items() if key != tags.WISH}
    filesystem_plan.require_same(dataclasses.replace(found, tags=older), "pvc-1", other, GIB)


def test_a_wish_does_not_change_with_keys_that_ask_for_nothing() -> None:
    asked: dict[str, object] = {"user": 0, "group": None, "network": "vpc-1"}

    assert tags.wish(asked) == tags.wish({**asked, "new": "", "more": (), "flag": False})
    assert tags.wish(asked) != tags.wish({**asked, "user": None})
    assert len(tags.wish(asked)) == 32


def target(domain: str, vpc_id: str, status: str = "Active") -> nas_model.MountTarget:
    return nas_model.MountTarget(domain=domain, status=status, vpc_id=vpc_id)


MINE, OTHERS = target("a.test", "vpc-1"), target("b.test", "vpc-2")
PENDING, SILENT = target("c.test", "vpc-1", "Pending"), target("d.test", "")


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ((), None),
        ((OTHERS, MINE), MINE),
        ((PENDING,), None),
        ((OTHERS, PENDING), None),
        ((PENDING, SILENT), SILENT),
    ],
    ids=["none yet", "the class's", "pending", "pending beside another VPC's", "no VPC told"],
)
def test_nodes_are_led_through_the_mount_target_of_their_own_vpc(
    there: tuple[nas_model.MountTarget, ...], chosen: nas_model.MountTarget | None
) -> None:
    found = nas_model.FileSystem(
        file_system_id="aaaa",
        type=nas_model.FileSystemType.STANDARD,
        status="Running",
        protocol="NFS",
        storage_type="Performance",
        zone_id="zone-a",
        mount_targets=there,
    )
    only_others = dataclasses.replace(found, mount_targets=(OTHERS,))

    assert filesystem_plan.choose_mount_target(found, "pvc-1", "vpc-1") == chosen
    with pytest.raises(errors.Exists, match=r"b\.test in vpc-2, and none in vpc-1"):
        filesystem_plan.choose_mount_target(only_others, "pvc-1", "vpc-1")

"""StorageClass parameters: Appendix G 34 (servers and paths), G 38 (access points), the common."""

import pathlib

import pytest

from cloud import nas_model
from core import errors
from csi.nas import server
from csi.nas.controller import made as made_module
from csi.nas.controller import params, parse_params, sharepath, subpath

STANDARD = "0a1b2c3d4e-abc12.cn-hangzhou.nas.aliyuncs.com"
OTHER = "1a1b2c3d4e-abc12.cn-hangzhou.nas.aliyuncs.com"
NETWORK = {"vpcId": "vpc-1", "vSwitchId": "vsw-1"}
POINT = {"volumeAs": "accesspoint", "fileSystemId": "0a1b2c3d4e", **NETWORK}
FILES = {"volumeAs": "filesystem", **NETWORK}


def places(**parameters: str) -> list[str]:
    found = parse_params.parse(parameters)
    assert isinstance(found, params.SubpathParameters)
    return [str(each) for each in found.places]


BASES = {
    "no base": ({"server": STANDARD}, [f"{STANDARD}:/"]),
    "a slash": ({"server": f"{STANDARD}:/"}, [f"{STANDARD}:/"]),
    "slashes": ({"server": f"{STANDARD}://a//b/"}, [f"{STANDARD}:/a/b"]),
    "path goes below": ({"server": f"{STANDARD}:/a", "path": "/b/"}, [f"{STANDARD}:/a/b"]),
    "several": ({"server": f"{STANDARD}:/a, {OTHER}"}, [f"{STANDARD}:/a", f"{OTHER}:/"]),
    "IPv6": ({"server": "[fd00::1]:/a"}, ["[fd00::1]:/a"]),
}


@pytest.mark.parametrize(("told", "meant"), BASES.values(), ids=BASES.keys())
def test_g34_servers_and_bases_are_cleaned(told: dict[str, str], meant: list[str]) -> None:
    assert places(**told) == meant


def test_g34_volumes_spread_over_servers_and_a_retry_comes_to_the_same() -> None:
    both = (server.Place(host=STANDARD, base="/"), server.Place(host=OTHER, base="/"))
    names = [f"pvc-{n}" for n in range(100)]

    chosen = [subpath.choose_place(both, name) for name in names]

    assert chosen == [subpath.choose_place(both, name) for name in names]
    assert min(chosen.count(each) for each in both) >= 30


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        (STANDARD, "standard"),
        ("extreme-0a1b-abc12.cn-hangzhou.extreme.nas.aliyuncs.com", "extreme"),
        ("cpfs-0a1b-abc12.cn-hangzhou.cpfs.aliyuncs.com", "cpfs"),
    ],
)
def test_g34_the_type_comes_from_the_servers_domain(host: str, kind: str) -> None:
    found = parse_params.parse({"volumeAs": "sharepath", "server": f"{host}:/share"})
    assert isinstance(found, params.SharepathParameters)
    want = made_module.VolumeRequest(name="pvc-1", required_bytes=1, limit_bytes=0, capabilities=())

    assert sharepath.describe(want, found).context["fileSystemType"] == kind


BAD: dict[str, tuple[dict[str, str], str]] = {
    "ram": ({**POINT, "accesspointEnableRam": "perhaps"}, "accesspointEnableRam"),
    "owner": ({**POINT, "accesspointOwnerUserId": "root"}, "accesspointOwnerUserId"),
    "group": ({**POINT, "accesspointOwnerGroupId": "-1"}, "accesspointOwnerGroupId"),
    "permission with a sticky bit": (
        {**POINT, "accesspointPermission": "1777"},
        "accesspointPermission",
    ),
    "permission of five digits": (
        {**POINT, "accesspointPermission": "00755"},
        "accesspointPermission",
    ),
    "permission": ({**POINT, "accesspointPermission": "rwx"}, "accesspointPermission"),
    "user": ({**POINT, "accesspointPosixUserId": "4294967296"}, "accesspointPosixUserId"),
    "posix group": ({**POINT, "accesspointPosixGroupId": "1.5"}, "accesspointPosixGroupId"),
    "groups": (
        {**POINT, "accesspointPosixSecondaryGroupIds": "1,x"},
        "accesspointPosixSecondaryGroupIds",
    ),
    "no file system": ({"volumeAs": "accesspoint", **NETWORK}, "fileSystemId"),
    "path": ({**POINT, "path": "/a/../b"}, "path"),
}


@pytest.mark.parametrize(("told", "named"), BAD.values(), ids=BAD.keys())
def test_g38_a_bad_access_point_is_refused_by_name(told: dict[str, str], named: str) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        parse_params.parse(told)

    assert caught.value.field == f"parameters[{named}]"


def test_g38_an_access_point_with_everything() -> None:
    found = parse_params.parse(
        {
            **POINT,
            "accesspointEnableRam": "true",
            "accesspointOwnerUserId": "1000",
            "accesspointOwnerGroupId": "1001",
            "accesspointPermission": "750",
            "accesspointPosixUserId": "0",
            "accesspointPosixGroupId": "1",
            "accesspointPosixSecondaryGroupIds": "2,3",
            "volumeCapacity": "true",
        }
    )

    assert isinstance(found, params.AccesspointParameters)
    assert (found.owner_user_id, found.owner_group_id, found.permission) == (1000, 1001, "0750")
    assert (found.posix_user_id, found.posix_group_id) == (0, 1)
    assert found.posix_secondary_group_ids == (2, 3)
    assert found.ram_enabled
    assert found.quota


COMMON_BAD = {
    "skipmount": {"mountType": "skipmount"},
    "an unknown client": {"mountProtocol": "smb"},
    "an image by another client": {"mountType": "losetup", "mountProtocol": "efc"},
    "modes in words": {"mode": "rwx"},
    "another kernel setting": {"sysConfig": "net/x=1"},
    "a key that is not known": {"archiveondelete": "true"},
}


@pytest.mark.parametrize("told", COMMON_BAD.values(), ids=COMMON_BAD.keys())
def test_what_no_node_would_mount_is_refused_at_once(told: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidField):
        parse_params.parse({"server": STANDARD, **told})


@pytest.mark.parametrize("kind", ["subpath", "sharepath"])
@pytest.mark.parametrize(
    "place",
    [
        {"server": f"{STANDARD}:/base/.csi-volumes"},
        {"server": f"{STANDARD}:/.csi-volumes/pvc-1"},
        {"server": f"{STANDARD}:/base", "path": "/.csi-volumes"},
        {"server": f"{STANDARD}:/base,{STANDARD}:/other/.csi-volumes/"},
    ],
)
def test_no_volume_is_put_among_the_records_of_others(kind: str, place: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidField, match="among the records of other volumes"):
        parse_params.parse({"volumeAs": kind, **place})


def test_a_file_system_of_its_own_has_defaults() -> None:
    found = parse_params.parse(FILES)

    assert isinstance(found, params.FilesystemParameters)
    assert found.type is nas_model.FileSystemType.STANDARD
    assert (found.storage_type, found.access_group) == ("Performance", "DEFAULT_VPC_GROUP_NAME")
    assert not found.delete


def test_every_parameter_has_its_row_with_what_takes_it_and_a_word_on_parity() -> None:
    path = pathlib.Path(__file__).parents[3] / "docs/reference/nas.md"
    table = path.read_text(encoding="utf-8").partition("\n## StorageClass parameters\n")[2]
    rows = {}
    for line in table.partition("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            rows[cells[0].strip("`")] = cells[1:]
    kinds = {
        kind.value: {key for key, cells in rows.items() if kind in cells[0] or cells[0] == "all"}
        for kind in params.VolumeAs
    }

    assert kinds == {kind.value: keys for kind, keys in parse_params.KNOWN.items()}
    assert all(cells[-1].startswith(("same", "better", "differs")) for cells in rows.values())

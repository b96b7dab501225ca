"""Command lines of LVM, its reports and its words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from host import lvm, lvm_commands, lvm_model

CONFIG = lvm_commands.configuration(())


def volume_row(**changes: str) -> dict[str, str]:
    row = {
        "lv_name": "pvc-1", "vg_name": "vg", "lv_uuid": "u", "lv_size": "4194304",
        "lv_layout": "linear", "stripes": "1", "lv_tags": "csi,csi-state=ready",
        "lv_active": "active", "lv_device_open": "open", "origin": "", "pool_lv": "",
        "lv_health_status": "", "data_percent": "", "lv_suspended": "",
        "metadata_percent": "", "copy_percent": "", "origin_size": "", "lv_metadata_size": "",
    }  # fmt: skip
    return {**row, **changes}


def volumes(*rows: dict[str, str]) -> list[lvm_model.LogicalVolume]:
    return lvm_commands.parse_volumes(json.dumps({"report": [{"lv": list(rows)}]}))


def test_only_the_devices_that_are_named_are_looked_at() -> None:
    config = lvm_commands.configuration(["/dev/vdb", "/dev/disk/by-id/x.1"])

    assert r'filter=["a|^/dev/vdb$|","a|^/dev/disk/by\-id/x\.1$|","r|.*|"]' in config
    assert "use_devicesfile=0" in config
    assert "filter" not in CONFIG


@pytest.mark.parametrize("device", ["vdb", '/dev/vdb"]', "/dev/a|b", "/dev/", "/dev/a b"])
def test_what_is_no_device(device: str) -> None:
    with pytest.raises(errors.InvalidField):
        lvm_commands.configuration([device])


@pytest.mark.parametrize(
    "name", ["", "-a", "a b", "a/b", "snapshot", "snapshot-1", "x_tmeta", "a" * 128, ".."]
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(errors.InvalidField):
        lvm_commands.create(CONFIG, lvm_model.Wish(name=name, group="vg", size_bytes=1))


def test_tags_and_stripes_are_options() -> None:
    wish = lvm_model.Wish(name="v", group="vg", size_bytes=5, stripes=2, tags=("a", "b=c"))

    argv = lvm_commands.create(CONFIG, wish)

    assert argv[-8:] == ["--stripes", "2", "--addtag", "a", "--addtag", "b=c", "--", "vg"]
    assert "512b" in argv
    with pytest.raises(errors.InvalidField):
        lvm_commands.list_volumes(CONFIG, tag="a}|b")


def test_a_volume_of_several_segments_is_one() -> None:
    (found,) = volumes(volume_row(stripes="2"), volume_row(stripes="1"))

    assert (found.name, found.stripes, found.size_bytes) == ("pvc-1", 2, 4 << 20)
    assert found.tags == {"csi", "csi-state=ready"}
    assert (found.is_active, found.is_open, found.data_percent) == (True, True, None)
    assert found.device == "/dev/vg/pvc-1"


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("linear", "linear"), ("striped", "striped"), ("raid,raid1", "raid1"), ("mirror", "mirror"),
        ("thin,sparse", "thin"), ("thin,pool", "pool"), ("cache", "other"),
    ],
)  # fmt: skip
def test_layouts(text: str, layout: str) -> None:
    assert volumes(volume_row(lv_layout=text))[0].layout == layout


@pytest.mark.parametrize("text", ["", "[]", '{"report": 1}', '{"report": [{}]}'])
def test_what_is_no_report(text: str) -> None:
    with pytest.raises(errors.Internal, match="cannot be understood"):
        lvm_commands.parse_groups(text)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('Volume group "v" has insufficient free space (1 extents): 2 required.', errors.Exhausted),
        ("Insufficient suitable allocatable extents for logical volume", errors.Exhausted),
        ('Logical Volume "a" already exists in volume group "v"', errors.Exists),
        ("Logical volume v/a contains a filesystem in use.", errors.Busy),
        ('Failed to find logical volume "v/a"', errors.NotFound),
        ('Volume group "v" not found', errors.NotFound),
        ("Segmentation fault", None),
    ],
)
def test_what_lvm_says(said: str, kind: type[errors.Error] | None) -> None:
    assert lvm_commands.meaning(said) is kind


@given(st.lists(st.integers(0, 12), max_size=5), st.integers(1, 4))
def test_the_room_for_stripes_is_what_filling_row_by_row_gives(
    free: list[int], stripes: int
) -> None:
    group = lvm_model.VolumeGroup(
        name="vg", uuid="u", size_bytes=0, extent_bytes=4, free_extents=sum(free),
        disks=len(free), missing=0, tags=frozenset(),
    )  # fmt: skip
    disks = [
        lvm_model.PhysicalVolume(
            device=f"/dev/{n}", group="vg", extents=count, used_extents=0, is_missing=False,
            is_allocatable=True,
        )
        for n, count in enumerate(free)
    ]  # fmt: skip

    rows, left = 0, sorted(free, reverse=True)
    while len(left) >= stripes and left[stripes - 1] > 0:
        left = sorted([*(each - 1 for each in left[:stripes]), *left[stripes:]], reverse=True)
        rows += 1

    assert lvm.room_for(group, disks, stripes=stripes) == rows * stripes * 4


def test_thin_volumes_mirrors_and_snapshots() -> None:
    thin = lvm_model.Wish(name="v", group="vg", size_bytes=1024, pool="p", tags=("a",))
    mirror = lvm_model.Wish(
        name="v", group="vg", size_bytes=1024, mirrors=1, disks=("/dev/a", "/dev/b")
    )
    thick = lvm_model.SnapshotWish(name="s", group="vg", origin="v", size_bytes=1024)

    assert lvm_commands.create(CONFIG, thin)[5:] == [
        "v", "--type", "thin", "--virtualsize", "1024b", "--thinpool", "vg/p", "--addtag", "a",
    ]  # fmt: skip
    argv = lvm_commands.create(CONFIG, mirror)
    assert argv[-8:] == ["--type", "raid1", "--mirrors", "1", "--", "vg", "/dev/a", "/dev/b"]
    assert lvm_commands.snapshot(CONFIG, thick)[4:] == [
        "--snapshot", "--name", "s", "--size", "1024b", "--", "vg/v",
    ]  # fmt: skip
    assert "activation/error_when_full=1" in lvm_commands.create_pool(CONFIG, "vg", "p", 1, "t")[2]


def test_a_removal_is_bound_to_tags_and_groups() -> None:
    argv = lvm_commands.remove_tagged(CONFIG, "v", ("a", "b"), unless="c", groups=("g", "h"))

    assert argv[-1] == (
        'lv_name="v" && lv_role!={thickorigin} && lv_tags!={c} && (vg_name="g" || vg_name="h")'
        " && lv_tags={a} && lv_tags={b}"
    )
    with pytest.raises(errors.InvalidField):
        lvm_commands.remove_tagged(CONFIG, 'v" || lv_name="w', (), unless="c")
    with pytest.raises(errors.InvalidField):
        lvm_commands.remove_tagged(CONFIG, "v", ("a}",), unless="c")


def test_a_tag_may_depend_on_others() -> None:
    uuid = "abcdef-0123-4567-89AB-cdef-GHIJ-klmnop"

    argv = lvm_commands.retag_marked("", "vg", uuid, marked=["csi-stale=1"], add="csi-going")

    assert argv[argv.index("--addtag") + 1] == "csi-going"
    assert argv[argv.index("--select") + 1] == f'lv_uuid="{uuid}" && lv_tags={{csi-stale=1}}'
    for wrong in ('x" || lv_name!="', ""):
        with pytest.raises(errors.InvalidField):
            lvm_commands.retag_marked("", "vg", wrong, marked=[], add="csi-going")


def test_a_group_is_never_made_over_something() -> None:
    argv = lvm_commands.create_group(CONFIG, "vg", ["/dev/a"], "t")

    assert argv[-5:] == ["--addtag", "t", "--", "vg", "/dev/a"]
    assert not {"--yes", "-y", "--force", "-f"} & set(argv)


def test_disks_tell_of_their_groups_too() -> None:
    row = {
        "pv_name": "/dev/a", "vg_name": "vg", "pv_pe_count": "10", "pv_pe_alloc_count": "4",
        "pv_missing": "", "pv_allocatable": "allocatable", "vg_uuid": "u", "vg_size": "40",
        "vg_extent_size": "4", "vg_free_count": "6", "pv_count": "2", "vg_missing_pv_count": "0",
        "vg_tags": "t",
    }  # fmt: skip
    rows = [row, {**row, "pv_name": "/dev/b"}, {**row, "pv_name": "/dev/c", "vg_name": ""}]
    said = json.dumps({"report": [{"pv": rows}]})

    (group,) = lvm_commands.parse_groups(said, "pv")
    disks = lvm_commands.parse_disks(said)

    assert (group.name, group.free_bytes, group.disks, group.tags) == ("vg", 24, 2, {"t"})
    assert [(disk.device, disk.group) for disk in disks] == [
        ("/dev/a", "vg"), ("/dev/b", "vg"), ("/dev/c", ""),
    ]  # fmt: skip
    assert "vg_extent_size" in lvm_commands.list_all_disks(CONFIG)[-1]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("  Free space in pool vg/pool is above threshold, new volumes are not allowed.",
         errors.Exhausted),
        ("  Remaining free space in metadata of thin pool vg/pool is too low (96.30% >= 75%).",
         errors.Exhausted),
        ("  Cannot create new thin volume, free space in thin pool vg/pool reached threshold.",
         errors.Exhausted),
        ("  WARNING: Device for PV x not found or rejected by a filter.\n  Aborting.", None),
    ],
)  # fmt: skip
def test_what_a_full_pool_and_a_missing_disk_mean(
    said: str, kind: type[errors.Error] | None
) -> None:
    assert lvm_commands.meaning(said) is kind

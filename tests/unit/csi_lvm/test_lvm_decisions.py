"""Parameters, names, places and pages of node-local volumes: pure, as tables of cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from core import settings as core_settings
from csi.lvm import names, params, settings, snapshot_params, tags, topology
from csi.lvm.controller import paging
from csi.lvm.stores.logical import conditions, placement, thin_pools, upkeep, wiping
from host import lvm, lvm_commands, lvm_model

MIB = 1 << 20
EXTENT = 4 * MIB


def group(**changes: object) -> lvm_model.VolumeGroup:
    told = {
        "name": "vg", "uuid": "u", "size_bytes": 0, "extent_bytes": EXTENT, "free_extents": 0,
        "disks": 2, "missing": 0, "tags": frozenset(),
    }  # fmt: skip
    return lvm_model.VolumeGroup(**{**told, **changes})


def disks(*free: int) -> list[lvm_model.PhysicalVolume]:
    return [
        lvm_model.PhysicalVolume(
            device=f"/dev/d{number}", group="vg", extents=count, used_extents=0, is_missing=False,
            is_allocatable=True,
        )
        for number, count in enumerate(free)
    ]  # fmt: skip


def volume(**changes: object) -> lvm_model.LogicalVolume:
    told = {
        "name": "pvc-1", "group": "vg", "uuid": "u", "size_bytes": EXTENT,
        "layout": lvm_model.Layout.LINEAR, "stripes": 1, "tags": frozenset(), "is_active": True,
        "is_open": False, "origin": "", "pool": "", "health": "", "data_percent": None,
    }  # fmt: skip
    return lvm_model.LogicalVolume(**{**told, **changes})


@pytest.mark.parametrize(
    ("free", "kind", "extents"),
    [
        ((3, 5), "linear", 8),
        ((3, 5), "striping", 6),
        ((3, 5), "mirror", 2),
        ((3, 5, 9), "mirror", 4),
        ((3, 5, 9), "striping", 9),
        ((3,), "mirror", 0),
        ((0, 7), "striping", 0),
        ((), "linear", 0),
    ],
)
def test_room_of_a_group(free: tuple[int, ...], kind: str, extents: int) -> None:
    site = placement.site_of(group(free_extents=sum(free)), disks(*free), params.LvmType(kind))

    assert site.room_bytes == extents * EXTENT
    assert site.room_bytes % site.step_bytes == 0


@pytest.mark.parametrize(
    ("free", "kind", "reserved_extents", "extents"),
    [
        ((3, 5), "linear", 0, 8),
        ((3, 5), "linear", 2, 6),
        ((3, 5), "linear", 9, 0),
        ((3, 5), "striping", 1, 6),
        ((3, 5), "striping", 3, 4),
        ((3, 5), "mirror", 3, 1),
        ((3, 5), "mirror", 2, 2),
        ((3, 5), "mirror", 7, 0),
    ],
)
def test_volumes_leave_reserved_room_free(
    free: tuple[int, ...], kind: str, reserved_extents: int, extents: int
) -> None:
    found = group(free_extents=sum(free))
    site = placement.site_of(found, disks(*free), params.LvmType(kind))

    left = placement.leaving(site, found, reserved_extents * EXTENT)

    assert left.room_bytes == extents * EXTENT
    assert placement.leaving(site, found, reserved_extents * EXTENT - 1).room_bytes == (
        left.room_bytes
    )


@given(
    free=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    kind=st.sampled_from([params.LvmType.LINEAR, params.LvmType.STRIPING, params.LvmType.MIRROR]),
    reserved_bytes=st.integers(0, 200 * EXTENT),
)
def test_the_largest_volume_leaves_what_is_reserved(
    free: list[int], kind: params.LvmType, reserved_bytes: int
) -> None:
    found = group(free_extents=sum(free))
    site = placement.site_of(found, disks(*free), kind)

    room = placement.leaving(site, found, reserved_bytes).room_bytes

    taken = room * (1 + site.mirrors) + (2 * EXTENT * site.mirrors if room else 0)
    assert room <= site.room_bytes
    assert room % site.step_bytes == 0
    assert not room or found.free_bytes - taken >= reserved_bytes


@pytest.mark.parametrize(
    ("layout", "stripes", "more", "fits"),
    [
        ("linear", 1, 6 * EXTENT, True),
        ("linear", 1, 6 * EXTENT + 1, False),
        ("striped", 4, 4 * EXTENT, True),
        ("striped", 4, 4 * EXTENT + 1, False),
        ("raid1", 1, 3 * EXTENT, True),
        ("raid1", 1, 3 * EXTENT + 1, False),
    ],
)
def test_a_volume_that_grows_leaves_reserved_room_free(
    layout: str, stripes: int, more: int, fits: bool
) -> None:
    row = volume(layout=lvm_model.Layout(layout), stripes=stripes)
    found = group(free_extents=8)

    if fits:
        placement.require_spare(row, found, more, 2 * EXTENT)
    else:
        with pytest.raises(errors.Exhausted, match="LVM_RESERVED"):
            placement.require_spare(row, found, more, 2 * EXTENT)


def test_what_is_reserved_is_a_share_or_a_size() -> None:
    told = config(LVM_RESERVED="vg1=10%,vg2=5Gi").reserved

    assert (told["vg1"].of(1001), told["vg2"].of(1001)) == (101, 5 << 30)
    for wrong in ("vg1", "vg1=0%", "vg1=100%", "vg1=5", "=5Gi", "vg1=1Gi,vg1=2Gi", "vg1=-1Gi"):
        with pytest.raises(errors.Invalid, match="LVM_RESERVED"):
            config(LVM_RESERVED=wrong)


def test_a_group_with_a_missing_disk_has_no_room() -> None:
    site = placement.site_of(group(missing=1), disks(3, 5), params.LvmType.LINEAR)

    assert site.room_bytes == 0


@pytest.mark.parametrize(("percent", "extents"), [(100, 3), (200, 13), (50, 0)])
def test_room_of_a_thin_pool_is_what_is_not_promised(percent: int, extents: int) -> None:
    pool = volume(name="pool", layout=lvm_model.Layout.POOL, size_bytes=10 * EXTENT)
    inside = [volume(name=f"v{n}", pool="pool", size_bytes=size) for n, size in
              enumerate((4 * EXTENT, 3 * EXTENT))]  # fmt: skip
    others = [volume(name="w", pool="other", size_bytes=EXTENT), volume(name="x")]

    site = placement.thin_site(pool, group(), [*inside, *others, pool], percent=percent)

    assert (site.room_bytes, site.pool) == (extents * EXTENT, "pool")


@pytest.mark.parametrize(
    ("changes", "missing", "why"),
    [
        ({}, 0, ""),
        ({"metadata_percent": 74.99, "metadata_bytes": EXTENT}, 0, ""),
        ({"metadata_percent": 75.0, "metadata_bytes": EXTENT}, 0, "--poolmetadatasize .* vg/pool"),
        ({"metadata_percent": 75.0, "metadata_bytes": 16 * MIB}, 0, "75 % full, and from 75 %"),
        ({"metadata_percent": 93.0, "metadata_bytes": 64 * MIB}, 0, ""),
        ({"metadata_percent": 94.0, "metadata_bytes": 64 * MIB}, 0, "94 % full, and from 94 %"),
        ({"metadata_percent": 100.0}, 0, "vgextend vg DISK"),
        ({"data_percent": 99.99}, 0, ""),
        ({"data_percent": 100.0}, 0, "full of data"),
        ({"health": "metadata_read_only"}, 0, "metadata_read_only"),
        ({}, 1, "a disk of the group is missing"),
    ],
)
def test_a_pool_in_which_lvm_makes_nothing_has_no_room(
    changes: dict[str, object], missing: int, why: str
) -> None:
    full = pool(**changes)

    site = placement.thin_site(full, group(missing=missing), [full], percent=300)

    assert site.room_bytes == (0 if why else 30 * EXTENT)
    if not why:
        assert not site.why
        return
    told = f"vg/pool has 0 \\(.*{why}"
    with pytest.raises(errors.Exhausted, match=told):
        placement.choose([site], EXTENT, params.Strategy.BINPACK)


@pytest.mark.parametrize(
    ("changes", "grows"),
    [
        ({"metadata_percent": 99.0, "metadata_bytes": EXTENT}, True),
        ({"metadata_percent": 100.0, "metadata_bytes": EXTENT}, False),
        ({"data_percent": 99.99}, True),
        ({"data_percent": 100.0}, False),
        ({"health": "failed"}, False),
    ],
)
def test_volumes_grow_as_long_as_their_pool_can_be_written(
    changes: dict[str, object], grows: bool
) -> None:
    full = pool(**changes)

    site = placement.thin_site(full, group(), [full], percent=100, why_not=thin_pools.why_stuck)

    assert (site.room_bytes > 0) is grows


@pytest.mark.parametrize(("strategy", "chosen"), [("binpack", "b"), ("spread", "c")])
def test_choosing_among_groups(strategy: str, chosen: str) -> None:
    sites = [
        placement.Site(group=name, room_bytes=room, step_bytes=EXTENT)
        for name, room in (("a", 4 * EXTENT), ("b", 8 * EXTENT), ("c", 16 * EXTENT))
    ]

    site = placement.choose(sites, 5 * EXTENT, params.Strategy(strategy))

    assert site.group == chosen
    with pytest.raises(errors.Exhausted, match="c has"):
        placement.choose(sites, 16 * EXTENT + 1, params.Strategy(strategy))
    with pytest.raises(errors.Exhausted, match="there is none"):
        placement.choose([], 1, params.Strategy(strategy))


@given(st.text(max_size=200))
def test_every_name_gives_an_id_that_lvm_takes(name: str) -> None:
    for made in (names.of_volume(name), names.of_snapshot(name)):
        assert lvm_commands.is_name(made)
        assert len(made) <= 70
    assert names.of_volume(name) == names.of_volume(name)


@pytest.mark.parametrize(
    ("name", "volume_id"),
    [
        ("pvc-0a1b", "pvc-0a1b"),
        ("snapshot-1", f"csi-{names.digest('snapshot-1')}"),
        ("a/b", f"csi-{names.digest('a/b')}"),
        # Device-mapper counts hyphens twice, and has room for 127 characters of group and volume.
        (f"a{'-' * 40}", f"csi-{names.digest('a' + '-' * 40)}"),
    ],
)
def test_the_id_is_the_name_where_it_can_be(name: str, volume_id: str) -> None:
    assert names.of_volume(name) == volume_id


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({}, "volumeType"),
        ({"volumeType": "lvm"}, "volumeType"),
        ({"volumeType": "PMEM"}, "volumeType"),
        ({"volumeType": "LVM", "vgname": "vg"}, "vgname"),
        ({"volumeType": "LVM", "vgName": "a b"}, "vgName"),
        ({"volumeType": "LVM", "lvmType": "Linear"}, "lvmType"),
        ({"volumeType": "LVM", "thinPool": "p"}, "thinPool"),
        ({"volumeType": "LVM", "fsType": "btrfs"}, "fsType"),
        ({"volumeType": "LVM", "mediaType": "tape"}, "mediaType"),
        ({"volumeType": "LVM", "wipePolicy": "shred"}, "wipePolicy"),
        ({"volumeType": "LVM", "nodeAffinity": "perhaps"}, "nodeAffinity"),
        ({"volumeType": "LVM", "mkfsOptions": "-d /etc"}, "mkfsOptions"),
        ({"volumeType": "LVM", "readIOPS": "many"}, "readIOPS"),
        ({"volumeType": "LVM", "bps": "1M"}, "bps"),
        ({"volumeType": "LVM", params.SELECTED_STORAGE: "{"}, "selected-storage"),
        (
            {"volumeType": "LVM", "vgName": "a", params.SELECTED_STORAGE: '{"VolumeGroup": "b"}'},
            "vgName",
        ),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, str], field: str) -> None:
    with pytest.raises(errors.InvalidField, match=field):
        params.parse(parameters)


def test_what_provisioners_add_is_no_mistake() -> None:
    told = params.parse(
        {
            "volumeType": "LVM", "lvmType": "striping", "fsType": "xfs", "iops": "100",
            "bps": "1024", "pvType": "localdisk", "csi.storage.k8s.io/pv/name": "pvc-1",
            "volume.kubernetes.io/selected-node": "n",
            params.SELECTED_STORAGE: '{"VolumeGroup": "vg1"}',
        }
    )  # fmt: skip

    assert told.group == "vg1"
    assert told.volume_context == {
        "volumeType": "LVM", "lvmType": "striping", "fsType": "xfs", "readIOPS": "100",
        "writeIOPS": "100", "readBPS": "1024K", "writeBPS": "1024K",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (snapshot_params.GROW_PERCENT, "half"), (snapshot_params.GROW_PERCENT, "100%"),
        (snapshot_params.ROOM, "0"), (snapshot_params.READ_ONLY, "maybe"), ("other", "x"),
    ],
)  # fmt: skip
def test_wrong_snapshot_parameters_are_named(key: str, text: str) -> None:
    with pytest.raises(errors.InvalidField, match=key):
        snapshot_params.parse({key: text})


def test_snapshot_parameters() -> None:
    told = snapshot_params.parse(
        {
            snapshot_params.READ_ONLY: "true", snapshot_params.ROOM: "1Gi",
            snapshot_params.GROW_PERCENT: "70%", snapshot_params.GROW_BYTES: "64Mi",
        }
    )  # fmt: skip

    assert (told.read_only, told.room_bytes) == (True, 1 << 30)
    assert (told.grow_percent, told.grow_bytes) == (70, 64 * MIB)


@pytest.mark.parametrize(
    ("row", "abnormal"),
    [
        (volume(), False),
        (volume(health="partial"), True),
        (volume(health="something new"), True),
        (volume(copy_percent=12.0), False),
        (volume(origin="o", data_percent=100.0), True),
        (volume(pool="pool"), True),
        (volume(pool="other"), False),
    ],
)
def test_conditions(row: lvm_model.LogicalVolume, abnormal: bool) -> None:
    pool = volume(name="pool", layout=lvm_model.Layout.POOL, data_percent=100.0)

    assert conditions.of(row, [row, pool]).abnormal is abnormal


def test_a_list_goes_on_behind_what_was_told() -> None:
    first = paging.page(["a", "b", "c"], str, after="", max_entries=2)
    second = paging.page(
        ["a", "bb", "c"], str, after=paging.parse_token(first.next_token), max_entries=2
    )

    assert (first.items, second.items) == (("a", "b"), ("bb", "c"))
    assert second.next_token == ""
    with pytest.raises(paging.BadToken):
        paging.parse_token("mine")


def test_a_volume_for_other_nodes_is_refused() -> None:
    place = topology.Place(node_id="a", key="host", value="a")

    place.require_fits([])
    place.require_fits([{"host": "b"}, {"host": "a"}])
    place.require_fits([{"zone": "z"}])
    with pytest.raises(errors.Exhausted, match="b"):
        place.require_fits([{"host": "b"}])


@pytest.mark.parametrize("text", ["vdb", "/dev/../etc", "/dev/a b", "/dev/a,/etc/passwd"])
def test_devices_that_are_none(text: str) -> None:
    reader = core_settings.Reader({"LVM_DEVICES": text})

    settings.read(reader)

    with pytest.raises(core_settings.SettingsError, match="LVM_DEVICES"):
        reader.finish()


def config(**environ: str) -> settings.LocalSettings:
    reader = core_settings.Reader(environ)
    told = settings.read(reader)
    reader.finish()
    return told


def pool(**changes: object) -> lvm_model.LogicalVolume:
    return volume(
        **{
            "name": "pool", "layout": lvm_model.Layout.POOL, "size_bytes": 10 * EXTENT,
            "data_percent": 10.0, "metadata_percent": 10.0, **changes,
        }
    )  # fmt: skip


def snapshot(percent: float) -> lvm_model.LogicalVolume:
    tag = f"{tags.GROW}50+{3 * EXTENT}"
    return volume(name="s", origin="o", data_percent=percent, tags=frozenset({tag}))


@pytest.mark.parametrize(
    ("row", "free", "grown"),
    [
        (pool(), 100, []),
        (pool(data_percent=80.0), 100, [(12 * EXTENT, False)]),
        (pool(data_percent=80.0), 1, [(11 * EXTENT, False)]),
        (pool(data_percent=99.0), 0, []),
        (pool(metadata_percent=85.0), 100, [(EXTENT, True)]),
        # Below LVM_GROW_PERCENT, but LVM makes nothing in it any more.
        (pool(metadata_percent=75.0, metadata_bytes=EXTENT), 100, [(EXTENT, True)]),
        (pool(metadata_percent=79.0, metadata_bytes=64 * MIB), 100, []),
        (pool(data_percent=85.0, metadata_percent=85.0), 100,
         [(12 * EXTENT, False), (EXTENT, True)]),
        (snapshot(49.0), 100, []),
        (snapshot(50.0), 100, [(4 * EXTENT, False)]),
        (snapshot(100.0), 100, []),
        (volume(data_percent=90.0), 100, []),
    ],
)  # fmt: skip
def test_what_grows(row: lvm_model.LogicalVolume, free: int, grown: list[tuple[int, bool]]) -> None:
    known = {"vg": group(free_extents=free)}

    told = upkeep.plan([row], known, config())

    assert [(growth.size_bytes, growth.metadata) for growth in told] == grown
    assert upkeep.plan([row], {}, config()) == []


def test_pools_in_a_group_without_room_are_told() -> None:
    rows = [pool(data_percent=80.0), volume()]

    assert upkeep.starved(rows, {"vg": group(free_extents=0)}, config()) == rows[:1]
    assert upkeep.starved(rows, {"vg": group(free_extents=1)}, config()) == []
    assert upkeep.starved(rows, {}, config(LVM_GROW_PERCENT="0")) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LVM_CREATE_GROUPS", "vg"), ("LVM_CREATE_GROUPS", "vg=vdb"),
        ("LVM_CREATE_GROUPS", "a/b=/dev/vdb"), ("LVM_CREATE_POOLS", "vg/pool=100%"),
        ("LVM_CREATE_POOLS", "pool=80%"), ("LOCAL_GC_LVM_DURATION", "5m"),
        ("LVM_WATCH_INTERVAL", "often"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(name: str, text: str) -> None:
    with pytest.raises(core_settings.SettingsError, match=name):
        config(**{name: text})


def test_groups_and_pools_to_make() -> None:
    told = config(
        LVM_CREATE_GROUPS="vg1=/dev/vdb,/dev/vdc; vg2=/dev/vdd", LVM_CREATE_POOLS="vg1/p=80%"
    )

    assert told.new_groups == {"vg1": ("/dev/vdb", "/dev/vdc"), "vg2": ("/dev/vdd",)}
    assert told.new_pools == (("vg1", "p", 80),)


@pytest.mark.parametrize("more", [set(), {tags.MAKING}, {tags.GOING, f"{tags.WIPE}zero"}])
def test_what_is_protected_is_not_removed_and_it_is_told_how_it_could_be(more: set[str]) -> None:
    row = volume(tags=frozenset({tags.OWNER, tags.VOLUME, tags.PROTECTED, *more}))

    with pytest.raises(wiping.Protected, match="lvchange --deltag protected vg/pvc-1"):
        wiping.wipe_and_remove(lvm.Lvm(), row)

"""Command lines of LVM, and what its programs say. Pure.

Every command gets a configuration of its own: which devices it may look at, and that it makes the
device nodes itself, since a container has no udev to wait for. Source: lvm.conf(5), lvmreport(7).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core import errors
from host import lvm_model

NAME_MAX_CHARS = 127
_SECTOR_BYTES = 512
_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_+.-]*")
_UUID = re.compile(r"[A-Za-z0-9]{6}(-[A-Za-z0-9]{4}){5}-[A-Za-z0-9]{6}")
_TAG = re.compile(r"[A-Za-z0-9_+./=!:&#-]+")
_RESERVED_NAMES = (".", "..")
_RESERVED_STARTS = ("snapshot", "pvmove")
_RESERVED_PARTS = (
    "_cdata", "_cmeta", "_corig", "_mlog", "_mimage", "_pmspare", "_rimage", "_rmeta", "_tdata",
    "_tmeta", "_vorigin", "_vdata", "_imeta", "_iorig", "_wcorig",
)  # fmt: skip
"""Names LVM keeps for itself. Source: lvm(8)."""
_DEVICE = re.compile(r"/dev/[A-Za-z0-9_+./:-]+")
_GROUP_FIELDS = (
    "vg_name,vg_uuid,vg_size,vg_extent_size,vg_free_count,pv_count,vg_missing_pv_count,vg_tags"
)
_DISK_FIELDS = "pv_name,vg_name,pv_pe_count,pv_pe_alloc_count,pv_missing,pv_allocatable"
_VOLUME_FIELDS = (
    "lv_name,vg_name,lv_uuid,lv_size,lv_layout,stripes,lv_tags,lv_active,lv_device_open,origin,"
    "pool_lv,lv_health_status,data_percent,metadata_percent,copy_percent,origin_size,lv_suspended,"
    "lv_metadata_size"
)


def configuration(devices: Sequence[str]) -> str:
    """Text of --config. devices: the only paths that are looked at; none = all of the machine.

    Raises InvalidField for what is no device's path.
    """
    for device in devices:
        if not _DEVICE.fullmatch(device):
            raise errors.InvalidField(
                "device", "is not a path", value=device, allowed="/dev/ and a name"
            )
    accepted = "".join(f'"a|^{re.escape(device)}$|",' for device in devices)
    only = f'devices/filter=[{accepted}"r|.*|"] ' if devices else ""
    return (
        f"{only}devices/use_devicesfile=0 devices/obtain_device_list_from_udev=0 "
        "activation/udev_sync=0 activation/udev_rules=0 activation/verify_udev_operations=1 "
        "activation/monitoring=0 "
        "backup/backup=0 backup/archive=0"
    )


def is_name(text: str) -> bool:
    """Whether LVM takes *text* for a volume or a group."""
    reserved = (
        text in _RESERVED_NAMES
        or text.startswith(_RESERVED_STARTS)
        or any(part in text for part in _RESERVED_PARTS)
    )
    return bool(_NAME.fullmatch(text)) and len(text) <= NAME_MAX_CHARS and not reserved


def require_name(field: str, name: str) -> str:
    """*name*, which LVM takes for a volume or a group. Raises InvalidField."""
    if not is_name(name):
        raise errors.InvalidField(
            field, "is not a name in LVM", value=name,
            allowed=f"at most {NAME_MAX_CHARS} letters, digits and _+.-, no name LVM keeps",
        )  # fmt: skip
    return name


def list_groups(config: str) -> list[str]:
    """`vgs`."""
    return _report("vgs", config, _GROUP_FIELDS)


def list_disks(config: str, group: str) -> list[str]:
    """`pvs` of one group."""
    return [*_report("pvs", config, _DISK_FIELDS), "--select", f"vg_name={group}"]


def list_all_disks(config: str) -> list[str]:
    """`pvs` of all groups, with what `vgs` would tell of each."""
    others = ",".join(field for field in _GROUP_FIELDS.split(",") if field != "vg_name")
    return _report("pvs", config, f"{_DISK_FIELDS},{others}")


def list_volumes(config: str, *, group: str = "", tag: str = "") -> list[str]:
    """`lvs` of one group or all, of those with a tag or all."""
    argv = _report("lvs", config, _VOLUME_FIELDS)
    if tag:
        argv += ["--select", f"lv_tags={{{_require_tag(tag)}}}"]
    return [*argv, "--", group] if group else argv


def create(config: str, wish: lvm_model.Wish) -> list[str]:
    """`lvcreate`: signatures on the new volume are wiped, and its start is zeroed.

    A thin volume needs neither: what was not written yet reads as zeros.
    """
    group = require_name("group", wish.group)
    named = ["lvcreate", "--config", config, "--yes", "--name", require_name("name", wish.name)]
    if wish.pool:
        pool = f"{group}/{require_name('pool', wish.pool)}"
        kind = ["--type", "thin", "--virtualsize", _bytes(wish.size_bytes), "--thinpool", pool]
        return [*named, *kind, *_add_tags(wish.tags)]
    kind = ["--stripes", str(wish.stripes)] if wish.stripes > 1 else []
    if wish.mirrors:
        kind = ["--type", "raid1", "--mirrors", str(wish.mirrors)]
    return [
        *(*named, "--size", _bytes(wish.size_bytes), "--wipesignatures", "y", "--zero", "y"),
        *(*kind, *_add_tags(wish.tags), "--", group, *wish.disks),
    ]


def create_pool(config: str, group: str, name: str, size_bytes: int, tag: str) -> list[str]:
    """`lvcreate` of a thin pool that fails writes at once when it is full."""
    config = f"{config} activation/error_when_full=1"
    return [
        *("lvcreate", "--config", config, "--yes", "--type", "thin-pool"),
        *("--name", require_name("name", name), "--size", _bytes(size_bytes)),
        *(*_add_tags([tag]), "--", require_name("group", group)),
    ]


def snapshot(config: str, wish: lvm_model.SnapshotWish) -> list[str]:
    """`lvcreate --snapshot`: of a thick volume with room for changes, or of a thin one."""
    size = ["--size", _bytes(wish.size_bytes)] if wish.size_bytes else ["--setactivationskip", "n"]
    return [
        *("lvcreate", "--config", config, "--yes", "--snapshot"),
        *("--name", require_name("name", wish.name), *size, *_add_tags(wish.tags)),
        *("--", f"{require_name('group', wish.group)}/{require_name('origin', wish.origin)}"),
    ]


def remove(config: str, group: str, name: str) -> list[str]:
    """`lvremove`, which refuses a volume that is in use."""
    return ["lvremove", "--config", config, "--yes", "--", f"{group}/{name}"]


def remove_tagged(
    config: str, name: str, tags: Iterable[str], *, unless: str, groups: Sequence[str] = ()
) -> list[str]:
    """`lvremove` of volume *name* with all *tags* and not *unless*, in *groups*, none = in any.

    Nothing that has thick snapshots, which would go too.
    """
    fits = [f'lv_name="{require_name("name", name)}"', "lv_role!={thickorigin}"]
    fits.append(f"lv_tags!={{{_require_tag(unless)}}}")
    if groups:
        names = (f'vg_name="{require_name("group", group)}"' for group in groups)
        fits.append(f"({' || '.join(names)})")
    fits += [f"lv_tags={{{_require_tag(tag)}}}" for tag in tags]
    return ["lvremove", "--config", config, "--yes", "--select", " && ".join(fits)]


def create_group(config: str, name: str, devices: Sequence[str], tag: str) -> list[str]:
    """`vgcreate`, which is not told to overwrite anything: on a signature it asks, and so fails."""
    tags = _add_tags([tag])
    return ["vgcreate", "--config", config, *tags, "--", require_name("group", name), *devices]


def extend(config: str, group: str, name: str, size_bytes: int) -> list[str]:
    """`lvextend` to at least *size_bytes*, the file system untouched."""
    return [
        *("lvextend", "--config", config, "--yes", "--size", _bytes(size_bytes)),
        *("--", f"{group}/{name}"),
    ]


def extend_metadata(config: str, group: str, pool: str, more_bytes: int) -> list[str]:
    """`lvextend` of a thin pool's metadata."""
    more = f"+{_bytes(more_bytes)}"
    return ["lvextend", "--config", config, "--yes", "--poolmetadatasize", more, f"{group}/{pool}"]


def retag(
    config: str, group: str, name: str, *, add: Iterable[str], delete: Iterable[str]
) -> list[str]:
    """`lvchange`: tags that come and go in one step."""
    words = [word for tag in delete for word in ("--deltag", _require_tag(tag))]
    words += _add_tags(add)
    return ["lvchange", "--config", config, "--yes", *words, "--", f"{group}/{name}"]


def retag_marked(
    config: str, group: str, uuid: str, *, marked: Iterable[str], add: str
) -> list[str]:
    """`lvchange` of the volume with *uuid*, if it has all tags of *marked*."""
    if not _UUID.fullmatch(uuid):
        raise errors.InvalidField("lv_uuid", "is not an id in LVM", value=uuid)
    fits = [f'lv_uuid="{uuid}"', *(f"lv_tags={{{_require_tag(tag)}}}" for tag in marked)]
    argv = ["lvchange", "--config", config, "--yes", *_add_tags([add])]
    return [*argv, "--select", " && ".join(fits), "--", require_name("group", group)]


def activate(config: str, group: str, name: str, *, active: bool) -> list[str]:
    """`lvchange`: make the volume's device, or take it away."""
    word = "y" if active else "n"
    return ["lvchange", "--config", config, "--yes", "--activate", word, "--", f"{group}/{name}"]


def refresh(config: str, group: str, name: str) -> list[str]:
    """`lvchange`: the volume's device as the group says that it is, and not suspended."""
    return ["lvchange", "--config", config, "--yes", "--refresh", "--", f"{group}/{name}"]


def split_snapshot(config: str, group: str, name: str) -> list[str]:
    """`lvconvert`: a thick snapshot's room for changes becomes a volume of that name."""
    return ["lvconvert", "--config", config, "--yes", "--splitsnapshot", "--", f"{group}/{name}"]


def parse_groups(text: str, kind: str = "vg") -> list[lvm_model.VolumeGroup]:
    """What `vgs` printed; kind "pv": what `list_all_disks` did, a line for each disk."""
    rows = {row["vg_name"]: row for row in _rows(text, kind) if row["vg_name"]}
    return [
        lvm_model.VolumeGroup(
            name=row["vg_name"],
            uuid=row["vg_uuid"],
            size_bytes=int(row["vg_size"]),
            extent_bytes=int(row["vg_extent_size"]),
            free_extents=int(row["vg_free_count"]),
            disks=int(row["pv_count"]),
            missing=int(row["vg_missing_pv_count"]),
            tags=_tags(row["vg_tags"]),
        )
        for row in rows.values()
    ]


def parse_disks(text: str) -> list[lvm_model.PhysicalVolume]:
    """What `pvs` printed."""
    return [
        lvm_model.PhysicalVolume(
            device=row["pv_name"],
            group=row["vg_name"],
            extents=int(row["pv_pe_count"]),
            used_extents=int(row["pv_pe_alloc_count"]),
            is_missing=bool(row["pv_missing"]),
            is_allocatable=bool(row["pv_allocatable"]),
        )
        for row in _rows(text, "pv")
    ]


def parse_volumes(text: str) -> list[lvm_model.LogicalVolume]:
    """What `lvs` printed: a line for each segment, of which the first one speaks."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in _rows(text, "lv"):
        found.setdefault(row["lv_uuid"], row)
    return [
        lvm_model.LogicalVolume(
            name=row["lv_name"],
            group=row["vg_name"],
            uuid=row["lv_uuid"],
            size_bytes=int(row["lv_size"]),
            layout=_layout(row["lv_layout"]),
            stripes=int(row["stripes"] or 1),
            tags=_tags(row["lv_tags"]),
            is_active=row["lv_active"] == "active",
            is_open=row["lv_device_open"] == "open",
            origin=row["origin"],
            pool=row["pool_lv"],
            health=row["lv_health_status"],
            data_percent=_percent(row["data_percent"]),
            metadata_percent=_percent(row["metadata_percent"]),
            copy_percent=_percent(row["copy_percent"]),
            origin_bytes=int(row["origin_size"] or 0),
            is_suspended=row["lv_suspended"] == "suspended",
            metadata_bytes=int(row["lv_metadata_size"] or 0),
        )
        for row in found.values()
    ]


_MEANINGS: Sequence[tuple[tuple[str, ...], type[errors.Error]]] = (
    (("insufficient free", "insufficient suitable", "out of free"), errors.Exhausted),
    # Of a thin pool that is full, of data or metadata.
    (("is too low", "is above threshold", "reached threshold"), errors.Exhausted),
    (("already exists",), errors.Exists),
    (("in use", "contains a filesystem", "is used by"), errors.Busy),
    (("failed to find", "not found", "cannot process volume group"), errors.NotFound),
)


def meaning(said: str) -> type[errors.Error] | None:
    """Kind of error that a program's words tell; None = not known."""
    lines = said.lower().splitlines()
    # A warning, such as of a disk that is gone, is not why a command failed.
    low = "\n".join(line for line in lines if not line.lstrip().startswith("warning"))
    for texts, kind in _MEANINGS:
        if any(text in low for text in texts):
            return kind
    return None


def _bytes(size_bytes: int) -> str:
    """A size, which must be whole sectors."""
    return f"{-(-size_bytes // _SECTOR_BYTES) * _SECTOR_BYTES}b"


def _add_tags(tags: Iterable[str]) -> list[str]:
    return [word for tag in tags for word in ("--addtag", _require_tag(tag))]


def _percent(text: str) -> float | None:
    return float(text) if text else None


def _report(program: str, config: str, fields: str) -> list[str]:
    return [
        *(program, "--config", config, "--reportformat", "json", "--units", "b", "--nosuffix"),
        *("--options", fields),
    ]


def _rows(text: str, kind: str) -> list[Mapping[str, Any]]:
    """Raises Internal for what is no report."""
    try:
        return [row for report in json.loads(text)["report"] for row in report[kind]]
    except (ValueError, KeyError, TypeError) as e:
        raise errors.Internal(f"LVM's report cannot be understood: {text[:200]!r}") from e


def _tags(text: str) -> frozenset[str]:
    return frozenset(word for word in text.split(",") if word)


def _require_tag(tag: str) -> str:
    if not _TAG.fullmatch(tag):
        raise errors.InvalidField("tag", "is not a tag in LVM", value=tag)
    return tag


def _layout(text: str) -> lvm_model.Layout:
    """The word of `lv_layout` that says most, such as "raid,raid1" or "thin,pool"."""
    words = set(text.split(","))
    for layout in (
        lvm_model.Layout.POOL,
        lvm_model.Layout.THIN,
        lvm_model.Layout.RAID1,
        lvm_model.Layout.MIRROR,
        lvm_model.Layout.STRIPED,
        lvm_model.Layout.LINEAR,
    ):
        if layout.value in words:
            return layout
    return lvm_model.Layout.OTHER

"""Settings of the node-local drivers, of both halves."""

import dataclasses
import glob
import pathlib
import re
from collections.abc import Mapping

from core import settings, units
from csi import values

_COLLECT_MIN_S = 3600.0
_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_+.-]*")
_PATH = re.compile(r"/dev/[A-Za-z0-9_+./:-]+")
_POOL = re.compile(r"([A-Za-z0-9_+][A-Za-z0-9_+.-]*)/([A-Za-z0-9_+][A-Za-z0-9_+.-]*)=([1-9]\d?)%")
_RESERVE = re.compile(r"([A-Za-z0-9_+][A-Za-z0-9_+.-]*)=(?:([1-9]\d?)%|([1-9]\d*[KMGT]i?))")
_PATTERN = re.compile(r"/dev/[A-Za-z0-9_+./:*?\[\]-]+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Room of a group that volumes leave free: so much of its size, and so many bytes."""

    percent: int = 0
    size_bytes: int = 0

    def of(self, group_bytes: int) -> int:
        """Bytes, in a group of that size."""
        return self.size_bytes - -group_bytes * self.percent // 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """devices: paths and patterns of the only disks that LVM may look at, none = LVM is off.

    groups: the volume groups that may be used, none = all on those disks.
    thin_percent: virtual sizes of a thin pool's volumes may sum up to so much of its size.
    adopt: volumes without our tag may be deleted when a request names them.
    grow_percent: a thin pool that is so full grows, 0 = never. watch_s: seconds between two looks.
    collect_s, collect_files_s: seconds between two collections of leftovers, of logical volumes
    and of files of LoopDevice; 0 = never.
    loop_dir, loop_gib, loop_percent: where files of LoopDevice are, and what they may sum up to: so
    many GiB, else so much of the file system. quota_roots: where QuotaPath may make directories.
    mount_patterns, device_patterns: of MountPoint and Device volumes. state_dir: records of disks.
    new_groups: groups to make where they are missing, with the disks of each, all of devices.
    new_pools: thin pools to make: group, name, and percent of the group's room.
    reserved: what volumes leave free in groups, by name.
    """

    kubelet_root: pathlib.Path
    devices: tuple[str, ...]
    groups: tuple[str, ...]
    thin_percent: int
    adopt: bool
    grow_percent: int
    watch_s: float
    collect_s: float
    collect_files_s: float
    loop_dir: pathlib.Path
    loop_gib: int
    loop_percent: int
    quota_roots: tuple[pathlib.Path, ...]
    mount_patterns: tuple[str, ...]
    device_patterns: tuple[str, ...]
    state_dir: pathlib.Path
    new_groups: Mapping[str, tuple[str, ...]]
    new_pools: tuple[tuple[str, str, int], ...]
    reserved: Mapping[str, Reserve]

    def mount_points(self) -> list[pathlib.Path]:
        """Directories that match the patterns, whatever is there."""
        return [path for pattern in self.mount_patterns for path in _matches(pattern)]

    def whole_devices(self) -> list[pathlib.Path]:
        """Block devices that match the patterns, by the names that do."""
        found = [path for pattern in self.device_patterns for path in _matches(pattern)]
        return [path for path in found if path.is_block_device()]


def read(reader: settings.Reader) -> LocalSettings:
    """Effective settings; faults are left in *reader*."""
    return LocalSettings(
        kubelet_root=reader.absolute("KUBELET_ROOT_DIR", "/var/lib/kubelet"),
        devices=_devices(reader, "LVM_DEVICES"),
        groups=values.words(reader.text("LVM_GROUPS")),
        thin_percent=reader.integer("LVM_THIN_PERCENT", 100, minimum=1, maximum=10000),
        adopt=reader.boolean("LVM_ADOPT", default=False),
        grow_percent=reader.integer("LVM_GROW_PERCENT", 80, minimum=0, maximum=99),
        watch_s=reader.duration_s("LVM_WATCH_INTERVAL", 10.0),
        collect_s=_collect_s(reader, "LOCAL_GC_LVM_DURATION"),
        collect_files_s=_collect_s(reader, "LOCAL_GC_LOOPDEVICE_DURATION"),
        loop_dir=reader.absolute("LOCAL_SPARSE_TEMPLATE_FILEDIR", "/var/lib/csi-local/loop"),
        loop_gib=reader.integer("LOCAL_SPARSE_TOTAL_AVAILABLE_GI", 0, minimum=0, maximum=1 << 20),
        loop_percent=reader.integer(
            "LOCAL_SPARSE_TOTAL_AVAILABLE_PERCENT", 90, minimum=1, maximum=1000
        ),
        quota_roots=_paths(reader, "LOCAL_QUOTA_PATHS"),
        mount_patterns=_mount_patterns(reader, "LOCAL_MOUNT_POINTS"),
        device_patterns=_devices(reader, "LOCAL_DEVICES"),
        state_dir=reader.absolute("LOCAL_STATE_DIR", "/var/lib/csi-local/devices"),
        new_groups=_new_groups(reader, "LVM_CREATE_GROUPS"),
        new_pools=_new_pools(reader, "LVM_CREATE_POOLS"),
        reserved=_reserved(reader, "LVM_RESERVED"),
    )


def _matches(pattern: str) -> list[pathlib.Path]:
    return [pathlib.Path(path) for path in sorted(glob.glob(pattern))]  # noqa: PTH207


def _mount_patterns(reader: settings.Reader, name: str) -> tuple[str, ...]:
    told = values.words(reader.text(name))
    for word in told:
        if not word.startswith("/") or word.strip("/*") == "" or ".." in word.split("/"):
            reader.fault(f"{name}: {word!r} is not allowed; allowed: absolute paths or patterns")
    return told


def _collect_s(reader: settings.Reader, name: str) -> float:
    """Off by default; never twice within an hour, as in the reference."""
    told = reader.duration_s(name, 0.0)
    if told and told < _COLLECT_MIN_S:
        reader.fault(f"{name}: {told:g} s is not allowed; allowed: 0 or at least 1h")
    return told


def _paths(reader: settings.Reader, name: str) -> tuple[pathlib.Path, ...]:
    told = []
    for word in values.words(reader.text(name)):
        path = pathlib.Path(word)
        if not path.is_absolute() or ".." in path.parts or path == pathlib.Path("/"):
            reader.fault(f"{name}: {word!r} is not allowed; allowed: absolute paths, no ..")
        told.append(path)
    return tuple(told)


def _new_groups(reader: settings.Reader, name: str) -> dict[str, tuple[str, ...]]:
    """`vg1=/dev/vdb,/dev/vdc;vg2=/dev/vdd`."""
    told = {}
    for part in filter(None, (p.strip() for p in reader.text(name).split(";"))):
        group, _, devices = part.partition("=")
        words = values.words(devices)
        if not _NAME.fullmatch(group) or not words or not all(map(_PATH.fullmatch, words)):
            reader.fault(f"{name}: {part!r} is not allowed; allowed: GROUP=/dev/A,/dev/B;…")
            continue
        told[group] = words
    return told


def _new_pools(reader: settings.Reader, name: str) -> tuple[tuple[str, str, int], ...]:
    """`vg1/pool=80%,vg2/pool=50%`."""
    told = []
    for part in values.words(reader.text(name)):
        match = _POOL.fullmatch(part)
        if match is None:
            reader.fault(f"{name}: {part!r} is not allowed; allowed: GROUP/POOL=80%,…")
            continue
        told.append((match[1], match[2], int(match[3])))
    return tuple(told)


def _reserved(reader: settings.Reader, name: str) -> dict[str, Reserve]:
    """`vg1=10%,vg2=5Gi`."""
    told: dict[str, Reserve] = {}
    for part in values.words(reader.text(name)):
        match = _RESERVE.fullmatch(part)
        if match is None or match[1] in told:
            reader.fault(f"{name}: {part!r} is not allowed; allowed: GROUP=10% or GROUP=5Gi, …")
        elif match[2]:
            told[match[1]] = Reserve(percent=int(match[2]))
        else:
            told[match[1]] = Reserve(size_bytes=units.parse_binary(name, match[3]))
    return told


def _devices(reader: settings.Reader, name: str) -> tuple[str, ...]:
    told = values.words(reader.text(name))
    for word in told:
        if not _PATTERN.fullmatch(word) or ".." in word:
            reader.fault(f"{name}: {word!r} is not allowed; allowed: paths or patterns in /dev")
    return told

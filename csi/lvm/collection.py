"""What a collection does with each logical volume and each file of a LoopDevice volume. Pure.

Only what carries our tag is ever collected, and only when two collections saw that nobody names it.
What the cluster does not tell is never taken for "nobody".
Source: spec/csi-driver.md 6.1, GC, and appendix G 48.
"""

import dataclasses
import enum
from collections.abc import Iterable, Mapping

from csi.lvm import tags
from kube import api
from kube import volumes as kube_volumes

Path = api.Path
OF_VOLUME: tuple[Path, ...] = (
    ("metadata", "name"),
    ("metadata", "annotations", kube_volumes.PROVISIONED_BY),
    ("metadata", "finalizers"),
    ("metadata", "resourceVersion"),
    ("metadata", "deletionTimestamp"),
    ("spec", "csi", "driver"),
    ("spec", "csi", "volumeHandle"),
    ("spec", "local", "path"),
    ("spec", "hostPath", "path"),
    ("spec", "nodeAffinity"),
    ("spec", "persistentVolumeReclaimPolicy"),
    ("status", "phase"),
)
"""What of a PersistentVolume is looked at."""
OF_SNAPSHOT: tuple[Path, ...] = (
    ("spec", "source", "snapshotHandle"),
    ("spec", "source", "volumeHandle"),
    ("spec", "deletionPolicy"),
    ("status", "snapshotHandle"),
)
"""What of a VolumeSnapshotContent is looked at."""
_RETAIN = "Retain"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What somebody names; None = not known, so that none of that kind is collected.

    volumes: by PersistentVolumes. snapshots: by VolumeSnapshotContents. inline: by pods of this
    node. retained: those that outlive the object that names them.
    """

    volumes: frozenset[str] | None = None
    retained: frozenset[str] = frozenset()
    snapshots: frozenset[str] | None = None
    inline: frozenset[str] | None = None


NOBODY_KNOWS = Named()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What may be collected: a logical volume, or a file. name: the volume's or snapshot's id.

    where: its group, or its path. identity: one of the same name that was made anew has another.
    tags: as of `csi.lvm.tags`; a file's notes tell the same. is_open: somebody uses it.
    has_snapshots: thick ones, which would go with it.
    """

    name: str
    where: str
    identity: str
    tags: frozenset[str]
    is_open: bool
    has_snapshots: bool = False


class Fate(enum.StrEnum):
    """What is done with a candidate."""

    KEEP = "keep"
    MARK = "mark"
    UNMARK = "unmark"
    RETAIN = "retain"
    RELEASE = "release"
    REMOVE = "remove"


def fate(
    found: Candidate,
    named: Named,
    *,
    now_s: int,
    wait_s: float,
) -> Fate:
    """What to do with *found*. now_s: seconds since 1970. wait_s: least time between two looks.

    RETAIN, RELEASE: note that the volume outlives its PersistentVolume, or no longer does.
    """
    if tags.OWNER not in found.tags or tags.PROTECTED in found.tags:
        return Fate.KEEP
    is_retained = tags.RETAINED in found.tags
    if _is_named(found, named) and is_retained != (found.name in named.retained):
        return Fate.RELEASE if is_retained else Fate.RETAIN
    marked = tags.value(found.tags, tags.STALE)
    if not _is_unnamed(found, named):
        return Fate.UNMARK if marked else Fate.KEEP
    if not marked or not marked.isdigit() or int(marked) > now_s:
        return Fate.MARK
    if now_s - int(marked) < wait_s or found.has_snapshots:
        return Fate.KEEP
    return Fate.REMOVE


def _is_unnamed(found: Candidate, named: Named) -> bool:
    """Whether it is known that nobody needs *found*, which is ours, and nobody uses it."""
    if found.is_open:
        return False
    if tags.is_unusable(found.tags):
        return True
    if tags.EPHEMERAL in found.tags:
        return named.inline is not None and found.name not in named.inline
    if tags.VOLUME in found.tags:
        known = named.volumes
    elif tags.SNAPSHOT in found.tags:
        known = None if tags.values(found.tags, tags.IS_VOLUME) else named.snapshots
    else:
        known = None
    return known is not None and found.name not in known and tags.RETAINED not in found.tags


def _is_named(found: Candidate, named: Named) -> bool:
    names = named.snapshots if tags.SNAPSHOT in found.tags else named.volumes
    return names is not None and found.name in names


def handles(found: Iterable[api.Object]) -> frozenset[str]:
    """Every name by which PersistentVolumes may mean a logical volume of this node."""
    told: set[str] = set()
    for each in found:
        spec = each.get("spec") or {}
        told.add((each.get("metadata") or {}).get("name") or "")
        told.add((spec.get("csi") or {}).get("volumeHandle") or "")
        for kind in ("local", "hostPath"):
            told.add(((spec.get(kind) or {}).get("path") or "").rpartition("/")[2])
    return frozenset(told - {""})


def retained(found: Iterable[api.Object]) -> frozenset[str]:
    """Those of `handles` that are told to outlive their PersistentVolume."""
    return handles(
        each
        for each in found
        if (each.get("spec") or {}).get("persistentVolumeReclaimPolicy") == _RETAIN
    )


def snapshot_handles(found: Iterable[api.Object]) -> Named:
    """Snapshots and volumes that VolumeSnapshotContents name, and which snapshots outlive them."""
    snapshots: set[str] = set()
    retained_: set[str] = set()
    volumes: set[str] = set()
    for each in found:
        spec = each.get("spec") or {}
        source: Mapping[str, str] = spec.get("source") or {}
        status: Mapping[str, str] = each.get("status") or {}
        told = {source.get("snapshotHandle") or "", status.get("snapshotHandle") or ""} - {""}
        snapshots |= told
        retained_ |= told if spec.get("deletionPolicy") == _RETAIN else set()
        volumes |= {source.get("volumeHandle") or ""} - {""}
    return Named(
        snapshots=frozenset(snapshots), retained=frozenset(retained_), volumes=frozenset(volumes)
    )

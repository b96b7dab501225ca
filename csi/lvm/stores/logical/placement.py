"""Where a logical volume goes, and how large one can be. Pure, and the same rule for both.

What GetCapacity tells is what CreateVolume does: a group's room is worked out as LVM fills it, and
where LVM could choose, the disks are named here. Sizes are bytes.
"""

import dataclasses
from collections.abc import Callable, Sequence

from core import errors
from csi.lvm import params
from csi.lvm.stores.logical import thin_pools
from host import lvm, lvm_model

_LEGS = 2
_LEG_METADATA_EXTENTS = 1
"""raid1 keeps one extent of metadata beside each copy. Source: lvmraid(7); tried, LVM 2.03.16."""
WhyNot = Callable[[lvm_model.LogicalVolume], str]
_DISK_MISSING = "a disk of the group is missing"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A way to make a volume in one group. room_bytes: the largest that fits.

    step_bytes: sizes are multiples of it. disks: that LVM must use, none = it chooses.
    why: it has no room for another reason than that it is taken, "" = it is taken or there.
    """

    group: str
    room_bytes: int
    step_bytes: int
    stripes: int = 1
    mirrors: int = 0
    disks: tuple[str, ...] = ()
    pool: str = ""
    why: str = ""


def site_of(
    group: lvm_model.VolumeGroup,
    disks: Sequence[lvm_model.PhysicalVolume],
    lvm_type: params.LvmType,
) -> Site:
    """The way to make a thick volume of *lvm_type* in *group*."""
    extent = group.extent_bytes
    usable = [disk for disk in disks if disk.is_allocatable and not disk.is_missing]
    if group.missing:
        return Site(group=group.name, room_bytes=0, step_bytes=extent, why=_DISK_MISSING)
    match lvm_type:
        case params.LvmType.STRIPING:
            stripes = max(1, len(usable))
            room = lvm.room_for(group, usable, stripes=stripes)
            return Site(
                group=group.name, room_bytes=room, step_bytes=extent * stripes, stripes=stripes
            )
        case params.LvmType.MIRROR:
            legs = sorted(usable, key=lambda disk: (-disk.free_extents, disk.device))[:_LEGS]
            least = min((leg.free_extents for leg in legs), default=0)
            fits = max(0, least - _LEG_METADATA_EXTENTS) if len(legs) == _LEGS else 0
            return Site(
                group=group.name,
                room_bytes=fits * extent,
                step_bytes=extent,
                mirrors=1,
                disks=tuple(leg.device for leg in legs),
            )
        case _:
            room = lvm.room_for(group, usable, stripes=1)
            return Site(group=group.name, room_bytes=room, step_bytes=extent)


def leaving(site: Site, group: lvm_model.VolumeGroup, reserved_bytes: int) -> Site:
    """*site* of a thick volume, where it leaves *reserved_bytes* of *group* free."""
    extent = group.extent_bytes
    spare = group.free_extents - -(-reserved_bytes // extent)
    extents = spare // (1 + site.mirrors) - _LEG_METADATA_EXTENTS * site.mirrors
    room = max(0, extents) * extent // site.step_bytes * site.step_bytes
    return dataclasses.replace(site, room_bytes=min(site.room_bytes, room))


def require_spare(
    row: lvm_model.LogicalVolume,
    group: lvm_model.VolumeGroup,
    more_bytes: int,
    reserved_bytes: int,
) -> None:
    """Raise Exhausted when *row*, which is thick, cannot grow and leave *reserved_bytes* free."""
    step = group.extent_bytes * (row.stripes if row.layout is lvm_model.Layout.STRIPED else 1)
    legs = _LEGS if row.layout is lvm_model.Layout.RAID1 else 1
    spare_bytes = max(0, group.free_bytes - reserved_bytes) // legs
    if -(-more_bytes // step) * step > spare_bytes:
        raise errors.Exhausted(
            f"volume {row.group}/{row.name} needs {more_bytes} bytes more, and may take "
            f"{spare_bytes}: LVM_RESERVED keeps the rest of {row.group} free"
        )


def thin_site(
    pool: lvm_model.LogicalVolume,
    group: lvm_model.VolumeGroup,
    volumes: Sequence[lvm_model.LogicalVolume],
    *,
    percent: int,
    why_not: WhyNot = thin_pools.why_closed,
) -> Site:
    """The way to make a thin volume in *pool* of *group*, which *volumes* are in too.

    percent: what the virtual sizes of all volumes and snapshots may sum up to. why_not: what keeps
    a pool from being used though it has promised less.
    """
    promised = sum(
        each.size_bytes for each in volumes if (each.group, each.pool) == (pool.group, pool.name)
    )
    room = max(0, pool.size_bytes * percent // 100 - promised)
    why = _DISK_MISSING if group.missing else why_not(pool)
    return Site(
        group=pool.group,
        room_bytes=0 if why else room // group.extent_bytes * group.extent_bytes,
        step_bytes=group.extent_bytes,
        pool=pool.name,
        why=why,
    )


def choose(sites: Sequence[Site], size_bytes: int, strategy: params.Strategy) -> Site:
    """The site for a volume of *size_bytes*. Raises Exhausted, telling what there is."""
    fitting = [site for site in sites if site.room_bytes >= rounded(size_bytes, site)]
    if not fitting:
        told = ", ".join(map(_described, sites))
        raise errors.Exhausted(
            f"no volume group has room for {size_bytes} bytes: {told or 'there is none'}"
        )
    if strategy is params.Strategy.SPREAD:
        return max(fitting, key=lambda site: (site.room_bytes, site.group))
    return min(fitting, key=lambda site: (site.room_bytes, site.group))


def _described(site: Site) -> str:
    name = f"{site.group}/{site.pool}" if site.pool else site.group
    return f"{name} has {site.room_bytes}" + (f" ({site.why})" if site.why else "")


def rounded(size_bytes: int, site: Site) -> int:
    """*size_bytes* in whole steps, at least one."""
    return max(1, -(-size_bytes // site.step_bytes)) * site.step_bytes


def wish(site: Site, name: str, size_bytes: int, own_tags: tuple[str, ...]) -> lvm_model.Wish:
    """What to ask LVM for. Pure."""
    return lvm_model.Wish(
        name=name,
        group=site.group,
        size_bytes=size_bytes,
        stripes=site.stripes,
        mirrors=site.mirrors,
        disks=site.disks,
        pool=site.pool,
        tags=own_tags,
    )

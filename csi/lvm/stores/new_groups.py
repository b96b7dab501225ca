"""Volume groups and thin pools that the settings ask for, made once where they are missing.

A disk is taken only when it is one of LVM_DEVICES, has no partition, is used by nobody, and holds
nothing but zeros where signatures are. Whatever else is on it stays, and the operator is told.
"""

import pathlib

import structlog

from core import errors
from csi.lvm import settings, tags
from csi.lvm.stores import groups
from host import block, block_content, filesystem, lvm_model

log = structlog.get_logger()


class NotBlank(errors.Precondition):
    """A disk for a new group has something on it."""

    def __init__(self, group: str, device: str, why: str) -> None:
        super().__init__(
            f"volume group {group} is not made: {device} {why}; nothing was changed. If it is "
            "free, empty it yourself, such as by blkdiscard --zeroout"
        )


class NewGroups:
    """Makes them. Blocking; may be repeated."""

    def __init__(self, config: settings.LocalSettings, allowed: groups.Groups) -> None:
        self._config = config
        self._groups = allowed

    def ensure(self) -> None:
        """Make what is missing, where its disks are there.

        Raises NotBlank, Precondition, having changed nothing.
        """
        if not (self._config.new_groups or self._config.new_pools) or not self._groups.devices():
            return
        known = {row.name for row in self._groups.commands().groups()}
        gone = set()
        for group, devices in self._config.new_groups.items():
            missing = set(devices) - set(self._groups.devices())
            if group not in known and missing:
                # Perhaps a disk failed: that is no reason to keep the volumes of others waiting.
                log.error("volume group is not there", group=group, missing=sorted(missing))
                gone.add(group)
            elif group not in known:
                self._make_group(group, devices)
        for group, pool, percent in self._config.new_pools:
            if group not in gone:
                self._ensure_pool(group, pool, percent)

    def _make_group(self, group: str, devices: tuple[str, ...]) -> None:
        for device in devices:
            why = why_not_blank(pathlib.Path(device))
            if why:
                raise NotBlank(group, device, why)
        self._groups.commands().create_group(group, devices, tag=tags.OWNER)

    def _ensure_pool(self, group: str, pool: str, percent: int) -> None:
        on = self._groups.commands()
        there = on.find(group, pool)
        if there is not None:
            if there.layout is not lvm_model.Layout.POOL:
                raise errors.Precondition(f"{group}/{pool} is there, and is no thin pool")
            return
        for row in on.groups():
            if row.name == group:
                size_bytes = row.free_extents * percent // 100 * row.extent_bytes
                on.create_pool(group, pool, size_bytes, tag=tags.OWNER)
                return
        raise errors.Precondition(f"thin pool {group}/{pool}: there is no volume group {group}")


def why_not_blank(device: pathlib.Path) -> str:
    """What keeps *device* from being taken, "" = nothing does."""
    if block.partitions(device):
        return "has partitions"
    try:
        found = filesystem.probe(device)
        if not found.empty:
            return f"has {found.fs_type or found.partition_table} on it"
        if not block_content.is_blank(device):
            return "has data on it that is not known"
    except errors.Busy:
        return "is in use"
    except (errors.Error, OSError) as e:
        return f"cannot be looked at: {e}"
    return ""

"""Logical volumes. Blocking; each call is one command with a time limit, and may be repeated."""

from collections.abc import Iterable, Sequence

import structlog

from core import errors
from host import lvm_commands, lvm_model, run

log = structlog.get_logger()

_LOOK_S, _CHANGE_S = 20.0, 60.0
_REPORT_MAX = 32 << 20
"""Bytes of a report: a line of `lvs` has some 500, and a group may have thousands of volumes."""


class Lvm:
    """LVM on *devices* alone; none given = all disks of the machine.

    Methods raise Exhausted, Exists, Busy, NotFound by what LVM says, else CommandFailed;
    CommandMissing without LVM; CommandTimeout.
    """

    def __init__(self, devices: Sequence[str] = ()) -> None:
        self._config = lvm_commands.configuration(devices)

    def groups(self) -> list[lvm_model.VolumeGroup]:
        """Every volume group."""
        return lvm_commands.parse_groups(self._look(lvm_commands.list_groups(self._config)))

    def disks(self, group: str) -> list[lvm_model.PhysicalVolume]:
        """The disks of *group*."""
        argv = lvm_commands.list_disks(self._config, lvm_commands.require_name("group", group))
        return lvm_commands.parse_disks(self._look(argv))

    def groups_and_disks(
        self,
    ) -> tuple[list[lvm_model.VolumeGroup], list[lvm_model.PhysicalVolume]]:
        """Every volume group, and the disks of all: of one moment, and in one command."""
        said = self._look(lvm_commands.list_all_disks(self._config))
        return lvm_commands.parse_groups(said, "pv"), lvm_commands.parse_disks(said)

    def volumes(self, *, group: str = "", tag: str = "") -> list[lvm_model.LogicalVolume]:
        """The volumes of *group*, "" = of all; with *tag*, "" = any."""
        argv = lvm_commands.list_volumes(self._config, group=group, tag=tag)
        return lvm_commands.parse_volumes(self._look(argv))

    def find(self, group: str, name: str) -> lvm_model.LogicalVolume | None:
        """Volume *name* of *group*; None when there is none."""
        return next((row for row in self.volumes(group=group) if row.name == name), None)

    def create(self, wish: lvm_model.Wish) -> None:
        """Make a volume, active; what was on its disks cannot be seen at its start.

        Raises Exists when the name is taken, Exhausted without room, and makes nothing then.
        """
        self._change(lvm_commands.create(self._config, wish))
        log.info("volume made", group=wish.group, name=wish.name, size_bytes=wish.size_bytes)

    def create_pool(self, group: str, name: str, size_bytes: int, *, tag: str) -> None:
        """Make a thin pool. Raises as `create`."""
        self._change(lvm_commands.create_pool(self._config, group, name, size_bytes, tag))
        log.info("thin pool made", group=group, name=name, size_bytes=size_bytes)

    def snapshot(self, wish: lvm_model.SnapshotWish) -> None:
        """Make a snapshot: the file system of the origin is still for that moment, so it is clean.

        Raises as `create`, and NotFound without the origin.
        """
        self._change(lvm_commands.snapshot(self._config, wish))
        log.info("snapshot made", group=wish.group, name=wish.name, origin=wish.origin)

    def create_group(self, name: str, devices: Sequence[str], *, tag: str) -> None:
        """Make a volume group on *devices*, which the caller knows to be empty."""
        self._change(lvm_commands.create_group(self._config, name, devices, tag))
        log.info("volume group made", group=name, devices=list(devices))

    def remove_tagged(
        self, name: str, tags: Iterable[str], *, unless: str, groups: Sequence[str] = ()
    ) -> bool:
        """Remove volume *name* if it has all *tags*, not *unless*, and no thick snapshots.

        groups: only in one of these, none = in any. One step. Whether one was removed.
        Raises Busy for one in use.
        """
        said = self._run(
            lvm_commands.remove_tagged(self._config, name, tags, unless=unless, groups=groups),
            _CHANGE_S,
        )
        if "successfully removed" not in said:
            return False
        log.info("volume removed", name=name)
        return True

    def remove(self, group: str, name: str) -> None:
        """Remove a volume; one that is gone is fine. Raises Busy for one in use."""
        try:
            self._change(lvm_commands.remove(self._config, group, name))
        except errors.NotFound:
            if self.find(group, name) is not None:
                raise
            return
        log.info("volume removed", group=group, name=name)

    def extend(self, group: str, name: str, size_bytes: int) -> None:
        """Grow a volume to at least *size_bytes*; one that is as large is fine."""
        found = self.find(group, name)
        if found is None:
            raise errors.NotFound(f"there is no volume {group}/{name}")
        if found.size_bytes >= size_bytes:
            return
        self._change(lvm_commands.extend(self._config, group, name, size_bytes))
        log.info("volume grown", group=group, name=name, size_bytes=size_bytes)

    def extend_metadata(self, group: str, pool: str, more_bytes: int) -> None:
        """Let the metadata of thin *pool* have *more_bytes* more. Not to be repeated blindly."""
        self._change(lvm_commands.extend_metadata(self._config, group, pool, more_bytes))
        log.info("thin pool's metadata grown", group=group, pool=pool, more_bytes=more_bytes)

    def retag(
        self, group: str, name: str, *, add: Iterable[str] = (), delete: Iterable[str] = ()
    ) -> None:
        """Add and delete tags in one step."""
        self._change(lvm_commands.retag(self._config, group, name, add=add, delete=delete))

    def retag_marked(self, group: str, uuid: str, *, marked: Iterable[str], add: str) -> None:
        """Add tag *add* to the volume with *uuid* if it has all tags of *marked*. One step."""
        self._change(lvm_commands.retag_marked(self._config, group, uuid, marked=marked, add=add))

    def activate(self, group: str, name: str) -> None:
        """Make the volume's device; again = nothing."""
        self._change(lvm_commands.activate(self._config, group, name, active=True))

    def deactivate(self, group: str, name: str) -> None:
        """Take the volume's device away. Raises Busy while it is in use."""
        self._change(lvm_commands.activate(self._config, group, name, active=False))

    def refresh(self, group: str, name: str) -> None:
        """End what a killed command of LVM left of the volume: a device that is suspended."""
        self._change(lvm_commands.refresh(self._config, group, name))

    def split_snapshot(self, group: str, name: str) -> None:
        """Make a volume of the room for changes of thick snapshot *name*. Raises Busy."""
        self._change(lvm_commands.split_snapshot(self._config, group, name))

    def _look(self, argv: Sequence[str]) -> str:
        return self._run(argv, _LOOK_S)

    def _change(self, argv: Sequence[str]) -> None:
        self._run(argv, _CHANGE_S)

    def _run(self, argv: Sequence[str], timeout_s: float) -> str:
        try:
            return run.run(argv, timeout_s=timeout_s, output_max=_REPORT_MAX).stdout
        except run.CommandFailed as e:
            kind = lvm_commands.meaning(e.result.stderr)
            if kind is None:
                raise
            said = " ".join(e.result.stderr.split())
            raise kind(f"{argv[0]} of {argv[-1]} failed: {said}") from e


def room_for(
    group: lvm_model.VolumeGroup, disks: Sequence[lvm_model.PhysicalVolume], *, stripes: int
) -> int:
    """Bytes of the largest volume that *group* can take; exact. Pure.

    Each stripe has a disk of its own for every piece, so the least free of the *stripes* freest
    disks counts, and what smaller ones leave is used by further pieces on other disks.
    """
    if stripes <= 1:
        return sum(disk.free_extents for disk in disks) * group.extent_bytes
    free = sorted((disk.free_extents for disk in disks), reverse=True)
    return _striped_extents(free, stripes) * group.extent_bytes


def _striped_extents(free: Sequence[int], stripes: int) -> int:
    """Most extents of rows with one extent on each of *stripes* different disks."""
    low, high = 0, sum(free) // stripes
    while low < high:  # so many rows fit if no disk must give two extents to one row
        middle = (low + high + 1) // 2
        if sum(min(each, middle) for each in free) >= middle * stripes:
            low = middle
        else:
            high = middle - 1
    return low * stripes

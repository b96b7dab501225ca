"""Volume groups and thin pools that the settings ask for, made once where they are missing.

A disk is taken only when it is one of LVM_DEVICES and blank. Whatever else is on it stays, and its
group is not made: the node works without it, calls that need it are told why, and so is the
operator. It is looked at again until it can be made, which needs no restart.

A name such as /dev/vdb may be a pod's disk, come a moment ago and blank. So it is taken at once
only when it is known to be the disk that had the name before; else at a second look, a minute
later, when kubelet has told the cluster whose it is.
"""

from collections.abc import Collection, Mapping, Sequence

import structlog

from core import errors, metrics
from csi.lvm import attached_disks, settings, tags
from csi.lvm.stores import pod_disks
from csi.lvm.stores.logical import group_disks, group_records, groups
from host import block, lvm_model
from kube import events

log = structlog.get_logger()

MADE = "VolumeGroupMade"
NOT_MADE = "VolumeGroupNotMade"
NOT_MADE_LABELS = ("group", "pool")
AGAIN_S = 60.0
"""Between two looks: longer than the kernel keeps what was written to a disk to itself (30 s,
dirty_expire_centisecs), so that whoever empties one is seen.
Source: Documentation/admin-guide/sysctl/vm.rst."""


_Look = Mapping[str, tuple[str, int]]
"""Disk → which one it was, and how much was written to it."""


class NewGroups:
    """Makes them. Blocking; may be repeated."""

    def __init__(
        self,
        config: settings.LocalSettings,
        allowed: groups.Groups,
        registry: metrics.Metrics,
        recorder: events.Recorder,
    ) -> None:
        self._config = config
        self._groups = allowed
        self._events = recorder
        self._records = group_records.GroupRecords(config.state_dir)
        self._seen: dict[str, _Look] = {}
        """Of each group whose disks were all there and blank when it was last looked at."""
        self._elsewhere: frozenset[str] = frozenset()
        """Groups of which no disk was there at the start: those of other kinds of nodes. What comes
        later at such a path may be any cloud disk of a pod."""
        self._waits: set[str] = set()
        """Groups that need nothing but a further look."""
        self._is_left = False
        """Whether nobody waits for `make` any more."""
        self._faults: frozenset[tuple[str, str]] = frozenset()
        """What is not made, but for that of other kinds of nodes."""
        wanted = [(group, "") for group in config.new_groups]
        wanted += [(group, pool) for group, pool, _ in config.new_pools]
        registry.gauges(
            "csi_lvm_group_not_made",
            "Whether a group of LVM_CREATE_GROUPS, or a pool of LVM_CREATE_POOLS, is not made",
            NOT_MADE_LABELS,
            lambda: {key: float(self._is_not_made(key)) for key in wanted},
        )

    def make(self) -> None:
        """Make what is missing and can be made at once. Raises what LVM does when it gives no list.

        What is made of disks that nothing tells from others is left to `make_again`.
        """
        self._make(is_again=False, attached=attached_disks.NONE)

    def make_again(self, attached: attached_disks.Attached = attached_disks.NONE) -> None:
        """Make what could not be made before, of disks to which nobody has written since then.

        attached: what the cluster told just now. So whoever empties a disk is not disturbed, nor
        are the volumes that would be on it. What was there once and was removed since is not made
        before the driver starts again, nor is what had no disk here then.
        """
        if self.is_due:
            self._make(is_again=True, attached=attached)

    @property
    def is_due(self) -> bool:
        """Whether anything is left to `make_again`."""
        return bool(self._groups.not_made)

    def leave(self) -> None:
        """Pods are served now: a `make` that still hangs leaves disks to `make_again`.

        For disks of pods may come from now on.
        """
        self._is_left = True

    def _make(self, *, is_again: bool, attached: attached_disks.Attached) -> None:
        if not (self._config.new_groups or self._config.new_pools):
            return
        before = self._groups.not_made
        not_made: dict[tuple[str, str], str] = {}
        self._waits.clear()
        if not is_again:
            self._elsewhere = _of_other_nodes(self._config.new_groups, self._groups.named())
        with self._groups.making():  # the older name's driver makes them too
            known = self._known(is_again=is_again)
            for group, disks in self._config.new_groups.items():
                if group not in known and (not is_again or (group, "") in before):
                    not_made[group, ""] = self._make_group(
                        group, disks, is_again=is_again, attached=attached
                    )
            for group, pool, percent in self._config.new_pools:
                if not_made.get((group, "")):
                    continue
                if not is_again or before.keys() & {(group, ""), (group, pool)}:
                    with self._groups.planning():
                        not_made[group, pool] = self._make_pool(group, pool, percent)
        self._tell({key: why for key, why in not_made.items() if why})

    def _known(self, *, is_again: bool) -> set[str]:
        """Names of the groups that are there. At a start it is noted which disks they are on."""
        if not self._groups.devices():
            return set()
        told, disks = self._groups.commands().groups_and_disks()
        if not is_again:
            for group in {row.name for row in told} & self._config.new_groups.keys():
                self._note(group, [disk.device for disk in disks if disk.group == group])
        return {row.name for row in told}

    def _note(self, group: str, devices: Sequence[str]) -> None:
        """Note the disks of *group*, if it is on those that the settings name: on *devices*."""
        names = self._config.new_groups[group]
        if not all(map(block.is_block_device, (*names, *devices))):
            return
        if set(map(block.device_number, names)) == set(map(block.device_number, devices)):
            now = group_disks.serials(names)
            try:
                is_noted = self._records.read(group) == now
            except errors.Precondition:
                is_noted = False
            if not is_noted:
                self._records.write(group, now)

    def _make_group(
        self,
        group: str,
        disks: tuple[str, ...],
        *,
        is_again: bool,
        attached: attached_disks.Attached,
    ) -> str:
        """Why it is not made, "" = it is."""
        before = self._seen.pop(group, None)
        try:
            why = self._why_not_now(group, disks, may_be_new=is_again or self._is_left)
            if why:
                return why
            serials = group_disks.serials(disks)
            is_known = group_disks.are_by_id(disks) or group_records.are_known(
                self._records.read(group), serials
            )
            if is_again or self._is_left or not is_known:
                now = {disk: (block.instance(disk), block.written_sectors(disk)) for disk in disks}
                if is_again:  # which may follow at once on a `make`
                    self._seen[group] = now
                if now != before:
                    self._waits.add(group)
                    return (
                        "its disks are blank now, and are taken when nobody has written to them "
                        "since, a minute from now"
                    )
            why = group_disks.why_pods(disks, attached.disk_ids)
            if why or (attached.why_unknown and not is_known):
                return why or (
                    f"it is not known whether {', '.join(disks)} are disks of pods: "
                    f"{attached.why_unknown}"
                )
            told = group_disks.described(disks)
            self._records.write(group, serials)  # before, for who is killed after it was made
            self._groups.commands().create_group(group, disks, tag=tags.OWNER)
        except errors.Error as e:
            return str(e)
        except OSError as e:
            return f"its disks cannot be looked at: {e}"
        self._events.note_node(MADE, f"volume group {group} is made of {told}")
        return ""

    def _why_not_now(self, group: str, disks: tuple[str, ...], *, may_be_new: bool) -> str:
        """Why *disks* are not to be taken for *group* as they are, "" = nothing is against it.

        may_be_new: they may have come after the driver started. Raises what looks at them do.
        """
        missing = sorted(set(disks) - set(self._groups.named()))
        if missing:
            return f"no such disk, or not one of LVM_DEVICES: {', '.join(missing)}"
        if may_be_new and group in self._elsewhere:
            return (
                f"none of its disks ({', '.join(disks)}) was here when the driver started, and one "
                "that came since may be a pod's. Restart the driver to have the group made, or let "
                "LVM_CREATE_GROUPS name its disks in /dev/disk/by-id"
            )
        return (
            group_disks.why_changed(disks, self._records.read(group), self._records.file(group))
            or group_disks.why_pods(disks, pod_disks.noted(self._config.kubelet_root))
            or group_disks.why_not_blank(disks)
        )

    def _make_pool(self, group: str, pool: str, percent: int) -> str:
        """Why it is not made, "" = it is."""
        if not self._groups.devices():
            return "no disk of LVM_DEVICES is on this node"
        on = self._groups.commands()
        try:
            there = on.find(group, pool)
            if there is not None:
                is_one = there.layout is lvm_model.Layout.POOL
                return "" if is_one else "there is a volume of that name, which is no thin pool"
            for row in on.groups():
                if row.name == group:
                    size_bytes = row.free_extents * percent // 100 * row.extent_bytes
                    on.create_pool(group, pool, size_bytes, tag=tags.OWNER)
                    return ""
        except errors.Error as e:
            return str(e)
        return f"there is no volume group {group}"

    def _is_not_made(self, key: tuple[str, str]) -> bool:
        return not self._faults.isdisjoint({key, (key[0], "")})

    def _tell(self, not_made: Mapping[tuple[str, str], str]) -> None:
        """Keep what calls are told, and tell the operator: in the log once."""
        faults = {key for key in not_made if not self._is_of_other_nodes(key[0])}
        for key, why in not_made.items():
            what = f"thin pool {'/'.join(key)}" if key[1] else f"volume group {key[0]}"
            is_new = self._groups.not_made.get(key) != why
            if key not in faults:
                if is_new:
                    log.info("group is of nodes of another kind", what=what, why=why)
                continue
            if key[0] in self._waits:
                log.info("volume group is not made yet", what=what, why=why)
                continue
            if is_new:
                log.error("volume group is not made", what=what, why=why)
            self._events.warn_node(NOT_MADE, f"{what} is not made: {why}")
        self._groups.not_made = not_made
        self._faults = frozenset(faults)

    def _is_of_other_nodes(self, group: str) -> bool:
        """Whether this node has none of its disks: the settings are for all kinds of nodes."""
        here = set(self._groups.named())
        return group in self._elsewhere or here.isdisjoint(self._config.new_groups.get(group, here))


def _of_other_nodes(
    new_groups: Mapping[str, tuple[str, ...]], devices: Collection[str]
) -> frozenset[str]:
    """Groups of which no disk is among *devices*, and no name says which disk is meant. Pure."""
    return frozenset(
        group
        for group, disks in new_groups.items()
        if set(disks).isdisjoint(devices) and not group_disks.are_by_id(disks)
    )

"""Which volume groups may be used, and through which devices."""

import contextlib
import glob
import pathlib
from collections.abc import Iterator, Mapping

from core import errors
from csi.lvm import params, settings
from csi.lvm.stores import pod_disks
from csi.lvm.stores.logical import placement, thin_pools
from host import block, dir_lock, lvm, lvm_model

MEDIA_TAG = "csi-media="
"""On a group: what its disks are, when the kernel does not know it."""
_SYS_BLOCK = pathlib.Path("/sys/class/block")
_LOCK_DIR = pathlib.Path("/run/lock/lvm")
"""Where LVM's own locks are. It locks files in it, we the directory."""


class Groups:
    """The groups that the settings allow.

    Devices are looked for anew each time: a disk may come while the process runs. No device means
    no LVM: a command without a filter would see every disk of the node.
    """

    def __init__(self, config: settings.LocalSettings) -> None:
        self._config = config
        self.not_made: Mapping[tuple[str, str], str] = {}
        """(group, pool) → why `new_groups` has not made it, though the settings ask for it;
        pool "" = the group itself."""

    @contextlib.contextmanager
    def planning(self) -> Iterator[None]:
        """Held from a look at the room to its use, for LVM does not know what pools may promise.

        Of the whole node: a process may serve the older name too, and an update has two processes.
        """
        _LOCK_DIR.mkdir(parents=True, exist_ok=True)
        with dir_lock.hold(_LOCK_DIR):
            yield

    @contextlib.contextmanager
    def making(self) -> Iterator[None]:
        """Held while groups are made; who uses groups that are there does not wait for it.

        A disk that is looked at may hang.
        """
        directory = _LOCK_DIR / "csi-new-groups"
        directory.mkdir(parents=True, exist_ok=True)
        with dir_lock.hold(directory):
            yield

    def commands(self) -> lvm.Lvm:
        """LVM on the devices that are there. Raises Precondition when there is none."""
        devices = self.devices()
        if not devices:
            raise errors.Precondition(
                "no disk of LVM_DEVICES is on this node, so that there is no LVM: "
                f"{', '.join(self._config.devices) or 'it is not set'}"
            )
        return lvm.Lvm(devices)

    def devices(self) -> list[str]:
        """Devices that LVM may look at.

        None of a pod's disk, though a pattern fits: a group that the pod made on it is not ours.
        """
        return [path for path in self.named() if not pod_disks.volume_on(pathlib.Path(path), ())]

    def named(self) -> list[str]:
        """Every device that is there and that the settings name."""
        found: dict[str, None] = {}
        for pattern in self._config.devices:
            for path in sorted(glob.glob(pattern)):  # noqa: PTH207  # patterns are absolute
                if block.is_block_device(path):
                    found[path] = None
        return list(found)

    def allows(self, group: str) -> bool:
        """Whether *group* may be used."""
        return not self._config.groups or group in self._config.groups

    def require_allowed(self, group: str) -> str:
        """*group*, which may be used. Raises InvalidField."""
        if not self.allows(group):
            raise errors.InvalidField(
                "parameters[vgName]", "may not be used on this node", value=group,
                allowed=", ".join(self._config.groups),
            )  # fmt: skip
        return group

    def volumes(self) -> list[lvm_model.LogicalVolume]:
        """Every volume of every allowed group; none without a device."""
        if not self.devices():
            return []
        return [row for row in self.commands().volumes() if self.allows(row.group)]

    def sites(
        self, wanted: params.Parameters, why_not: placement.WhyNot = thin_pools.why_closed
    ) -> list[placement.Site]:
        """All ways to make a volume with *wanted*, and why there are none where there should be.

        why_not: of thin pools, as for `placement.thin_site`.
        """
        if not self.devices():
            return self._sites_not_made(wanted)
        on = self.commands()
        told, disks = on.groups_and_disks()
        groups = {row.name: row for row in told if self._fits(row, wanted)}
        if wanted.lvm_type is params.LvmType.THIN:
            return [*self._thin_sites(on, groups, wanted, why_not), *self._sites_not_made(wanted)]
        found = self._sites_not_made(wanted)
        for name, group in groups.items():
            own = [disk for disk in disks if disk.group == name]
            if wanted.media_type in (None, _media_type(group, own)):
                site = placement.site_of(group, own, wanted.lvm_type)
                found.append(placement.leaving(site, group, self._reserved_bytes(group)))
        return found

    def _sites_not_made(self, wanted: params.Parameters) -> list[placement.Site]:
        return [
            placement.Site(
                group=group, pool=pool, room_bytes=0, step_bytes=1, why=f"not made: {why}"
            )
            for (group, pool), why in self.not_made.items()
            if wanted.group in ("", group)
            and self.allows(group)
            and (not pool or wanted.lvm_type is params.LvmType.THIN)
            and (not pool or wanted.pool in ("", pool))
        ]

    def why_missing(self, group: str) -> str:
        """Why there is no *group*."""
        why = self.not_made.get((group, ""), "")
        return f"volume group {group} is not on this node" + (f": {why}" if why else "")

    def require_promise(
        self,
        group: str,
        pool: str,
        more_bytes: int,
        why_not: placement.WhyNot = thin_pools.why_closed,
    ) -> placement.Site:
        """Raise Exhausted when thin *pool* may not promise *more_bytes*; the site where it does."""
        wanted = params.Parameters(
            volume_type=params.VolumeType.LVM,
            group=group,
            lvm_type=params.LvmType.THIN,
            pool=pool,
        )
        return placement.choose(self.sites(wanted, why_not), more_bytes, wanted.strategy)

    def reserves(self, group: str) -> bool:
        """Whether volumes leave some room of *group* free."""
        return group in self._config.reserved

    def require_spare(self, row: lvm_model.LogicalVolume, more_bytes: int) -> None:
        """Raise Exhausted when *more_bytes* more of *row* would take what volumes leave free."""
        if not self.reserves(row.group):
            return
        for group in self.commands().groups():
            if group.name == row.group:
                placement.require_spare(row, group, more_bytes, self._reserved_bytes(group))

    def _reserved_bytes(self, group: lvm_model.VolumeGroup) -> int:
        told = self._config.reserved.get(group.name)
        return told.of(group.size_bytes) if told is not None else 0

    def extent_bytes(self, group: str) -> int:
        """Size of the extents of *group*. Raises NotFound."""
        for row in self.commands().groups():
            if row.name == group:
                return row.extent_bytes
        raise errors.NotFound(self.why_missing(group))

    def _thin_sites(
        self,
        on: lvm.Lvm,
        groups: dict[str, lvm_model.VolumeGroup],
        wanted: params.Parameters,
        why_not: placement.WhyNot,
    ) -> Iterator[placement.Site]:
        volumes = on.volumes()
        for row in volumes:
            is_pool = row.layout is lvm_model.Layout.POOL and wanted.pool in ("", row.name)
            if is_pool and row.group in groups:
                yield placement.thin_site(
                    row,
                    groups[row.group],
                    volumes,
                    percent=self._config.thin_percent,
                    why_not=why_not,
                )

    def _fits(self, group: lvm_model.VolumeGroup, wanted: params.Parameters) -> bool:
        return wanted.group in ("", group.name) and self.allows(group.name)


def _media_type(
    group: lvm_model.VolumeGroup, disks: list[lvm_model.PhysicalVolume]
) -> params.MediaType:
    """What the disks of *group* are: hdd when one of them turns."""
    for kind in params.MediaType:
        if f"{MEDIA_TAG}{kind}" in group.tags:
            return kind
    turns = any(_is_rotational(pathlib.Path(disk.device)) for disk in disks)
    return params.MediaType.HDD if turns else params.MediaType.SSD


def _is_rotational(device: pathlib.Path) -> bool:
    with contextlib.suppress(OSError):
        name = device.resolve().name
        return (_SYS_BLOCK / name / "queue/rotational").read_text().strip() == "1"
    return False

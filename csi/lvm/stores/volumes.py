"""All volumes of this node, of whichever type: the one door that both halves use. Blocking."""

from collections.abc import Iterator

from core import clock, errors
from csi.lvm import model, names, old_volumes, params, settings
from csi.lvm.stores import file_sweep, loop_files, mount_points, quota_dirs, store, whole_devices
from csi.lvm.stores.logical import groups, logical_volumes, snapshots, sweep, unclaimed
from host import luks

Type = params.VolumeType


class Volumes:
    """Finds who has a volume, and lets them work. A volume id is taken once on a node.

    Requests but CreateVolume tell no type: files and directories are looked at first, which costs
    no command, and whatever they do not have is LVM's.
    """

    def __init__(self, config: settings.LocalSettings, time: clock.Clock) -> None:
        self.has_lvm = bool(config.devices)
        self.groups = groups.Groups(config)
        self._logical = logical_volumes.LogicalVolumes(config, self.groups)
        self.unclaimed = unclaimed.Unclaimed(self.groups, self._logical)
        self.sweep = sweep.Sweep(self.groups)
        self.snapshots = snapshots.Snapshots(self.groups, time)
        directories = mount_points.MountPoints(config)
        devices = whole_devices.WholeDevices(config)
        self._files = loop_files.LoopFiles(config)
        self.file_sweep = file_sweep.FileSweep(self._files)
        self._others: dict[Type, store.Store] = {
            Type.LOOP_DEVICE: self._files,
            Type.QUOTA_PATH: quota_dirs.QuotaDirs(config),
            Type.MOUNT_POINT: directories,
            Type.DEVICE: devices,
        }
        self.takers: dict[old_volumes.Step, store.Taker] = {
            old_volumes.Step.TAKE_MOUNT_POINT: directories,
            old_volumes.Step.TAKE_DEVICE: devices,
        }

    def prepare(self) -> None:
        """Go on after a kill."""
        luks.resume_all(names.of_container(""))

    def create(self, want: model.VolumeWish) -> model.Volume:
        """The volume of *want*, made if need be. Raises as `Store.create`."""
        mine = self._of_type(want.parameters.volume_type)
        for other in self._all():
            # LVM is asked last and only for others, so that its own volumes cost one command.
            if other is not mine and other.has(want.volume_id):
                raise errors.Exists(f"volume {want.volume_id} is there with another volumeType")
        return mine.create(want)

    def delete(self, volume_id: str) -> None:
        """Remove the volume; one that is not there is fine."""
        for each in self._all():
            if each.delete(volume_id):
                return

    def delete_ephemeral(self, volume_id: str) -> None:
        """Remove the volume if it goes with its pod."""
        if not self._files.delete_ephemeral(volume_id):
            self._logical.delete_ephemeral(volume_id)

    def get(self, volume_id: str) -> model.Volume | None:
        """The volume, None when there is none."""
        return self._who_has(volume_id).get(volume_id)

    def listed(self) -> list[model.Volume]:
        """Our volumes, by id."""
        found = [volume for each in self._all() for volume in each.listed()]
        return sorted(found, key=lambda volume: volume.volume_id)

    def capacity(self, wanted: params.Parameters) -> model.Capacity:
        """Room for volumes with *wanted*."""
        return self._of_type(wanted.volume_type).capacity(wanted)

    def extend(self, volume_id: str, required_bytes: int, limit_bytes: int) -> int:
        """Let the volume have at least *required_bytes*; its size then."""
        return self._who_has(volume_id).extend(volume_id, required_bytes, limit_bytes)

    def open(self, volume_id: str, *, group: str = "") -> model.Opened | model.OpenedDirectory:
        """How the volume is used here. Raises NotFound, Precondition.

        group: where a logical volume says that it is.
        """
        store_ = self._who_has(volume_id)
        if store_ is self._logical:
            return self._logical.open(volume_id, group=group)
        return store_.open(volume_id)

    def settle(self, volume_id: str) -> None:
        """Note that the volume's content counts from now on."""
        self._who_has(volume_id).settle(volume_id)

    def release(self, volume_id: str) -> None:
        """Take back what `open` made, when nothing uses it any more. Costs LVM nothing."""
        for each in self._others.values():
            each.release(volume_id)

    def _of_type(self, kind: Type) -> store.Store:
        return self._others.get(kind, self._logical)

    def _who_has(self, volume_id: str) -> store.Store:
        for each in self._others.values():
            if each.has(volume_id):
                return each
        return self._logical

    def _all(self) -> Iterator[store.Store]:
        yield from self._others.values()
        yield self._logical

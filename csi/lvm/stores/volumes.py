"""All volumes of this node, of whichever type: the one door that both halves use. Blocking."""

from core import clock
from csi.lvm import model, params, settings
from csi.lvm.stores import groups, logical, new_groups, snapshots


class Volumes:
    """Finds who has a volume, and lets them work. A volume id is taken once on a node."""

    def __init__(self, config: settings.LocalSettings, time: clock.Clock) -> None:
        self.groups = groups.Groups(config)
        self._logical = logical.LogicalVolumes(config, self.groups)
        self._new_groups = new_groups.NewGroups(config, self.groups)
        self.snapshots = snapshots.Snapshots(self.groups, time)

    def prepare(self) -> None:
        """Make the groups and pools that the settings ask for. Raises Precondition, NotBlank."""
        self._new_groups.ensure()

    def create(self, want: model.VolumeWish) -> model.Volume:
        """As `LogicalVolumes.create`."""
        return self._logical.create(want)

    def delete(self, volume_id: str) -> None:
        """Remove the volume; one that is not there is fine."""
        self._logical.delete(volume_id)

    def get(self, volume_id: str) -> model.Volume | None:
        """The volume, None when there is none."""
        return self._logical.get(volume_id)

    def list(self) -> list[model.Volume]:
        """Our volumes, by id."""
        return self._logical.list()

    def capacity(self, wanted: params.Parameters) -> model.Capacity:
        """Room for volumes with *wanted*."""
        return self._logical.capacity(wanted)

    def extend(self, volume_id: str, required_bytes: int, limit_bytes: int) -> int:
        """Let the volume have at least *required_bytes*; its size then."""
        return self._logical.extend(volume_id, required_bytes, limit_bytes)

    def open(self, volume_id: str) -> model.Opened:
        """How the volume is used here. Raises NotFound, Precondition."""
        return self._logical.open(volume_id)

    def settle(self, volume_id: str) -> None:
        """Note that the volume's content counts from now on."""
        self._logical.settle(volume_id)

"""Logical volumes as one of the node's stores: found, told, grown and opened.

Nothing is remembered here: every question is answered by LVM, see `csi.lvm.tags`. They are made by
`creation` and removed by `deletion`.
"""

from core import call, errors
from csi.lvm import model, params, settings, tags
from csi.lvm.stores.logical import creation, deletion, groups, logical_rows, lv_device, thin_pools
from host import block, lvm_model


class LogicalVolumes:
    """The volumes of type LVM on this node."""

    def __init__(self, config: settings.LocalSettings, allowed: groups.Groups) -> None:
        self._groups = allowed
        self._creation = creation.Creation(allowed)
        self._deletion = deletion.Deletion(config, allowed)

    def has(self, volume_id: str) -> bool:
        """Whether the volume is one of these."""
        return self.get(volume_id) is not None

    def create(self, want: model.VolumeWish) -> model.Volume:
        """The volume of *want*, made if need be. Raises as `Creation.create`."""
        return self._creation.create(want)

    def delete(self, volume_id: str) -> bool:
        """Remove the volume; whether there was one. Raises as `Deletion.delete`."""
        return self._deletion.delete(volume_id)

    def delete_ephemeral(self, volume_id: str) -> None:
        """Remove the volume if it goes with its pod; another one stays."""
        self._deletion.delete_ephemeral(volume_id)

    def get(self, volume_id: str) -> model.Volume | None:
        """The volume that a request names, made by us or not; None when there is none."""
        rows = self._groups.volumes()
        row = logical_rows.pick(rows, volume_id)
        return None if row is None else logical_rows.volume(row, rows, volume_id=volume_id)

    def listed(self) -> list[model.Volume]:
        """Our volumes, by id."""
        rows = self._groups.volumes()
        own = [logical_rows.volume(row, rows) for row in rows if logical_rows.is_listed(row)]
        own += [
            logical_rows.volume(row, rows, volume_id=volume_id)
            for row in rows
            for volume_id in tags.values(row.tags, tags.IS_VOLUME)
        ]
        return sorted(own, key=lambda volume: volume.volume_id)

    def capacity(self, wanted: params.Parameters) -> model.Capacity:
        """Room for volumes with *wanted*."""
        rooms = [site.room_bytes for site in self._groups.sites(wanted)]
        return model.Capacity(available_bytes=sum(rooms), maximum_bytes=max(rooms, default=0))

    def extend(self, volume_id: str, required_bytes: int, limit_bytes: int) -> int:
        """Let the volume have at least *required_bytes*; its size then.

        Raises NotFound, OutOfRange, Exhausted, Precondition while it has thick snapshots.
        """
        rows = self._groups.volumes()
        row = logical_rows.pick(rows, volume_id)
        if row is None:
            raise errors.NotFound(f"there is no volume {volume_id} on this node")
        if row.content_bytes >= required_bytes:
            return row.content_bytes
        if tags.READ_ONLY in row.tags:
            raise errors.Precondition(f"volume {volume_id} is snapshot {row.name}: it cannot grow")
        if limit_bytes:
            stripes = row.stripes if row.layout is lvm_model.Layout.STRIPED else 1
            step = self._groups.extent_bytes(row.group) * stripes
            if -(-required_bytes // step) * step > limit_bytes:
                raise errors.OutOfRange(
                    f"limit_bytes {limit_bytes} cannot be kept: sizes are multiples of {step}"
                )
        logical_rows.require_no_thick_snapshots(row, rows, "grow")
        call.doing(f"growing volume {volume_id}")
        with self._groups.planning():
            more_bytes = required_bytes - row.size_bytes
            if row.pool:
                why_not = thin_pools.why_stuck
                self._groups.require_promise(row.group, row.pool, more_bytes, why_not)
            else:
                self._groups.require_spare(row, more_bytes)
            self._groups.commands().extend(row.group, row.name, required_bytes)
        return block.size_bytes(row.device)

    def open(self, volume_id: str, *, group: str = "") -> model.Opened:
        """Its device, active. Raises NotFound, Precondition for what nobody may use.

        group: where the volume says that it is, "" = it does not say so.
        """
        row = self._usable(volume_id, group)
        seen = [f"{tags.STALE}{told}" for told in tags.values(row.tags, tags.STALE)]
        if seen and tags.OWNER in row.tags:  # it is needed after all, whoever names it later
            self._groups.commands().retag(row.group, row.name, delete=seen)
            row = self._usable(volume_id, group)  # a collection may have been faster
        if not row.is_active:
            self._groups.commands().activate(row.group, row.name)
        return model.Opened(
            device=lv_device.of(row),
            is_fresh=tags.FRESH in row.tags,
            read_only=tags.READ_ONLY in row.tags,
            is_ours=tags.OWNER in row.tags,
        )

    def _usable(self, volume_id: str, group: str) -> lvm_model.LogicalVolume:
        row = logical_rows.pick(self._groups.volumes(), volume_id, group)
        if row is None:
            raise errors.NotFound(f"there is no volume {volume_id} on this node")
        if tags.is_unusable(row.tags):
            raise logical_rows.Unusable(row)
        return row

    def settle(self, volume_id: str) -> None:
        """Note that the volume's content counts from now on."""
        for row in self._groups.volumes():
            if row.name == volume_id and {tags.OWNER, tags.FRESH} <= row.tags:
                self._groups.commands().retag(row.group, row.name, delete=[tags.FRESH])

    def release(self, volume_id: str) -> None:
        """A logical volume stays active."""

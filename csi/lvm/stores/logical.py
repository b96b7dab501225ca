"""Logical volumes: made, found, grown and removed.

Nothing is remembered here: every question is answered by LVM, see `csi.lvm.tags`. A plain volume
takes one command to make and one to remove, so that there is no step between which to be killed.
"""

import pathlib
from collections.abc import Sequence

import structlog

from core import call, errors
from csi.lvm import model, names, params, settings, tags
from csi.lvm.stores import conditions, fill, groups, placement, removal, store
from host import block, lvm_model

log = structlog.get_logger()


class NotOurs(errors.Precondition):
    """A volume in our group that this driver did not make."""

    def __init__(self, row: lvm_model.LogicalVolume) -> None:
        super().__init__(
            f"volume {row.group}/{row.name} lacks tag {tags.OWNER}, so it is not removed; if it is "
            f"this driver's, as one of the reference's is: lvchange --addtag {tags.OWNER} "
            f"{row.group}/{row.name}, or set LVM_ADOPT=true"
        )


class Unusable(errors.Precondition):
    """A volume that is not complete, or going."""

    def __init__(self, row: lvm_model.LogicalVolume) -> None:
        super().__init__(
            f"volume {row.group}/{row.name} is not complete, or it is being deleted: "
            f"{', '.join(sorted(row.tags))}"
        )


class LogicalVolumes:
    """The volumes of type LVM on this node."""

    def __init__(self, config: settings.LocalSettings, allowed: groups.Groups) -> None:
        self._config = config
        self._groups = allowed
        self._filler = fill.Filler(allowed)

    def has(self, volume_id: str) -> bool:
        """Whether the volume is one of these."""
        return self.get(volume_id) is not None

    def create(self, want: model.VolumeWish) -> model.Volume:
        """The volume of *want*, made if need be.

        Raises Exists when the id is taken by something else, Exhausted without room, OutOfRange.
        """
        call.doing(f"making volume {want.volume_id}")
        is_plain = _is_plain(want) and not self._groups.reserves(want.parameters.group)
        if is_plain and not _is_elsewhere(want):
            try:
                return self._create_plain(want)
            except errors.Exists:
                log.info("a volume of that name is there", volume_id=want.volume_id)
        found = self.find(want.volume_id)
        if found is not None:
            there = self._existing(found, want)
            if there is not None:
                return there
        return self._create_planned(want)

    def delete(self, volume_id: str) -> bool:
        """Remove the volume; whether there was one. Raises Busy, Precondition, NotOurs."""
        if not self._groups.devices() or not names.can_be_ours(volume_id):
            return False
        call.doing(f"removing volume {volume_id}")
        self._require_unpublished(volume_id)
        if self._remove_tagged(volume_id, tags.PLAIN):
            return True
        rows = self._groups.volumes()
        shown = [row for row in rows if f"{tags.IS_VOLUME}{volume_id}" in row.tags]
        for row in shown:
            tag = f"{tags.IS_VOLUME}{volume_id}"
            self._groups.commands().retag(row.group, row.name, delete=[tag])
        named = [row for row in rows if row.name == volume_id]
        # What only has the name, in another group, is nobody's concern while one of them is ours.
        own = [row for row in named if tags.OWNER in row.tags] or named
        for row in own:
            if self._remove_copies(row, rows):
                rows = self._groups.volumes()
            self._require_removable(row, rows)
            removal.wipe_and_remove(self._groups.commands(), row)
        return bool(shown or own)

    def delete_ephemeral(self, volume_id: str) -> None:
        """Remove the volume if it goes with its pod; another one stays."""
        if self._groups.devices():
            self._remove_tagged(volume_id, tags.EPHEMERAL)

    def extend(self, volume_id: str, required_bytes: int, limit_bytes: int) -> int:
        """Let the volume have at least *required_bytes*; its size then.

        Raises NotFound, OutOfRange, Exhausted, Precondition while it has thick snapshots.
        """
        rows = self._groups.volumes()
        row = _pick(rows, volume_id)
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
        _require_no_thick_snapshots(row, rows, "grow")
        call.doing(f"growing volume {volume_id}")
        with self._groups.planning():
            more_bytes = required_bytes - row.size_bytes
            if row.pool:
                self._groups.require_promise(row.group, row.pool, more_bytes)
            else:
                self._groups.require_spare(row, more_bytes)
            self._groups.commands().extend(row.group, row.name, required_bytes)
        return block.size_bytes(row.device)

    def find(self, volume_id: str) -> lvm_model.LogicalVolume | None:
        """The logical volume of that name, whatever it is; None when there is none."""
        rows = [row for row in self._groups.volumes() if row.name == volume_id]
        return max(rows, key=lambda row: tags.OWNER in row.tags, default=None)

    def listed(self) -> list[model.Volume]:
        """Our volumes, by id."""
        rows = self._groups.volumes()
        own = [_volume(row, rows) for row in rows if _is_listed(row)]
        own += [
            _volume(row, rows, volume_id=volume_id)
            for row in rows
            for volume_id in tags.values(row.tags, tags.IS_VOLUME)
        ]
        return sorted(own, key=lambda volume: volume.volume_id)

    def get(self, volume_id: str) -> model.Volume | None:
        """The volume that a request names, made by us or not; None when there is none."""
        rows = self._groups.volumes()
        row = _pick(rows, volume_id)
        return None if row is None else _volume(row, rows, volume_id=volume_id)

    def capacity(self, wanted: params.Parameters) -> model.Capacity:
        """Room for volumes with *wanted*."""
        rooms = [site.room_bytes for site in self._groups.sites(wanted)]
        return model.Capacity(available_bytes=sum(rooms), maximum_bytes=max(rooms, default=0))

    def open(self, volume_id: str, *, group: str = "") -> model.Opened:
        """Its device, active. Raises NotFound, Precondition for what nobody may use.

        group: where the volume says that it is, "" = it does not say so.
        """
        row = _pick(self._groups.volumes(), volume_id, group)
        if row is None:
            raise errors.NotFound(f"there is no volume {volume_id} on this node")
        if tags.is_unusable(row.tags):
            raise Unusable(row)
        seen = [f"{tags.STALE}{told}" for told in tags.values(row.tags, tags.STALE)]
        if seen and tags.OWNER in row.tags:  # it is needed after all, whoever names it later
            self._groups.commands().retag(row.group, row.name, delete=seen)
        if not row.is_active:
            self._groups.commands().activate(row.group, row.name)
        return model.Opened(
            device=block.path_of(row.device),
            is_fresh=tags.FRESH in row.tags,
            read_only=tags.READ_ONLY in row.tags,
            is_ours=tags.OWNER in row.tags,
        )

    def settle(self, volume_id: str) -> None:
        """Note that the volume's content counts from now on."""
        for row in self._groups.volumes():
            if row.name == volume_id and {tags.OWNER, tags.FRESH} <= row.tags:
                self._groups.commands().retag(row.group, row.name, delete=[tags.FRESH])

    def release(self, volume_id: str) -> None:
        """A logical volume stays active."""

    def _remove_tagged(self, volume_id: str, tag: str) -> bool:
        """Remove what is ours and has *tag*, in one step; whether there was one."""
        return self._groups.commands().remove_tagged(
            volume_id, (tags.OWNER, tag), unless=tags.PROTECTED, groups=self._config.groups
        )

    def _remove_copies(
        self, row: lvm_model.LogicalVolume, rows: Sequence[lvm_model.LogicalVolume]
    ) -> bool:
        """Remove the snapshots that killed copies of *row* left; whether there were any."""
        left = [
            each
            for each in rows
            if (each.group, each.origin) == (row.group, row.name)
            and {tags.OWNER, tags.SCRATCH} <= each.tags
            and not each.is_open
        ]
        for each in left:
            removal.wipe_and_remove(self._groups.commands(), each)
        return bool(left)

    def _require_unpublished(self, volume_id: str) -> None:
        """Raise Busy while it is mounted, or bound as a device: LVM sees only what is open."""
        for link in pathlib.Path("/dev").glob(f"*/{volume_id}"):
            usable = self._groups.allows(link.parent.name) and link.is_block_device()
            if usable and store.is_mounted(link):
                raise errors.Busy(f"volume {volume_id} is published; unpublish it first")

    def _create_plain(self, want: model.VolumeWish) -> model.Volume:
        """One command, without a look before. Raises Exists when the name is taken."""
        group = self._groups.require_allowed(want.parameters.group)
        wish = lvm_model.Wish(
            name=want.volume_id, group=group, size_bytes=store.wanted_bytes(want), tags=_tags(want)
        )
        on = self._groups.commands()
        try:
            on.create(wish)
        except errors.NotFound as e:
            raise errors.Exhausted(f"volume group {group} is not on this node") from e
        size_bytes = block.size_bytes(f"/dev/{group}/{wish.name}")
        if want.limit_bytes and size_bytes > want.limit_bytes:
            on.remove(group, wish.name)
            raise _above_limit(want, size_bytes)
        return model.Volume(
            volume_id=want.volume_id, capacity_bytes=size_bytes, context={"vgName": group}
        )

    def _create_planned(self, want: model.VolumeWish) -> model.Volume:
        """Where it fits best; from a source, if there is one."""
        if want.parameters.group:
            self._groups.require_allowed(want.parameters.group)
        if want.source is not None:
            row = self._filler.make(want, want.source, _tags(want))
            return _volume(row, self._groups.volumes(), volume_id=want.volume_id)
        with self._groups.planning():
            sites = self._groups.sites(want.parameters)
            site = placement.choose(sites, store.wanted_bytes(want), want.parameters.strategy)
            size_bytes = placement.rounded(store.wanted_bytes(want), site)
            if want.limit_bytes and size_bytes > want.limit_bytes:
                raise _above_limit(want, size_bytes)
            wish = placement.wish(site, want.volume_id, size_bytes, _tags(want))
            self._groups.commands().create(wish)
        return model.Volume(
            volume_id=want.volume_id, capacity_bytes=size_bytes, context={"vgName": site.group}
        )

    def _existing(
        self, found: lvm_model.LogicalVolume, want: model.VolumeWish
    ) -> model.Volume | None:
        """*found* if it is what *want* asks for; None when it was a leftover and is gone."""
        own = {tags.OWNER, tags.VOLUME, f"{tags.NAME}{names.digest(want.name)}"}
        if not own <= found.tags:
            raise errors.Exists(f"{found.group}/{found.name} is there, and is not this volume")
        if f"{tags.SPEC}{names.digest(want.identity)}" not in found.tags:
            raise errors.Exists(f"volume {want.volume_id} is there with other parameters")
        if tags.is_unusable(found.tags):
            removal.wipe_and_remove(self._groups.commands(), found)
            return None
        size_bytes = found.content_bytes
        if size_bytes < want.required_bytes or 0 < want.limit_bytes < size_bytes:
            raise errors.Exists(f"volume {want.volume_id} is there with {size_bytes} bytes")
        return _volume(found, self._groups.volumes())

    def _require_removable(
        self, row: lvm_model.LogicalVolume, rows: Sequence[lvm_model.LogicalVolume]
    ) -> None:
        if tags.PROTECTED in row.tags:
            raise removal.Protected(row)
        if tags.OWNER not in row.tags and not self._config.adopt:
            raise NotOurs(row)
        if tags.OWNER in row.tags and tags.VOLUME not in row.tags:
            raise errors.Precondition(f"{row.group}/{row.name} is no volume, but a snapshot or so")
        if row.layout in (lvm_model.Layout.POOL, lvm_model.Layout.OTHER) or row.is_thick_snapshot:
            raise errors.Precondition(f"{row.group}/{row.name} is no volume: {row.layout}")
        _require_no_thick_snapshots(row, rows, "be deleted")
        if row.is_open:
            raise errors.Busy(f"volume {row.group}/{row.name} is in use; unpublish it first")


def _is_plain(want: model.VolumeWish) -> bool:
    """Whether LVM needs no advice."""
    told = want.parameters
    return bool(
        told.group
        and want.source is None
        and told.lvm_type is params.LvmType.LINEAR
        and told.media_type is None
    )


def _is_elsewhere(want: model.VolumeWish) -> bool:
    """Whether a group that the class does not name has a volume of that name, as /dev tells it."""
    links = pathlib.Path("/dev").glob(f"*/{want.volume_id}")
    return any(link.parent.name != want.parameters.group for link in links)


def _tags(want: model.VolumeWish) -> tuple[str, ...]:
    own = [
        tags.OWNER,
        tags.VOLUME,
        f"{tags.NAME}{names.digest(want.name)}",
        f"{tags.SPEC}{names.digest(want.identity)}",
    ]
    if want.ephemeral:
        own.append(tags.EPHEMERAL)
    if want.unclaimed:
        own.append(tags.MAKING)
    if want.source is None:
        own.append(tags.FRESH)
    if want.parameters.wipe is params.Wipe.NONE:
        own.append(tags.PLAIN)
    else:
        own.append(f"{tags.WIPE}{want.parameters.wipe}")
    return tuple(own)


def _is_volume(row: lvm_model.LogicalVolume, volume_id: str) -> bool:
    """Whether *row* is what a request for *volume_id* means: ours, or one of nobody's."""
    if f"{tags.IS_VOLUME}{volume_id}" in row.tags:
        return True
    kinds = tags.value(row.tags, "csi-kind=")
    is_one = row.layout is not lvm_model.Layout.POOL and kinds in ("", "volume")
    return row.name == volume_id and is_one


def _pick(
    rows: Sequence[lvm_model.LogicalVolume], volume_id: str, group: str = ""
) -> lvm_model.LogicalVolume | None:
    """The row that a request for *volume_id* means: rather ours than one that has the name only."""
    fitting = [row for row in rows if _is_volume(row, volume_id) and group in ("", row.group)]
    return max(fitting, key=lambda row: tags.OWNER in row.tags, default=None)


def _is_listed(row: lvm_model.LogicalVolume) -> bool:
    return {tags.OWNER, tags.VOLUME} <= row.tags and not tags.is_unusable(row.tags)


def _volume(
    row: lvm_model.LogicalVolume,
    rows: Sequence[lvm_model.LogicalVolume],
    *,
    volume_id: str = "",
) -> model.Volume:
    return model.Volume(
        volume_id=volume_id or row.name,
        capacity_bytes=row.content_bytes,
        condition=conditions.of(row, rows),
        context={"vgName": row.group},
    )


def _require_no_thick_snapshots(
    row: lvm_model.LogicalVolume, rows: Sequence[lvm_model.LogicalVolume], what: str
) -> None:
    names_ = [
        each.name
        for each in rows
        if each.is_thick_snapshot and (each.group, each.origin) == (row.group, row.name)
    ]
    if names_:
        raise errors.Precondition(
            f"volume {row.name} cannot {what} while it has snapshots: {', '.join(names_)}"
        )


def _above_limit(want: model.VolumeWish, size_bytes: int) -> errors.OutOfRange:
    return errors.OutOfRange(
        f"limit_bytes {want.limit_bytes} cannot be kept: whole extents make {size_bytes} bytes"
    )

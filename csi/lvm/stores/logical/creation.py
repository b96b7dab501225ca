"""How a logical volume comes to be: whichever group it goes to, and whatever a kill left before.

A plain volume, of a class that names its group and asks for nothing special, takes one command and
no look before; so there is no step between which to be killed. Others are planned: `placement`.
"""

import pathlib

import structlog

from core import call, errors
from csi.lvm import model, names, params, tags
from csi.lvm.stores import store
from csi.lvm.stores.logical import from_source, groups, logical_rows, placement, wiping
from host import block, lvm_model

log = structlog.get_logger()


class Creation:
    """Makes logical volumes. Blocking; the callers hold the volume's lock."""

    def __init__(self, allowed: groups.Groups) -> None:
        self._groups = allowed
        self._from_source = from_source.FromSource(allowed)

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
        found = self._find(want.volume_id)
        if found is not None:
            there = self._existing(found, want)
            if there is not None:
                return there
        return self._create_planned(want)

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
            raise errors.Exhausted(self._groups.why_missing(group)) from e
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
            row = self._from_source.make(want, want.source, _tags(want))
            return logical_rows.volume(row, self._groups.volumes(), volume_id=want.volume_id)
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
            wiping.wipe_and_remove(self._groups.commands(), found)
            return None
        size_bytes = found.content_bytes
        if size_bytes < want.required_bytes or 0 < want.limit_bytes < size_bytes:
            raise errors.Exists(f"volume {want.volume_id} is there with {size_bytes} bytes")
        return logical_rows.volume(found, self._groups.volumes())

    def _find(self, volume_id: str) -> lvm_model.LogicalVolume | None:
        """The logical volume of that name, whatever it is; None when there is none."""
        rows = [row for row in self._groups.volumes() if row.name == volume_id]
        return max(rows, key=lambda row: tags.OWNER in row.tags, default=None)


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


def _above_limit(want: model.VolumeWish, size_bytes: int) -> errors.OutOfRange:
    return errors.OutOfRange(
        f"limit_bytes {want.limit_bytes} cannot be kept: whole extents make {size_bytes} bytes"
    )

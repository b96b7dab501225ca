"""Volumes that begin with somebody's content: of a snapshot, or of another volume.

A thin volume is a snapshot of its source, made at once. A thick one is copied: it is made with a
tag that says "not complete", filled, and the tag is taken away last. Whoever finds that tag throws
the volume away and begins again. A source that is in use is copied from a snapshot of its own.
"""

import contextlib
import pathlib
from collections.abc import Iterator

import structlog

from core import errors
from csi.lvm import model, names, params, tags
from csi.lvm.stores import store
from csi.lvm.stores.logical import groups, lv_device, placement, snapshots, wiping
from host import block, block_content, luks, lvm_model

log = structlog.get_logger()

_SCRATCH_SHARE = 5
"""A copy's own snapshot gets a fifth of the volume for what is written meanwhile."""
_SCRATCH_GROW_PERCENT = 50
"""So full, it gets as much again: `upkeep`."""


class FromSource:
    """Makes volumes with the content of a source."""

    def __init__(self, allowed: groups.Groups) -> None:
        self._groups = allowed

    def make(
        self, want: model.VolumeWish, origin: model.Source, own_tags: tuple[str, ...]
    ) -> lvm_model.LogicalVolume:
        """The volume of *want* with the content of *origin*, complete.

        Raises NotFound for the source, Precondition when it goes, OutOfRange when it does not fit,
        Exhausted, Busy.
        """
        source = self._source(origin)
        size_bytes = max(want.required_bytes, source.content_bytes)
        if want.limit_bytes and size_bytes > want.limit_bytes:
            raise errors.OutOfRange(
                f"limit_bytes {want.limit_bytes} is less than the source's {source.content_bytes}"
            )
        if tags.READ_ONLY in source.tags:
            return self._show(want, source)
        if _is_of_same_pool(want.parameters, source):
            self._clone_thin(want, source, size_bytes, own_tags)
        else:
            self._copy(want, source, size_bytes, own_tags)
        for row in self._groups.volumes():
            if row.name == want.volume_id:
                return row
        raise errors.Unavailable(f"volume {want.volume_id} vanished while it was made")

    def _source(self, source: model.Source) -> lvm_model.LogicalVolume:
        kind = tags.SNAPSHOT if source.kind is model.SourceKind.SNAPSHOT else tags.VOLUME
        for row in self._groups.volumes():
            if row.name == source.source_id and {tags.OWNER, kind} <= row.tags:
                if tags.is_unusable(row.tags):
                    raise errors.Precondition(f"source {row.name} is not complete, or going")
                return row
        raise errors.NotFound(f"there is no {source.kind} {source.source_id} on this node")

    def _show(
        self, want: model.VolumeWish, source: lvm_model.LogicalVolume
    ) -> lvm_model.LogicalVolume:
        """The volume is the snapshot itself."""
        if want.required_bytes > source.content_bytes:
            raise errors.OutOfRange(
                f"a read-only volume of snapshot {source.name} has {source.content_bytes} bytes"
            )
        tag = f"{tags.IS_VOLUME}{want.volume_id}"
        with self._groups.planning():
            rows = self._groups.volumes()
            if any(tag in row.tags and row.uuid != source.uuid for row in rows):
                raise errors.Exists(f"volume {want.volume_id} is there, of another snapshot")
            there = [row for row in rows if row.uuid == source.uuid]
            if not there or tags.is_unusable(there[0].tags):
                raise errors.NotFound(f"snapshot {source.name} is being deleted")
            self._groups.commands().retag(source.group, source.name, add=[tag])
        return source

    def _clone_thin(
        self,
        want: model.VolumeWish,
        source: lvm_model.LogicalVolume,
        size_bytes: int,
        own_tags: tuple[str, ...],
    ) -> None:
        on = self._groups.commands()
        group, name = source.group, want.volume_id
        with self._groups.planning():
            site = self._groups.require_promise(group, source.pool, size_bytes)
            source = self._again(source)
            grows = placement.rounded(size_bytes, site) > source.size_bytes
            is_fresh = tags.FRESH in source.tags
            made_with = (*own_tags, tags.MAKING) if grows or is_fresh else own_tags
            with luks.still(names.of_container(source.name)):
                on.snapshot(
                    lvm_model.SnapshotWish(
                        name=name, group=group, origin=source.name, tags=made_with
                    )
                )
        if grows:
            on.extend(group, name, placement.rounded(size_bytes, site))
        if grows or is_fresh:
            told = self._fresh(source) if is_fresh else ()
            on.retag(group, name, add=told, delete=[tags.MAKING])

    def _copy(
        self,
        want: model.VolumeWish,
        source: lvm_model.LogicalVolume,
        size_bytes: int,
        own_tags: tuple[str, ...],
    ) -> None:
        on = self._groups.commands()
        with self._still(source, want.volume_id) as device:
            if tags.FRESH in source.tags:
                own_tags = (*own_tags, *self._fresh(source))
            with self._groups.planning():
                sites = self._groups.sites(want.parameters)
                site = placement.choose(sites, size_bytes, want.parameters.strategy)
                rounded = placement.rounded(size_bytes, site)
                wish = placement.wish(site, want.volume_id, rounded, (*own_tags, tags.MAKING))
                on.create(wish)
            try:
                target = pathlib.Path(f"/dev/{wish.group}/{wish.name}")
                block_content.copy(device, target, skip_zeros=bool(site.pool))
            except OSError as e:
                raise errors.Unavailable(f"{device} cannot be copied: {e}") from e
        self._again(source)
        on.retag(wish.group, wish.name, delete=[tags.MAKING])

    def _again(self, source: lvm_model.LogicalVolume) -> lvm_model.LogicalVolume:
        """*source* as it is now. Raises Precondition when it goes, or something else has its name.

        Its deletion says so before the first byte of it is wiped.
        """
        now = self._groups.commands().find(source.group, source.name)
        if now is None or now.uuid != source.uuid or tags.is_unusable(now.tags):
            raise errors.Precondition(f"source {source.group}/{source.name} is being deleted")
        return now

    def _fresh(self, source: lvm_model.LogicalVolume) -> tuple[str, ...]:
        """The tag of a copy that was just made of *source*, if nobody has used that until now.

        Not if nobody had when it was looked at first: a pod may have written to it since.
        """
        return (tags.FRESH,) if tags.FRESH in self._again(source).tags else ()

    @contextlib.contextmanager
    def _still(self, source: lvm_model.LogicalVolume, volume_id: str) -> Iterator[pathlib.Path]:
        """A device with the content of *source* that nobody changes meanwhile."""
        on = self._groups.commands()
        scratch = names.of_scratch(volume_id)
        self._remove_scratch(source.group, scratch)  # of an attempt that was killed
        on.activate(source.group, source.name)
        device = lv_device.of(source)
        if tags.SNAPSHOT in source.tags:
            yield device
            return
        with contextlib.ExitStack() as held:
            if not (source.is_open or store.is_mounted(device)):
                # From now on nobody can mount it, and who publishes it as a device finds it taken.
                held.enter_context(block_content.claimed(device))
                yield device
                return
        room = 0 if source.pool else max(1, source.size_bytes // _SCRATCH_SHARE)
        own = [tags.OWNER, tags.SCRATCH, tags.MAKING, *snapshots.inherited(source)]
        if room:
            own.append(f"{tags.GROW}{_SCRATCH_GROW_PERCENT}+{room}")
        with luks.still(names.of_container(source.name)):
            on.snapshot(
                lvm_model.SnapshotWish(
                    name=scratch,
                    group=source.group,
                    origin=source.name,
                    size_bytes=room,
                    tags=tuple(own),
                )
            )
        try:
            yield block.path_of(f"/dev/{source.group}/{scratch}")
        finally:
            self._remove_scratch(source.group, scratch)

    def _remove_scratch(self, group: str, name: str) -> None:
        """One that is not there is fine. Raises Exists for something else of that name."""
        on = self._groups.commands()
        found = on.find(group, name)
        if found is None:
            return
        if not {tags.OWNER, tags.SCRATCH} <= found.tags:
            raise errors.Exists(f"{group}/{name} is there, and is no snapshot of ours for a copy")
        wiping.wipe_and_remove(on, found)


def _is_of_same_pool(wanted: params.Parameters, source: lvm_model.LogicalVolume) -> bool:
    """Whether the volume may be a thin snapshot of *source*: else it is a copy."""
    return (
        bool(source.pool)
        and wanted.lvm_type is params.LvmType.THIN
        and wanted.group in ("", source.group)
        and wanted.pool in ("", source.pool)
    )

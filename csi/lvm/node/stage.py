"""NodeStageVolume and its undoing: a volume's device as a mounted file system, or as a file.

Every step can be repeated: a call that was killed half way is finished by the next one. A volume
that nobody used yet is made empty first, whatever its disks held before; from then on its content
counts, and only what blkid calls empty gets a file system.
"""

import contextlib
import pathlib

import structlog

from core import call, errors
from csi.lvm import model, names, settings
from csi.lvm.node import encryption, node_requests
from csi.lvm.stores import store, volumes
from csi.node import at_path, device_content, device_state, grow, node_mounts
from csi.node_options import FsType
from host import block, block_content, files, filesystem, luks, mountinfo, mounts, run

log = structlog.get_logger()

_UNMOUNT_TIMEOUT_S = 30.0
_COMMAND_TIMEOUT_S = 10.0
_NO_JOURNAL = {"ext3": "noload", "ext4": "noload", "xfs": "norecovery"}
"""A read-only device cannot be recovered, and a snapshot needs none: its file system was still."""


class StagedDifferently(errors.Exists):
    """Something incompatible is at the staging path."""

    def __init__(self, volume_id: str, path: pathlib.Path, why: str) -> None:
        super().__init__(
            f"volume {volume_id} is staged at {path}, but not as asked for: {why}; "
            "unstage it first, or ask for what is there"
        )


class Stager:
    """Stages and unstages. Blocking; the callers hold the volume's lock."""

    def __init__(self, config: settings.LocalSettings, stores: volumes.Volumes) -> None:
        self._root = pathlib.Path(config.kubelet_root).resolve()
        self._stores = stores

    def stage(self, want: node_requests.Staging) -> bool:
        """Bring *want* about. Doing it again changes nothing. Whether the volume is one of ours."""
        call.doing(f"staging {want.volume_id}")
        opened = self._stores.open(want.volume_id, group=want.group)
        if isinstance(opened, model.Opened):
            _require_readable(want, opened)
            self._require_used_alike(want, opened)
        is_ours = isinstance(opened, model.OpenedDirectory) or opened.is_ours
        if want.encrypted and isinstance(opened, model.Opened):
            opened = encryption.unlock(opened, want.volume_id, want.key)
        files.ensure_dir(want.staging_target_path)
        if isinstance(opened, model.OpenedDirectory):
            _stage_directory(want, opened.path)
        elif want.is_block:
            self._stage_block(want, opened)
        else:
            self._stage_filesystem(want, opened)
        return is_ours

    def unstage(self, at: at_path.AtPath) -> None:
        """Undo `stage`. Raises Busy while the volume is published."""
        call.doing(f"unstaging {at.volume_id}")
        file = at.path / at.volume_id if "/" not in at.volume_id else at.path
        for path in (at.path, file):
            there = node_mounts.top_mount(path)
            if there is None:
                continue
            number = _number(there, path)
            root = None if node_mounts.is_device_file(there) else there.root
            self._require_unpublished(at, number, root)
            if node_mounts.is_device_file(there):
                _set_read_only(path, read_only=False)
            mounts.ensure_unmounted(path, timeout_s=_UNMOUNT_TIMEOUT_S)
        if file != at.path:
            with contextlib.suppress(NotADirectoryError):
                files.remove_empty(file)
        if names.can_be_ours(at.volume_id):
            encryption.lock(at.volume_id)
        self._stores.release(at.volume_id)

    def _stage_filesystem(self, want: node_requests.Staging, opened: model.Opened) -> None:
        path = want.staging_target_path
        if node_mounts.top_mount(path / want.volume_id) is not None:
            raise StagedDifferently(want.volume_id, path, "it is there as a raw block device")
        number = block.device_number(opened.device)
        there = node_mounts.top_mount(path)
        read_only = want.read_only or opened.read_only
        if there is None:
            there = self._mount(want, opened, number, read_only=read_only)
        else:
            _require_same(want, there, number, read_only=read_only)
        if not read_only:
            _grow(opened.device, there)

    def _mount(
        self, want: node_requests.Staging, opened: model.Opened, number: str, *, read_only: bool
    ) -> mountinfo.Mount:
        path = want.staging_target_path
        source = device_content.Source(path=opened.device, number=number)
        fs_type = self._make_ready(want, opened, source, read_only=read_only)
        options = ["ro" if read_only else "rw", *want.mount_flags]
        if fs_type == "xfs" and "nouuid" not in options:
            # A restored or cloned volume has its origin's UUID, and both are on this node.
            options.append("nouuid")
        if opened.read_only:
            options.append(_NO_JOURNAL[fs_type])
        # A kubelet that was killed meanwhile does not know of the mount, nor ask to undo it.
        call.require_wanted(f"mounting {opened.device} at {path}")
        with contextlib.ExitStack() as undo:
            mounts.mount(opened.device, path, fs_type=fs_type, options=options)
            undo.callback(mounts.unmount, path)
            _require_still(opened)
            undo.pop_all()
        there = node_mounts.top_mount(path)
        if there is None or there.device != number:
            raise errors.Unavailable(f"{path} was mounted over by someone else; retry")
        return there

    def _make_ready(
        self,
        want: node_requests.Staging,
        opened: model.Opened,
        source: device_content.Source,
        *,
        read_only: bool,
    ) -> str:
        """Type of the file system to mount, made or checked."""
        options = want.filesystem
        shared = bool(mountinfo.mounts_of(source.number))
        if not shared and device_state.is_claimed(source.path):
            raise errors.Busy(
                f"device {source.path} is in use by another program, perhaps an mkfs that outlived "
                "a killed driver; retry when it has ended"
            )
        if opened.is_fresh and not read_only and not shared:
            block_content.clear_signatures(source.path)
        content = _content(source, options.fs_type, read_only=read_only)
        _require_still(opened)
        if content.make:
            call.doing(f"making {content.fs_type} on {source.path}")
            filesystem.make(source.path, content.fs_type, options.mkfs_options, over=content.over)
            log.info("file system made", device=str(source.path), fs_type=content.fs_type)
        elif not shared and not read_only and not options.skip_check:
            filesystem.check(source.path, content.fs_type)
            grow.grow_unmounted(source.path, content.fs_type)
        if opened.is_fresh and not read_only:
            self._stores.settle(want.volume_id)
        return content.fs_type

    def _stage_block(self, want: node_requests.Staging, opened: model.Opened) -> None:
        path, file = want.staging_target_path, want.staged_path
        if node_mounts.top_mount(path) is not None:
            raise StagedDifferently(want.volume_id, path, "it is there as a mounted file system")
        number = block.device_number(opened.device)
        read_only = want.read_only or opened.read_only
        there = node_mounts.top_mount(file)
        if there is None:
            if not store.is_mounted(opened.device) and device_state.is_claimed(opened.device):
                raise errors.Busy(f"volume {want.volume_id} is in use, perhaps being copied; retry")
            if opened.is_fresh and not read_only:
                block_content.clear_signatures(opened.device)
                self._stores.settle(want.volume_id)
            files.ensure_file(file)
            with contextlib.ExitStack() as undo:
                mounts.bind(opened.device, file, read_only=read_only)
                undo.callback(mounts.unmount, file)
                _require_still(opened)
                undo.pop_all()
            there = node_mounts.top_mount(file)
        if there is None or not node_mounts.holds(there, {number}):
            raise StagedDifferently(want.volume_id, path, "another device is there")
        if node_mounts.is_read_only(there) != read_only:
            why = "it is read-only" if node_mounts.is_read_only(there) else "it is writable"
            raise StagedDifferently(want.volume_id, path, why)
        _set_read_only(opened.device, read_only=read_only)

    def _require_used_alike(self, want: node_requests.Staging, opened: model.Opened) -> None:
        """Raise StagedDifferently when it is at another path as the other kind of volume.

        Looked at before the first mount: what a pod does with its device is its affair.
        """
        table = mountinfo.read()
        if node_mounts.top_mount(want.staged_path, table) is not None:
            return
        clash = node_mounts.other_kind_at(
            table,
            _numbers(opened.device, want.volume_id),
            staging_target_path=want.staging_target_path,
            is_block=want.is_block,
            read_only=want.read_only or opened.read_only,
        )
        if clash is not None:
            kind = "a file system" if want.is_block else "a raw device"
            raise StagedDifferently(want.volume_id, clash, f"it is {kind} there")

    def _require_unpublished(self, at: at_path.AtPath, number: str, root: str | None) -> None:
        published = node_mounts.published_elsewhere(
            mountinfo.read(),
            {number},
            kubelet_root=self._root,
            staging_target_path=at.path,
            root=root,
        )
        if published is not None:
            raise errors.Busy(
                f"volume {at.volume_id} is still published at {published}; unpublish it first"
            )


def _require_still(opened: model.Opened) -> None:
    """Raise Unavailable when the path of its device is another disk's by now."""
    if opened.instance and block.instance(opened.device) != opened.instance:
        raise errors.Unavailable(
            f"device {opened.device} changed while it was prepared; is the disk still there? retry"
        )


def _require_readable(want: node_requests.Staging, opened: model.Opened) -> None:
    """Raise Precondition for readers of a volume that nobody wrote: it may show old data."""
    if opened.is_fresh and (want.read_only or opened.read_only):
        raise errors.Precondition(
            f"volume {want.volume_id} was never used, and is wanted read-only; publish it for "
            "writing once, or restore it from a snapshot of a volume with content"
        )


def _stage_directory(want: node_requests.Staging, directory: pathlib.Path) -> None:
    """Bind *directory*, which has its file system already."""
    path = want.staging_target_path
    if want.is_block:
        raise errors.InvalidField(
            "volume_capability.access_type", "is not supported: the volume is a directory",
            value="block", allowed="mount",
        )  # fmt: skip
    there = node_mounts.top_mount(path)
    if there is None:
        mounts.bind(directory, path, read_only=want.read_only)
    elif not path.samefile(directory):
        raise StagedDifferently(want.volume_id, path, "another directory is there")
    elif node_mounts.is_read_only(there) != want.read_only:
        raise StagedDifferently(want.volume_id, path, "it is there for another mode")


def _content(
    source: device_content.Source, wanted: FsType | None, *, read_only: bool
) -> device_content.Content:
    probe = filesystem.probe(source.path)
    unfinished = probe.fs_type == "xfs" and device_state.is_unfinished_xfs(source.path)
    return device_content.choose_content(
        source,
        probe,
        wanted,
        default=FsType.EXT4,
        read_only=read_only,
        unfinished=unfinished,
    )


def _require_same(
    want: node_requests.Staging, there: mountinfo.Mount, number: str, *, read_only: bool
) -> None:
    """Check that what was mounted before is this volume, as asked for."""
    if there.device != number:
        why = f"device {there.device} is mounted there, and the volume's is {number}"
    else:
        why = node_mounts.mount_difference(
            there, read_only=read_only, flags=want.mount_flags, fs_type=want.filesystem.fs_type
        )
    if why:
        raise StagedDifferently(want.volume_id, want.staging_target_path, why)


def _grow(device: pathlib.Path, there: mountinfo.Mount) -> None:
    """Make the file system as large as its device, as after a restore to a larger volume."""
    path = pathlib.Path(there.mount_point)
    try:
        grow.grow_mounted(device, there.fs_type, path, seen_at=path)
    except grow.CannotGrowMounted as e:
        log.warning("file system stays smaller than its device", error=str(e))


def _number(there: mountinfo.Mount, path: pathlib.Path) -> str:
    return block.device_number(path) if node_mounts.is_device_file(there) else there.device


def _numbers(device: pathlib.Path, volume_id: str) -> set[str]:
    """Of *device*, of its partitions, and of the volume's open container on it."""
    container = luks.mapped(names.of_container(volume_id))
    on_it = [*block.partitions(device), *([] if container is None else [container])]
    return {block.device_number(each) for each in (device, *on_it)}


def _set_read_only(device: pathlib.Path, *, read_only: bool) -> None:
    """A bound device file does not keep anybody from writing; the device itself does."""
    word = "--setro" if read_only else "--setrw"
    run.run(["blockdev", word, str(device)], timeout_s=_COMMAND_TIMEOUT_S)

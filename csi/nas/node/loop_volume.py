"""Volumes with mountType losetup: an ext4 image in the volume's directory. Blocking.

The directory is mounted below our work directory, once for a volume on a node; its image gets a
loop device that frees itself with its last mount. What is left of a killed process is a mounted
directory, which the next publish uses or the next start removes.
"""

import contextlib
import hashlib
import os
import pathlib
import re
import socket
import threading
import time

import structlog

from core import errors
from csi.nas import volume_context
from csi.nas.node import loop_image, loop_lock, mounter, node_requests
from csi.nas.node import settings as node_settings
from host import block, files, loop, loop_lease, mountinfo, mounts, nfs

log = structlog.get_logger()

_PREFIX = "loop-"
_REFERENCE_DIR = re.compile(r"/mnt/nasplugin\.alibabacloud\.com/[^/]+/[^/]+")
"""Where the reference mounts directories of images. Source: spec/csi-driver.md 3.7."""
_FREE_WAIT_S = 3.0
_FREE_LOOK_S = 0.1


class LoopVolumes:
    """Mounts images. node_id: owner's name in the lock file."""

    def __init__(
        self, settings: node_settings.NodeSettings, mounting: mounter.Mounter, node_id: str
    ) -> None:
        self._work_dir = settings.work_dir
        self._mounter = mounting
        self._node_id = node_id
        self._guard = threading.Lock()
        self._busy: set[pathlib.Path] = set()
        """Directories that a call is mounting or removing."""

    def mount(self, want: node_requests.Publishing, told: volume_context.Loop) -> None:
        """Mount the image of *want* at its target. Raises ImageInUse, Precondition without one."""
        directory = self._directory(want.volume_id)
        self._enter(directory)
        try:
            self._mount_image(want, told, directory)
        finally:
            self._leave(directory)

    def _mount_image(
        self, want: node_requests.Publishing, told: volume_context.Loop, directory: pathlib.Path
    ) -> None:
        self._open_directory(want, directory)
        image = directory / loop_lock.IMAGE
        there = loop_lease.find(image)
        if there is not None:
            # Another pod of this node has it: the same device, the same file system.
            loop_image.mount(there, want)
            return
        try:
            self._attach(want, told, directory, image)
        except BaseException as e:
            self._close_directory(directory)
            if isinstance(e, OSError):
                raise errors.Unavailable(f"the image in {want.volume.place}: {e}") from e
            raise

    def is_at(self, mount: mountinfo.Mount, volume_id: str) -> bool:
        """Whether *mount* shows the image of *volume_id*."""
        file = loop_lease.backing_file(mount.source)
        return file is not None and file.parent == self._directory(volume_id)

    def directory_of(self, volume_id: str, mount: mountinfo.Mount | None) -> pathlib.Path | None:
        """Where the image of *volume_id* is mounted, by us or by the reference; None = nowhere."""
        ours = self._directory(volume_id)
        if mountinfo.mounts_at(ours):
            return ours
        file = None if mount is None else loop_lease.backing_file(mount.source)
        if file is not None and _REFERENCE_DIR.fullmatch(str(file.parent)):
            return file.parent
        return None

    def release(self, directory: pathlib.Path) -> None:
        """Free the image in *directory* when nothing has it mounted any more.

        Raises Busy when its loop device is still in use, by a container with a mount of its own.
        """
        self._enter(directory)
        try:
            self._release(directory)
        finally:
            self._leave(directory)

    def _release(self, directory: pathlib.Path) -> None:
        image = directory / loop_lock.IMAGE
        device = loop_lease.find(image)
        if device is not None and _is_mounted(device):
            return
        if device is not None:
            loop.detach(device)  # the reference's devices do not free themselves
        until_s = time.monotonic() + _FREE_WAIT_S
        while loop_lease.find(image) is not None:
            if time.monotonic() > until_s:
                self._give_up(directory)
                return
            time.sleep(_FREE_LOOK_S)
        self._close_directory(directory)

    def expand(self, mount: mountinfo.Mount, required_bytes: int) -> int:
        """Grow the image mounted as *mount*; its size in bytes. It never shrinks."""
        image = loop_lease.backing_file(mount.source)
        if image is None:
            raise errors.NotFound(f"{mount.mount_point} is no image: {mount.source} has no file")
        ill = self._mounter.read_illness(image.parent)
        if ill is not None:
            # Its file would be waited for as long as its server is away.
            raise ill
        with files.opened_plain(image, os.O_RDWR) as fd:
            if os.fstat(fd).st_size < required_bytes:
                os.ftruncate(fd, required_bytes)
        device = pathlib.Path(mount.source)
        loop_lease.grow(device)
        loop_image.grow(device, pathlib.Path(mount.mount_point), image.parent)
        return block.size_bytes(device)

    def clean_up(self) -> None:
        """Unmount directories that a killed process left without a loop device.

        Takes its time when servers are gone. A volume that is published meanwhile gets Busy.
        """
        for directory in self._work_dir.resolve().glob(f"{_PREFIX}*"):
            with self._guard:
                if directory in self._busy:
                    continue
                self._busy.add(directory)
            try:
                if loop_lease.find(directory / loop_lock.IMAGE) is None:
                    self._close_directory(directory)
            except (errors.Error, OSError) as e:
                log.warning("an old mount cannot be removed", path=str(directory), error=str(e))
            finally:
                self._leave(directory)

    def _directory(self, volume_id: str) -> pathlib.Path:
        name = hashlib.sha256(volume_id.encode()).hexdigest()[:32]
        return self._work_dir.resolve() / f"{_PREFIX}{name}"

    def _enter(self, directory: pathlib.Path) -> None:
        """Have *directory* for this call alone."""
        with self._guard:
            if directory in self._busy:
                raise errors.Busy(f"{directory} is being cleaned up; retry")
            self._busy.add(directory)

    def _leave(self, directory: pathlib.Path) -> None:
        with self._guard:
            self._busy.discard(directory)

    def _open_directory(self, want: node_requests.Publishing, directory: pathlib.Path) -> None:
        """Mount the directory with the image, for writing: the lock is in it."""
        if mountinfo.mounts_at(directory) and loop_lease.find(directory / loop_lock.IMAGE) is None:
            # Left of a killed process, and perhaps stale meanwhile.
            self._close_directory(directory)
        if not mountinfo.mounts_at(directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._mounter.mount(
                want.mounting,
                want.volume.place,
                directory,
                tag=want.volume_id,
                create=True,
                key=None,  # only the kernel's client serves images
            )

    def _close_directory(self, directory: pathlib.Path) -> None:
        if mountinfo.mounts_at(directory):
            try:
                ill = self._mounter.read_illness(directory)
                if ill is not None:
                    raise ill
                self._release_lock(directory)
            except (OSError, errors.Error) as e:
                log.warning("the image's lock stays", path=str(directory), error=str(e))
            self._mounter.unmount(directory)
        with contextlib.suppress(FileNotFoundError):
            directory.rmdir()

    def _release_lock(self, directory: pathlib.Path) -> None:
        """Take the owner's files away, while nobody can have the lock. Raises LockHeld.

        A loop device of this node may still have it, out of sight, and write back.
        """
        with contextlib.ExitStack() as held:
            with contextlib.suppress(FileNotFoundError):
                image = directory / loop_lock.IMAGE
                held.enter_context(loop_lease.opened(image, read_only=False, lock=True))
            loop_lock.release(directory, node=self._node_id)

    def _give_up(self, directory: pathlib.Path) -> None:
        """Leave an unmounted image to the kernel, which writes it back when its server is there.

        The lock stays with the loop device, and its file where it is.
        """
        ill = self._mounter.read_illness(directory)
        if ill is None:
            raise errors.Busy(f"the loop device of the image in {directory} is still in use")
        log.warning("an image is not written back yet", path=str(directory), why=str(ill))
        mounts.detach(directory)
        directory.rmdir()

    def _attach(
        self,
        want: node_requests.Publishing,
        told: volume_context.Loop,
        directory: pathlib.Path,
        image: pathlib.Path,
    ) -> None:
        if not image.exists():
            loop_image.make_image(image, told.image_bytes, want)
        server_locks = loop_lock.has_server_locks(mountinfo.mounts_at(directory)[-1])
        with contextlib.ExitStack() as held:
            try:
                fd = held.enter_context(
                    loop_lease.opened(image, read_only=want.read_only, lock=told.lock)
                )
            except loop_lease.LockHeld as e:
                owner = loop_lock.read(directory / loop_lock.OWNER)
                raise loop_lock.ImageInUse(image, owner) from e
            if told.lock:
                loop_lock.claim(
                    directory,
                    node=self._node_id,
                    address=_own_address(want.volume.place.host),
                    server_locks=server_locks,
                )
            # Written to before the mount: made, checked.
            device = held.enter_context(loop_lease.attached(fd, image, read_only=want.read_only))
            loop_image.prepare(device, directory, want)
            loop_image.mount(device, want)


def _is_mounted(device: pathlib.Path) -> bool:
    return any(mount.source == str(device) for mount in mountinfo.read())


def _own_address(host: str) -> str:
    """This node's address towards *host*; nothing is sent."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, nfs.PORT, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError:
        return ""

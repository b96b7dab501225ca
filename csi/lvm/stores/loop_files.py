"""Volumes of type LoopDevice: a sparse file each, in one directory, used through a loop device.

A file is made under another name, with its record on it, and renamed: half made ones are nobody's.
"""

import contextlib
import os
import pathlib
import time
from collections.abc import Iterator

import structlog

from core import call, errors, units
from csi.lvm import model, names, params, settings
from csi.lvm.stores import records, store
from host import dir_lock, loop, marks, stats

log = structlog.get_logger()

_SUFFIX, _MAKING = ".img", ".img-making"
_STEP_BYTES = units.MIB
_FREE_S, _LOOK_S = 2.0, 0.02
_MODE = 0o600
"""Nobody but root may read what volumes hold."""
STALE = "csi-stale"
"""Note that a collection saw that nobody names the file: when, in seconds since 1970."""


def is_half_made(file: pathlib.Path) -> bool:
    """Whether *file* is what a call makes, or what one that was killed left."""
    return file.suffix == _MAKING


class LoopFiles:
    """The files of LOCAL_SPARSE_TEMPLATE_FILEDIR."""

    def __init__(self, config: settings.LocalSettings) -> None:
        self._config = config
        self._directory = config.loop_dir

    def has(self, volume_id: str) -> bool:
        """Whether there is such a file."""
        return names.can_be_ours(volume_id) and self._file(volume_id).is_file()

    def create(self, want: model.VolumeWish) -> model.Volume:
        """As `Store.create`. Raises Exhausted beyond the budget."""
        store.refuse_source(want)
        store.require_dir(self._directory, "LOCAL_SPARSE_TEMPLATE_FILEDIR")
        file = self._file(want.volume_id)
        if file.exists():
            return _volume(want.volume_id, records.require_same(file, want))
        with dir_lock.hold(self._directory):
            return self._make(want, file)

    def _make(self, want: model.VolumeWish, file: pathlib.Path) -> model.Volume:
        size_bytes = store.rounded(store.wanted_bytes(want), want, _STEP_BYTES)
        room = self.capacity(want.parameters).maximum_bytes
        if size_bytes > room:
            raise errors.Exhausted(f"{self._directory} has room for {room} bytes, not {size_bytes}")
        call.doing(f"making {file}")
        making = file.with_suffix(_MAKING)
        making.unlink(missing_ok=True)  # of a call that was killed
        making.touch(mode=_MODE, exist_ok=False)
        with making.open("r+b") as made:
            made.truncate(size_bytes)
            record = records.Record.of(want, size_bytes)
            records.write(making, record)
            os.fsync(made.fileno())
        making.rename(file)
        log.info("loop file made", volume_id=want.volume_id, size_bytes=size_bytes)
        return _volume(want.volume_id, record)

    def delete(self, volume_id: str) -> bool:
        """As `Store.delete`. Raises Busy while it is used, Precondition for a file without record.

        The file is gone in one step, so that no wiping is needed: nobody else gets its blocks
        without the file system emptying them.
        """
        if not self.has(volume_id):
            return False
        file = self._file(volume_id)
        if records.read(file) is None and not self._config.adopt:
            raise errors.Precondition(f"{file} has no note of ours; set LVM_ADOPT=true")
        self.release(volume_id)
        if not _becomes_free(file):
            raise errors.Busy(f"volume {volume_id} is in use; unpublish it first")
        file.unlink()
        log.info("loop file removed", volume_id=volume_id)
        return True

    def delete_ephemeral(self, volume_id: str) -> bool:
        """Remove the volume if it goes with its pod; whether it is one of these."""
        found = records.read(self._file(volume_id)) if self.has(volume_id) else None
        return found is not None and found.ephemeral and self.delete(volume_id)

    def get(self, volume_id: str) -> model.Volume | None:
        """As `Store.get`."""
        if not self.has(volume_id):
            return None
        file = self._file(volume_id)
        found = records.read(file)
        size_bytes = file.stat().st_size
        if found is None:
            return model.Volume(volume_id=volume_id, capacity_bytes=size_bytes)
        return _volume(volume_id, found.with_size(size_bytes))

    def listed(self) -> list[model.Volume]:
        """As `Store.listed`."""
        files = self._directory.glob(f"*{_SUFFIX}") if self._directory.is_dir() else ()
        found = (self.get(file.stem) for file in files if records.read_known(file) is not None)
        return [volume for volume in found if volume is not None]

    def paths(self) -> list[pathlib.Path]:
        """Everything that may be ours, half made files too."""
        if not self._directory.is_dir():
            return []
        found = [*self._directory.glob(f"*{_SUFFIX}"), *self._directory.glob(f"*{_MAKING}")]
        return sorted(file for file in found if file.is_file() and not file.is_symlink())

    def capacity(self, wanted: params.Parameters) -> model.Capacity:
        """The budget: what files may sum up to, of which is told what is not promised yet."""
        del wanted
        if not self._directory.is_dir():
            return model.Capacity(available_bytes=0, maximum_bytes=0)
        budget = self._config.loop_gib * units.GIB
        if not budget:
            total = stats.usage(self._directory).total_bytes
            budget = total * self._config.loop_percent // 100
        promised = sum(file.stat().st_size for file in self._directory.glob(f"*{_SUFFIX}"))
        room = max(0, budget - promised) // _STEP_BYTES * _STEP_BYTES
        return model.Capacity(available_bytes=room, maximum_bytes=room)

    def extend(self, volume_id: str, required_bytes: int, limit_bytes: int) -> int:
        """As `Store.extend`."""
        file = self._file(volume_id)
        size_bytes = file.stat().st_size
        if size_bytes >= required_bytes:
            return size_bytes
        wanted = -(-required_bytes // _STEP_BYTES) * _STEP_BYTES
        if limit_bytes and wanted > limit_bytes:
            raise errors.OutOfRange(f"limit_bytes {limit_bytes}: sizes are multiples of 1 MiB")
        with dir_lock.hold(self._directory):
            size_bytes = file.stat().st_size
            if size_bytes >= wanted:  # never smaller, whoever else grew it meanwhile
                return size_bytes
            room = self.capacity(params.Parameters(volume_type=params.VolumeType.LOOP_DEVICE))
            if wanted - size_bytes > room.maximum_bytes:
                raise errors.Exhausted(
                    f"{self._directory} has room for {room.maximum_bytes} bytes more, and volume "
                    f"{volume_id} needs {wanted - size_bytes} more"
                )
            os.truncate(file, wanted)
        found = records.read(file)
        if found is not None:
            records.write(file, found.with_size(wanted))
        device = loop.find(file)
        if device is not None:
            loop.refresh_capacity(device)
        return wanted

    def open(self, volume_id: str) -> model.Opened:
        """As `Store.open`."""
        file = self._file(volume_id)
        if records.read(file) is not None:
            file.chmod(_MODE)  # older versions left it to the umask
        if marks.read(file, STALE):
            with self.collecting():
                marks.remove(file, STALE)  # it is needed after all, whoever names it later
        device = loop.attach(file)
        loop.refresh_capacity(device)
        return model.Opened(device=device)

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """Held by a collection from its last look at a file's notes until that is gone.

        Of all processes: so that whoever needs the file after all is before it or after it.
        """
        with dir_lock.hold(self._directory):
            yield

    def settle(self, volume_id: str) -> None:
        """A new file is zeros, so that its content counts from the start."""

    def release(self, volume_id: str) -> None:
        """As `Store.release`: the loop device goes, unless it is mounted."""
        device = loop.find(self._file(volume_id)) if self.has(volume_id) else None
        if device is None:
            return
        if not store.is_mounted(device):
            loop.detach(device)

    def _file(self, volume_id: str) -> pathlib.Path:
        return self._directory / f"{volume_id}{_SUFFIX}"


def _becomes_free(file: pathlib.Path) -> bool:
    """Whether *file* has no loop device any more; soon, if somebody only looks at that.

    Whoever has a device open for a moment, as blkid does, keeps it until the kernel sees it closed.
    """
    give_up_s = time.monotonic() + _FREE_S
    while loop.find(file) is not None:
        if time.monotonic() > give_up_s:
            return False
        time.sleep(_LOOK_S)
    return True


def _volume(volume_id: str, record: records.Record) -> model.Volume:
    return model.Volume(volume_id=volume_id, capacity_bytes=record.size_bytes)

"""Volumes as directories below a base that is mounted here. Blocking; call in a thread.

Everything is idempotent: what a killed process left half done, the next call finishes. No link is
ever followed: below a volume, pods put what they like.
"""

import contextlib
import datetime
import errno
import itertools
import math
import os
import pathlib
import stat
import threading
import time

import structlog

from core import errors
from csi.nas import layout
from host import background

log = structlog.get_logger()

_VOLUME_MODE = 0o777
_RECORD_MODE = 0o700
_LOOK_S = 0.5
_PROGRESS_S = 10.0
_COUNTED_MAX = 10_000


def read_record(base: pathlib.Path, name: str) -> layout.Record | None:
    """The volume's record, None when there is none.

    Raises Internal when there are several: which one holds would be a guess. Raises Precondition
    for a link on the way: pods may be able to write to the base.
    """
    records = base / layout.RECORDS
    if not _is_directory(records) or not _is_directory(records / name):
        return None
    texts = [entry.name for entry in (records / name).iterdir()]
    found = [record for text in texts if (record := layout.Record.parse(text)) is not None]
    if len(found) > 1:
        told = ", ".join(sorted(map(str, found)))
        raise errors.Internal(f"volume {name} has several records ({told}); remove all but one")
    return found[0] if found else None


def read_owner(base: pathlib.Path, name: str, record: layout.Record) -> str:
    """The cluster that is noted in *record*, as `layout.owner_of` has it; "" = none."""
    owners = base / layout.RECORDS / name / str(record) / layout.OWNERS
    if not _is_directory(owners):
        return ""
    return ", ".join(sorted(entry.name for entry in owners.iterdir()))


def make(base: pathlib.Path, name: str, record: layout.Record, *, owner: str = "") -> None:
    """The volume's record and its directory; the record first, so that none is without.

    owner: of `layout.owner_of`, "" = not known.
    """
    _make_record(base, name, record, owner)
    if _is_directory(base / name):
        return
    # Under its own name it has its mode from the first moment, whatever the umask is.
    new = base / layout.new_name(name)
    try:
        _ensure_dir(new, _VOLUME_MODE)
        new.chmod(_VOLUME_MODE)
        if _is_directory(base / name):
            # A rename would replace it as long as it is empty, and a pod may have it already.
            new.rmdir()
        else:
            new.rename(base / name)
    except FileNotFoundError:
        # Another replica has just renamed it.
        if not _is_directory(base / name):
            raise
    except OSError as e:
        # Another replica was faster, and a pod has written already.
        if e.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        new.rmdir()


def note(base: pathlib.Path, name: str, record: layout.Record, *, owner: str = "") -> bool:
    """Whether the volume's directory is there; if so, it has *record*, or the one it had."""
    if not _is_directory(base / name):
        return False
    if read_record(base, name) is None:
        _make_record(base, name, record, owner)
    return True


def archive(base: pathlib.Path, name: str, at: datetime.datetime) -> str:
    """Rename the volume's directory, as it is, and tell its new name; "" = it is gone already.

    What is left of one that was put aside to be deleted is kept too.
    """
    target = base / layout.archived_name(name, at)
    for source in (base / layout.trash_name(name), base / name):
        if _is_directory(source):
            with contextlib.suppress(FileNotFoundError):
                source.rename(target)
                log.info("volume archived", volume_id=name, directory=target.name)
                return target.name
    return ""


def put_aside(base: pathlib.Path, name: str) -> pathlib.Path | None:
    """Where the volume's files are to be deleted, out of everybody's way; None = nothing left."""
    trash = base / layout.trash_name(name)
    if not _is_directory(trash) and _is_directory(base / name):
        # Another replica, which led before us, may do the same.
        with contextlib.suppress(FileNotFoundError):
            (base / name).rename(trash)
    return trash if _is_directory(trash) else None


def is_going(base: pathlib.Path, name: str) -> bool:
    """Whether the files of a volume of that name are still being deleted."""
    return _is_directory(base / layout.RECORDS) and _is_directory(base / layout.trash_name(name))


def remove(trash: pathlib.Path, stopping: threading.Event, *, limit_s: float = math.inf) -> bool:
    """Delete *trash* and all in it; False when that is not done after *limit_s* seconds.

    Raises Unavailable when *stopping* was set, Internal with the words of rm(1) when it failed.
    """
    # coreutils' rm keeps its place by descriptors, so no depth and no link can mislead it.
    argv = ["rm", "--recursive", "--force", "--one-file-system", "--", str(trash)]
    job = background.Job(argv, lambda _: None)
    started_s = told_s = time.monotonic()
    while (status := job.wait(_LOOK_S)) is None:
        if stopping.is_set():
            job.stop()
            raise errors.Unavailable("the driver is shutting down; retry, the rest goes on then")
        now_s = time.monotonic()
        if now_s - started_s >= limit_s:
            job.stop()
            return False
        if now_s - told_s >= _PROGRESS_S:
            told_s = now_s
            log.info(
                "deleting a volume's files",
                directory=trash.name,
                top_level_entries_left=_entries(trash),
                elapsed_s=round(now_s - started_s),
            )
    if status:
        raise errors.Internal(f"the files in {trash.name} cannot all be deleted: {job.said()}")
    return True


def forget(base: pathlib.Path, name: str) -> None:
    """Remove the volume's record: the last step of deleting it.

    At once, by a rename: half a record would keep its name from ever being used again.
    """
    forgotten = base / layout.forgotten_name(name)
    _remove_record(forgotten)  # of a call that was killed
    with contextlib.suppress(OSError):
        (base / layout.new_name(name)).rmdir()  # likewise
    with contextlib.suppress(FileNotFoundError):
        (base / layout.RECORDS / name).rename(forgotten)
    _remove_record(forgotten)


def drop_empty(base: pathlib.Path, name: str) -> None:
    """Remove the directory of a record that says nothing, as one killed half-way may leave it."""
    records = base / layout.RECORDS / name
    if _is_directory(records.parent) and _is_directory(records):
        with contextlib.suppress(OSError):  # something is in it, or it is gone
            records.rmdir()


def _make_record(base: pathlib.Path, name: str, record: layout.Record, owner: str) -> None:
    path = base
    owned = (layout.OWNERS, owner) if owner else ()
    for part in (layout.RECORDS, name, str(record), *owned):
        path /= part
        _ensure_dir(path, _RECORD_MODE)


def _remove_record(records: pathlib.Path) -> None:
    if not _is_directory(records.parent) or not _is_directory(records):
        return
    with contextlib.suppress(FileNotFoundError):
        for entry in list(records.iterdir()):
            if layout.Record.parse(entry.name) is not None:
                _forget_owners(entry / layout.OWNERS)
                entry.rmdir()
        records.rmdir()


def _forget_owners(owners: pathlib.Path) -> None:
    if _is_directory(owners):
        for entry in list(owners.iterdir()):
            entry.rmdir()
        owners.rmdir()


def _entries(trash: pathlib.Path) -> int:
    """How many entries the first level of *trash* has, as far as is counted."""
    try:
        return sum(1 for _ in itertools.islice(os.scandir(trash), _COUNTED_MAX))
    except OSError:
        return 0


def _ensure_dir(path: pathlib.Path, mode: int) -> None:
    try:
        path.mkdir()
    except FileExistsError:
        if not _is_directory(path):
            raise FileNotFoundError(errno.ENOENT, "it has just gone", str(path)) from None
    else:
        # Whatever the umask is.
        path.chmod(mode)


def _is_directory(path: pathlib.Path) -> bool:
    """Whether a real directory is at *path*. Raises Precondition for anything else there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(mode):
        raise errors.Precondition(f"{path} is not a directory; look at it and move it away")
    return True

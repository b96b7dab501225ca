"""Modes of a volume's directory, and of all below it in the background.

A change is noted in a file before its volume is mounted, and until it is done, so that the next
process goes on with one that was cut off: it finds a mount, and nothing that tells its mode. Pods
work in the volume meanwhile, so it is a program of ours that changes what is below, which no link
can mislead: `host.change_modes`. Blocking.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import threading

import structlog

from core import errors
from csi.nas.node import settings as node_settings
from host import background, mountinfo, own_program, run

log = structlog.get_logger()

_PREFIX = "mode-"
_TIMEOUT_S = 30.0


class Modes:
    """Changes modes. work_dir: where notes are kept; of this driver alone."""

    def __init__(self, work_dir: pathlib.Path) -> None:
        self._work_dir = work_dir
        self._jobs: dict[pathlib.Path, background.Job] = {}
        self._guard = threading.Lock()
        self._closed = False

    def announce(self, path: pathlib.Path, mode: int, *, recursive: bool) -> None:
        """Note that what is going to be mounted at *path* is to get *mode*."""
        self._work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        note = self._note(path)
        new = note.with_suffix(".new")
        told = {"path": str(path), "mode": mode, "recursive": recursive}
        with contextlib.ExitStack() as undo:
            undo.callback(new.unlink, missing_ok=True)
            new.write_text(json.dumps(told), encoding="utf-8")
            new.replace(note)

    def set(self, path: pathlib.Path, mode: int, *, recursive: bool) -> None:
        """Mode of the volume mounted at *path*; of all below it in the background after a second.

        Raises CommandFailed, CommandTimeout.
        """
        if not recursive:
            run.run(_plain(path, mode), timeout_s=_TIMEOUT_S)
            self._note(path).unlink(missing_ok=True)
            return
        self.stop(path)
        self.announce(path, mode, recursive=True)
        job = self._start(path, mode, recursive=True)
        status = job.wait(node_settings.MODE_WAIT_S)
        if status is None:
            log.info("changing modes in the background", path=str(path))
        elif status != 0:
            raise errors.Internal(
                f"modes below {path} cannot all be changed to {mode:04o} ({job.said()}); the "
                "server may not let root of this node do so (root_squash)"
            )

    def stop(self, path: pathlib.Path) -> None:
        """End what goes on at *path*, which is to be unmounted, for good."""
        with self._guard:
            job = self._jobs.pop(path, None)
        self._note(path).unlink(missing_ok=True)
        if job is not None:
            job.stop()

    def resume(self) -> None:
        """Go on with what the last process did not finish, where the volume is still mounted."""
        for note in self._work_dir.glob(f"{_PREFIX}*.json"):
            try:
                told = json.loads(note.read_text(encoding="utf-8"))
                path, mode = pathlib.Path(told["path"]), int(told["mode"])
                recursive = bool(told.get("recursive", True))  # older notes have only such
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
                log.warning("a note cannot be read; removing it", note=str(note), error=str(e))
                note.unlink(missing_ok=True)
                continue
            if mountinfo.mounts_at(path):
                log.info("changing modes goes on", path=str(path))
                self._start(path, mode, recursive=recursive)
            else:
                note.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop everything; the notes stay, for the next process."""
        with self._guard:
            self._closed = True
            jobs = list(self._jobs.values())
            self._jobs.clear()
        for job in jobs:
            job.stop()

    def _start(self, path: pathlib.Path, mode: int, *, recursive: bool) -> background.Job:
        def ended(status: int) -> None:
            self._ended(path, status)

        with self._guard:
            if self._closed:
                raise errors.Unavailable("the driver is shutting down")
            if recursive:
                told = (f"{mode:04o}", os.fspath(path))
                job = own_program.job("host.change_modes", *told, ended=ended)
            else:
                job = background.Job(_plain(path, mode), ended)
            self._jobs[path] = job
        return job

    def _ended(self, path: pathlib.Path, status: int) -> None:
        if status < 0:
            return  # stopped: whoever did that decides about the note
        with self._guard:
            self._jobs.pop(path, None)
        self._note(path).unlink(missing_ok=True)
        if status == 0:
            log.info("modes changed", path=str(path))
        else:
            log.warning("not all modes could be changed", path=str(path), status=status)

    def _note(self, path: pathlib.Path) -> pathlib.Path:
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
        return self._work_dir / f"{_PREFIX}{name}.json"


def _plain(path: pathlib.Path, mode: int) -> list[str]:
    return ["chmod", "--", f"{mode:04o}", os.fspath(path)]

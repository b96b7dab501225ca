"""What a collection does to a file of a LoopDevice volume, once more checked. Blocking.

A file's notes tell what a logical volume's tags do: when a collection saw that nobody names it, and
that it outlives what names it.
"""

import pathlib
import time

import structlog

from csi.lvm import collection, tags
from csi.lvm.stores import loop_files, records, store
from host import loop, marks

log = structlog.get_logger()

Fate = collection.Fate
RETAINED = "csi-retained"
"""Note that what names the file said that it outlives it."""


class FileSweep:
    """The files of this node; the callers hold the volume's lock."""

    def __init__(self, files: loop_files.LoopFiles) -> None:
        self._files = files

    def candidates(self) -> list[collection.Candidate]:
        """Every file with a record of ours."""
        found = [_candidate(file) for file in self._files.paths()]
        return [each for each in found if each is not None]

    def carry_out(self, found: collection.Candidate, fate: Fate) -> None:
        """Do it, unless *found* has changed since. Raises Busy for one in use."""
        with self._files.collecting():
            self._carry_out(found, fate)

    def _carry_out(self, found: collection.Candidate, fate: Fate) -> None:
        file = pathlib.Path(found.where)
        if _candidate(file) != found:
            return
        match fate:
            case Fate.MARK:
                marks.write(file, loop_files.STALE, str(int(time.time())))
                log.info("nobody names a file of ours", file=str(file))
            case Fate.UNMARK:
                marks.remove(file, loop_files.STALE)
            case Fate.RETAIN:
                marks.write(file, RETAINED, "true")
                marks.remove(file, loop_files.STALE)
            case Fate.RELEASE:
                marks.remove(file, RETAINED)
            case Fate.REMOVE:
                log.info("removing what nobody names", file=str(file))
                if tags.MAKING in found.tags:
                    file.unlink()
                else:
                    self._files.delete(found.name)
            case Fate.KEEP:
                pass


def _candidate(file: pathlib.Path) -> collection.Candidate | None:
    """*file* as it is now; None when it is gone, or not ours as far as can be understood."""
    try:
        about = file.stat()
    except FileNotFoundError:
        return None
    record = records.read_known(file)
    if record is None:
        return None
    told = {tags.OWNER, tags.VOLUME}
    told |= {tags.EPHEMERAL} if record.ephemeral else set()
    told |= {tags.MAKING} if loop_files.is_half_made(file) else set()
    told |= {tags.RETAINED} if marks.read(file, RETAINED) else set()
    since = marks.read(file, loop_files.STALE)
    told |= {f"{tags.STALE}{since}"} if since else set()
    device = loop.find(file)
    return collection.Candidate(
        name=file.stem,
        where=str(file),
        # Inodes are used again, but what was made anew has no note that it was seen.
        identity=f"{about.st_dev}:{about.st_ino}",
        tags=frozenset(told),
        is_open=device is not None and store.is_mounted(device),
    )

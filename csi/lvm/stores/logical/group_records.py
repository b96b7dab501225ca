"""Which disks the groups of LVM_CREATE_GROUPS are on, noted for the next start. Blocking.

A group names itself on its disks, so that LVM finds it wherever they are. This is for when it does
not: the disk that has the name /dev/vdb then may be another one, and blank.
"""

import json
import os
import pathlib
from collections.abc import Mapping

import structlog

from core import errors

log = structlog.get_logger()

_SUFFIX = ".group"  # of disks of Device volumes the records are .json, in the same directory

Serials = Mapping[str, str]
"""Name of a disk in LVM_CREATE_GROUPS → its serial number, "" = it tells none."""


class GroupRecords:
    """The records of this node, in LOCAL_STATE_DIR."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory

    def file(self, group: str) -> pathlib.Path:
        """Where the record of *group* is."""
        return self._directory / f"{group}{_SUFFIX}"

    def read(self, group: str) -> Serials:
        """What is noted of *group*; nothing when there is no record.

        Raises Precondition for one that cannot be understood.
        """
        file = self.file(group)
        try:
            told = json.loads(file.read_text(encoding="utf-8"))
            return {str(name): str(serial) for name, serial in told["disks"].items()}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as e:
            raise errors.Precondition(
                f"{file} cannot be understood, so that it is not known which disks the group had; "
                "remove it if those that LVM_CREATE_GROUPS names may be taken"
            ) from e

    def write(self, group: str, disks: Serials) -> None:
        """Note it, whole or not at all. Where nothing can be written, the log has it."""
        draft = self._directory / f"{group}.draft"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as file:
                json.dump({"disks": dict(disks)}, file)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self.file(group))
        except OSError as e:
            log.warning("disks of a group cannot be noted", group=group, error=str(e))


def changed(noted: Serials, now: Serials) -> list[str]:
    """Names that were a disk's when *noted* was written, and are another's *now*. Pure."""
    return sorted(name for name, told in noted.items() if told and now.get(name, told) != told)


def are_known(noted: Serials, now: Serials) -> bool:
    """Whether all disks of *now* are certainly those that had their names before. Pure."""
    return all(told and noted.get(name) == told for name, told in now.items())

"""The device of a logical volume, certainly. Blocking."""

import pathlib

from core import errors
from host import block, lvm_model


def of(row: lvm_model.LogicalVolume) -> pathlib.Path:
    """Device of *row*, which is active.

    A path in /dev is no more than a name, and may be left from a volume that was deactivated where
    our /dev is not seen: its number is another's then. So the kernel is asked what is behind it.
    Raises Unavailable when that is something else.
    """
    path = block.path_of(row.device)
    if not block.mapper_uuid(path).endswith(row.uuid.replace("-", "")):
        raise errors.Unavailable(
            f"{row.device} leads to {path}, which is not volume {row.group}/{row.name}; nothing "
            "was changed. `vgmknodes` on the node makes the names anew"
        )
    return path

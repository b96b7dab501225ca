"""Whether a disk is blank: nobody uses it, and nothing but zeros is where signatures are. Blocking.

Only a blank disk is ever taken: for a volume group, or for a volume that is a whole disk.
"""

import pathlib

from core import errors
from csi.lvm.stores import store
from host import block, block_content, filesystem


def why_not_blank(device: pathlib.Path) -> str:
    """What keeps *device* from being taken, "" = nothing does."""
    try:
        # A pod that has it raw may not have written to it yet.
        return "is in use" if store.is_mounted(device) else _content_of(device)
    except errors.Busy:
        return "is in use"
    except (errors.Error, OSError) as e:
        return f"cannot be looked at: {e}"


def _content_of(device: pathlib.Path) -> str:
    """What is on it, "" = nothing. Raises Busy when it is in use."""
    if block.partitions(device):
        return "has partitions"
    found = filesystem.probe(device)
    if not found.empty:
        return f"has {found.fs_type or found.partition_table} on it"
    return "" if block_content.is_blank(device) else "has data on it that is not known"

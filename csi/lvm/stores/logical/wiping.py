"""Wiping and removing a logical volume, in that order."""

import pathlib

import structlog

from core import errors
from csi.lvm import params, tags
from csi.lvm.stores.logical import lv_device
from host import block_content, lvm, lvm_model, run

log = structlog.get_logger()

_WIPE_TIMEOUT_S = 24 * 3600.0


class Protected(errors.Precondition):
    """A volume or snapshot that an operator wants to stay. Source: spec/csi-driver.md 6.1."""

    def __init__(self, row: lvm_model.LogicalVolume) -> None:
        super().__init__(
            f"{row.group}/{row.name} has tag {tags.PROTECTED}, so it is not removed; when it may "
            f"go: lvchange --deltag {tags.PROTECTED} {row.group}/{row.name}"
        )


def wipe_and_remove(on: lvm.Lvm, row: lvm_model.LogicalVolume) -> None:
    """Remove *row*, whose content is wiped before if its class wants that.

    It is marked before the first byte goes: whoever is killed here goes on, and nobody uses it.
    Raises Busy when something uses it, Protected.
    """
    if tags.PROTECTED in row.tags:
        raise Protected(row)
    policy = tags.value(row.tags, tags.WIPE)
    if policy:
        if tags.GOING not in row.tags:
            on.retag(row.group, row.name, add=[tags.GOING])
        if row.is_thick_snapshot:
            on.split_snapshot(row.group, row.name)
        on.activate(row.group, row.name)
        device = lv_device.of(row)
        if row.pool and policy == params.Wipe.ZERO:
            _zero_thin(row, device)
        else:
            wipe(str(device), params.Wipe(policy))
    on.remove(row.group, row.name)


def _zero_thin(row: lvm_model.LogicalVolume, device: pathlib.Path) -> None:
    """Zeros over what is there: over the rest they would take room that the pool may not have."""
    try:
        block_content.zero(device)
    except OSError as e:
        raise errors.Unavailable(
            f"{row.group}/{row.name} cannot be wiped ({e.strerror}): has pool {row.pool} room?"
        ) from e


def wipe(device: str, policy: params.Wipe) -> None:
    """Make the content of *device* unreadable. Raises Busy when something uses the device."""
    words = ["--zeroout"] if policy is params.Wipe.ZERO else []
    argv = ["blkdiscard", *words, "--", device]
    result = run.run(argv, timeout_s=_WIPE_TIMEOUT_S, check=False)
    if result.returncode == 0:
        return
    said = result.stderr.lower()
    if "busy" in said:
        raise errors.Busy(f"{device} is in use; unpublish it first")
    if policy is params.Wipe.DISCARD and "not supported" in said:
        log.info("the disk has no discard", device=device)
        return
    raise run.CommandFailed(argv, result)

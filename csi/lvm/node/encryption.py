"""Encrypted volumes: a LUKS container between the volume's device and what is on it. Blocking.

A container is made only on a volume that nobody used yet. What is found on any other must be one.
"""

import dataclasses
import pathlib

from core import call, errors
from csi.lvm import model, names
from host import block_content, filesystem, luks


def unlock(opened: model.Opened, volume_id: str, key: bytes) -> model.Opened:
    """*opened* with the device inside its container, which is made and opened if need be.

    One that is open needs no key, as when staging was lost and a publish does it again.
    Raises InvalidField without a key, WrongKey, Precondition for a used volume without container.
    """
    name = names.of_container(volume_id)
    there = luks.require_on(name, opened.device)
    if there is not None and not opened.is_fresh:
        return dataclasses.replace(opened, device=there)
    if not key:
        raise errors.InvalidField(
            "secrets[luksPassphrase]", "is required: the volume is encrypted",
            allowed="a Secret named by csi.storage.k8s.io/node-stage-secret-name",
        )  # fmt: skip
    call.doing(f"unlocking {volume_id}")
    if opened.is_fresh:
        # Of an attempt that was killed before the volume counted.
        luks.close(name)
        block_content.clear_signatures(opened.device)
        luks.make(opened.device, key)
    else:
        found = filesystem.probe(opened.device)
        if found.fs_type != luks.FS_TYPE:
            raise errors.Precondition(
                f"volume {volume_id} is to be encrypted, and has "
                f"{found.fs_type or found.partition_table or 'no container'} on it; nothing changed"
            )
    device = luks.open_(opened.device, name, key, read_only=opened.read_only)
    return dataclasses.replace(opened, device=device)


def lock(volume_id: str) -> None:
    """Close the volume's container; none is fine. Raises Busy while it is used."""
    luks.close(names.of_container(volume_id))


def inner(opened: model.Opened, volume_id: str) -> pathlib.Path:
    """What is on the volume's device: the open container, grown to it, or else the device."""
    name = names.of_container(volume_id)
    device = luks.mapped(name)
    if device is None:
        return opened.device
    luks.grow(name)
    return device

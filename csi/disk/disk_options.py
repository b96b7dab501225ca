"""What a disk carries for the node beyond `csi.node_options`: sysConfig and the serial number.

Pure. The texts come from StorageClass parameters and PersistentVolumes, so each is checked word by
word: none may turn into another setting or another file of the node.
"""

import re
from collections.abc import Mapping

from core import errors

SERIAL_KEY = "serialNumber"

_SYS_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
_SYS_VALUE = re.compile(r"[A-Za-z0-9_.:+-][A-Za-z0-9_.:+ -]*")
_SERIAL = re.compile(r"[A-Za-z0-9_-]+")


def parse_sys_config(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of sysfs key, relative to the device's directory, and value, in the given order.

    Shape: `key=value,…`, as in `queue/read_ahead_kb=1024,bdi/min_ratio=1`.
    """
    pairs = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, separator, value = (word.strip() for word in part.partition("="))
        if not separator or not _SYS_KEY.fullmatch(key) or not _SYS_VALUE.fullmatch(value):
            raise errors.InvalidField(
                "volume_context[sysConfig]",
                "is not a list of sysfs settings",
                value=part,
                allowed="key=value,… with keys below /sys/dev/block/<device>",
            )
        pairs.append((key, value))
    return tuple(pairs)


def serial_of(volume_id: str) -> str:
    """Serial number of the disk *volume_id*: its id without `d-`; "" for other ids."""
    return volume_id.removeprefix("d-") if volume_id.startswith("d-") else ""


def parse_serial(volume_id: str, publish_context: Mapping[str, str]) -> str:
    """Serial number of the disk's device, "" when neither argument tells it.

    ControllerPublishVolume passes it on; else it is the volume id without `d-`.
    Raises Precondition for a disk that has no serial number: finding its device takes an attach
    from this node, between two looks at /sys/block, and a node has no cloud access here.
    """
    serial = publish_context.get(SERIAL_KEY)
    if serial is None:
        serial = serial_of(volume_id)
    elif not serial:
        raise errors.Precondition(
            f"disk {volume_id} has no serial number (it was created before ECS gave disks one), so "
            "its device cannot be told from others; make a snapshot and restore it to a new disk"
        )
    if serial and not _SERIAL.fullmatch(serial):
        raise errors.InvalidField(
            f"publish_context[{SERIAL_KEY}]", "is not a serial number", value=serial
        )
    return serial

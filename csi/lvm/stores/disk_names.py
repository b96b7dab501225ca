"""What a disk is called, and what of that is the disk's own. Blocking.

A name such as /dev/vdb goes to the next disk that comes, at the latest when the node boots.
"""

import contextlib
import pathlib

from host import block

_SYS_BLOCK = pathlib.Path("/sys/class/block")
_LINKS = pathlib.Path("/dev/disk")
_SERIALS = ("serial", "device/serial", "wwid", "device/wwid")


def identity_of(path: pathlib.Path) -> str:
    """What tells the disk at *path* from others for good, "" = nothing does."""
    return str(path) if path.is_relative_to(_LINKS) else serial_of(path)


def serial_of(path: pathlib.Path) -> str:
    """What the disk at *path* says of itself, "" = nothing."""
    name = path.resolve().name
    for key in _SERIALS:
        with contextlib.suppress(OSError):
            told = (_SYS_BLOCK / name / key).read_text(encoding="utf-8").strip()
            if told:
                return f"{key}={told}"
    return ""


def described(path: pathlib.Path) -> str:
    """The disk at *path*, for people: by all that it can be recognised by."""
    number = block.device_number(path)
    told = [serial_of(path) or "no serial number", f"{block.size_bytes(path)} bytes"]
    told += [f"also {link.name}" for link in _links() if _leads_to(link, number)]
    return f"{path} ({', '.join(told)})"


def _links() -> list[pathlib.Path]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(block.BY_ID_DIR.iterdir())
    return []


def _leads_to(link: pathlib.Path, number: str) -> bool:
    return block.is_block_device(link) and block.device_number(link) == number

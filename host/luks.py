"""LUKS containers: made, opened, closed and grown by cryptsetup(8).

A key goes through standard input alone: every process of the node can read a command line.
"""

import contextlib
import pathlib
import re
from collections.abc import Iterator

import structlog

from core import errors
from host import block, run

log = structlog.get_logger()

FS_TYPE = "crypto_LUKS"
"""What blkid calls a container."""
_NAME = re.compile(r"[A-Za-z0-9_+.-]{1,120}")
_MAPPER = pathlib.Path("/dev/mapper")
_SYS_BLOCK = pathlib.Path("/sys/block")
_SYS_DEV_BLOCK = pathlib.Path("/sys/dev/block")
_OPEN_S, _FORMAT_S, _OTHER_S = 120.0, 300.0, 60.0
_NO_SUCH_KEY = 2
"""Source: cryptsetup(8), "RETURN CODES"."""
_NO_UDEV = {"DM_DISABLE_UDEV": "1"}
"""udev of the node would answer in the node's IPC namespace, and we wait in our container's: for
ever. The library makes the device nodes itself then. Source: libdm-common.c of LVM2."""
_DERIVATION = ("--pbkdf", "argon2id", "--pbkdf-memory", "65536", "--pbkdf-parallel", "1")
"""64 MiB instead of up to 1 GiB, which a container of a node's plug-in may not have."""


class WrongKey(errors.Unauthenticated):
    """The key opens no slot of the container."""

    def __init__(self, device: pathlib.Path) -> None:
        super().__init__(f"the key in the secret does not open {device}; its content is unchanged")


def mapped(name: str) -> pathlib.Path | None:
    """The device of open container *name*, None while it is closed; none can have a long name."""
    if not _NAME.fullmatch(name):
        return None
    link = _MAPPER / name
    return block.path_of(link) if block.is_block_device(link) else None


def make(device: pathlib.Path, key: bytes) -> None:
    """Make a container on *device*: whatever was there is lost, so ask what is there before."""
    argv = ["cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", *_DERIVATION]
    argv += ["--key-file", "-", "--", str(device)]
    run.run(argv, timeout_s=_FORMAT_S, stdin=key, environment=_NO_UDEV)
    log.info("container made", device=str(device))


def open_(device: pathlib.Path, name: str, key: bytes, *, read_only: bool) -> pathlib.Path:
    """The device of the container on *device*, opened if need be. Raises WrongKey."""
    there = mapped(name)
    if there is not None:
        return there
    words = ["--readonly"] if read_only else []
    # Not in the keyring, so that it can grow later without the key.
    argv = ["cryptsetup", "open", "--type", "luks", "--disable-keyring", *words]
    argv += ["--key-file", "-", "--", str(device), _require_name(name)]
    result = run.run(argv, timeout_s=_OPEN_S, stdin=key, check=False, environment=_NO_UDEV)
    if result.returncode == _NO_SUCH_KEY:
        raise WrongKey(device)
    if result.returncode != 0:
        raise run.CommandFailed(argv, result)
    made = mapped(name)
    if made is None:
        raise errors.Unavailable(f"container {name} has no device after it was opened; retry")
    return made


def close(name: str) -> None:
    """Close container *name*; one that is closed is fine. Raises Busy while it is used."""
    if mapped(name) is None:
        return
    argv = ["cryptsetup", "close", "--", _require_name(name)]
    result = run.run(argv, timeout_s=_OTHER_S, check=False, environment=_NO_UDEV)
    if result.returncode == 0 or mapped(name) is None:
        return
    if "in use" in result.stderr.lower():
        raise errors.Busy(f"container {name} is still in use")
    raise run.CommandFailed(argv, result)


def grow(name: str) -> None:
    """Let open container *name* be as large as its device; again changes nothing."""
    argv = ["cryptsetup", "resize", "--", _require_name(name)]
    run.run(argv, timeout_s=_OTHER_S, stdin=b"", environment=_NO_UDEV)


def require_on(name: str, device: pathlib.Path) -> pathlib.Path | None:
    """The device of open container *name*, which is on *device*; None while it is closed.

    Raises Precondition when something else has the name.
    """
    container = mapped(name)
    if container is None:
        return None
    below = (_SYS_DEV_BLOCK / block.device_number(container) / "slaves").iterdir()
    numbers = {(each / "dev").read_text().strip() for each in below}
    if numbers != {block.device_number(device)}:
        raise errors.Precondition(
            f"container {name} is open on another device than {device}; look with `dmsetup ls`"
        )
    return container


@contextlib.contextmanager
def still(name: str) -> Iterator[None]:
    """Let nobody write to open container *name* meanwhile; a closed one is still anyway.

    The file system in it is written back and frozen first. LVM does that for a file system that is
    on the volume itself, and does not see one that is in a container on it. Source: dmsetup(8).
    """
    if mapped(name) is None:
        yield
        return
    run.run(["dmsetup", "suspend", "--noudevsync", name], timeout_s=_OTHER_S)
    try:
        yield
    finally:
        _resume(name)


def resume_all(prefix: str) -> None:
    """End `still` for every container whose name begins so: who began it was killed."""
    for entry in sorted(_SYS_BLOCK.glob("dm-*/dm")):
        name = (entry / "name").read_text().rstrip("\n")
        if name.startswith(prefix) and (entry / "suspended").read_text().strip() == "1":
            log.warning("container was left suspended; it goes on", name=name)
            _resume(name)


def _resume(name: str) -> None:
    run.run(["dmsetup", "resume", "--noudevsync", name], timeout_s=_OTHER_S)


def _require_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise errors.InvalidField("volume_id", "cannot name a container", value=name)
    return name

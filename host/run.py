"""Running commands: an argument list, never a shell, always a time limit.

A command that hangs in the kernel (state D) cannot be killed. It is left to a reaper thread, so
that the caller always gets its answer.
"""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import ClassVar

import structlog

from core import errors

log = structlog.get_logger()

_OUTPUT_MAX = 64 * 1024
_KILL_WAIT_S = 2.0
_ROOT = pathlib.Path("/")

DEBIAN_PACKAGE = {
    "mount": "mount",
    "umount": "mount",
    "blkid": "util-linux",
    "blockdev": "util-linux",
    "sync": "coreutils",
    "losetup": "mount",
    "partx": "util-linux",
    "sfdisk": "fdisk",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.ext3": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "dumpe2fs": "e2fsprogs",
    "resize2fs": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "xfs_growfs": "xfsprogs",
    "xfs_info": "xfsprogs",
    "xfs_repair": "xfsprogs",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a command ended; output is cut to its last 64 KiB."""

    returncode: int
    stdout: str
    stderr: str


class CommandFailed(errors.Internal):
    """A command ended with a status other than 0."""

    def __init__(self, argv: Sequence[str], result: Result) -> None:
        said = (result.stderr.strip() or result.stdout.strip())[-1000:]
        super().__init__(f"{' '.join(argv)} failed with status {result.returncode}: {said}")
        self.result = result


class CommandTimeout(errors.Error):
    """A command did not end in time and was killed."""

    kind: ClassVar[errors.Kind] = errors.Kind.DEADLINE

    def __init__(self, argv: Sequence[str], timeout_s: float) -> None:
        super().__init__(f"{' '.join(argv)} did not end within {timeout_s:g} s and was killed")


class CommandMissing(errors.Precondition):
    """A command is not installed."""

    def __init__(self, name: str) -> None:
        package = DEBIAN_PACKAGE.get(name)
        hint = f"; install Debian package {package}" if package else ""
        super().__init__(f"command {name} is not on PATH of this node{hint}")


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: bytes | None = None,
    check: bool = True,
    cwd: pathlib.Path = _ROOT,
) -> Result:
    """Result of running *argv*; its first word is looked up in PATH.

    cwd: never a volume by accident, since that could not be unmounted then.
    Callers put no secret into *argv*: it is logged, and every process of the node can read it.
    Raises CommandMissing, CommandTimeout, and with *check* CommandFailed.
    """
    if shutil.which(argv[0]) is None:
        raise CommandMissing(argv[0])
    started_s = time.monotonic()
    # vfork, not fork: without preexec_fn, gRPC's threads are not in the way.
    process = subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
        process_group=0,
        cwd=cwd,
    )
    try:
        out, err = process.communicate(input=stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired as e:
        _kill(process)
        raise CommandTimeout(argv, timeout_s) from e
    result = Result(returncode=process.returncode, stdout=_text(out), stderr=_text(err))
    log.debug(
        "command ended",
        argv=list(argv),
        returncode=result.returncode,
        elapsed_s=round(time.monotonic() - started_s, 4),
    )
    if check and result.returncode != 0:
        raise CommandFailed(argv, result)
    return result


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process group; leave one that does not die to a thread of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(_KILL_WAIT_S)
    except subprocess.TimeoutExpired:
        log.warning("killed command does not end", argv=process.args, pid=process.pid)
        threading.Thread(target=process.wait, name=f"reap {process.pid}", daemon=True).start()
        return
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _text(output: bytes) -> str:
    return output[-_OUTPUT_MAX:].decode(errors="replace")

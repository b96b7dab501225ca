"""Running commands: an argument list, never a shell, always a time limit.

A command that hangs in the kernel (state D) cannot be killed. It is left to a reaper thread, so
that the caller always gets its answer.
"""

import contextlib
import dataclasses
import os
import pathlib
import selectors
import signal
import subprocess
import threading
import time
import types
from collections.abc import Mapping, Sequence
from typing import IO, ClassVar

import structlog

from core import errors

log = structlog.get_logger()

_OUTPUT_MAX = 64 * 1024
_SAID_MAX = 1000
_KILL_WAIT_S = 2.0
_LOOK_S = 0.1
"""How often to look whether a command ended whose output somebody else still holds open."""
_LINGER_S = 1.0
"""How long to go on reading then. FUSE helpers leave a daemon behind that never closes it."""
_READ_BYTES = 64 * 1024
_ROOT = pathlib.Path("/")
_NOTHING_MORE: Mapping[str, str] = types.MappingProxyType({})

DEBIAN_PACKAGE = {
    "mount": "mount",
    "umount": "mount",
    "mount.nfs": "nfs-common",
    "blkid": "util-linux",
    "wipefs": "util-linux",
    "blockdev": "util-linux",
    "sync": "coreutils",
    "dd": "coreutils",
    "losetup": "mount",
    "partx": "util-linux",
    "sfdisk": "fdisk",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.ext3": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "resize2fs": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "xfs_growfs": "xfsprogs",
    "xfs_info": "xfsprogs",
    "xfs_repair": "xfsprogs",
    "dmsetup": "dmsetup",
    "lvchange": "lvm2",
    "lvconvert": "lvm2",
    "lvcreate": "lvm2",
    "lvextend": "lvm2",
    "lvremove": "lvm2",
    "lvs": "lvm2",
    "vgcreate": "lvm2",
    "cryptsetup": "cryptsetup-bin",
    "blkdiscard": "util-linux",
    "setquota": "quota",
    "pvs": "lvm2",
    "vgs": "lvm2",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a command ended; output is cut to its last 64 KiB, or what was asked for."""

    returncode: int
    stdout: str
    stderr: str


class CommandFailed(errors.Internal):
    """A command ended with a status other than 0, or by a signal."""

    def __init__(self, argv: Sequence[str], result: Result) -> None:
        said = (result.stderr.strip() or result.stdout.strip())[-_SAID_MAX:]
        super().__init__(f"{' '.join(argv)} {_ending(result.returncode)}: {said}")
        self.argv = tuple(argv)
        self.result = result


class CommandTimeout(errors.Error):
    """A command did not end in time and was killed."""

    kind: ClassVar[errors.Kind] = errors.Kind.DEADLINE

    def __init__(self, argv: Sequence[str], timeout_s: float, said: str = "") -> None:
        hint = f"; it said: {said.strip()[-_SAID_MAX:]}" if said.strip() else ""
        super().__init__(
            f"{' '.join(argv)} did not end within {timeout_s:g} s and was killed{hint}"
        )
        self.argv = tuple(argv)
        self.timeout_s = timeout_s


class CommandMissing(errors.Precondition):
    """A command is not installed. package: the Debian package that has it, None = not known."""

    def __init__(self, name: str) -> None:
        package = DEBIAN_PACKAGE.get(name)
        hint = f"; install Debian package {package}" if package else ""
        super().__init__(f"command {name} is not on PATH of this node{hint}")
        self.command = name
        self.package = package


class CommandNotStarted(errors.Internal):
    """The system could not start a command that is installed."""

    def __init__(self, argv: Sequence[str], why: str) -> None:
        super().__init__(f"{argv[0]} cannot be started: {why}")
        self.argv = tuple(argv)


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: bytes | None = None,
    check: bool = True,
    cwd: pathlib.Path = _ROOT,
    environment: Mapping[str, str] = _NOTHING_MORE,
    output_max: int = _OUTPUT_MAX,
) -> Result:
    """Result of running *argv*; its first word is looked up in PATH.

    cwd: never a volume by accident, since that could not be unmounted then.
    environment: variables beside our own.
    output_max: bytes of stdout that are kept, the last ones.
    Callers put no secret into *argv*: it is logged, and every process of the node can read it.
    Returns or raises at most 2 s after *timeout_s* has passed, whatever the command does.
    Raises CommandMissing, CommandNotStarted, CommandTimeout, and with *check* CommandFailed.
    """
    started_s = time.monotonic()
    process = _start(argv, stdin, cwd, environment)
    stdout, stderr = _Tail(output_max), _Tail(_OUTPUT_MAX)
    try:
        ended = _attend(process, stdin or b"", stdout, stderr, started_s + timeout_s)
    except BaseException:
        _kill(process)
        raise
    finally:
        _close(process)
    if not ended:
        _kill(process)
    log.debug(
        "command ended" if ended else "command killed, its time is up",
        argv=list(argv),
        returncode=process.returncode,
        elapsed_s=round(time.monotonic() - started_s, 4),
    )
    if not ended:
        raise CommandTimeout(argv, timeout_s, stderr.text())
    result = Result(returncode=process.returncode, stdout=stdout.text(), stderr=stderr.text())
    if check and result.returncode != 0:
        raise CommandFailed(argv, result)
    return result


def not_started(argv: Sequence[str], e: OSError) -> errors.Error:
    """What Popen's error *e* means. Pure."""
    # Of a missing directory it tells the name too, as its filename.
    if isinstance(e, FileNotFoundError) and e.filename == argv[0]:
        return CommandMissing(argv[0])
    return CommandNotStarted(argv, str(e))


class _Tail:
    """The last *kept* bytes of an output, however long that is."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._bytes = bytearray()

    def collect(self, fd: int) -> bool:
        """Take what *fd* has; whether it is at its end."""
        try:
            more = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return False
        self._bytes += more
        if len(self._bytes) > 2 * self._kept:
            del self._bytes[: -self._kept]
        return not more

    def text(self) -> str:
        """What was kept."""
        return self._bytes[-self._kept :].decode(errors="replace")


class _Feeder:
    """An input that is written piece by piece."""

    def __init__(self, data: bytes) -> None:
        self._rest = memoryview(data)

    def __call__(self, fd: int) -> bool:
        """Write to *fd* what it takes; whether that was all, or its reader is gone."""
        try:
            self._rest = self._rest[os.write(fd, self._rest) :]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            return True
        return not self._rest


def _start(
    argv: Sequence[str], stdin: bytes | None, cwd: pathlib.Path, environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    # vfork, not fork: without preexec_fn, gRPC's threads are not in the way.
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "LC_ALL": "C", **environment},
            process_group=0,
            cwd=cwd,
        )
    except OSError as e:
        raise not_started(argv, e) from e


def _attend(
    process: "subprocess.Popen[bytes]",
    stdin: bytes,
    stdout: _Tail,
    stderr: _Tail,
    deadline_s: float,
) -> bool:
    """Feed *process* and collect what it says; whether it ended before *deadline_s*.

    `Popen.communicate` would keep all output, and would wait for whoever inherited the pipes.
    """
    ended_s: float | None = None
    with selectors.DefaultSelector() as selector:
        streams = _watch(selector, process, stdin, stdout, stderr)
        while streams:
            now_s = time.monotonic()
            if ended_s is None and process.poll() is not None:
                ended_s = now_s
            until_s = deadline_s if ended_s is None else min(deadline_s, ended_s + _LINGER_S)
            if now_s >= until_s:
                break
            for key, _ in selector.select(min(until_s - now_s, _LOOK_S)):
                if key.data(key.fd):
                    selector.unregister(key.fd)
                    streams.pop(key.fd).close()
    try:
        process.wait(max(0.0, deadline_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _watch(
    selector: selectors.BaseSelector,
    process: "subprocess.Popen[bytes]",
    stdin: bytes,
    stdout: _Tail,
    stderr: _Tail,
) -> dict[int, IO[bytes]]:
    """Register the pipes of *process*, each with what to do when it is ready; by their number."""
    streams = {}
    for stream, event, ready in (
        (process.stdin, selectors.EVENT_WRITE, _Feeder(stdin)),
        (process.stdout, selectors.EVENT_READ, stdout.collect),
        (process.stderr, selectors.EVENT_READ, stderr.collect),
    ):
        if stream is not None:
            os.set_blocking(stream.fileno(), False)
            selector.register(stream.fileno(), event, ready)
            streams[stream.fileno()] = stream
    return streams


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process group; leave one that does not die to a thread of its own."""
    if process.returncode is None:  # not reaped yet, so that the number is still its own
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(_KILL_WAIT_S)
    except subprocess.TimeoutExpired:
        log.warning("killed command does not end", argv=process.args, pid=process.pid)
        threading.Thread(target=process.wait, name=f"reap {process.pid}", daemon=True).start()


def _close(process: "subprocess.Popen[bytes]") -> None:
    """Close our ends of the pipes, also of a process that lives on."""
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _ending(returncode: int) -> str:
    """How a command ended, in words. A negative code is a signal; see `subprocess`."""
    if returncode >= 0:
        return f"failed with status {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"

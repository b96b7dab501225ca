"""A FUSE client as a process: started so that it survives us, found again, watched, ended."""

import asyncio
import contextlib
import os
import pathlib
import resource
import signal
from collections.abc import Mapping, Sequence

import structlog

from core import errors

log = structlog.get_logger()

_KEPT_ENVIRONMENT = ("PATH", "LANG", "TZ", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
_STDIN, _STDOUT, _STDERR = range(3)
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
_OPEN_FILES = 65536
_OOM_SCORE = "-900"
"""A client that is killed takes every pod of its volume along."""
_LOG_MAX_BYTES = 1 << 20
_SAID_BYTES = 1500


class ClientProcess:
    """A running client, known by a descriptor: its number may go to another process, that not."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._ended = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(pidfd, self._on_end)

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.done()

    async def ended(self) -> None:
        """Return when it has ended."""
        await asyncio.shield(self._ended)

    async def end(self, *, grace_s: float) -> None:
        """End it: SIGTERM, and SIGKILL after *grace_s* seconds."""
        for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
            if not self.is_alive:
                return
            if wait_s:
                self.send(number)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self.ended()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended is fine."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def forget(self) -> None:
        """Stop watching it; it goes on."""
        if self.is_alive:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._ended.set_result(None)

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        with contextlib.suppress(ChildProcessError):  # adopted: its parent reaps it
            os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        os.close(self._pidfd)
        if not self._ended.done():
            self._ended.set_result(None)


def start(
    argv: Sequence[str], log_file: pathlib.Path, environment: Mapping[str, str]
) -> ClientProcess:
    """Start *argv* in a session of its own, its words going to *log_file*.

    A file and not a pipe: a pipe would break when we end. environment: beside what every client
    gets; no secret, others of the same user can read it. The client starts in our own directory,
    which is "/". Raises Precondition when the program is not installed.
    """
    trim(log_file)
    inherited = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    output = os.open(log_file, flags, 0o600)
    try:
        pid = os.posix_spawnp(
            argv[0],
            list(argv),
            {**inherited, **environment},
            file_actions=(
                (os.POSIX_SPAWN_OPEN, _STDIN, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output, _STDOUT),
                (os.POSIX_SPAWN_DUP2, output, _STDERR),
            ),
            setsid=True,
            setsigmask=(),
            setsigdef=_IGNORED_BY_PYTHON,
        )
    except FileNotFoundError as e:
        raise errors.Precondition(
            f"client {argv[0]} is not installed where csi-mounter runs"
        ) from e
    finally:
        os.close(output)
    _limit(pid)
    return ClientProcess(pid, os.pidfd_open(pid))


def keep_descriptors() -> None:
    """Let no client have a descriptor that we were started with. Once, before any is started."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - a Path for each is not needed
        with contextlib.suppress(OSError):  # the one that reads this directory is closed again
            if int(name) > _STDERR:
                os.set_inheritable(int(name), False)


def find(argvs: Sequence[Sequence[str]]) -> dict[tuple[str, ...], int]:
    """Process numbers of the clients that run with one of *argvs*, by it. Reads /proc."""
    wanted = {tuple(argv) for argv in argvs}
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if wanted else ():
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")[:-1]
            argv = tuple(os.fsdecode(word) for word in words)
            if argv in wanted:
                found[argv] = int(path.parent.name)
    return found


def adopt(pid: int, argv: Sequence[str]) -> ClientProcess | None:
    """Watch the running client *pid*; None when it has ended, or is another process by now."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if find([argv]).get(tuple(argv)) != pid:  # looked at once it cannot be exchanged any more
        os.close(pidfd)
        return None
    return ClientProcess(pid, pidfd)


def last_words(log_file: pathlib.Path) -> str:
    """The end of what a client said, in one line."""
    try:
        with log_file.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _SAID_BYTES))
            return " ".join(file.read().decode(errors="replace").split())
    except OSError:
        return ""


def trim(log_file: pathlib.Path) -> None:
    """Cut a log above 1 MiB to its end. Its writer appends, so it goes on after the cut."""
    try:
        if log_file.stat().st_size <= _LOG_MAX_BYTES:
            return
        words = last_words(log_file)
        os.truncate(log_file, 0)
        with log_file.open("a") as file:
            file.write(f"(cut by csi-mounter)\n{words}\n")
    except OSError:
        return


def _limit(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))  # a dump would hold keys
    with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        most = hard if hard != resource.RLIM_INFINITY else _OPEN_FILES
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(_OPEN_FILES, most), hard))
    with contextlib.suppress(OSError):
        pathlib.Path(f"/proc/{pid}/oom_score_adj").write_text(_OOM_SCORE)

"""A simulated machine: its namespaces, and the processes that run in them."""

import os
import pathlib
import signal
import subprocess
import uuid
from typing import Self


class Machine:
    """A network, a mount and a host name that live until `close`.

    What is mounted and configured in one is seen by no other machine. The file system below is
    shared. The host name is its own, because NFS 4.1 tells clients apart by it.
    own_network: False leaves it in the caller's network namespace.
    """

    def __init__(self, *, own_network: bool = True) -> None:
        spaces = ["--mount", "--uts", *(["--net"] if own_network else [])]
        name = f"hostname node-{uuid.uuid4().hex[:6]}; "
        up = "ip link set lo up; " if own_network else ""
        self._holder = subprocess.Popen(
            ["unshare", *spaces, "--", "sh", "-c", f"{name}{up}echo ready; exec sleep infinity"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        self._holder.stdout.close()
        self._own_network = own_network

    @property
    def pid(self) -> int:
        """Of a process in the namespaces; `ip link set … netns PID` takes it."""
        return self._holder.pid

    def argv(self, *argv: str | pathlib.Path) -> list[str]:
        """The command that runs *argv* in here; the process becomes *argv*'s."""
        network = ["--net"] if self._own_network else []
        return ["nsenter", "-t", str(self.pid), "--mount", "--uts", *network, "--", *map(str, argv)]

    def run(self, *argv: str | pathlib.Path, timeout_s: float = 30) -> str:
        """What *argv* prints. Raises AssertionError, with what it said, when it fails."""
        return run(*self.argv(*argv), timeout_s=timeout_s)

    def fails(self, *argv: str | pathlib.Path, timeout_s: float = 30) -> str:
        """What *argv*, which must fail, says."""
        done = subprocess.run(
            self.argv(*argv), capture_output=True, text=True, timeout=timeout_s, check=False
        )
        assert done.returncode != 0, f"{argv} did not fail: {done.stdout}"
        return done.stderr

    def connect(self, other: "Machine", network: str) -> tuple[str, str]:
        """A veth pair to *other*. network: `10.1.1`, a /24. Returns its addresses, ours first."""
        ours, theirs = f"{network}.1", f"{network}.2"
        near, far = (f"v{network.replace('.', '-')}{end}" for end in "ab")
        ends = f"ip link add {near} type veth peer name {far} netns {other.pid}"
        self.run("sh", "-ec", f"{ends}; {_up(near, ours)}")
        other.run("sh", "-ec", _up(far, theirs))
        return ours, theirs

    def close(self) -> None:
        """End every process in here, and with them the namespaces."""
        space = pathlib.Path(f"/proc/{self.pid}/ns/mnt").stat().st_ino
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "ns/mnt").stat().st_ino == space:
                    os.kill(int(entry.name), signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                # It ended meanwhile. Between finding a process and its namespace, the kernel says
                # EACCES for that (fs/proc/namespaces.c, proc_ns_get_link).
                continue
        self._holder.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _up(link: str, address: str) -> str:
    return f"ip address add {address}/24 dev {link}; ip link set {link} up"


def run(*argv: str | pathlib.Path, timeout_s: float = 30) -> str:
    """What *argv* prints. Raises AssertionError, with what it said, when it fails."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"{late}: {late.stdout!r} {late.stderr!r}") from late
    said = f"{' '.join(words)}: exit {done.returncode}: {done.stdout}{done.stderr}"
    assert done.returncode == 0, said
    return done.stdout

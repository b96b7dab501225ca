"""`csi-mounter` as a real process in a directory of its own, and its clients."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from csi.mounter import client_process

READY = "csi-mounter ready"
BUCKET = "simulated-bucket"


class MounterProcess:
    """One mounter; close() ends it and whatever it left."""

    def __init__(self, directory: pathlib.Path, *flags: str) -> None:
        self.work_dir = directory / "fuse"
        self.socket = directory / "mounter.sock"
        self.log = directory / "mounter.log"
        self._flags = [
            *("--socket", str(self.socket), "--work-dir", str(self.work_dir)),
            *("--allow-target", str(directory), *flags),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._before = 0

    def serve(self, socket_path: pathlib.Path, *, allow: pathlib.Path) -> None:
        """Start at *socket_path*, as a FUSE pod of the reference does, for mounts below *allow*."""
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        self.socket = socket_path
        self._flags[1] = str(socket_path)
        self._flags += ["--allow-target", str(allow)]
        self.start()

    def start(self) -> None:
        self._before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "csi.mounter", *self._flags], stdout=log, stderr=log
            )
        self.wait_ready()

    def wait_ready(self, *, again: bool = False) -> None:
        """Return when it serves. again: for the second time since it was started."""
        assert self._process is not None
        until_s = time.monotonic() + 20
        while self.log.read_text()[self._before :].count(READY) < 1 + again:
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < until_s, self.log.read_text()
            time.sleep(0.02)

    @contextlib.contextmanager
    def piped(self) -> Iterator[None]:
        """Run with a log that nobody reads once it has started."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "csi.mounter", *self._flags], stderr=subprocess.PIPE
        )
        assert self._process.stderr is not None
        with self._process.stderr as log:
            while READY.encode() not in log.readline():
                assert self._process.poll() is None
        yield

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(timeout=30)

    def ask(
        self, method: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = 60.0
    ) -> dict[str, Any]:
        """Answer of one request."""
        line = json.dumps({"header": {"method": method}, "body": body or {}}).encode() + b"\n"
        return self.exchange(line, timeout_s)

    def exchange(self, line: bytes, timeout_s: float = 60.0) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(self.socket))
            connection.sendall(line)
            answer: dict[str, Any] = json.loads(connection.makefile("rb").readline())
            return answer

    def volume(self, target: pathlib.Path) -> dict[str, Any]:
        """The row of *target* in `status`."""
        rows = self.ask("status")["volumes"]
        return next(row for row in rows if row["target"] == str(target))

    def client_pids(self) -> list[int]:
        """Clients that live."""
        # Read and no more: `records.load_all` would remove what a mount has half made.
        found = (self.work_dir / ".mounter").glob("*/record.json")
        told = [json.loads(text) for path in found if (text := text_of(path))]
        return list(client_process.find([row["argv"] for row in told]).values())

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop(signal.SIGKILL)
        for pid in self.client_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        unmount_below(self.work_dir.parent)


def text_of(path: pathlib.Path) -> str:
    """What is in a file, as of /proc; "" when it is gone."""
    try:
        return path.read_text()
    except OSError:
        return ""


def is_gone(pid: int) -> bool:
    """Whether not even a zombie is left of a process."""
    return not pathlib.Path(f"/proc/{pid}").exists()


def unmount_below(directory: pathlib.Path) -> None:
    """Detach every mount below *directory*."""
    points: Sequence[str] = [
        line.split(" ")[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    for point in reversed(points):
        if point.startswith(f"{directory}/"):
            subprocess.run(["umount", "-l", point], check=False)

"""A mount proxy as spec/csi-driver.md 1.11 describes it.

In a test's process it serves directories of this machine: `host:/path` is the directory *path*
below *served*, mounted by bind. `python -m tests.support.mount_proxy SOCKET` is one that mounts by
the kernel's NFS client, which access points of the simulator answer.
"""

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import threading
from typing import Any


class MountProxy:
    """Answers on *path* until `close`. asked: every request. managed: targets it mounted.

    make_directories: what is mounted is made when it is missing, as a cloud that keeps no files
    cannot have made it.
    """

    def __init__(
        self, path: pathlib.Path, served: pathlib.Path | None, *, make_directories: bool = False
    ) -> None:
        self.path = path
        self.asked: list[dict[str, Any]] = []
        self.managed: set[str] = set()
        self._served = served
        self._make_directories = make_directories
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, name="mount proxy")
        self._thread.start()

    def wait(self) -> None:
        """Until it is ended."""
        self._thread.join()

    def close(self) -> None:
        """Answer no more; what is mounted stays."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        self.path.unlink()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection, connection.makefile("rb") as lines:
                    request = json.loads(lines.readline())
                    error = self._answer(request)
                    answer = {"seq": len(self.asked), **({"error": error} if error else {})}
                    connection.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(self, request: dict[str, Any]) -> str:
        self.asked.append(request)
        body = request["body"]
        target = str(body["target"])
        if request["header"]["method"] == "unmount":
            if target not in self.managed:
                return "target not managed by mount broker"
            self.managed.remove(target)
            return _run("umount", target)
        if self._served is None:
            error = _mount_nfs(str(body["source"]), target, body["options"])
            if not error:
                self.managed.add(target)
            return error
        directory = self._served / str(body["source"]).partition(":/")[2]
        if self._make_directories:
            directory.mkdir(parents=True, exist_ok=True)
        if not directory.is_dir():
            return "exit status 1: Failed to bind mount"
        access = "ro" if "ro" in body["options"] else "rw"
        error = _run("mount", "-o", f"bind,{access}", str(directory), target)
        if not error:
            self.managed.add(target)
        return error


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


_OF_THE_CLIENT = ("tls", "efc", "_netdev")


def _mount_nfs(source: str, target: str, options: list[str]) -> str:
    words = [each for each in options if each.partition("=")[0] not in _OF_THE_CLIENT]
    return _run("mount", "-t", "nfs", "-o", ",".join([*words, "nolock"]), source, target)


if __name__ == "__main__":
    proxy = MountProxy(pathlib.Path(sys.argv[1]), None)
    print("mount proxy ready", flush=True)
    proxy.wait()

"""Programs on the host that mount what the kernel cannot: spec/csi-driver.md 1.11. Blocking.

Two protocols: the mount proxy takes JSON lines, the connector takes an argument list. What either
does is bounded in time.
"""

import dataclasses
import json
import os
import pathlib
import socket
import stat
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import structlog

from core import errors
from host import nfs

log = structlog.get_logger()

TIMEOUT_S = 35.0
"""The mount proxy gives up after 30 s. Source: spec/csi-driver.md 1.11."""
_ANSWER_MAX_BYTES = 1 << 20
NOT_MANAGED = "target not managed by mount broker"
_NO_SUCH_DIRECTORY = ("no such file or directory", "failed to bind mount")
_SUCCESS = "Success:"


class Broker(Protocol):
    """Mounts for us. takes_secrets: whether `mount` may be given any."""

    takes_secrets: bool

    def mount(
        self,
        source: str,
        target: pathlib.Path,
        *,
        fs_type: str,
        options: Sequence[str],
        tag: str,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        """Mount *source* at *target*. tag: the volume's id.

        Raises NoSuchDirectory, AccessDenied, Unavailable, or BrokerFailed with the broker's words.
        """

    def unmount(self, target: pathlib.Path) -> bool:
        """Whether the broker unmounted *target*; False = it is not its own."""


class NobodyThere(errors.Unavailable):
    """Nobody serves the socket; nothing was asked."""


class HungUp(errors.Unavailable):
    """The broker ended before it answered; what was asked may be done, or not."""


class BrokerFailed(errors.Internal):
    """The broker could not do what it was asked."""


class Proxy:
    """The mount proxy: one JSON document in a line, one back."""

    takes_secrets = True

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path

    def mount(
        self,
        source: str,
        target: pathlib.Path,
        *,
        fs_type: str,
        options: Sequence[str],
        tag: str,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        said = self.ask(
            "mount",
            {
                "source": source,
                "target": os.fspath(target),
                "fstype": fs_type,
                "options": list(options),
                "mountFlags": [],
                "secrets": dict(secrets or {}),
                "volumeID": tag,
            },
        ).error
        if said:
            raise refusal(source, said)

    def unmount(self, target: pathlib.Path) -> bool:
        said = self.ask("unmount", {"target": os.fspath(target)}).error
        if NOT_MANAGED in said:
            return False
        if said:
            raise BrokerFailed(f"the mount proxy cannot unmount {target}: {said}")
        return True

    def ask(self, method: str, body: Mapping[str, object]) -> "Answer":
        """Its answer to one request. Raises Unavailable, BrokerFailed."""
        asked = json.dumps({"header": {"method": method}, "body": body}).encode() + b"\n"
        answer = _exchange(self._path, asked, until=b"\n")
        try:
            told = json.loads(answer)
            return Answer(error=str(told.get("error") or ""), body=told)
        except (ValueError, AttributeError) as e:
            raise BrokerFailed(f"the mount proxy answered {answer[:200]!r}") from e


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the mount proxy said. error: "" = it is done. body: all of it."""

    error: str
    body: Mapping[str, Any]


class Connector:
    """The connector: arguments with NUL between them, `Success:…` or `Fail: …` back."""

    takes_secrets = False

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path

    def mount(
        self,
        source: str,
        target: pathlib.Path,
        *,
        fs_type: str,
        options: Sequence[str],
        tag: str,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        if secrets:
            raise errors.Internal("the connector takes no secrets")
        log.debug("asking the connector", source=source, tag=tag)
        words = ["-o", ",".join(options)] if options else []
        argv = ["mount", "-t", fs_type, *words, source, os.fspath(target)]
        answer = _exchange(self._path, "\0".join(argv).encode(), until=None).decode(
            errors="replace"
        )
        if not answer.startswith(_SUCCESS):
            raise refusal(source, answer)

    def unmount(self, target: pathlib.Path) -> bool:
        """The connector's mounts are ordinary ones, seen here too."""
        log.debug("the connector unmounts nothing", target=os.fspath(target))
        return False


def find(proxy: pathlib.Path, connector: pathlib.Path) -> Broker | None:
    """The broker whose socket is there, the proxy first; None = none."""
    if _is_socket(proxy):
        return Proxy(proxy)
    return Connector(connector) if _is_socket(connector) else None


def refusal(source: str, said: str) -> errors.Error:
    """What the broker's words mean. Pure."""
    low = said.lower()
    if any(text in low for text in _NO_SUCH_DIRECTORY):
        return nfs.NoSuchDirectory(f"{source} cannot be mounted: {' '.join(said.split())}")
    meaning = nfs.refusal(source, said)
    # The kernel's words about file system types are not about its own NFS client here.
    if isinstance(meaning, nfs.AccessDenied | errors.Unavailable):
        return meaning
    return BrokerFailed(f"{source} cannot be mounted: {' '.join(said.split())}")


def _exchange(path: pathlib.Path, asked: bytes, *, until: bytes | None) -> bytes:
    """Send *asked*; the answer up to *until*, or all of it. Raises Unavailable."""
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(os.fspath(path))
            connection.sendall(asked)
            while len(answer) < _ANSWER_MAX_BYTES and not (until and until in answer):
                more = connection.recv(65536)
                if not more:
                    break
                answer += more
                if until is None and answer.startswith((b"Success", b"Fail")):
                    break
    except (FileNotFoundError, ConnectionRefusedError) as e:
        raise NobodyThere(f"the mount broker at {path} does not answer: {e}") from e
    except (ConnectionResetError, BrokenPipeError) as e:
        raise HungUp(f"the mount broker at {path} hung up: {e}") from e
    except OSError as e:
        raise errors.Unavailable(f"the mount broker at {path} does not answer: {e}") from e
    if not answer:
        raise HungUp(f"the mount broker at {path} hung up without an answer")
    return answer


def _is_socket(path: pathlib.Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False

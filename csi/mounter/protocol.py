"""Requests of the mounter's socket, and its answers: a JSON document in a line. Pure.

Source: spec/csi-driver.md 1.11. What is not here: the socket.
"""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core import errors
from host import mount_broker

REQUEST_MAX_BYTES = 1 << 20
"""The reference takes 256 MiB; the largest request we know is below 16 KiB."""
NOT_MANAGED = mount_broker.NOT_MANAGED
"""Callers compare this text and unmount themselves. Source: spec/csi-driver.md 1.11."""
_METHODS = "mount, unmount, ping, status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Mount *source* at *target*. secrets are not shown by repr."""

    source: str
    target: pathlib.Path
    fs_type: str
    options: tuple[str, ...]
    volume_id: str
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmount:
    """Unmount *target*."""

    target: pathlib.Path


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask whether anybody is there."""


@dataclass(frozen=True, slots=True)
class Status:
    """Ask which volumes there are."""


Request = Mount | Unmount | Ping | Status


def parse_request(line: bytes) -> Request:
    """The request in *line*. Raises Invalid; the message never holds a secret."""
    if len(line) > REQUEST_MAX_BYTES:
        raise errors.Invalid(f"the request is longer than {REQUEST_MAX_BYTES} bytes")
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        # Without its cause: a decoder's error carries the document, and so the secrets.
        raise errors.Invalid("the request is not a JSON document") from None
    top = _mapping(document, "request")
    method = _text(_mapping(top.get("header"), "header"), "method")
    body = _mapping(top.get("body") or {}, "body")
    match method:
        case "mount":
            return _mount(body)
        case "unmount":
            return Unmount(target=_target(body))
        case "ping":
            return Ping()
        case "status":
            return Status()
        case _:
            raise errors.InvalidField("method", "is unknown", value=method, allowed=_METHODS)


def answer(seq: int, error: str = "", **more: object) -> bytes:
    """The line that answers request *seq* of a connection; error "" = done."""
    said: dict[str, object] = {"seq": seq, **more}
    if error:
        said["error"] = error
    return json.dumps(said).encode() + b"\n"


def check_target(target: pathlib.Path, roots: Sequence[pathlib.Path]) -> None:
    """Raise InvalidField unless *target* is strictly below one of *roots*."""
    if not any(target != root and target.is_relative_to(root) for root in roots):
        allowed = "below " + ", ".join(map(os.fspath, roots))
        raise errors.InvalidField("target", "is not allowed", value=str(target), allowed=allowed)


def _mount(body: Mapping[str, object]) -> Mount:
    if body.get("overlay"):
        raise errors.InvalidField("overlay", "is not offered", allowed="false")
    flags = _texts(body, "mountFlags")
    return Mount(
        source=_text(body, "source"),
        target=_target(body),
        fs_type=_text(body, "fstype"),
        options=(*_texts(body, "options"), *flags),
        volume_id=_text(body, "volumeID", default=""),
        secrets=_secrets(body.get("secrets") or {}),
    )


def _target(body: Mapping[str, object]) -> pathlib.Path:
    text = _text(body, "target")
    path = pathlib.Path(text)
    if not path.is_absolute() or ".." in path.parts or "\0" in text:
        raise errors.InvalidField("target", "is not an absolute path without ..", value=text)
    return path


def _mapping(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise errors.InvalidField(name, "is not a JSON object")
    return value


def _text(body: Mapping[str, object], name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or (not value and default is None):
        raise errors.InvalidField(name, "is missing or not a text")
    return value


def _texts(body: Mapping[str, object], name: str) -> list[str]:
    value = body.get(name) or []
    if not isinstance(value, list):
        raise errors.InvalidField(name, "is not a list of texts")
    texts = [item for item in value if isinstance(item, str)]
    if len(texts) != len(value):
        raise errors.InvalidField(name, "is not a list of texts")
    return texts


def _secrets(value: object) -> dict[str, str]:
    secrets = {
        name: text for name, text in _mapping(value, "secrets").items() if isinstance(text, str)
    }
    if len(secrets) != len(_mapping(value, "secrets")):
        raise errors.InvalidField("secrets", "has a value that is not a text")
    return secrets

"""A volume's credentials: parsed from secrets, kept in files of mode 0600. Blocking.

A token's files lie in a directory of their own behind a symbolic link, so that a client sees the
old token or the new one whole. Source: spec/csi-driver.md 5.4, 5.5 and G 46.
"""

import contextlib
import enum
import os
import pathlib
import secrets as random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field

from core import errors

TOKEN_KEYS = ("SecurityToken", "Expiration", "AccessKeySecret", "AccessKeyId")
"""In the order in which they are written: AccessKeyId last. Source: spec/csi-driver.md 5.5."""
_TOKEN_LINK = "token"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class FixedKey:
    """A password file: its name, and its content, which repr does not show."""

    name: str
    content: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """An STS token: the text of each of TOKEN_KEYS."""

    values: Mapping[str, str] = field(repr=False)


Credential = FixedKey | Token


class Kind(enum.StrEnum):
    """What a client was started with. It cannot change while the client runs."""

    NONE = "none"
    KEY = "key"
    TOKEN = "token"  # noqa: S105 - a name


def kind_of(credential: Credential | None) -> Kind:
    """The kind of *credential*. Pure."""
    if credential is None:
        return Kind.NONE
    return Kind.KEY if isinstance(credential, FixedKey) else Kind.TOKEN


def parse_secrets(fs_type: str, secrets: Mapping[str, str]) -> Credential | None:
    """The credential in *secrets* for clients of *fs_type*; None = there is none.

    Raises InvalidField for a partial or an empty one, naming the key and never the value.
    """
    fixed_name = f"passwd-{fs_type}"
    token = {key: secrets[key] for key in TOKEN_KEYS if key in secrets}
    if fixed_name in secrets and token:
        raise errors.InvalidField("secrets", f"has both {fixed_name} and a token; one is allowed")
    if fixed_name in secrets:
        if not secrets[fixed_name].strip():
            raise errors.InvalidField(f"secrets[{fixed_name}]", "is empty")
        return FixedKey(fixed_name, secrets[fixed_name])
    if not token:
        return None
    missing = [key for key in TOKEN_KEYS if not token.get(key, "").strip()]
    if missing:
        raise errors.InvalidField("secrets", f"lacks {', '.join(missing)} of a token")
    return Token(token)


def location(directory: pathlib.Path, credential: Credential) -> pathlib.Path:
    """The file of a fixed key, or the directory of a token's files. Pure."""
    return directory / (credential.name if isinstance(credential, FixedKey) else _TOKEN_LINK)


def ensure_files(directory: pathlib.Path, credential: Credential) -> bool:
    """Make *directory* hold *credential*; whether anything was written.

    Raises Precondition when something of another kind is in the way, OSError.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    path = location(directory, credential)
    if isinstance(credential, FixedKey):
        return _ensure_file(path, credential.content)
    return _ensure_token(path, credential.values)


def remove_files(directory: pathlib.Path) -> None:
    """Remove *directory* and what is in it; missing is fine."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)


def _ensure_file(path: pathlib.Path, content: str) -> bool:
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise errors.Precondition(f"{path} is there and is not a file")
    if path.exists() and path.read_text() == content:
        return False
    fresh = path.with_name(f".{path.name}.{random.token_hex(8)}")
    try:
        _write(fresh, content)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return True


def _ensure_token(link: pathlib.Path, values: Mapping[str, str]) -> bool:
    if link.exists() and not link.is_symlink():
        raise errors.Precondition(f"{link} is there and is not a symbolic link")
    if _read_token(link) == dict(values):
        return False
    fresh = link.with_name(f"{_TOKEN_LINK}.{random.token_hex(8)}")
    fresh_link = fresh.with_name(f"{fresh.name}.link")
    try:
        fresh.mkdir(mode=0o700)
        for key in TOKEN_KEYS:
            _write(fresh / key, values[key])
        fresh_link.symlink_to(fresh.name)
        fresh_link.replace(link)
    except BaseException:
        fresh_link.unlink(missing_ok=True)
        remove_files(fresh)
        raise
    _remove_others(link, fresh)
    return True


def _remove_others(link: pathlib.Path, current: pathlib.Path) -> None:
    """Remove older tokens, and what a crash left half made."""
    for path in link.parent.glob(f"{_TOKEN_LINK}.*"):
        if path == current:
            continue
        if path.is_symlink():
            path.unlink()
        else:
            remove_files(path)


def _read_token(link: pathlib.Path) -> dict[str, str] | None:
    try:
        return {key: (link / key).read_text() for key in TOKEN_KEYS}
    except FileNotFoundError:
        return None


def _write(path: pathlib.Path, content: str) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "w") as file:
        file.write(content)

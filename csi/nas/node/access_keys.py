"""An access key for `alinas`, of the publish secret or of mount options; and the file it reads.

Source: spec/csi-driver.md 3.7.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

from core import errors
from csi.nas import clients

_KEYS = ("akId", "akSecret")
_OPTIONS = ("access_key_id", "access_key_secret")
_CLIENTS = (clients.Client.ALINAS, clients.Client.EFC)
_WORD = re.compile(r"[!-~]{1,128}")
FILE_OPTION = "ram_config_file"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AccessKey:
    """A key of RAM. Never shown."""

    key_id: str
    secret: str

    def secrets(self) -> dict[str, str]:
        """As the mount proxy takes it."""
        return dict(zip(_KEYS, (self.key_id, self.secret), strict=True))

    def file(self) -> str:
        """As the client `alinas` reads it."""
        return f"[NASCredentials]\naccessKeyID={self.key_id}\naccessKeySecret={self.secret}\n"


def take(
    client: clients.Client, secrets: Mapping[str, str], flags: Sequence[str]
) -> tuple[AccessKey | None, tuple[str, ...]]:
    """The key for *client*, None without one; and *flags* without it. Pure.

    The kernel's client has no use for a key, and flags that name one are left for the table of
    options to refuse. Raises InvalidField for half a key, and for one that CPFS has no use for;
    no message tells any of it.
    """
    named = {key: secrets[key] for key in _KEYS if secrets.get(key)}
    if client not in _CLIENTS:
        if named and client is not clients.Client.NFS:
            raise errors.InvalidField(
                "secrets", f"with an access key do not go with the client {client}"
            )
        return None, tuple(flags)
    words = [word for flag in flags for word in flag.split(",")]
    kept, told = [], {}
    for word in words:
        name, equals, value = word.strip().partition("=")
        if equals and name in _OPTIONS:
            told[_KEYS[_OPTIONS.index(name)]] = value
        else:
            kept.append(word)
    if not named and not told:
        return None, tuple(flags)
    field = "secrets" if named else "mount options"
    return _checked(field, named or told), tuple(kept)


def _checked(field: str, told: Mapping[str, str]) -> AccessKey:
    for key in _KEYS:
        if not _WORD.fullmatch(told.get(key, "")):
            raise errors.InvalidField(
                f"{field}[{key}]", "is missing or no access key", allowed="printable characters"
            )
    return AccessKey(key_id=told["akId"], secret=told["akSecret"])


class Files:
    """Files with keys, one for each mount, for a client on the host that takes no secrets.

    directory: on the host and here at the same path; of root alone.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory

    def write(self, target: pathlib.Path, key: AccessKey) -> pathlib.Path:
        """The file for what is mounted at *target*; it is whole or not there."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(target)
        new = path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(key.file())
        new.replace(path)
        return path

    def remove(self, target: pathlib.Path) -> None:
        """Remove it; none is fine."""
        with contextlib.suppress(FileNotFoundError):
            self._path(target).unlink()

    def forget_unused(self, mounted: Iterable[str]) -> None:
        """Remove those of targets that are not *mounted*: the last process was killed, or the node.

        Only before the first call, which writes the file and then mounts.
        """
        kept = {self._path(pathlib.Path(each)) for each in mounted}
        for path in self._directory.glob("*"):
            if path not in kept:
                path.unlink()

    def _path(self, target: pathlib.Path) -> pathlib.Path:
        digest = hashlib.sha256(os.fspath(target).encode()).hexdigest()[:32]
        return self._directory / f"{digest}.credentials"

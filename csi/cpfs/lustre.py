"""A volume of CPFS 1.0 as old PersistentVolumes write it. Pure. Source: spec/csi-driver.md 4.1."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from core import errors
from csi.cpfs import volume_context

SERVER, FILE_SYSTEM, SUB_PATH, OPTIONS = KEYS = ("server", "fileSystem", "subPath", "options")
_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"
_SERVER = re.compile(rf"{_HOST}@tcp[0-9]?(:{_HOST}@tcp[0-9]?)*")
_FILE_SYSTEM = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OPTION = re.compile(r"[A-Za-z0-9_]{1,64}(=[A-Za-z0-9_.:/@+-]*)?")
_ALLOWED = frozenset(
    {
        *("ro", "rw", "flock", "localflock", "noflock", "user_xattr", "nouser_xattr", "acl"),
        *(
            "noacl",
            "lazystatfs",
            "nolazystatfs",
            "noatime",
            "relatime",
            "nosuid",
            "nodev",
            "noexec",
        ),
        *("retry", "32bitapi", "verbose", "noverbose", "always_ping"),
    }
)
"""Options of mount.lustre(8) that change nothing but this mount."""
_FIELD = "volume_context[{}]"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LustreVolume:
    """source: `mgs@tcp:mgs@tcp:/filesystem/directory`."""

    source: str
    options: tuple[str, ...]

    @property
    def server(self) -> str:
        """The first server."""
        return self.source.partition("@")[0]


def parse(
    context: Mapping[str, str], mount_flags: Sequence[str], *, read_only: bool
) -> LustreVolume:
    """A volume of such a context. Raises InvalidField."""
    server = _required(context, SERVER, _SERVER, "host@tcp, several with ':' between them")
    name = _required(context, FILE_SYSTEM, _FILE_SYSTEM, "letters, digits, '_' and '-'")
    path = volume_context.path(_FIELD.format(SUB_PATH), _absolute(context.get(SUB_PATH, "")))
    told = [context.get(OPTIONS, ""), *mount_flags]
    words = [word for text in told for word in text.split(",") if word]
    for word in words:
        if not _OPTION.fullmatch(word) or word.partition("=")[0] not in _ALLOWED:
            raise errors.InvalidField(
                "mount options", "are not allowed", value=word, allowed=", ".join(sorted(_ALLOWED))
            )
    access = "ro" if read_only or "ro" in words else "rw"
    others = tuple(dict.fromkeys(word for word in words if word not in ("ro", "rw")))
    return LustreVolume(source=f"{server}:/{name}{path}", options=(access, *others))


def _required(context: Mapping[str, str], key: str, pattern: re.Pattern[str], allowed: str) -> str:
    text = context.get(key, "").strip()
    if not pattern.fullmatch(text):
        raise errors.InvalidField(
            _FIELD.format(key), "is missing or wrong", value=text, allowed=allowed
        )
    return text


def _absolute(path: str) -> str:
    return path if path.startswith("/") or not path else f"/{path}"

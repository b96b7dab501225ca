"""Mount options of an NFS volume: the defaults of a version, or what the volume says. Pure.

Every option is judged by `option_table`: it is one word, known, and of the right form, so that none
can bring a second one along. Source: spec/csi-driver.md 3.7, nfs(5).
"""

import re
from collections.abc import Iterable, Sequence

from core import errors
from csi.nas import faults, option_table, server

DEFAULTS_V3 = (
    *("nolock", "proto=tcp", "rsize=1048576", "wsize=1048576"),
    *("hard", "timeo=600", "retrans=2", "noresvport"),
)
DEFAULTS_V4 = ("noresvport",)
DEFAULT_VERSION = "3"
NONE = "none"
"""Value of `options` for no options at all."""
_FLAGS = "mount_flags"
_OPTIONS = "volume_context[options]"
_VERSIONS = {"3": "3", "3.0": "3", "4": "4.0", "4.0": "4.0", "4.1": "4.1", "4.2": "4.2"}
_SECRET = re.compile("key|secret|token|pass|cred", re.IGNORECASE)
_OF_NAS = ("3", "4.0", "4.1")
_OF_EXTREME = ("3",)


def choose(
    *,
    host: str,
    version: str,
    options: str,
    mount_flags: Sequence[str],
    read_only: bool,
    more: frozenset[str] = frozenset(),
) -> tuple[str, ...]:
    """All options for mount(8), the version first.

    version, options: of the volume's context, "" = not given. mount_flags: of the class; its
    version wins over the context's, and any other flag replaces the context's options.
    more: names of options that the operator allows beyond the table.
    Raises Invalid naming every option that is refused.
    """
    found = faults.Faults()
    given, words = _of(_FLAGS, mount_flags, found)
    plain = options.strip() == NONE
    told, others = _of(_OPTIONS, () if plain else (options,), found)
    versions = ((_FLAGS, given), (_OPTIONS, told), ("volume_context[vers]", version))
    result = found.catch(DEFAULT_VERSION, lambda: _version(host, versions))
    words = words or others
    if not words and not plain:
        words = list(DEFAULTS_V3 if result == "3" else DEFAULTS_V4)
    _require_known(words, more, found)
    found.finish()
    if read_only:
        words = [word for word in words if word != "rw"] + ["ro"]
    kept = [word for word in words if word not in option_table.SILENT]
    return (f"vers={result}", *dict.fromkeys(kept))


def parse_version(field: str, text: str, *, host: str) -> str:
    """NFS version as mount(8) takes it, one that the server has.

    Extreme NAS has 3 only, the others up to 4.1; a server of one's own may have any.
    """
    version = _VERSIONS.get(text, "")
    kind = server.kind_of(host)
    allowed: Iterable[str] = _VERSIONS
    if kind is server.Type.EXTREME:
        allowed = _OF_EXTREME
    elif kind is not server.Type.UNKNOWN:
        allowed = _OF_NAS
    if not version or version not in {_VERSIONS[each] for each in allowed}:
        raise errors.InvalidField(
            field, f"is not a version that {host} has", value=text, allowed=", ".join(allowed)
        )
    return version


def port_of(options: Iterable[str], default: int) -> int:
    """TCP port that *options* name, or else *default*."""
    named = [word.removeprefix("port=") for word in options if word.startswith("port=")]
    return int(named[-1]) if named else default


def split(field: str, text: str, found: faults.Faults) -> list[str]:
    """Words between commas; blanks around them are dropped. What is no option goes to *found*."""
    words = []
    for word in filter(None, (each.strip(" ") for each in text.split(","))):
        if option_table.is_one_word(word):
            words.append(word)
        else:
            found.add(
                errors.InvalidField(
                    field,
                    "is not a mount option",
                    value=_shown(word),
                    allowed="name or name=value, of letters, digits and _.:/@+-",
                )
            )
    return words


def _version(host: str, told: Iterable[tuple[str, str]]) -> str:
    """The version of the first of *told*, (field, text), that names one."""
    for field, text in told:
        if text:
            return parse_version(field, text, host=host)
    return DEFAULT_VERSION


def _of(field: str, texts: Iterable[str], found: faults.Faults) -> tuple[str, list[str]]:
    """(version, other words) of *texts*; "" = no version."""
    words = [word for text in texts for word in split(field, text, found)]
    versions, minors, others = set(), set(), []
    for word in words:
        name, _, value = word.partition("=")
        if name in ("vers", "nfsvers"):
            versions.add(_VERSIONS.get(value, value))
        elif name == "minorversion":
            minors.add(value)
        elif re.fullmatch(r"v[34](\.[0-2])?", word):
            versions.add(_VERSIONS.get(word[1:], word[1:]))
        else:
            others.append(word)
    if minors and versions <= {"4.0"}:
        versions = {f"4.{minor}" for minor in minors}
    if len(versions) > 1 or (minors and versions != {f"4.{minor}" for minor in minors}):
        told = ", ".join(word for word in words if word not in others)
        found.add(errors.InvalidField(field, "names several NFS versions", value=told))
    return min(versions, default=""), others


def _require_known(words: Iterable[str], more: frozenset[str], found: faults.Faults) -> None:
    for word in words:
        why = option_table.fault(word, more)
        name = word.partition("=")[0]
        if why and name in option_table.VALUES:
            found.add(
                errors.InvalidField(
                    f"mount option {name}",
                    why,
                    value=word.partition("=")[2],
                    allowed=option_table.VALUES[name],
                )
            )
        elif why:
            table = sorted({*option_table.WORDS, *(f"{each}=" for each in option_table.VALUES)})
            found.add(
                errors.InvalidField(
                    "mount option",
                    f"{why}; the node's setting NAS_ALLOW_MOUNT_OPTIONS can add it",
                    value=_shown(word),
                    allowed=", ".join([*table, *sorted(more)]),
                )
            )


def _shown(word: str) -> str:
    """*word* for a message, without a value that nobody should read.

    The reference takes access keys as options. Source: spec/csi-driver.md 3.7.
    """
    name, equals, _ = word.partition("=")
    return f"{name}=***" if equals and _SECRET.search(name) else word

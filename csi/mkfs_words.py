"""Words that a StorageClass or a pod gives to mkfs.ext4, mkfs.ext3 and mkfs.xfs. Pure.

Whoever makes pods writes them for inline volumes, and mkfs runs as root: `-d DIRECTORY` would copy
files of the node into the volume, `-l`, `-p`, `-z`, `-c options=` and `-J device=` would read or
write a file or another disk. A name needs no slash for that. So each option must be one of those
that only shape the new file system, and each value must be one that names nothing.
Source: mke2fs(8), mkfs.xfs(8).
"""

import re

from core import errors

_FLAGS = frozenset("FfKjqvVc")
_VALUED = frozenset("bCdDEgGiIJlLmMnNoOrsTU")
_WORD = re.compile(r"[A-Za-z0-9_^,.=:+%-]+")
_SIZE = re.compile(r"\d[\w.]*")
_NAMING = frozenset({"name", "file", "device", "logdev", "rtdev", "options"})
"""Parts of a value that name a file or a disk."""
_PLACES = frozenset("dlnr")
"""Options that take a file with one of the programs, and parts such as agcount=4 with the other."""
_PLAIN_PARTS = frozenset({"noalign", "internal"})
_FIELD = "volume_context[mkfsOptions]"


def parse(text: str) -> tuple[str, ...] | None:
    """Words of *text*, None = there are none. Raises InvalidField for what names a file or disk."""
    words = tuple(text.split())
    rest = iter(words)
    for word in rest:
        if not _WORD.fullmatch(word):
            raise _refused(word, "options without paths or quotes, separated by spaces")
        letter = word[1:2]
        if word.startswith("-") and letter in _VALUED:
            _require_harmless(letter, word[2:] or next(rest, ""))
        elif not (word.startswith("-") and letter and _FLAGS.issuperset(word[1:])):
            raise _refused(
                word, f"options -{' -'.join(sorted(_FLAGS | _VALUED))} with their values"
            )
    return words or None


def _require_harmless(letter: str, value: str) -> None:
    if not _WORD.fullmatch(value) or value.startswith("-"):
        raise _refused(value, f"a value of -{letter} without paths or quotes")
    for part in value.split(","):
        key, is_pair, _ = part.partition("=")
        is_place = letter in _PLACES and not is_pair
        if key in _NAMING or (is_place and not (part in _PLAIN_PARTS or _SIZE.fullmatch(part))):
            raise _refused(part, f"a value of -{letter} that names no file and no disk")


def _refused(value: str, allowed: str) -> errors.InvalidField:
    return errors.InvalidField(
        _FIELD, "has a word that is not allowed", value=value, allowed=allowed
    )

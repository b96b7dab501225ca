"""Words inside parameters: booleans, numbers, lists, pairs. Pure; each names its parameter."""

import enum
import re
from collections.abc import Sequence
from typing import TypeVar

from core import errors

_TRUE = frozenset({"yes", "true", "1"})
_FALSE = frozenset({"", "no", "false", "0"})
UINT32_MAX = 2**32 - 1
E = TypeVar("E", bound=enum.StrEnum)

_DIRECTORY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def boolean(field: str, text: str) -> bool:
    """Whether *text* says yes. A typing error is refused: it may mean an unencrypted disk."""
    low = text.strip().lower()
    if low in _TRUE:
        return True
    if low not in _FALSE:
        raise errors.InvalidField(
            field, "is neither yes nor no", value=text, allowed="true, yes, 1, false, no, 0"
        )
    return False


def integer(field: str, text: str, *, minimum: int, maximum: int) -> int:
    """A whole number from *minimum* to *maximum*."""
    plain = text.strip()
    value = int(plain) if plain.isascii() and plain.isdigit() else minimum - 1
    if not minimum <= value <= maximum:
        raise errors.InvalidField(
            field,
            "is out of range",
            value=text,
            allowed=f"a whole number from {minimum} to {maximum}",
        )
    return value


def words(text: str) -> tuple[str, ...]:
    """Words between commas, without blanks, empty ones and repeats, in order."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def choices(field: str, text: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """Words between commas, each one of *allowed*."""
    told = words(text)
    for word in told:
        if word not in allowed:
            raise errors.InvalidField(field, "is not known", value=word, allowed=", ".join(allowed))
    return told


def member(field: str, text: str, kind: type[E]) -> E:
    """The member of *kind* that *text* names, in any letter case."""
    for each in kind:
        if each.lower() == text.lower():
            return each
    raise errors.InvalidField(
        field, "is not known", value=text, allowed=", ".join(each for each in kind if each)
    )


def directory_name(field: str, text: str) -> str:
    """*text*, which is to be the name of a directory made through a cloud API."""
    if not _DIRECTORY_NAME.fullmatch(text):
        raise errors.InvalidField(
            field,
            "cannot be the name of a directory",
            value=text,
            allowed="letters, digits, '.', '_' and '-', beginning with a letter or digit",
        )
    return text

"""Pages of lists that are read anew each time. A token names the last item that was told. Pure."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from core import errors

T = TypeVar("T")
_PREFIX = "after:"


class BadToken(errors.Busy):
    """starting_token is not one of ours. CSI wants ABORTED: start again."""

    def __init__(self, token: str) -> None:
        super().__init__(f"starting_token {token!r} is not valid; list again from the start")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Items of one answer. next_token: "" = these are the last."""

    items: tuple[T, ...]
    next_token: str


def parse_token(token: str) -> str:
    """The id after which to go on, "" = the start. Raises BadToken."""
    if token and not token.startswith(_PREFIX):
        raise BadToken(token)
    return token.removeprefix(_PREFIX)


def page(items: Sequence[T], key: Callable[[T], str], *, after: str, max_entries: int) -> Page[T]:
    """At most *max_entries* (0 = all) of *items*, which are sorted by *key*, behind *after*."""
    rest = [item for item in items if not after or key(item) > after]
    told = rest[:max_entries] if max_entries else rest
    more = len(told) < len(rest)
    return Page(items=tuple(told), next_token=f"{_PREFIX}{key(told[-1])}" if more else "")

"""Lists with a page size and a token of ours, over the cloud's pages.

A token is `<skip>:<id>@<cloud token>`: go to the cloud's page of that token and leave out its items
up to the one with that id, which was the last looked at. The cloud's pages have a smallest size, so
ours may end inside one of them. What is made or deleted between two calls moves the items of a
page; so only when that one is gone, too, they are counted: *skip* of them. Source of the form:
spec/csi-driver.md 2.12, where there is no id.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from cloud import ecs_model
from cloud import errors as cloud_errors
from core import errors

T = TypeVar("T")

PAGE_SIZE = 100
"""Items of a cloud page; always the same, so that a skip means the same items each time."""


class BadToken(errors.Busy):
    """starting_token is not one of ours, or too old. CSI wants ABORTED: start again."""

    def __init__(self, token: str) -> None:
        super().__init__(f"starting_token {token!r} is not valid; list again from the start")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Generic[T]):
    """Items of one answer. next_token: "" = these are the last."""

    items: tuple[T, ...]
    next_token: str


Fetch = Callable[[str], Awaitable[ecs_model.Page[T]]]


def parse_token(token: str) -> tuple[int, str, str]:
    """(skip, id of the last item of those, cloud token) of *token*; "" = the start.

    Raises BadToken.
    """
    if not token:
        return 0, "", ""
    place, separator, cloud_token = token.partition("@")
    skip, _, last_id = place.partition(":")
    if not separator or not (skip.isascii() and skip.isdigit()) or int(skip) >= PAGE_SIZE:
        raise BadToken(token)
    return int(skip), last_id, cloud_token


async def collect(
    fetch: Fetch[T],
    *,
    max_entries: int,
    starting_token: str,
    keep: Callable[[T], bool],
    identify: Callable[[T], str],
) -> Listed[T]:
    """Up to *max_entries* items (0 = all) that *keep* accepts, from *starting_token* on.

    fetch: one cloud page of PAGE_SIZE by its token. identify: an item's id, without "@".
    Raises BadToken.
    """
    skip, last_id, cloud_token = parse_token(starting_token)
    found: list[T] = []
    while True:
        try:
            page = await fetch(cloud_token)
        except cloud_errors.CloudInvalid as e:
            if starting_token:
                raise BadToken(starting_token) from e
            raise
        ids = [identify(item) for item in page.items]
        for position in range(choose_start(ids, skip, last_id), len(page.items)):
            if not keep(page.items[position]):
                continue
            if max_entries and len(found) == max_entries:
                last_id = ids[position - 1] if position else ""
                return Listed(items=tuple(found), next_token=f"{position}:{last_id}@{cloud_token}")
            found.append(page.items[position])
        if not page.next_token:
            return Listed(items=tuple(found), next_token="")
        if max_entries and len(found) == max_entries:
            return Listed(items=tuple(found), next_token=f"0:@{page.next_token}")
        skip, last_id, cloud_token = 0, "", page.next_token


def choose_start(ids: Sequence[str], skip: int, last_id: str) -> int:
    """Position of the first item to show, of a page with *ids*. Pure.

    skip: items that were looked at already, when the page was as it was. last_id: the last of them,
    "" = not known. When that one is gone, at least one is missing: better one twice than one never.
    """
    if not last_id:
        return skip
    if last_id in ids:
        return ids.index(last_id) + 1
    return max(0, skip - 1)

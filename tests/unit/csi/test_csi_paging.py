from collections.abc import Callable

import hypothesis
import pytest
from hypothesis import strategies

from cloud import ecs_model
from cloud import errors as cloud_errors
from csi import paging


def pages(items: list[int], size: int) -> paging.Fetch[int]:
    async def fetch(token: str) -> ecs_model.Page[int]:
        start = int(token or 0)
        if not 0 <= start <= len(items):
            raise cloud_errors.CloudInvalid(
                action="List", code="InvalidParameter", status=400, message="NextToken"
            )
        more = start + size < len(items)
        return ecs_model.Page(
            items=tuple(items[start : start + size]),
            next_token=str(start + size) if more else "",
        )

    return fetch


def even(number: int) -> bool:
    return number % 2 == 0


@hypothesis.given(
    items=strategies.lists(strategies.integers(0, 99), max_size=60, unique=True),
    cloud_size=strategies.integers(1, 20),
    max_entries=strategies.integers(1, 15),
)
@hypothesis.settings(deadline=None)
async def test_walking_page_by_page_shows_every_item_once(
    items: list[int], cloud_size: int, max_entries: int
) -> None:
    seen: list[int] = []
    token = ""
    for _ in range(len(items) + 2):
        listed = await paging.collect(
            pages(items, cloud_size),
            max_entries=max_entries,
            starting_token=token,
            keep=even,
            identify=str,
        )
        assert len(listed.items) <= max_entries
        seen += listed.items
        token = listed.next_token
        if not token:
            break

    assert seen == [item for item in items if even(item)]


async def test_no_limit_gives_all_the_rest_at_once() -> None:
    fetch = pages(list(range(0, 50, 2)), 10)
    first = await paging.collect(fetch, max_entries=3, starting_token="", keep=even, identify=str)

    rest = await paging.collect(
        fetch, max_entries=0, starting_token=first.next_token, keep=even, identify=str
    )

    assert first.items + rest.items == tuple(range(0, 50, 2))
    assert rest.next_token == ""


@pytest.mark.parametrize("token", ["invalid-token", "@", "x@1", "-1@", "100@", "1", "0@999"])
async def test_a_bad_token_is_told_as_such(token: str) -> None:
    with pytest.raises(paging.BadToken):
        await paging.collect(
            pages([2], 10), max_entries=1, starting_token=token, keep=even, identify=str
        )


@pytest.mark.parametrize(
    ("change", "rest"),
    [
        (lambda items: items.remove(0), (6, 8, 10)),
        (lambda items: items.insert(0, 98), (6, 8, 10)),
        (lambda items: (items.remove(0), items.insert(0, 98), items.insert(0, 96)), (6, 8, 10)),
        (lambda items: items.remove(4), (6, 8, 10)),
        (lambda items: items.remove(6), (8, 10)),
        (lambda items: items.clear(), ()),
    ],
    ids=["deleted", "made", "both", "the last deleted", "the next deleted", "all deleted"],
)
async def test_what_is_made_or_deleted_between_two_pages_hides_and_repeats_nothing(
    change: Callable[[list[int]], object], rest: tuple[int, ...]
) -> None:
    items = [0, 2, 4, 6, 8, 10]
    first = await paging.collect(
        pages(items, 10), max_entries=3, starting_token="", keep=even, identify=str
    )
    change(items)

    second = await paging.collect(
        pages(items, 10),
        max_entries=0,
        starting_token=first.next_token,
        keep=even,
        identify=str,
    )

    assert first.items == (0, 2, 4)
    assert second.items == rest


async def test_a_token_of_the_existing_driver_is_understood() -> None:
    listed = await paging.collect(
        pages([0, 2, 4], 10), max_entries=0, starting_token="2@", keep=even, identify=str
    )

    assert listed.items == (4,)

"""Cutting lists into pages, in both of the API's styles (spec/cloud-api.md 2.4)."""

import base64
import binascii
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from sim import errors, params

_TOKEN_PREFIX = "after:"  # noqa: S105 - a mark inside page tokens, no secret

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """The items of one page and the fields that go beside them in the answer.

    fields: `NextToken` ("" on the last page), or `PageNumber`, `PageSize` and `TotalCount`.
    """

    items: list[Item]
    fields: dict[str, Any]


def by_token(
    request: params.Params,
    rows: Sequence[Item],
    key: Callable[[Item], str],
    *,
    maximum: int = 100,
    minimum: int = 10,
    default: int = 0,
    size_name: str = "MaxResults",
    clamps: bool = False,
) -> Page[Item]:
    """One page by MaxResults (or what *size_name* calls it) and NextToken.

    MaxResults below *minimum* counts as *minimum*, absent as *default*, which is *minimum* when it
    is 0; above *maximum* it is refused, or counts as *maximum* if *clamps*. The token names the
    last item that was given out and its position, so rows that vanish in between shift nothing, and
    a token is refused only when it is not one of ours.
    """
    absent = default or minimum
    most = None if clamps else maximum
    size = min(maximum, max(minimum, request.integer(size_name, absent, 0, most) or absent))
    start = _start(request.text("NextToken"), [key(row) for row in rows])
    items = list(rows[start : start + size])
    more = start + size < len(rows)
    token = _encode(start + size, key(items[-1])) if more else ""
    return Page(items=items, fields={"NextToken": token})


def by_number(
    request: params.Params, rows: Sequence[Item], *, default: int = 10, maximum: int = 100
) -> Page[Item]:
    """One page by PageNumber (from 1) and PageSize; a page past the end is empty."""
    number = request.integer("PageNumber", 1, 1) or 1
    size = request.integer("PageSize", default, 1, maximum) or default
    start = (number - 1) * size
    fields = {"PageNumber": number, "PageSize": size, "TotalCount": len(rows)}
    return Page(items=list(rows[start : start + size]), fields=fields)


def either(
    request: params.Params,
    rows: Sequence[Item],
    key: Callable[[Item], str],
    *,
    maximum: int = 100,
    minimum: int = 10,
    clamps: bool = False,
    number_maximum: int = 0,
) -> Page[Item]:
    """By token when MaxResults or NextToken is given, else by number; all fields are filled.

    clamps: as of by_token. number_maximum: of PageSize, when it is not *maximum*.
    """
    if "MaxResults" in request or "NextToken" in request:
        page = by_token(request, rows, key, maximum=maximum, minimum=minimum, clamps=clamps)
        numbers = {"PageNumber": 1, "PageSize": len(page.items), "TotalCount": len(rows)}
        return Page(items=page.items, fields={**numbers, **page.fields})
    page = by_number(request, rows, maximum=number_maximum or maximum)
    return Page(items=page.items, fields={**page.fields, "NextToken": ""})


def _encode(position: int, key: str) -> str:
    return base64.urlsafe_b64encode(f"{_TOKEN_PREFIX}{position}:{key}".encode()).decode()


def _start(token: str, keys: list[str]) -> int:
    if not token:
        return 0
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError):
        text = ""
    position, _, key = text.removeprefix(_TOKEN_PREFIX).partition(":")
    if not text.startswith(_TOKEN_PREFIX) or not position.isdecimal():
        raise errors.invalid_parameter(
            "NextToken", token, "the NextToken of the page before", "InvalidNextToken"
        )
    return keys.index(key) + 1 if key in keys else int(position)

"""One API request as it came over the wire, before anything is believed about it. Pure."""

import dataclasses
import functools
import urllib.parse
from collections.abc import Sequence

from sim import errors

MAX_BODY_BYTES = 1 << 20
_FORM = "application/x-www-form-urlencoded"

Pairs = Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ApiRequest:
    """An RPC-style request.

    path: as sent, undecoded. headers: names in lower case, every occurrence, in order.
    query, form: decoded name and value pairs, in order.
    """

    method: str
    path: str
    headers: Pairs
    query: Pairs
    form: Pairs
    body: bytes

    @functools.cached_property
    def values(self) -> dict[str, str]:
        """Query and form together; for a name given twice the first wins."""
        merged: dict[str, str] = {}
        for name, value in (*self.query, *self.form):
            merged.setdefault(name, value)
        return merged

    def header(self, name: str) -> str:
        """First value of header *name* (lower case), "" when absent."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def action(self) -> str:
        """Name of the action: header `x-acs-action`, else parameter `Action`."""
        return self.header("x-acs-action") or self.values.get("Action", "")

    @property
    def version(self) -> str:
        """Version of the API, which tells the product."""
        return self.header("x-acs-version") or self.values.get("Version", "")


def parse(*, method: str, target: str, headers: Pairs, body: bytes) -> ApiRequest:
    """A request from its parts; *target*: the request target as sent.

    Raises ApiError 400 when the text is not UTF-8 or a form is not one.
    """
    path, _, query = target.partition("?")
    lower = [(name.lower(), value) for name, value in headers]
    content_type = next((value for name, value in lower if name == "content-type"), "")
    is_form = content_type.partition(";")[0].strip().lower() == _FORM
    try:
        form = _pairs(body.decode()) if is_form else []
        return ApiRequest(
            method=method, path=path, headers=lower, query=_pairs(query), form=form, body=body
        )
    except (UnicodeDecodeError, ValueError) as e:
        raise errors.ApiError(
            "InvalidParameter", 400, f"The request's parameters cannot be decoded: {e}"
        ) from e


def _pairs(text: str) -> list[tuple[str, str]]:
    return urllib.parse.parse_qsl(
        text, keep_blank_values=True, errors="strict", max_num_fields=2000
    )

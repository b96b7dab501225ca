"""Typed access to the parameters of one API request; no knowledge of any single action.

Flattening rules of the SDKs (spec/cloud-api.md 2.2): lists are `Name.1`, lists of structures are
`Tag.1.Key`, booleans arrive as `True`/`true`, an empty string counts as not given.
"""

import json
import re
from collections.abc import Iterator, Mapping

from sim import errors

_INDEX = re.compile(r"[1-9][0-9]{0,3}")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


class Params:
    """The merged query and form parameters of one request."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def raw(self) -> dict[str, str]:
        """A copy of all names and values as they were sent."""
        return dict(self._values)

    def text(self, name: str, default: str = "") -> str:
        """Value of *name*; *default* when it is absent or empty."""
        return self._values.get(name) or default

    def required(self, name: str) -> str:
        """Value of *name*; 400 MissingParameter when it is absent or empty."""
        value = self._values.get(name)
        if not value:
            raise errors.missing_parameter(name)
        return value

    def integer(
        self,
        name: str,
        default: int | None = None,
        minimum: int | None = None,
        maximum: int | None = None,
        *,
        code: str = "",
    ) -> int | None:
        """Whole number, or *default* when absent; 400 InvalidParameter (or *code*) when bad."""
        value = self._values.get(name)
        if not value:
            return default
        number = int(value) if _INTEGER.fullmatch(value) else None
        low = minimum is not None and number is not None and number < minimum
        high = maximum is not None and number is not None and number > maximum
        if number is None or low or high:
            allowed = "a whole number"
            if minimum is not None:
                allowed += f" from {minimum}"
            if maximum is not None:
                allowed += f" to {maximum}"
            raise errors.invalid_parameter(name, value, allowed, code)
        return number

    def boolean(self, name: str, default: bool | None = None) -> bool | None:  # noqa: FBT001
        """True or False in any letter case, or *default* when absent."""
        value = self._values.get(name)
        if not value:
            return default
        low = value.lower()
        if low not in {"true", "false"}:
            raise errors.invalid_parameter(name, value, "true or false")
        return low == "true"

    def choice(self, name: str, allowed: tuple[str, ...], default: str = "") -> str:
        """One of *allowed* exactly, or *default* when absent."""
        value = self.text(name, default)
        if value != default and value not in allowed:
            raise errors.invalid_parameter(name, value, ", ".join(allowed))
        return value

    def strings(self, name: str) -> list[str]:
        """The values of `name.1`, `name.2`, …, in index order; empty ones left out."""
        found = self._indexed(name)
        return [found[i][""] for i in sorted(found) if found[i].get("")]

    def structs(self, name: str) -> list[dict[str, str]]:
        """The structures of `name.1.Key`, …, in index order: field name → value, as sent."""
        found = self._indexed(name)
        rows = ({k: v for k, v in found[i].items() if k} for i in sorted(found))
        return [row for row in rows if row]

    def json_strings(self, name: str) -> list[str] | None:
        """A JSON array of strings in one value (`DiskIds=["d-1"]`); None when absent."""
        value = self._values.get(name)
        if not value:
            return None
        try:
            rows = json.loads(value)
        except ValueError:
            rows = None
        if not isinstance(rows, list) or not all(isinstance(row, str) for row in rows):
            raise errors.invalid_parameter(name, value, "a JSON array of strings")
        return rows

    def _indexed(self, name: str) -> dict[int, dict[str, str]]:
        found: dict[int, dict[str, str]] = {}
        prefix = name + "."
        for key, value in self._values.items():
            if not key.startswith(prefix):
                continue
            index, _, field = key[len(prefix) :].partition(".")
            if _INDEX.fullmatch(index):
                found.setdefault(int(index), {})[field] = value
        return found

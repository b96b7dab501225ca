"""Turns parsed YAML into dataclasses, collecting every fault; knows no field of the world."""

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any

from sim import policy


class Loader:
    """Converts plain data to annotated types. `faults` fills with one line per problem."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def load(self, kind: Any, value: object, where: str) -> Any:  # noqa: PLR0911 - one per kind
        """*value* as type *kind*; None after a fault. *where*: dotted path for messages."""
        origin = typing.get_origin(kind)
        arguments = typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            (inner,) = (row for row in arguments if row is not type(None))
            return None if value is None else self.load(inner, value, where)
        if origin is typing.Literal:
            return self._one_of(arguments, value, where)
        if origin is tuple:
            return self._tuple(arguments[0], value, where)
        if origin is not None and issubclass(origin, Mapping):
            return self._mapping(arguments[1], value, where)
        if kind is policy.Policy:
            return self._policy(value, where)
        if dataclasses.is_dataclass(kind):
            return self._dataclass(kind, value, where)
        return self._scalar(kind, value, where)

    def _dataclass(self, kind: Any, value: object, where: str) -> Any:
        if not isinstance(value, Mapping):
            return self._fault(where, f"must be a mapping, not {value!r}")
        hints = _hints(kind)
        arguments = {}
        before = len(self.faults)
        for key in value:
            if key not in hints:
                self._fault(where, f"has no field {key!r}; known: {', '.join(sorted(hints))}")
        for field in dataclasses.fields(kind):
            path = f"{where}.{field.name}" if where else field.name
            if field.name in value:
                arguments[field.name] = self.load(hints[field.name], value[field.name], path)
            elif field.default is field.default_factory is dataclasses.MISSING:
                self._fault(path, "is missing")
        return kind(**arguments) if len(self.faults) == before else None

    def _tuple(self, kind: Any, value: object, where: str) -> Any:
        if not isinstance(value, list):
            return self._fault(where, f"must be a list, not {value!r}")
        return tuple(self.load(kind, row, f"{where}[{n}]") for n, row in enumerate(value))

    def _mapping(self, kind: Any, value: object, where: str) -> Any:
        if not isinstance(value, Mapping):
            return self._fault(where, f"must be a mapping, not {value!r}")
        return {str(key): self.load(kind, row, f"{where}.{key}") for key, row in value.items()}

    def _one_of(self, allowed: tuple[Any, ...], value: object, where: str) -> Any:
        if value not in allowed:
            words = ", ".join(str(row) for row in allowed)
            return self._fault(where, f"must be one of {words}, not {value!r}")
        return value

    def _policy(self, value: object, where: str) -> policy.Policy | None:
        try:
            return policy.parse(value)
        except policy.PolicyError as e:
            self._fault(where, str(e))
            return None

    def _scalar(self, kind: Any, value: object, where: str) -> Any:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind:
            return self._fault(where, f"must be a {_NAMES.get(kind, kind)}, not {value!r}")
        unlimited = value == -1 and where.rpartition(".")[2] in _UNLIMITED
        if isinstance(value, int | float) and value < 0 and not unlimited:
            return self._fault(where, f"must not be negative, is {value}")
        return value

    def _fault(self, where: str, what: str) -> None:
        self.faults.append(f"{where or 'the world'} {what}")


_UNLIMITED = frozenset({"available_limit", "port_from", "port_to"})
"""Fields in which -1 means that there is no limit, or any; no other number is negative."""

_NAMES = {str: "text (quote it)", int: "whole number", float: "number", bool: "true or false"}


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)

"""Every fault of a request at once, so that a person mends a PersistentVolume once. Pure."""

from collections.abc import Callable
from typing import TypeVar

from core import errors

T = TypeVar("T")


class Faults:
    """Collects refusals; `finish` raises them together."""

    def __init__(self) -> None:
        self._found: list[errors.Invalid] = []

    def catch(self, default: T, parse: Callable[[], T]) -> T:
        """What *parse* gives, or *default* when it refuses; the refusal is kept."""
        try:
            return parse()
        except errors.Invalid as e:
            self.add(e)
            return default

    def add(self, fault: errors.Invalid) -> None:
        """Keep *fault*."""
        self._found.append(fault)

    def finish(self) -> None:
        """Raise what was found: the fault itself when it is one, else Invalid naming each."""
        if len(self._found) == 1:
            raise self._found[0]
        if self._found:
            raise errors.Invalid("; ".join(dict.fromkeys(map(str, self._found))))

"""Loads the classes of an SDK's `models` package one by one, when they are used.

The package imports all of its thousand files at once. The generated client touches a model only
when an action is called, so a module that looks classes up on demand can stand in for it. The
controller's memory after 30 volumes was 92.8 MiB without this and 76.7 MiB with it (2026-11-23).
It rests on how SDK files are generated, so it stands back, and the SDK loads as ever, when those
look different. Source: spec/cloud-api.md 1.3.
"""

import importlib
import importlib.util
import pathlib
import re
import sys
import types
from collections.abc import Mapping
from typing import Any

_IMPORT = re.compile(r"from \.(\w+) import (\w+)")
_OTHER = re.compile(r"#.*|from __future__ import annotations|__all__ = \[|\s+'?\w+'?,?|\]|")


def install(package: str) -> bool:
    """Put a lazy `<package>.models` in place; False = left alone.

    To be called before anything imports `<package>.client`. Not safe in several threads at once.
    """
    name = f"{package}.models"
    if name in sys.modules:
        return False
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None or spec.submodule_search_locations is None:
        return False
    places = parse(pathlib.Path(spec.origin).read_text(encoding="utf-8"))
    if not places:
        return False
    module = _LazyModels(name, places)
    module.__spec__ = spec
    module.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = module
    sys.modules[package].models = module  # type: ignore[attr-defined]  # as an import would
    return True


def parse(text: str) -> Mapping[str, str]:
    """Class → submodule of a `models/__init__.py`; {} when it holds anything unexpected."""
    places: dict[str, str] = {}
    for line in text.splitlines():
        found = _IMPORT.fullmatch(line)
        if found is not None:
            places[found[2]] = found[1]
        elif _OTHER.fullmatch(line) is None:
            return {}
    return places


class _LazyModels(types.ModuleType):
    """A package whose names appear when they are asked for."""

    def __init__(self, name: str, places: Mapping[str, str]) -> None:
        super().__init__(name)
        self._places = places
        self.__all__ = list(places)

    def __getattr__(self, name: str) -> Any:
        place = self._places.get(name)
        if place is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{self.__name__}.{place}"), name)
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._places})

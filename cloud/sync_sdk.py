"""Keeps the parts of the SDK out of memory that our calls never use.

The SDK's core imports libraries for what we do not do: aiohttp for its async methods (we call the
sync ones, spec/cloud-api.md 1.4), cryptography for RSA keys (ours sign with HMAC), apscheduler for
a provider of credentials that is not ours. requests imports a detector of character sets, which it
does without when there is none, and answers of the API are JSON. Without them a process that calls
the cloud holds 20 MiB less (measured 2026-11-23).

Stand-ins take their places while the SDK is imported. What is used all the same is imported then.
An SDK that is written differently one day is imported as it is.
"""

import contextlib
import importlib
import sys
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_ASYNC = "_async"
_AIOHTTP_NAMES = ("ClientResponse", "ClientSession")
_DETECTORS = ("chardet", "charset_normalizer")

_CRYPTOGRAPHY: Mapping[str, Sequence[str]] = {
    "cryptography": (),
    "cryptography.hazmat": (),
    "cryptography.hazmat.primitives": ("hashes",),
    "cryptography.hazmat.primitives.asymmetric": ("padding",),
    "cryptography.hazmat.primitives.serialization": ("load_pem_private_key",),
}
_APSCHEDULER: Mapping[str, Sequence[str]] = {
    "apscheduler": (),
    "apscheduler.schedulers": (),
    "apscheduler.schedulers.background": ("BackgroundScheduler",),
}
"""Module → names the SDK imports from it."""


def load() -> None:
    """Import the SDK's core without them. Again changes nothing. Not safe in several threads."""
    _leave_out_aiohttp()
    with _absent(_DETECTORS), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("requests")
    _import("alibabacloud_credentials.provider.ecs_ram_role", _APSCHEDULER)
    _import("alibabacloud_tea_openapi.utils", _CRYPTOGRAPHY)


def drop_async(client: type) -> None:
    """Take the async methods of a generated *client* away that have a sync one beside them.

    They are half of its code: an idle ipamd has 58.7 MiB, not 59.6 (measured 2026-11-28).
    """
    for name in [*vars(client)]:
        if name.endswith(_ASYNC) and name.removesuffix(_ASYNC) in vars(client):
            delattr(client, name)


def _leave_out_aiohttp() -> None:
    """A placeholder for the rest of the process's life, unless it has the real one already."""
    if "aiohttp" in sys.modules:
        return
    placeholder = types.ModuleType("aiohttp", "placeholder of cloud.sync_sdk")
    for name in _AIOHTTP_NAMES:
        setattr(placeholder, name, type(name, (), {}))
    sys.modules["aiohttp"] = placeholder


def _import(name: str, places: Mapping[str, Sequence[str]]) -> None:
    """Import module *name* with stand-ins for what it imports from *places*."""
    before = set(sys.modules)
    try:
        with _stand_ins(places):
            importlib.import_module(name)
    except (ImportError, AttributeError, TypeError):
        # It is not written as we know it: forget the attempt, import it as it is.
        family = name.partition(".")[0]
        for new in set(sys.modules) - before:
            if new.partition(".")[0] == family:
                del sys.modules[new]
        importlib.import_module(name)


@contextlib.contextmanager
def _absent(names: Sequence[str]) -> Iterator[None]:
    """These modules cannot be imported in the block; those that are there already can."""
    blocked = [name for name in names if name not in sys.modules]
    # None is what the import system takes for "not there".
    sys.modules.update(dict.fromkeys(blocked))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in blocked:
            del sys.modules[name]


@contextlib.contextmanager
def _stand_ins(places: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """Stand-ins for modules in the block, unless the process has the real ones already."""
    if any(module in sys.modules for module in places):
        yield
        return
    for module, names in places.items():
        stand_in = types.ModuleType(module, "stand-in of cloud.sync_sdk")
        stand_in.__path__ = []
        for name in names:
            setattr(stand_in, name, _Later(module, name))
        sys.modules[module] = stand_in
    try:
        yield
    finally:
        for module in places:
            del sys.modules[module]


class _Later:
    """A name of a module, imported when something is done with it."""

    def __init__(self, module: str, name: str) -> None:
        self.__module = module
        self.__name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)

    def _real(self) -> Any:
        try:
            return importlib.import_module(f"{self.__module}.{self.__name}")
        except ModuleNotFoundError:
            return getattr(importlib.import_module(self.__module), self.__name)

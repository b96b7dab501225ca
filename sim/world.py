"""The declared part of the cloud: what exists before anybody calls it, and how it behaves.

A world is a YAML file (docs/reference/simulator.md lists the fields; `python -m sim world` prints
the default one). Not here: anything that calls change, which is rows in the store.
"""

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from sim import world_checks, world_file
from sim.world_model import (
    AccessKey,
    DiskStock,
    FileSystem,
    Instance,
    InstanceType,
    Latencies,
    OidcProvider,
    OidcTrust,
    OssBucket,
    Quotas,
    Role,
    Throttle,
    User,
    World,
    Zone,
)
from sim.world_network import Route, SecurityGroup, Vpc, VSwitch

# Types of the sections, which the rest of the simulator finds here.
__all__ = [
    "AccessKey",
    "DiskStock",
    "FileSystem",
    "Instance",
    "InstanceType",
    "Latencies",
    "OidcProvider",
    "OidcTrust",
    "OssBucket",
    "Quotas",
    "Role",
    "Route",
    "SecurityGroup",
    "Throttle",
    "User",
    "VSwitch",
    "Vpc",
    "World",
    "WorldError",
    "Zone",
]

DEFAULT_FILE = pathlib.Path(__file__).with_name("default_world.yaml")

# Sections whose entries are merged with the default world's one by one; others replace it whole.
_MERGED = ("latencies", "quotas", "throttle")


class WorldError(Exception):
    """All faults found in a world file, one a line."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


def load(path: pathlib.Path | None = None) -> World:
    """The default world, with the sections of the YAML file at *path* in their place.

    Raises WorldError with every fault, each naming the field.
    """
    merged = _read(DEFAULT_FILE)
    for key, value in (_read(path) if path else {}).items():
        if key in _MERGED and isinstance(value, Mapping):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    return parse(merged)


def parse(plain: Mapping[str, Any]) -> World:
    """A world from plain data; raises WorldError with every fault."""
    loader = world_file.Loader()
    world = loader.load(World, plain, "")
    if not isinstance(world, World):
        raise WorldError(loader.faults)
    check(world)
    return world


def check(world: World) -> None:
    """Raise WorldError when the sections do not fit together."""
    faults = tuple(world_checks.faults(world))
    if faults:
        raise WorldError(faults)


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise WorldError([f"world file {path} cannot be read: {e.strerror}"]) from e
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise WorldError([f"world file {path} is not YAML: {e}"]) from e
    if plain is None:
        return {}
    if not isinstance(plain, dict):
        raise WorldError([f"world file {path} must be a mapping of sections"])
    return plain

"""What the process gives a driver, and what a driver gives back.

`csi.app` knows no driver by heart: a driver is a module with `build(context) -> Driver`, listed in
`DRIVER_MODULES`.
"""

import dataclasses
import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from cloud import metadata as cloud_metadata
from core import clock, errors, metrics, settings
from csi import identity

SUFFIX = "plugin.csi.alibabacloud.com"

DRIVER_MODULES: Mapping[str, str] = {"diskplugin.csi.alibabacloud.com": "csi.disk.driver"}

REMOVED: Mapping[str, str] = {
    "cpfsplugin.csi.alibabacloud.com": "CPFS 1.0 volumes are served by nasplugin or bmcpfsplugin",
    "memplugin.csi.alibabacloud.com": "use an emptyDir with medium Memory",
}
"""Drivers the reference once had; the text says where to go."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Which services this process runs."""

    controller: bool
    node: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DriverContext:
    """All a driver may use of its process.

    reader: for the driver's own settings; the process reports the faults of all drivers at once.
    node_id: value of --nodeid, "" = ask the metadata providers.
    feature_gates: every known gate with its effective value.
    """

    roles: Roles
    node_id: str
    version: str
    reader: settings.Reader
    feature_gates: Mapping[str, bool]
    metadata: cloud_metadata.Metadata
    cloud: "CloudFactory"
    clock: clock.Clock
    metrics: metrics.Metrics


class CloudFactory(Protocol):
    """Makes the cloud client on first use; a node-only process never calls it."""

    def __call__(self) -> Any:  # cloud.client.Alibaba
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """One CSI driver, ready to be served on a socket of its own."""

    name: str
    services: "Sequence[Any]"
    expansions: "Sequence[Any]"
    ready: identity.Ready
    controller: Any | None = None
    group_controller: Any | None = None
    node: Any | None = None
    close: Callable[[], Awaitable[None]] | None = None


def full_name(name: str) -> str:
    """Driver name of *name*, which may be short, such as `disk`."""
    return name if name.endswith(SUFFIX) else name + SUFFIX


def build(name: str, context: DriverContext) -> Driver:
    """Make driver *name*.

    Raises Invalid for a driver we do not have, naming the ones we do.
    """
    if name in REMOVED:
        raise errors.Invalid(f"driver {name} is no longer supported: {REMOVED[name]}")
    if name not in DRIVER_MODULES:
        raise errors.InvalidField(
            "--driver", "is not supported", value=name, allowed=", ".join(DRIVER_MODULES)
        )
    module = importlib.import_module(DRIVER_MODULES[name])
    driver: Driver = module.build(context)
    return driver

"""What the process gives a driver, and what a driver gives back.

`csi.app` knows no driver by heart: a driver is a module that offers what `DriverModule` tells,
listed in `DRIVER_MODULES`.
"""

import dataclasses
import importlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from cloud import metadata as cloud_metadata
from core import clock, errors, metrics, settings
from csi import identity
from csi._pb import csi_pb2, csi_pb2_grpc
from kube import api as kube_api
from kube import events as kube_events

SUFFIX = "plugin.csi.alibabacloud.com"

DRIVER_MODULES: Mapping[str, str] = {
    "diskplugin.csi.alibabacloud.com": "csi.disk.driver",
    "nasplugin.csi.alibabacloud.com": "csi.nas.driver",
    "bmcpfsplugin.csi.alibabacloud.com": "csi.cpfs.driver",
    "cpfsplugin.csi.alibabacloud.com": "csi.cpfs.legacy",
    "ossplugin.csi.alibabacloud.com": "csi.oss.driver",
    "localplugin.csi.alibabacloud.com": "csi.lvm.driver",
    "lvmplugin.csi.alibabacloud.com": "csi.lvm.legacy",
}

REMOVED: Mapping[str, str] = {
    "memplugin.csi.alibabacloud.com": "use an emptyDir with medium Memory",
}
"""Drivers the reference once had; the text says where to go."""

GATES_WITHOUT_EFFECT: Mapping[str, bool] = {
    "UpdatedOssfsVersion": True,
    "ConstrainFusePodDeleteRV": True,
    "AlinasMountProxy": False,
    "RundCSIProtocol3": False,
}
"""Gates of the reference that no driver here has, so that its manifests work."""


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
    kubernetes: the API server; its calls raise NotConfigured where there is none.
    events: tells operators, in the driver's name.
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
    kubernetes: kube_api.VolumeApi
    events: kube_events.Recorder


class CloudFactory(Protocol):
    """Makes the cloud client on first use; a node-only process never calls it."""

    def __call__(self) -> Any:  # cloud.client.Alibaba
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """One CSI driver, ready to be served on a socket of its own.

    services, expansions: what Identity tells, the sum over all roles of this version.
    ready: returns when the driver can work; Probe and `/readyz` ask.
    controller, group_controller, node: None = not served by this process.
    prepare: what must be done before the first call and may fail; done again until it succeeds,
    while other drivers of the process work. close: gives threads and files back, also when
    `prepare` never succeeded.
    """

    name: str
    services: Sequence[csi_pb2.PluginCapability.Service.Type]
    expansions: Sequence[csi_pb2.PluginCapability.VolumeExpansion.Type]
    ready: identity.Ready
    controller: csi_pb2_grpc.ControllerServicer | None = None
    group_controller: csi_pb2_grpc.GroupControllerServicer | None = None
    node: csi_pb2_grpc.NodeServicer | None = None
    prepare: Callable[[], Awaitable[None]] | None = None
    close: Callable[[], Awaitable[None]] | None = None


def half(module: str, context: DriverContext, *, wanted: bool) -> Any:
    """What `build(context)` of *module* gives, None where this process does not run that half.

    Imported here and not before: a node process must not load a controller, nor a controller the
    node's access to the kernel.
    """
    return importlib.import_module(module).build(context) if wanted else None


def halves(package: str, context: DriverContext) -> "Halves":
    """The halves of *package* that this process runs.

    They are `controller.wiring` and `node.service` in it, loaded as `half` says.
    """
    roles = context.roles
    return Halves(
        controller=half(f"{package}.controller.wiring", context, wanted=roles.controller),
        node=half(f"{package}.node.service", context, wanted=roles.node),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """A driver's services; None = not of this process."""

    controller: Any
    node: Any

    def __iter__(self) -> Iterator[Any]:
        """Those there are."""
        return (part for part in (self.controller, self.node) if part is not None)

    async def close(self) -> None:
        """Close each."""
        for part in self:
            await part.close()


@runtime_checkable
class DriverModule(Protocol):
    """What a driver's package offers, in its module `driver`.

    Importing it must be cheap: every process imports the modules of all drivers for their gates.
    NAME: full name. FEATURE_GATES: the gates that are this driver's alone, with their defaults.
    """

    NAME: str
    FEATURE_GATES: Mapping[str, bool]

    def build(self, context: DriverContext) -> Driver:
        """The driver with the services of *context.roles*. Reads settings, does nothing else.

        Faults in its settings are left in *context.reader*.
        """
        ...


def full_name(name: str) -> str:
    """Driver name of *name*, which may be short, such as `disk`."""
    return name if name.endswith(SUFFIX) else name + SUFFIX


def feature_gates() -> dict[str, bool]:
    """Every gate that --feature-gates may name, with its default."""
    gates = dict(GATES_WITHOUT_EFFECT)
    for name in DRIVER_MODULES:
        gates.update(load(name).FEATURE_GATES)
    return gates


def load(name: str) -> DriverModule:
    """The module of driver *name*.

    Raises Invalid for a driver we do not have, naming the ones we do.
    """
    if name in REMOVED:
        raise errors.Invalid(f"driver {name} is no longer supported: {REMOVED[name]}")
    if name not in DRIVER_MODULES:
        raise errors.InvalidField(
            "--driver",
            "is not supported",
            value=name.removesuffix(SUFFIX),
            allowed=", ".join(known.removesuffix(SUFFIX) for known in DRIVER_MODULES)
            + f", alone or with {SUFFIX} behind",
        )
    module: DriverModule = importlib.import_module(DRIVER_MODULES[name])
    return module


def build(name: str, context: DriverContext) -> Driver:
    """Make driver *name*. Raises as `load`, and whatever the driver's own `build` raises."""
    return load(name).build(context)

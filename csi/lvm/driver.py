"""The driver of node-local volumes, put together: `build` is what `csi.driver` calls."""

import asyncio
import importlib
from collections.abc import Mapping

from core import errors, executor, keyed_lock
from csi import driver
from csi._pb import csi_pb2
from csi.lvm import topology

NAME = "localplugin.csi.alibabacloud.com"
FEATURE_GATES: Mapping[str, bool] = {}

_Service = csi_pb2.PluginCapability.Service
_Expansion = csi_pb2.PluginCapability.VolumeExpansion


def build(context: driver.DriverContext) -> driver.Driver:
    """The driver with the services of *context.roles*.

    Faults in its settings are left in *context.reader*.
    """
    return make(context, name=NAME, topology_key=topology.HOSTNAME)


def make(context: driver.DriverContext, *, name: str, topology_key: str) -> driver.Driver:
    """The driver called *name*. Both halves have the same locks, and the same view of the node."""
    config = importlib.import_module("csi.lvm.settings").read(context.reader)
    place = topology.read(context.reader, node_id=context.node_id, default_key=topology_key)
    stores = importlib.import_module("csi.lvm.stores.volumes").Volumes(config, context.clock)
    work = importlib.import_module("csi.lvm.stores.upkeep").Upkeep(
        config, stores.groups, context.metrics, context.events
    )
    making = importlib.import_module("csi.lvm.stores.new_groups").NewGroups(
        config, stores.groups, context.metrics, context.events
    )
    locks = keyed_lock.KeyedLock()
    pool = executor.BoundedExecutor("lvm-watch", 1)
    collecting = importlib.import_module("csi.lvm.collector").Collector(
        driver_name=name,
        place=place,
        kubelet_root=config.kubelet_root,
        wait_s=config.collect_s,
        kubernetes=context.kubernetes,
        recorder=context.events,
        locks=locks,
        volumes=stores.sweep,
        pool=pool,
        time=context.clock,
    )
    watch = importlib.import_module("csi.lvm.watch").Watch(
        config=config,
        work=work,
        making=making,
        collecting=collecting,
        time=context.clock,
        pool=pool,
    )
    controller = node = None
    if context.roles.controller:
        module = importlib.import_module("csi.lvm.controller.service")
        controller = module.build(place, stores, locks)
    if context.roles.node:
        module = importlib.import_module("csi.lvm.node.service")
        cluster = module.Cluster(
            driver_name=name, kubernetes=context.kubernetes, recorder=context.events
        )
        node = module.build(config, place, stores, locks, cluster)

    async def ready() -> None:
        if not place.node_id:
            raise errors.Precondition("the node's name is unknown; set KUBE_NODE_NAME or --nodeid")

    async def prepare() -> None:
        await asyncio.to_thread(stores.prepare)
        await asyncio.to_thread(making.make)
        watch.start()

    async def close() -> None:
        await watch.close()
        for half in (controller, node):
            if half is not None:
                await half.close()

    return driver.Driver(
        name=name,
        services=[_Service.CONTROLLER_SERVICE, _Service.VOLUME_ACCESSIBILITY_CONSTRAINTS],
        expansions=[_Expansion.ONLINE],
        ready=ready,
        controller=controller,
        node=node,
        prepare=prepare,
        close=close,
    )

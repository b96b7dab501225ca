"""The driver of node-local volumes, put together: what there is of each, and who is given what.

Loaded when a driver is built and not before, see `csi.driver`; each half only where it runs.
"""

import asyncio
import dataclasses
import functools
import importlib
from typing import Any

import structlog

from core import errors, executor, keyed_lock
from csi import driver
from csi._pb import csi_pb2
from csi.lvm import attached_disks, collector, released_volumes, settings, topology, watch
from csi.lvm.stores import volumes
from csi.lvm.stores.logical import new_groups, upkeep

log = structlog.get_logger()

_FIRST_LOOK_S = 60.0
"""How long the start waits for disks of new groups: one may hang, and so may another process that
looks at it."""
_Service = csi_pb2.PluginCapability.Service
_Expansion = csi_pb2.PluginCapability.VolumeExpansion


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What both halves and the work in the background have in common: one view of the node."""

    name: str
    config: settings.LocalSettings
    place: topology.Place
    stores: volumes.Volumes
    locks: keyed_lock.KeyedLock


def build(context: driver.DriverContext, *, name: str, topology_key: str) -> driver.Driver:
    """The driver called *name*. Faults in its settings are left in *context.reader*."""
    config = settings.read(context.reader)
    place = topology.read(context.reader, node_id=context.node_id, default_key=topology_key)
    stores = volumes.Volumes(config, context.clock)
    shared = _Shared(
        name=name, config=config, place=place, stores=stores, locks=keyed_lock.KeyedLock()
    )
    groups = new_groups.NewGroups(config, stores.groups, context.metrics, context.events)
    disk_pool = executor.BoundedExecutor("lvm-groups", 1)
    background = _background(context, shared, groups, disk_pool)
    halves = driver.Halves(controller=_controller(context, shared), node=_node(context, shared))

    async def ready() -> None:
        if not place.node_id:
            raise errors.Precondition("the node's name is unknown; set KUBE_NODE_NAME or --nodeid")

    async def prepare() -> None:
        await asyncio.to_thread(stores.prepare)
        await _make_groups(groups, disk_pool)
        background.start()

    async def close() -> None:
        await background.close()
        await halves.close()

    return driver.Driver(
        name=name,
        services=[_Service.CONTROLLER_SERVICE, _Service.VOLUME_ACCESSIBILITY_CONSTRAINTS],
        expansions=[_Expansion.ONLINE],
        ready=ready,
        controller=halves.controller,
        node=halves.node,
        prepare=prepare,
        close=close,
    )


async def _make_groups(groups: new_groups.NewGroups, disk_pool: executor.BoundedExecutor) -> None:
    """Make them, if that can be done soon. Raises what `make` does."""
    first = disk_pool.submit(groups.make)
    await asyncio.wait({first}, timeout=_FIRST_LOOK_S)
    if first.done():
        first.result()
        return
    groups.leave()
    log.error(
        "disks of LVM_CREATE_GROUPS do not answer; the driver starts without waiting for them",
        waited_s=_FIRST_LOOK_S,
    )


def _background(
    context: driver.DriverContext,
    shared: _Shared,
    groups: new_groups.NewGroups,
    disk_pool: executor.BoundedExecutor,
) -> watch.Watch:
    """What is done from time to time: with one thread, and that of *disk_pool*, which may hang."""
    config, stores = shared.config, shared.stores
    pool = executor.BoundedExecutor("lvm-watch", 1)
    work = upkeep.Upkeep(config, stores.groups, context.metrics, context.events)
    released = released_volumes.ReleasedVolumes(
        driver_name=shared.name,
        place=shared.place,
        wait_s=config.collect_s or config.collect_files_s,
        kubernetes=context.kubernetes,
        recorder=context.events,
        time=context.clock,
    )

    async def look() -> None:
        await pool.run(work.look)

    async def make_groups() -> None:
        # First what the cluster tells: a disk that came later is not the one of the look before.
        attached = attached_disks.NONE
        if groups.is_due:
            attached = await attached_disks.read(context.kubernetes, shared.place.node_id)
        # The end does not wait for a disk that hangs.
        await disk_pool.submit(functools.partial(groups.make_again, attached))

    def collect(volumes: collector.Sweep, wait_s: float, *, releases: bool) -> watch.Job:
        made = collector.Collector(
            kubelet_root=config.kubelet_root,
            wait_s=wait_s,
            kubernetes=context.kubernetes,
            locks=shared.locks,
            volumes=volumes,
            released=released if releases else None,
            pool=pool,
            time=context.clock,
        )
        return watch.Job(name="collect", interval_s=wait_s, call=made.collect)

    return watch.Watch(
        [
            watch.Job(name="look", interval_s=config.watch_s, call=look),
            watch.Job(name="groups", interval_s=new_groups.AGAIN_S, call=make_groups),
            collect(stores.sweep, config.collect_s, releases=True),
            collect(stores.file_sweep, config.collect_files_s, releases=not config.collect_s),
        ],
        context.clock,
        [pool, disk_pool],
    )


def _controller(context: driver.DriverContext, shared: _Shared) -> Any:
    """The half that makes volumes; None = not of this process."""
    if not context.roles.controller:
        return None
    service = importlib.import_module("csi.lvm.controller.service")
    return service.build(shared.place, shared.stores, shared.locks)


def _node(context: driver.DriverContext, shared: _Shared) -> Any:
    """The half that mounts volumes; None = not of this process."""
    if not context.roles.node:
        return None
    service = importlib.import_module("csi.lvm.node.service")
    cluster = service.Cluster(
        driver_name=shared.name, kubernetes=context.kubernetes, recorder=context.events
    )
    return service.build(shared.config, shared.place, shared.stores, shared.locks, cluster)

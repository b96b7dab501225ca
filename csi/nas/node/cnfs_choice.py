"""Which file system a volume of a ContainerNetworkFileSystem is mounted from now.

The object is read at each publish: its fallback is for the day when its file system is out of
order. Source: spec/csi-driver.md 3.6.
"""

import pathlib
from collections.abc import Mapping

from core import errors
from csi.nas import cnfs, server, volume_context
from csi.node import network_mounts, servers
from host import mountinfo, nfs
from kube import api as kube_api
from kube import cnfs as kube_cnfs
from kube import events

_CONNECT_S = 5.0
"""Source: spec/csi-driver.md 3.6."""
_REASON = "CNFSFallback"


class Choice:
    """Reads objects, and tells the pod when its volume comes from somewhere else."""

    def __init__(
        self, kubernetes: kube_api.Api, recorder: events.Recorder, pools: servers.Servers
    ) -> None:
        self._kubernetes = kubernetes
        self._events = recorder
        self._pools = pools

    async def resolve(self, context: Mapping[str, str], target: pathlib.Path) -> Mapping[str, str]:
        """*context* with the server and client of the object it names; as it is without one.

        An access point is a server of its own. Raises Precondition for an object that is not
        there or not ready, and what `kube.api.Api.read` raises.
        """
        name = volume_context.value(context, cnfs.KEY)
        if not name or volume_context.value(context, "accesspoint"):
            return context
        try:
            first = await self._read(name)
        except kube_api.NotConfigured:
            if volume_context.value(context, "server"):  # told when the volume was made
                return context
            raise
        there = mountinfo.mounts_at(target)
        if there:
            return await self._as_it_is(context, first, there[-1])
        why = await self._why_not(first)
        if not why:
            return cnfs.mounted_as(context, first)
        second = await self._read(first.fallback)
        self._events.warn(
            events.pod(context),
            _REASON,
            f"{volume_context.value(context, 'path') or '/'} is mounted from "
            f"ContainerNetworkFileSystem {second.name} instead of {first.name}: {why}",
        )
        return cnfs.mounted_as(context, second)

    async def _as_it_is(
        self, context: Mapping[str, str], first: kube_cnfs.Cnfs, there: mountinfo.Mount
    ) -> Mapping[str, str]:
        """*context* as it was mounted: a mount is never exchanged for another server's."""
        if not network_mounts.is_own(there):
            # A broker's mount does not tell its server, only that it is no mount of the kernel's.
            is_spare = bool(first.fallback) and cnfs.by_kernel(first)
            return cnfs.mounted_as(context, await self._read(first.fallback) if is_spare else first)
        resolved = cnfs.mounted_as(context, first)
        host = there.source.partition(":/")[0]
        if there.fs_type.startswith("nfs") and not _same_host(host, resolved["server"]):
            resolved["server"] = host  # the fallback's, or what the object named before
        return resolved

    async def _read(self, name: str) -> kube_cnfs.Cnfs:
        found = await kube_cnfs.read(self._kubernetes, name)
        if found is None:
            raise errors.Precondition(f"there is no ContainerNetworkFileSystem {name}")
        return found

    async def _why_not(self, first: kube_cnfs.Cnfs) -> str:
        """Why the fallback of *first* is taken, "" = it is not."""
        host, _ = cnfs.server_and_client(first)
        if not first.fallback:
            return ""
        match first.strategy:
            case kube_cnfs.Strategy.ALWAYS:
                return "its strategy is Always"
            case kube_cnfs.Strategy.IF_UNHEALTHY if first.is_unavailable:
                return "its mount target is Unavailable"
            case kube_cnfs.Strategy.IF_CONNECT_FAILED:
                return await self._connect(host)
            case _:
                return ""

    async def _connect(self, host: str) -> str:
        """Why *host* cannot be reached, "" = it can."""
        try:
            pool = self._pools.of(host)
            await pool.run(nfs.require_port, host, timeout_s=_CONNECT_S, port=nfs.PORT)
        except errors.Error as e:
            return str(e)
        return ""


def _same_host(one: str, other: str) -> bool:
    return server.bracketed(one.strip("[]")).lower() == server.bracketed(other.strip("[]")).lower()

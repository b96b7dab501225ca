"""Why does this pod have no address? Looks at everything an ADD needs, in the order it needs it."""

import dataclasses
import enum
import pathlib
from collections.abc import Awaitable, Callable, Sequence

from core import errors
from host import netns
from ipamd import model, node_worker, readiness
from ipamd.attachments import leases, pod_interfaces
from ipamd.model import AddressState
from ipamd.pool import pool
from kube import pod_cache


class Severity(enum.IntEnum):
    """As `ipamd.v1.Finding.Severity`."""

    OK = 0
    WARNING = 1
    ERROR = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    severity: Severity
    subject: str
    message: str
    advice: str = ""


_SHOWN = 10


class Diagnosis:
    """cloud_reachable: raises what keeps the OpenAPI from answering. pods: None = not watched.

    orphans: ids of interfaces that nobody deletes; see `leftovers`.
    """

    def __init__(
        self,
        addresses: pool.Pool,
        held: leases.Leases,
        interfaces: pod_interfaces.PodInterfaces,
        worker: node_worker.NodeWorker,
        *,
        ready: readiness.Readiness,
        cloud_reachable: Callable[[], Awaitable[None]],
        pods: pod_cache.PodCache | None = None,
        orphans: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._pods = pods
        self._orphans = orphans
        self._pool = addresses
        self._leases = held
        self._pod_interfaces = interfaces
        self._worker = worker
        self._ready = ready
        self._cloud_reachable = cloud_reachable

    async def node(self) -> list[Finding]:
        """What an ADD on this node would meet."""
        return [
            self._phase(),
            self._free(),
            self._interfaces(),
            await self._reach(
                "state database",
                self._worker.try_database,
                "make room on its disk; no pod gets a network until then, though pods can end",
                severity=Severity.ERROR,
            ),
            await self._reach("metadata service", self._metadata, "check the route to it"),
            await self._reach(
                "OpenAPI", self._cloud_reachable, "check endpoint, credentials and RAM policy"
            ),
            *([] if self._pods is None else [_watch(self._pods)]),
            *([_left(orphans)] if (orphans := self._orphans()) else []),
        ]

    async def pod(self, namespace: str, name: str) -> list[Finding]:
        """What there is of one pod."""
        subject = f"pod {namespace}/{name}"
        held = [
            lease
            for lease in self._leases.values()
            if (lease.pod.namespace, lease.pod.name) == (namespace, name)
        ]
        if not held:
            return [
                Finding(
                    severity=Severity.ERROR,
                    subject=subject,
                    message="has no address here",
                    advice="is it on this node? then see the findings about the node, and the "
                    "runtime's log for ADD",
                ),
                *await self.node(),
            ]
        return [await self._lease(subject, lease.key) for lease in held]

    async def _lease(self, subject: str, key: model.AttachmentKey) -> Finding:
        lease = self._leases[key]
        if lease.netns and not netns.exists(pathlib.Path(lease.netns)):
            return Finding(
                severity=Severity.WARNING,
                subject=subject,
                message=f"{lease.ipv4}: its namespace {lease.netns} is gone",
                advice="it is collected within some minutes; nothing to do",
            )
        try:
            differences = await self._pod_interfaces.differences(lease)
        except errors.Error as e:
            return Finding(
                severity=Severity.ERROR,
                subject=subject,
                message=str(e),
                advice="its network is back within a minute when the interface is; else delete it",
            )
        if not differences:
            return Finding(
                severity=Severity.OK,
                subject=subject,
                message=f"{lease.ipv4} on {lease.host_ifname}: all as it was made",
            )
        told = "; ".join(
            f"{d.where}: {d.what}: expected {d.expected}, found {d.found}" for d in differences
        )
        return Finding(
            severity=Severity.ERROR,
            subject=subject,
            message=f"{lease.ipv4} on {lease.host_ifname}: {told}",
            advice="the node's half is mended within a minute; delete a pod whose half differs",
        )

    def _phase(self) -> Finding:
        phase = self._ready.phase
        if phase is readiness.Phase.READY:
            return Finding(severity=Severity.OK, subject="ipamd", message="ready")
        waits_for = self._ready.waits_for if phase is readiness.Phase.STARTING else ""
        return Finding(
            severity=Severity.WARNING,
            subject="ipamd",
            message=f"is {phase}" + (f": {waits_for}" if waits_for else ""),
            advice="the runtime gets its CNI configuration when ipamd is ready; see its log",
        )

    def _free(self) -> Finding:
        state, targets = self._pool.state, self._pool.targets
        counts = ", ".join(f"{state.count(each)} {each.value}" for each in AddressState)
        message = f"{counts}; capacity {targets.capacity}"
        why = self._ready.shortage()
        if why:
            return Finding(
                severity=Severity.ERROR,
                subject="addresses",
                message=f"{why} ({message})",
                advice="what the message names: a right of RAM to grant, addresses of the vSwitch "
                "to free, another vSwitch for eni_conf, a larger instance type; ipamd tries again "
                "by itself",
            )
        return Finding(severity=Severity.OK, subject="addresses", message=message)

    def _interfaces(self) -> Finding:
        absent = [eni.eni_id for eni in self._pool.state.enis.values() if eni.link is None]
        if absent:
            return Finding(
                severity=Severity.ERROR,
                subject="interfaces",
                message=f"not on this node: {', '.join(absent)}",
                advice="was it detached, or did the guest rename or delete it?",
            )
        count = len(self._pool.state.enis)
        return Finding(severity=Severity.OK, subject="interfaces", message=f"{count} ready")

    async def _metadata(self) -> None:
        await self._worker.read_primary_mac()

    @staticmethod
    async def _reach(
        subject: str,
        check: Callable[[], Awaitable[None]],
        advice: str,
        *,
        severity: Severity = Severity.WARNING,
    ) -> Finding:
        try:
            await check()
        except errors.Error as e:
            return Finding(severity=severity, subject=subject, message=str(e), advice=advice)
        return Finding(severity=Severity.OK, subject=subject, message="answers")


def _left(eni_ids: Sequence[str]) -> Finding:
    """They take addresses of the vSwitches: no error of this node."""
    more = f" and {len(eni_ids) - _SHOWN} more" if len(eni_ids) > _SHOWN else ""
    return Finding(
        severity=Severity.WARNING,
        subject="interfaces left behind",
        message="of instances that are gone, made by an ipamd: "
        f"{', '.join(eni_ids[:_SHOWN])}{more}",
        advice="look at each, then: aliyun ecs DeleteNetworkInterface --NetworkInterfaceId ENI; "
        "with the cluster's id in eni_tags (ack.aliyun.com) ipamd deletes those of its cluster",
    )


def _watch(cache: pod_cache.PodCache) -> Finding:
    """Pods get addresses without it, so it is no error."""
    if cache.is_live:
        message = f"tells of this node's pods, {len(cache)} now"
        return Finding(severity=Severity.OK, subject="Kubernetes API", message=message)
    return Finding(
        severity=Severity.WARNING,
        subject="Kubernetes API",
        message=cache.why_away,
        advice="pods that start now get their annotations' limits when it answers; check it, and "
        "the rights of ipamd's service account",
    )

"""The pods of this node, for whoever gives addresses: known at once, or after a short wait.

No ADD waits for the API server. What is not known in time is served without, and made up for when
the watch tells: see `attachments.upkeep.Upkeep.learn`.
"""

from collections.abc import Collection
from typing import Protocol

import structlog

from core import errors
from ipamd import events, model
from ipamd.datapath import names
from ipamd.kube import pod_ips, pod_wishes
from kube import api, pod_cache

log = structlog.get_logger()

_WAIT_S = 0.3
"""For the watch to show a pod that is being started: it takes some 10 ms when all is well."""


class Pods(Protocol):
    """What is known about pods."""

    async def wishes(self, pod: model.Pod) -> pod_wishes.Wishes | None:
        """What the pod asks for, None when it is not known in time."""
        ...

    def known(self, pod: model.Pod) -> pod_wishes.Wishes | None:
        """The same without waiting."""
        ...

    def owner_of(self, host_ifname: str, ifname: str) -> model.Pod:
        """The pod whose link has that name on the node; NO_POD when it is not known."""
        ...

    async def is_gone(self, pod: model.Pod) -> bool:
        """Whether it is certain that the pod is no more. False when in doubt."""
        ...

    def show(self, lease: model.Lease) -> None:
        """Begin to show on the pod which address it has. Returns at once, fails never."""
        ...


def tell_notes(tell: events.Events, pod: model.Pod, wishes: pod_wishes.Wishes) -> None:
    """Tell *pod* what its owner should know of what it asks for."""
    for note in wishes.notes:
        tell.pod(pod, note.reason, note.message)


class NoPods:
    """Where there is no Kubernetes API, or no name of this node."""

    async def wishes(self, pod: model.Pod) -> pod_wishes.Wishes | None:  # noqa: ARG002
        """Nothing is known."""
        return None

    def known(self, pod: model.Pod) -> pod_wishes.Wishes | None:  # noqa: ARG002
        """Nothing is known."""
        return None

    def owner_of(self, host_ifname: str, ifname: str) -> model.Pod:  # noqa: ARG002
        """Nothing is known."""
        return model.NO_POD

    async def is_gone(self, pod: model.Pod) -> bool:  # noqa: ARG002
        """Nothing is certain."""
        return False

    def show(self, lease: model.Lease) -> None:
        """There is nothing to show it on."""


class KubePods:
    """stateful_kinds: kinds of owners that count as StatefulSets.

    ips: what writes addresses on pods, None = they are not written.
    """

    def __init__(
        self,
        kubernetes: api.Api,
        cache: pod_cache.PodCache,
        *,
        stateful_kinds: Collection[str],
        ips: pod_ips.PodIps | None = None,
        wait_s: float = _WAIT_S,
    ) -> None:
        self._kubernetes = kubernetes
        self._cache = cache
        self._stateful_kinds = frozenset(stateful_kinds)
        self._ips = ips
        self._wait_s = wait_s

    async def wishes(self, pod: model.Pod) -> pod_wishes.Wishes | None:
        """As `Pods.wishes`. Waits only while the watch is live."""
        if not pod.name:
            return None
        found = await self._cache.find(pod.namespace, pod.name, pod.uid, wait_s=self._wait_s)
        if found is None:
            why = self._cache.why_away or "the watch does not show the pod yet"
            log.info("pod is not known; served without its annotations", pod=str(pod), why=why)
            return None
        return pod_wishes.parse(found, self._stateful_kinds)

    def known(self, pod: model.Pod) -> pod_wishes.Wishes | None:
        """As `Pods.known`."""
        found = self._cache.get(pod.namespace, pod.name, pod.uid) if pod.name else None
        return None if found is None else pod_wishes.parse(found, self._stateful_kinds)

    def owner_of(self, host_ifname: str, ifname: str) -> model.Pod:
        """As `Pods.owner_of`."""
        for each in self._cache:
            if names.host_ifname(each.namespace, each.name, ifname) == host_ifname:
                return model.Pod(namespace=each.namespace, name=each.name, uid=each.uid)
        return model.NO_POD

    async def is_gone(self, pod: model.Pod) -> bool:
        """As `Pods.is_gone`: the watch is live and lacks it, and the API server denies it, too."""
        cache = self._cache
        if not pod.name or not (cache.is_live and cache.was_listed):
            return False
        if cache.get(pod.namespace, pod.name) is not None:
            return False
        try:
            return await self._kubernetes.read(api.Kind.POD, pod.name, pod.namespace) is None
        except errors.Error as e:
            log.debug("whether the pod is gone is not known", pod=str(pod), error=str(e))
            return False

    def show(self, lease: model.Lease) -> None:
        """As `Pods.show`."""
        if self._ips is not None:
            self._ips.show(lease)

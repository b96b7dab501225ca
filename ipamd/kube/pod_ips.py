"""The annotation that tells a pod's addresses, as Terway writes it: `k8s.aliyun.com/pod-ips`.

Written beside the ADD, which neither waits for it nor fails with it. What could not be written is
made up for by the janitor, which compares with what the watch shows. Source: spec/terway.md 6.3.
"""

import asyncio

import structlog

from core import errors
from ipamd import model
from kube import api, pod_cache, pods

log = structlog.get_logger()

KEY = "k8s.aliyun.com/pod-ips"
_IFNAME = "eth0"
"""Of the interface whose address it tells."""


class PodIps:
    """cache: pods as the watch shows them; one that it does not show is not written to."""

    def __init__(self, kubernetes: api.Api, cache: pod_cache.PodCache) -> None:
        self._kubernetes = kubernetes
        self._cache = cache
        self._writing: dict[tuple[str, str], asyncio.Task[None]] = {}

    def show(self, lease: model.Lease) -> None:
        """Begin to write the address of *lease* on its pod, unless it is there. Returns at once."""
        pod = lease.pod
        found = self._cache.get(pod.namespace, pod.name, pod.uid) if pod.name else None
        if found is None or lease.key.ifname != _IFNAME:
            return
        told, name = str(lease.ipv4), (found.namespace, found.name)
        if found.annotations.get(KEY) == told or name in self._writing:
            return
        task = asyncio.create_task(self._write(found, told), name=f"addresses of {pod}")
        self._writing[name] = task
        task.add_done_callback(lambda _: self._writing.pop(name, None))

    async def close(self) -> None:
        """Give up what is not written yet."""
        tasks = list(self._writing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, pod: pods.Pod, told: str) -> None:
        # With the uid, so that a successor of the same name does not get its predecessor's.
        patch = {"metadata": {"uid": pod.uid, "annotations": {KEY: told}}}
        try:
            await self._kubernetes.patch(api.Kind.POD, pod.name, patch, namespace=pod.namespace)
        except errors.Error as e:
            log.info(
                "pod's addresses are not on it yet", pod=f"{pod.namespace}/{pod.name}", error=str(e)
            )

"""Events on the objects of Kubernetes, beside the log: `kubectl describe pod` and `… node`."""

import re

from ipamd import events, model
from kube import events as kube_events
from kube import pod_cache

COMPONENT = "terway-daemon"
"""As Terway calls itself, for the tools that look for it. Source: spec/terway.md 7.1."""
AT_ONCE = 100
"""Events being posted: more pods than a node starts in a second."""
_REQUEST_ID = re.compile(r" \(request id [^)]*\)")


class KubeEvents:
    """node_name: "" = no events about the node."""

    def __init__(
        self, recorder: kube_events.Recorder, cache: pod_cache.PodCache, *, node_name: str
    ) -> None:
        self._recorder = recorder
        self._cache = cache
        self._node_name = node_name
        self._log = events.LogEvents()

    def node(self, reason: events.Reason, message: str, *, warning: bool = True) -> None:
        """Something about this node."""
        self._log.node(reason, message, warning=warning)
        if self._node_name:
            # As kubelet does: the node's name stands for its uid, and kubectl looks for that.
            name = self._node_name
            target = kube_events.Target(kind="Node", name=name, uid=name)
            self._post(target, reason, message, warning=warning)

    def pod(
        self, pod: model.Pod, reason: events.Reason, message: str, *, warning: bool = True
    ) -> None:
        """Something about a pod."""
        self._log.pod(pod, reason, message, warning=warning)
        if pod.name and pod.namespace:
            found = self._cache.get(pod.namespace, pod.name, pod.uid)
            target = kube_events.Target(
                kind="Pod",
                name=pod.name,
                namespace=pod.namespace,
                uid=found.uid if found is not None else pod.uid,
            )
            self._post(target, reason, message, warning=warning)

    def _post(
        self, target: kube_events.Target, reason: events.Reason, message: str, *, warning: bool
    ) -> None:
        """The same trouble has another request id each time; without it, it is told once."""
        tell = self._recorder.warn if warning else self._recorder.note
        tell(target, reason.value, _REQUEST_ID.sub("", message))

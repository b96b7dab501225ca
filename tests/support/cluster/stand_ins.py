"""Pods that nobody runs, for programs that ask the API server who owns their pod.

external-provisioner gives its CSIStorageCapacity objects its pod as owner, and the garbage
collector removes what has no owner that is there. Here the programs of DaemonSets are processes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.support import image
from tests.support.cluster import chart, kubectl

_NOBODY = "nobody"


def apply(
    to: kubectl.Kubectl, rendered: chart.Rendered, nodes: Sequence[str], *, limit_s: float
) -> None:
    """Tell the API server of the pods of each DaemonSet whose containers know their pod."""
    # Without it no pod may be made there; the controller manager has just started.
    to.wait(
        "serviceaccount",
        "default",
        "jsonpath={.metadata.name}",
        namespace=chart.NAMESPACE,
        limit_s=limit_s,
    )
    for each in rendered.workloads("DaemonSet"):
        if "POD_NAME" in str(each):
            to.apply(*(_pod(each, node) for node in nodes))


def _pod(workload: Mapping[str, Any], node: str) -> Mapping[str, Any]:
    """A pod of *workload* that no scheduler takes, so that no kubelet runs it. Pure."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": chart.pod_name(workload, node),
            "namespace": workload["metadata"]["namespace"],
            "labels": workload["spec"]["template"]["metadata"]["labels"],
        },
        "spec": {
            "schedulerName": _NOBODY,
            "containers": [{"name": "none", "image": image.NAME}],
        },
    }

"""Pods and DaemonSets that run nothing, for programs that ask who owns their pod.

external-provisioner gives its CSIStorageCapacity objects the owner of its pod, and the garbage
collector removes what has no owner that is there. Here the programs of DaemonSets are processes.
"""

import copy
from collections.abc import Mapping
from typing import Any

from tests.support import image
from tests.support.cluster import chart, kubectl, layout

_NOBODY = "nobody"
_ACCOUNT_S = 60.0


def apply(to: kubectl.Kubectl, rendered: chart.Rendered) -> None:
    """Tell the API server of each DaemonSet whose containers know their pod, and of its pods."""
    asked = [each for each in rendered.workloads("DaemonSet") if "POD_NAME" in str(each)]
    # Without it no pod may be made there; the controller manager has just started.
    to.wait(
        "serviceaccount",
        "default",
        "jsonpath={.metadata.name}",
        namespace=chart.NAMESPACE,
        limit_s=_ACCOUNT_S,
    )
    to.apply(*(_idle(each) for each in asked))
    for each in asked:
        there = to.get("daemonset", each["metadata"]["name"], chart.NAMESPACE)
        to.apply(*(_pod(each, there["metadata"]["uid"], node) for node in layout.NODES))


def _idle(workload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same on no node. Pure."""
    made = copy.deepcopy(dict(workload))
    made["spec"]["template"]["spec"]["nodeSelector"] = {_NOBODY: _NOBODY}
    return made


def _pod(workload: Mapping[str, Any], uid: str, node: str) -> Mapping[str, Any]:
    """A pod of *workload* that no scheduler takes, so that no kubelet runs it. Pure."""
    owner = {
        "apiVersion": workload["apiVersion"],
        "kind": workload["kind"],
        "name": workload["metadata"]["name"],
        "uid": uid,
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": chart.pod_name(workload, node),
            "namespace": workload["metadata"]["namespace"],
            "labels": workload["spec"]["template"]["metadata"]["labels"],
            "ownerReferences": [owner],
        },
        "spec": {
            "schedulerName": _NOBODY,
            "containers": [{"name": "none", "image": image.NAME}],
        },
    }

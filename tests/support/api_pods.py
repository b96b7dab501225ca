"""Nodes and pods that only an API server knows: no kubelet runs them."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from tests.support import api_server

_CACHE = pathlib.Path.home() / ".cache/alibaba-cloud-k8s"


def are_programs_built() -> bool:
    """Whether `make cluster` has built the API server: a test does not wait minutes for that."""
    return any(_CACHE.glob("kubernetes-*/bin/kube-apiserver"))


def make_namespace(server: api_server.ApiServer, name: str) -> None:
    """A namespace that pods can be in."""
    if name not in server.kubectl("get", "namespaces", "-o", "name"):
        server.kubectl("create", "namespace", name)
    # Which a controller does in a whole cluster; admission asks for it.
    server.kubectl("create", "serviceaccount", "default", "-n", name)


def make_node(server: api_server.ApiServer, name: str) -> None:
    _create(server, {"kind": "Node", "metadata": {"name": name}})


def make_pod(
    server: api_server.ApiServer,
    node: str,
    name: str,
    namespace: str = "default",
    **metadata: Any,
) -> str:
    """A pod that is bound to *node*; its uid. metadata: more fields of it."""
    made = _create(
        server,
        {
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, **metadata},
            "spec": {
                "nodeName": node,
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "containers": [{"name": "c", "image": "none"}],
            },
        },
    )
    return str(made["metadata"]["uid"])


def delete_pod(server: api_server.ApiServer, name: str) -> None:
    server.kubectl("delete", "pod", name, "--force", "--grace-period=0", "--wait=true")


def _create(server: api_server.ApiServer, told: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps({"apiVersion": "v1", **told})
    made: dict[str, Any] = json.loads(server.kubectl("create", "-f", "-", "-o", "json", stdin=text))
    return made

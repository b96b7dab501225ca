"""Where the Kubernetes API is, and what this node is called there."""

import dataclasses
import os
from collections.abc import Mapping

from core import settings

_IN_CLUSTER, _PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"
"""Kubernetes gives them to every container."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KubeSettings:
    """kubeconfig: path of a file, "" = the pod's service account. node_name: "" = not told.

    server: URL that is taken instead of the kubeconfig's, "" = that one. account: directory of the
    pod's token and of the authority's certificate.
    is_configured: whether anything says where the API is; it is not asked for otherwise.
    """

    kubeconfig: str = ""
    server: str = ""
    account: str = "/var/run/secrets/kubernetes.io/serviceaccount"
    node_name: str = ""
    is_configured: bool = False


def read_kube(reader: settings.Reader, environ: Mapping[str, str] = os.environ) -> KubeSettings:
    """Effective settings. Source: flags of the reference, and client-go's order of places."""
    kubeconfig = reader.text("KUBECONFIG", flag="kubeconfig")
    server = reader.text("", flag="master-url")
    if server and not kubeconfig:
        reader.fault("--master-url: needs --kubeconfig, which says who we are there")
    return KubeSettings(
        kubeconfig=kubeconfig,
        server=server if kubeconfig else _in_cluster(environ),
        node_name=reader.text("KUBE_NODE_NAME"),
        is_configured=bool(kubeconfig or environ.get(_IN_CLUSTER)),
    )


def _in_cluster(environ: Mapping[str, str]) -> str:
    """URL of the API server for a pod, "" outside of one."""
    host = environ.get(_IN_CLUSTER, "")
    if not host:
        return ""
    shown = f"[{host}]" if ":" in host else host
    return f"https://{shown}:{environ.get(_PORT) or '443'}"

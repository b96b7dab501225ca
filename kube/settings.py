"""Where the Kubernetes API is, and what this node is called there."""

import dataclasses
import os
from collections.abc import Mapping

from core import settings

_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
"""Kubernetes gives it to every container."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KubeSettings:
    """kubeconfig: path of a file, "" = the pod's service account. node_name: "" = not told.

    server: URL that is taken instead of the kubeconfig's, "" = that one.
    is_configured: whether anything says where the API is; it is not asked for otherwise.
    """

    kubeconfig: str = ""
    server: str = ""
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
        server=server,
        node_name=reader.text("KUBE_NODE_NAME"),
        is_configured=bool(kubeconfig or environ.get(_IN_CLUSTER)),
    )

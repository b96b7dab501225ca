"""What programs of the cluster read: certificates, kubeconfigs, and their configuration files."""

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import yaml

from tests.support import worlds
from tests.support.cluster import certificates, components, layout

_SYSTEM_USERS = {
    "kube-controller-manager": "system:kube-controller-manager",
    "kube-scheduler": "system:kube-scheduler",
}
_CONTAINERD = """version = 2
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true
  disable_tcp_service = true
"""
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
POD_BLOCKS = {"node-1": "10.64.1.0/24", "node-2": "10.64.2.0/24", layout.FAR: "10.64.3.0/24"}
"""Of pods with the reference plug-ins. Their nodes translate them: the VPC does not know them."""


def write_world(where: layout.Layout) -> pathlib.Path:
    """The cloud before anybody calls: big nodes and a machine for the control plane."""
    where.world.parent.mkdir(exist_ok=True)
    path = worlds.big_nodes(where.world.parent)
    plain = yaml.safe_load(path.read_text())
    by_name = {row["name"]: row for row in plain["instances"]}
    for node in layout.NODES:
        by_name[node] |= {
            "private_ip": str(layout.ADDRESSES[node]),
            "by_id_dir": str(where.home(node) / "by-id"),
        }
    pattern = by_name[layout.NODES[0]]
    zone_id = layout.ZONES[layout.FAR]
    vswitch = next(row for row in plain["vswitches"] if row["zone_id"] == zone_id)
    in_zone = {"zone_id": zone_id, "vswitch_id": vswitch["vswitch_id"]}
    plain["instances"] += [
        _machine(where, pattern, layout.CONTROL, "i-bp1simcontrol000001", 10),
        _machine(where, pattern, layout.FAR, components.INSTANCE_IDS[layout.FAR], 11) | in_zone,
    ]
    path.write_text(yaml.safe_dump(plain))
    return path


def _machine(
    where: layout.Layout, pattern: Mapping[str, Any], name: str, instance_id: str, number: int
) -> dict[str, Any]:
    """An instance like *pattern*. number: of its hardware address, 1 to 255."""
    return {
        **pattern,
        "instance_id": instance_id,
        "name": name,
        "private_ip": str(layout.ADDRESSES[name]),
        "mac": f"00:16:3e:00:00:{number:02x}",
        "eni_id": f"eni-bp1sim{name.replace('-', '')}0000001",
        "system_disk_id": f"d-bp1simsystem{name.replace('-', '')}1",
        "by_id_dir": str(where.home(name) / "by-id"),
    }


def ensure_pki(where: layout.Layout) -> None:
    """Make all keys and certificates, once; half of them are never seen."""
    if where.pki.exists():
        return
    making = where.state_dir / "pki.new"
    shutil.rmtree(making, ignore_errors=True)
    authority = certificates.Authority(making)
    control = layout.ADDRESSES[layout.CONTROL]
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
    authority.server(
        "kube-apiserver", "kube-apiserver", [*names, control, layout.KUBERNETES_SERVICE]
    )
    authority.client("kubelet-client", "kube-apiserver-kubelet-client", ["system:masters"])
    authority.key_pair("service-accounts")
    authority.client("admin", "kubernetes-admin", ["system:masters"])
    for name, user in _SYSTEM_USERS.items():
        authority.client(name, user)
    for node in (*layout.NODES, layout.FAR):
        authority.client(f"{node}-kubelet", f"system:node:{node}", ["system:nodes"])
        authority.server(f"{node}-serving", node, [node, layout.ADDRESSES[node]])
    making.rename(where.pki)


def write_kubeconfigs(where: layout.Layout) -> None:
    """One for each user with a certificate."""
    nodes = (*layout.NODES, layout.FAR)
    for user in ("admin", *_SYSTEM_USERS, *(f"{node}-kubelet" for node in nodes)):
        key = {
            "client-certificate": str(where.pki / f"{user}.crt"),
            "client-key": str(where.pki / f"{user}.key"),
        }
        certificates.write_kubeconfig(
            where.kubeconfig(user), layout.API_URL, where.pki / "ca.crt", key
        )


def write_account(where: layout.Layout, account: str, token: pathlib.Path) -> None:
    """The kubeconfig of a service account whose token is in a file."""
    certificates.write_kubeconfig(
        where.kubeconfig(account),
        layout.API_URL,
        where.pki / "ca.crt",
        {"tokenFile": str(token)},
    )


def write_control(where: layout.Layout, bin_dir: pathlib.Path) -> None:
    """The audit policy, and the script that is kubectl."""
    _write_json(where.state_dir / "audit-policy.json", AUDIT_POLICY)
    script = where.kubectl.with_suffix(".new")
    script.write_text(
        "#!/bin/sh\n# kubectl as administrator of this cluster.\n"
        f"exec nsenter --net={where.netns(layout.CONTROL)} {bin_dir}/kubectl"
        f' --kubeconfig={where.kubeconfig("admin")} --cache-dir={where.state_dir}/discovery "$@"\n'
    )
    script.chmod(0o755)
    script.rename(where.kubectl)


def write_node(
    where: layout.Layout,
    node: str,
    network: str,
    image: str,
    eni_config: Mapping[str, str],
    *,
    status_s: float,
) -> None:
    """Configuration of containerd, kubelet and the pod network of one node.

    eni_config: files of ipamd's ConfigMap. status_s: how often kubelet tells how the node is.
    """
    home = where.home(node)
    for made in ("net.d", "eni", "by-id"):
        (home / made).mkdir(parents=True, exist_ok=True)
    where.manifests(node).mkdir(exist_ok=True)
    (home / "containerd.toml").write_text(_CONTAINERD.format(image=image))
    (home / "resolv.conf").touch()
    _write_json(home / "kubelet.json", kubelet(where, node, status_s))
    if network != "terway":
        told = ptp(POD_BLOCKS[node], masquerade=network == "ptp")
        _write_json(home / "net.d/10-ptp.conflist", told)
    for name, text in eni_config.items():
        (home / "eni" / name).write_text(text)


def kubelet(where: layout.Layout, node: str, status_s: float) -> Mapping[str, Any]:
    """KubeletConfiguration for a node that shares kernel, disk and control groups with others."""
    home, pki = where.home(node), where.pki
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / f"{node}-serving.crt"),
        "tlsPrivateKeyFile": str(pki / f"{node}-serving.key"),
        "cgroupDriver": "cgroupfs",
        "staticPodPath": str(where.manifests(node)),
        "failSwapOn": False,
        # A volume is mounted once the status told that it is in use: 10 s is long to wait.
        # It is also how long kubelet waits for an answer.
        "nodeStatusUpdateFrequency": f"{status_s:g}s",
        # A volume grows in its pod when the pod is looked at again: 1 min is long to wait.
        "syncFrequency": "2s",
        "oomScoreAdj": 0,
        # The machine's disk is not this node's: how full it is must not drive pods away.
        "evictionHard": {"memory.available": "1Mi", "nodefs.available": "1Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "volumePluginDir": f"{layout.KUBELET}/volumeplugins",
        "resolvConf": str(home / "resolv.conf"),
    }


def ptp(block: str, *, masquerade: bool) -> Mapping[str, Any]:
    """The network of the reference plug-ins: veth pairs, and pods behind their node's address.

    masquerade: False = no packet filter is needed, and pods reach only their node.
    """
    return {
        "cniVersion": "1.0.0",
        "name": "reference",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": masquerade,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": block}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1))

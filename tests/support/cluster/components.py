"""The processes of a cluster: where each runs, its command line, and what it says when it serves.

The same layout gives the same command lines, by which a running process is found again. All of
it is pure but `instance_id`.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Mapping, Sequence

from tests.support import processes
from tests.support.cluster import layout

CLOUDSIM = "cloudsim"
_SERVES = "Serving securely on"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """machine: "" = the machine we are on. argv: starts with an absolute path.

    ready: text in its log once it serves. environment: beside the ordinary one.
    restarts: it is started again whenever it ends, by a process of its own.
    """

    name: str
    machine: str
    argv: tuple[str, ...]
    ready: str
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ready_timeout_s: float = 60.0
    restarts: bool = False


def cloudsim(where: layout.Layout, world: pathlib.Path, port: int) -> Component:
    """The cloud, with real interfaces and disks. port: 0 = any free one."""
    argv = [sys.executable, "-m", "sim", "serve", "--listen", f"127.0.0.1:{port}"]
    argv += ["--state-dir", str(where.cloud), "--world", str(world)]
    argv += ["--hardware", "network,disks", "--netns-prefix", where.prefix]
    argv += ["--by-id-dir", str(where.state_dir / "by-id"), "--time-scale", "0.2"]
    return Component(name=CLOUDSIM, machine="", argv=tuple(argv), ready=processes.SIM_READY)


def control_plane(where: layout.Layout, programs: pathlib.Path) -> list[Component]:
    """The database and the three programs around it, in the order of their start."""
    return [
        _control("etcd", programs, _etcd(where), "ready to serve client requests"),
        _control("kube-apiserver", programs, _apiserver(where), _SERVES),
        _control("kube-controller-manager", programs, _controller_manager(where), _SERVES),
        _control("kube-scheduler", programs, _scheduler(where), _SERVES),
    ]


def node(where: layout.Layout, name: str, programs: pathlib.Path) -> list[Component]:
    """What runs on a node before any pod, in the order of its start."""
    home = where.home(name)
    runtime = Component(
        name=f"{name}/containerd",
        machine=name,
        argv=("/usr/bin/containerd", "--config", str(home / "containerd.toml")),
        ready="containerd successfully booted",
    )
    kubelet = Component(
        name=f"{name}/kubelet",
        machine=name,
        argv=(
            str(programs / "kubelet"),
            f"--config={home / 'kubelet.json'}",
            f"--kubeconfig={where.kubeconfig(f'{name}-kubelet')}",
            f"--hostname-override={name}",
            f"--node-ip={layout.ADDRESSES[name]}",
            f"--node-labels={_labels(name)}",
            f"--provider-id=cn-hangzhou.{instance_id(where, name)}",
        ),
        ready="Started kubelet",
    )
    return [runtime, kubelet]


def cloud_environment() -> Mapping[str, str]:
    """How programs of a machine find the cloud, and we our code."""
    return {
        "ECS_ENDPOINT": layout.CLOUD,
        "VPC_ENDPOINT": layout.CLOUD,
        "STS_ENDPOINT": layout.CLOUD,
        "NAS_ENDPOINT": layout.CLOUD,
        "ALICLOUD_CLIENT_SCHEME": "HTTP",
        "ALIBABA_CLOUD_ACCESS_KEY_ID": processes.ACCESS_KEY_ID,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": processes.ACCESS_KEY_SECRET,
        "IMDS_ENDPOINT": f"http://{layout.CLOUD}",
        "PYTHONPATH": str(processes.ROOT),
    }


INSTANCE_IDS = {  # of the first instances
    "node-1": processes.NODE_1,
    "node-2": processes.NODE_2,
    layout.FAR: "i-bp1simfar0000000001",
}


def instance_id(where: layout.Layout, name: str) -> str:
    """What the cloud calls a node: the first instance, or the one that came in its place."""
    note = where.instance_note(name)
    return note.read_text() if note.exists() else INSTANCE_IDS[name]


def _labels(name: str) -> str:
    """What a cloud controller manager would tell of a node."""
    labels = {
        "topology.kubernetes.io/region": "cn-hangzhou",
        "topology.kubernetes.io/zone": layout.ZONES[name],
        "node.kubernetes.io/instance-type": "ecs.big",
    }
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _control(name: str, programs: pathlib.Path, flags: Sequence[str], ready: str) -> Component:
    return Component(
        name=name, machine=layout.CONTROL, argv=(str(programs / name), *flags), ready=ready
    )


def _etcd(where: layout.Layout) -> list[str]:
    return [
        f"--data-dir={where.home(layout.CONTROL) / 'etcd'}",
        # A cluster of tests may lose what a power failure would take.
        "--unsafe-no-fsync",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
    ]


def _apiserver(where: layout.Layout) -> list[str]:
    pki = where.pki
    return [
        "--etcd-servers=http://127.0.0.1:2379",
        "--bind-address=0.0.0.0",
        f"--secure-port={layout.API_PORT}",
        f"--advertise-address={layout.ADDRESSES[layout.CONTROL]}",
        f"--service-cluster-ip-range={layout.SERVICE_CIDR}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'kube-apiserver.crt'}",
        f"--tls-private-key-file={pki / 'kube-apiserver.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--audit-policy-file={where.state_dir / 'audit-policy.json'}",
        f"--audit-log-path={where.audit_log}",
        # Not to begin another file after 100 MB: the tests read one, and all of it.
        "--audit-log-maxsize=100000",
    ]


def _controller_manager(where: layout.Layout) -> list[str]:
    config = where.kubeconfig("kube-controller-manager")
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        f"--service-account-private-key-file={where.pki / 'service-accounts.key'}",
        f"--root-ca-file={where.pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={where.pki / 'ca.crt'}",
        f"--cluster-signing-key-file={where.pki / 'ca.key'}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        # It makes this directory, which is /usr/libexec/… by default.
        f"--flex-volume-plugin-dir={where.home(layout.CONTROL) / 'volumeplugins'}",
    ]


def _scheduler(where: layout.Layout) -> list[str]:
    config = where.kubeconfig("kube-scheduler")
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    ]

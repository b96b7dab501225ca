"""What the Helm chart deploys, run as processes: its objects, its command lines, its accounts.

The chart is rendered as a user would render it. Its containers become components: those of
Deployments on the control plane's machine, those of DaemonSets on each node.
"""

import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tests.support import processes
from tests.support.cluster import components, layout

NAMESPACE = "kube-system"
CHART = processes.ROOT / "deploy/helm/alibaba-cloud-k8s"
_WORKLOADS = ("Deployment", "DaemonSet")
_NOT_APPLIED = (*_WORKLOADS, "PodDisruptionBudget")
"""Without pods there is nothing that they could speak of."""
_SOCKETS = "/run/csi"
"""Of the controllers; in the chart a volume that lives as long as their pod."""
_OURS = {"csi-plugin": "csi", "csi-mounter": "csi.mounter", "ipamd": "ipamd"}
"""Programs of ours and the Python packages behind them."""
_READY = {
    "csi-plugin": "csi-plugin ready",
    "csi-mounter": "csi-mounter ready",
    "ipamd": "ipamd ready",
    "csi-provisioner": "Starting provisioner controller",
    "csi-attacher": "Starting CSI attacher",
    "csi-resizer": "Starting external resizer",
    "csi-snapshotter": "Starting CSI snapshotter",
    "snapshot-controller": "Starting snapshot controller",
}
_READY_ON_NODES = _READY | {"csi-resizer": "CSI driver name"}
"""The resizers of all nodes have one leader."""
_WAITS_TO_LEAD = "New leader detected"
_NAMES = {
    ("csi-provisioner", "csi-plugin"): "csi-controller",
    ("csi-provisioner", "csi-plugin-nas"): "csi-controller-nas",
    ("csi-plugin", "csi-plugin"): "csi-node",
    ("csi-local", "csi-plugin"): "csi-local",
    ("terway-eniip", "terway"): "ipamd",
}
"""Of components, where that is not the container's: by workload and container."""
_ENDPOINTS = ("ecs", "vpc", "sts", "nas", "efloController")
NODE_CONFIG = "small-nodes"
"""Name of a ConfigMap that nodes' label `terway-config` may name."""
ENI_CONF = {
    "min_pool_size": 5,
    "max_pool_size": 20,
    "ip_cooldown_period": "5s",
    "service_cidr": layout.SERVICE_CIDR,
}
_LOCAL = "csi-local"
LOCAL_GIB = 1
"""What the volumes of each node may sum up to that are files."""
_ELECTED_S = 60.0
"""A sidecar that was killed holds its Lease for 15 s more."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rendered:
    """The chart's documents."""

    documents: Sequence[Mapping[str, Any]]

    @property
    def objects(self) -> list[Mapping[str, Any]]:
        """All but the workloads."""
        return [each for each in self.documents if each["kind"] not in _NOT_APPLIED]

    @property
    def accounts(self) -> tuple[str, ...]:
        """Names of the service accounts."""
        return tuple(
            each["metadata"]["name"] for each in self.documents if each["kind"] == "ServiceAccount"
        )

    @property
    def eni_config(self) -> Mapping[str, str]:
        """Files of ipamd's ConfigMap: name to text. Empty where there is no ipamd."""
        for each in self.documents:
            if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "eni-config":
                found: Mapping[str, str] = each["data"]
                return found
        return {}

    def workloads(self, kind: str) -> list[Mapping[str, Any]]:
        """All Deployments, or DaemonSets."""
        return [each for each in self.documents if each["kind"] == kind]


def render(
    where: layout.Layout, programs: pathlib.Path, network: str, more: Mapping[str, Any]
) -> None:
    """Write the chart, as `helm template` gives it for this cluster, where `read` finds it.

    network: "terway" = with ipamd. more: values that win over ours.
    """
    values = {
        "cloud": {
            "clusterId": where.prefix,
            "scheme": "http",
            "imdsEndpoint": f"http://{layout.CLOUD}",
            "endpoints": dict.fromkeys(_ENDPOINTS, layout.CLOUD),
        },
        "csi": {"lvm": {"enabled": True, "loopDir": str(where.local_files)}},
        "local": {"env": {"LOCAL_SPARSE_TOTAL_AVAILABLE_GI": str(LOCAL_GIB)}},
        "logging": {"verbosity": 5},
        "snapshots": {"groups": True},
        "ipamd": {
            "enabled": network == "terway",
            "eniConf": ENI_CONF,
            "nodeConfigs": [NODE_CONFIG],
        },
    }
    given = where.state_dir / "values.yaml"
    given.write_text(yaml.safe_dump(values))
    others = where.state_dir / "more-values.yaml"
    others.write_text(yaml.safe_dump(dict(more)))
    argv = [str(programs / "helm"), "template", "csi", str(CHART), "--namespace", NAMESPACE]
    argv += ["--kube-version", "1.34.3", "--values", str(given)]
    argv += ["--values", str(others)]
    homes = {
        f"HELM_{name}_HOME": str(where.state_dir / "helm") for name in ("CACHE", "CONFIG", "DATA")
    }
    done = subprocess.run(
        argv, env={**os.environ, **homes}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"the chart cannot be rendered: {done.stderr}")
    _file(where).write_text(done.stdout)


def read(where: layout.Layout) -> Rendered:
    """What `render` wrote."""
    documents = yaml.load_all(_file(where).read_text(), yaml.CSafeLoader)
    return Rendered([each for each in documents if each])


def controllers(where: layout.Layout, programs: pathlib.Path) -> list[components.Component]:
    """The containers of the Deployments, ours first: the others end without them."""
    made = [
        _component(where, programs, workload, container, layout.CONTROL)
        for workload in read(where).workloads("Deployment")
        for container in _pod(workload)["containers"]
    ]
    return sorted(made, key=lambda each: not each.name.startswith("csi-controller"))


def node(where: layout.Layout, programs: pathlib.Path, name: str) -> list[components.Component]:
    """The containers of the DaemonSets, on one node; `layout.FAR` has no node-local volumes."""
    return [
        _component(where, programs, workload, container, name)
        for workload in read(where).workloads("DaemonSet")
        if name != layout.FAR or workload["metadata"]["name"] != _LOCAL
        for container in _pod(workload)["containers"]
    ]


def second_replica(
    where: layout.Layout, programs: pathlib.Path, machine: str
) -> list[components.Component]:
    """The same as `controllers`, for a second pod on a node: it begins without being the leader.

    `up` does not start it, and nobody starts it again.
    """
    made = [
        (_program(container), _component(where, programs, workload, container, machine))
        for workload in read(where).workloads("Deployment")
        for container in _pod(workload)["containers"]
    ]
    return [
        dataclasses.replace(
            each, restarts=False, ready=each.ready if program in _OURS else _WAITS_TO_LEAD
        )
        for program, each in made
    ]


def pod_name(workload: Mapping[str, Any], machine: str) -> str:
    """What the pod of *workload* on *machine* would be called."""
    return f"{workload['metadata']['name']}-{machine}"


def _component(
    where: layout.Layout,
    programs: pathlib.Path,
    workload: Mapping[str, Any],
    container: Mapping[str, Any],
    machine: str,
) -> components.Component:
    program = _program(container)
    pod = _pod(workload)
    kubeconfig = where.kubeconfig(pod["serviceAccountName"])
    sockets = _sockets(pod)
    arguments = [_here(word, sockets) for word in container["args"]]
    environment = _environment(container, workload, machine)
    if program in _OURS:
        argv = [sys.executable, "-m", _OURS[program], *arguments]
        environment |= components.cloud_environment()
        environment["KUBECONFIG"] = str(kubeconfig)
        environment["DISK_BY_ID_DIR"] = str(where.home(machine) / "by-id")
    else:
        argv = [str(programs / program), *arguments, f"--kubeconfig={kubeconfig}"]
        argv.append(f"--leader-election-namespace={NAMESPACE}")
    called = _NAMES.get((workload["metadata"]["name"], container["name"]), container["name"])
    on_control = machine == layout.CONTROL
    return components.Component(
        name=called if on_control else f"{machine}/{called}",
        machine=machine,
        argv=tuple(argv),
        ready=(_READY if on_control else _READY_ON_NODES)[program],
        environment=environment,
        ready_timeout_s=_ELECTED_S,
        restarts=True,
    )


def _pod(workload: Mapping[str, Any]) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def _program(container: Mapping[str, Any]) -> str:
    """The command, or what images without one run."""
    if "command" in container:
        return str(container["command"][0])
    return str(container["image"]).rsplit("/", 1)[-1].split(":")[0]


def _sockets(pod: Mapping[str, Any]) -> str:
    """Where /csi of the sidecars is in the machine."""
    places = {each["name"]: each.get("hostPath") for each in pod.get("volumes") or ()}
    of_host = places.get("sockets")
    return of_host["path"] if of_host else _SOCKETS


def _here(word: str, sockets: str) -> str:
    for before in ("=", "=unix://"):
        word = word.replace(f"{before}/csi/", f"{before}{sockets}/")
    return word


def _environment(
    container: Mapping[str, Any], workload: Mapping[str, Any], machine: str
) -> dict[str, str]:
    """Variables with values, and those of the pod's fields."""
    fields = {
        "spec.nodeName": machine,
        "metadata.namespace": NAMESPACE,
        "metadata.name": pod_name(workload, machine),
    }
    return {
        each["name"]: each.get("value", "")
        if "valueFrom" not in each
        else fields[each["valueFrom"]["fieldRef"]["fieldPath"]]
        for each in container.get("env") or []
    }


def _file(where: layout.Layout) -> pathlib.Path:
    return where.state_dir / "chart.yaml"

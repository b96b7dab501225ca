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
_SOCKETS = ("=/csi/", "=unix:///csi/"), ("=/run/csi/", "=unix:///run/csi/")
"""The volume of the controllers' sockets: where the chart mounts it, and where it is here."""
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
_NAMES = {"csi-plugin": "csi-controller", "csi-plugin-nas": "csi-controller-nas"}
_NODE_NAMES = {"csi-plugin": "csi-node", "terway": "ipamd"}
_ENDPOINTS = ("ecs", "vpc", "sts", "nas", "efloController")
ENI_CONF = {
    "min_pool_size": 5,
    "max_pool_size": 20,
    "ip_cooldown_period": "5s",
    "service_cidr": layout.SERVICE_CIDR,
}
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

    def pods(self, kind: str) -> list[Mapping[str, Any]]:
        """Pod specs of all Deployments, or DaemonSets."""
        return [each["spec"]["template"]["spec"] for each in self.documents if each["kind"] == kind]


def render(where: layout.Layout, programs: pathlib.Path, network: str) -> None:
    """Write the chart, as `helm template` gives it for this cluster, where `read` finds it.

    network: "terway" = with ipamd.
    """
    values = {
        "cloud": {
            "clusterId": where.prefix,
            "scheme": "http",
            "imdsEndpoint": f"http://{layout.CLOUD}",
            "endpoints": dict.fromkeys(
                ("ecs", "vpc", "sts", "nas", "efloController"), layout.CLOUD
            ),
        },
        "logging": {"verbosity": 5},
        "ipamd": {"enabled": network == "terway", "eniConf": ENI_CONF},
    }
    given = where.state_dir / "values.yaml"
    given.write_text(yaml.safe_dump(values))
    argv = [str(programs / "helm"), "template", "csi", str(CHART), "--namespace", NAMESPACE]
    argv += ["--kube-version", "1.34.3", "--values", str(given)]
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
    documents = yaml.safe_load_all(_file(where).read_text())
    return Rendered([each for each in documents if each])


def controllers(where: layout.Layout, programs: pathlib.Path) -> list[components.Component]:
    """The containers of the Deployments, ours first: the others end without them."""
    made = [
        _component(where, programs, pod, container, layout.CONTROL)
        for pod in read(where).pods("Deployment")
        for container in pod["containers"]
    ]
    return sorted(made, key=lambda each: not each.name.startswith("csi-controller"))


def node(where: layout.Layout, programs: pathlib.Path, name: str) -> list[components.Component]:
    """The containers of the DaemonSets, on one node."""
    return [
        _component(where, programs, pod, container, name)
        for pod in read(where).pods("DaemonSet")
        for container in pod["containers"]
    ]


def _component(
    where: layout.Layout,
    programs: pathlib.Path,
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
    machine: str,
) -> components.Component:
    program = _program(container)
    kubeconfig = where.kubeconfig(pod["serviceAccountName"])
    arguments = [_here(word) for word in container["args"]]
    environment = _environment(container, machine)
    if program in _OURS:
        argv = [sys.executable, "-m", _OURS[program], *arguments]
        environment |= components.cloud_environment()
        environment["KUBECONFIG"] = str(kubeconfig)
        environment["DISK_BY_ID_DIR"] = str(where.home(machine) / "by-id")
    else:
        argv = [str(programs / program), *arguments, f"--kubeconfig={kubeconfig}"]
        argv.append(f"--leader-election-namespace={NAMESPACE}")
    called = container["name"]
    on_control = machine == layout.CONTROL
    return components.Component(
        name=_NAMES.get(called, called)
        if on_control
        else f"{machine}/{_NODE_NAMES.get(called, called)}",
        machine=machine,
        argv=tuple(argv),
        ready=_READY[program],
        environment=environment,
        ready_timeout_s=_ELECTED_S,
        restarts=True,
    )


def _program(container: Mapping[str, Any]) -> str:
    """The command, or what images without one run."""
    if "command" in container:
        return str(container["command"][0])
    return str(container["image"]).rsplit("/", 1)[-1].split(":")[0]


def _here(word: str) -> str:
    for theirs, ours in zip(*_SOCKETS, strict=True):
        word = word.replace(theirs, ours)
    return word


def _environment(container: Mapping[str, Any], machine: str) -> dict[str, str]:
    """Variables with values; those of the pod's fields are the machine's name."""
    return {
        each["name"]: each.get("value", machine if "valueFrom" in each else "")
        for each in container.get("env") or []
    }


def _file(where: layout.Layout) -> pathlib.Path:
    return where.state_dir / "chart.yaml"

"""Names, addresses and paths of a cluster. All of them follow from its state directory."""

import dataclasses
import hashlib
import ipaddress
import pathlib

CONTROL = "control"
NODES = ("node-1", "node-2")
FAR = "node-3"
"""A node in another zone. `up` does not start it; `Cluster.add_node` does, for tests of zones."""
MACHINES = (CONTROL, *NODES)
ADDRESSES = {
    CONTROL: ipaddress.IPv4Address("192.168.128.10"),
    "node-1": ipaddress.IPv4Address("192.168.128.11"),
    "node-2": ipaddress.IPv4Address("192.168.128.12"),
    FAR: ipaddress.IPv4Address("192.168.0.11"),
}
"""Of the machines, in vSwitches of `tests.support.worlds.big_nodes`."""
ZONES = {"node-1": "cn-hangzhou-k", "node-2": "cn-hangzhou-k", FAR: "cn-hangzhou-j"}
API_PORT = 6443
API_URL = f"https://{ADDRESSES[CONTROL]}:{API_PORT}"
SERVICE_CIDR = "172.21.0.0/20"
KUBERNETES_SERVICE = ipaddress.IPv4Address("172.21.0.1")
CLOUD = "100.100.100.200"
"""Where machines find the cloud and its metadata service."""
KUBELET = "/var/lib/kubelet"
"""kubelet's root directory, as every machine sees it."""
OVERLAID = ("/etc", "/opt", "/var/lib", "/var/log", "/run")
"""What a machine has of its own; see machine_init.sh. A state directory cannot be in there."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where everything of one cluster is. state_dir: absolute, resolved."""

    state_dir: pathlib.Path

    @property
    def prefix(self) -> str:
        """Begins the names of its network namespaces and control groups; 7 characters."""
        return "k" + hashlib.sha256(str(self.state_dir).encode()).hexdigest()[:6]

    @property
    def settings(self) -> pathlib.Path:
        """What `up` was asked for. Its presence says that the directory is a cluster's."""
        return self.state_dir / "cluster.json"

    @property
    def pki(self) -> pathlib.Path:
        """Keys, certificates, kubeconfigs."""
        return self.state_dir / "pki"

    @property
    def logs(self) -> pathlib.Path:
        """One file for each process."""
        return self.state_dir / "logs"

    @property
    def audit_log(self) -> pathlib.Path:
        """Of the API server; one JSON object a line."""
        return self.state_dir / "audit.log"

    @property
    def cloud(self) -> pathlib.Path:
        """State of cloudsim."""
        return self.state_dir / "cloud"

    @property
    def kubectl(self) -> pathlib.Path:
        """A script: kubectl as administrator of this cluster, from anywhere on this machine."""
        return self.state_dir / "kubectl"

    @property
    def world(self) -> pathlib.Path:
        """What cloudsim was told to begin with."""
        return self.state_dir / "world/world.yaml"

    @property
    def local_files(self) -> pathlib.Path:
        """Of node-local volumes, as every machine sees its own: `node-1/local` on this one."""
        return self.state_dir / "local"

    def home(self, machine: str) -> pathlib.Path:
        """A machine's own files."""
        return self.state_dir / machine

    def manifests(self, node: str) -> pathlib.Path:
        """Of static pods; kubelet looks there."""
        return self.home(node) / "manifests"

    def instance_note(self, node: str) -> pathlib.Path:
        """Tells the id of a node's instance, once the first one was replaced."""
        return self.home(node) / "instance-id"

    def netns(self, machine: str) -> pathlib.Path:
        """A machine's network namespace, which cloudsim makes."""
        return pathlib.Path("/run/netns") / f"{self.prefix}-{machine}"

    def cgroup(self, machine: str) -> str:
        """A machine's control group, in every hierarchy: "/PREFIX/MACHINE"."""
        return f"/{self.prefix}/{machine}"

    def kubeconfig(self, user: str) -> pathlib.Path:
        """How *user* reaches the API server."""
        return self.pki / f"{user}.kubeconfig"

"""The CNI plug-ins that are compared, and the namespaces they work on."""

import json
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support import network_rig

_REFERENCE = network_rig.REFERENCE_PLUGINS
RATE_BITS = 100_000_000
BANDWIDTH = {
    "ingressRate": RATE_BITS,
    "ingressBurst": 8_000_000,
    "egressRate": RATE_BITS,
    "egressBurst": 8_000_000,
}


class Plugin:
    """One way to wire a pod: a chain of executables, each with its configuration."""

    def __init__(self, name: str, steps: Sequence[tuple[Sequence[str], Mapping[str, Any]]]) -> None:
        self.name = name
        self.steps = steps


def ours(name: str, argv: Sequence[str]) -> Plugin:
    """Our executable; it limits the bandwidth too."""
    config = {"type": "terway", "runtimeConfig": {"bandwidth": BANDWIDTH}}
    return Plugin(name, [(argv, config)])


def ptp(directory: pathlib.Path, *, bandwidth: bool) -> Plugin:
    """The reference ptp with host-local, and the bandwidth plug-in after it when asked."""
    name = "ptp+host-local+bandwidth" if bandwidth else "ptp+host-local"
    ipam = {
        "type": "host-local",
        "dataDir": str(directory / name),
        "ranges": [[{"subnet": "10.97.0.0/16" if bandwidth else "10.98.0.0/16"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    steps: list[tuple[Sequence[str], Mapping[str, Any]]] = [
        ([str(_REFERENCE / "ptp")], {"type": "ptp", "ipam": ipam})
    ]
    if bandwidth:
        config = {"type": "bandwidth", "runtimeConfig": {"bandwidth": BANDWIDTH}}
        steps.append(([str(_REFERENCE / "bandwidth")], config))
    return Plugin(name, steps)


class Bench:
    """Runs plug-ins on pods of one node, in a worker inside the node's network."""

    def __init__(self, node: network_rig.Node) -> None:
        self._node = node
        self._dir = node.dir / "bench"
        self._dir.mkdir(exist_ok=True)
        self._netns: list[str] = []
        argv = [*node.enter(), sys.executable, "-m", "bench.cni_worker"]
        self._worker = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        """End the worker and remove the namespaces."""
        self._worker.kill()
        self._worker.wait()
        for name in self._netns:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def pods(self, count: int) -> list[str]:
        """Names of *count* fresh namespaces."""
        first = len(self._netns)
        names = [f"{self._node.netns}-b{first + n}" for n in range(count)]
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
        self._netns += names
        return names

    def run(
        self, turns: Sequence[tuple[str, Plugin, str]], *, at_once: int = 1
    ) -> tuple[list[float], float]:
        """Times of (command, plug-in, pod) turns, in their order, and the time for all."""
        job = {
            "turns": [self._turn(command, plugin, pod) for command, plugin, pod in turns],
            "at_once": at_once,
        }
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.write(json.dumps(job) + "\n")
        self._worker.stdin.flush()
        answer = self._worker.stdout.readline()
        if not answer:
            raise RuntimeError("the worker ended: a plug-in failed, see above")
        told = json.loads(answer)
        return told["elapsed_s"], told["wall_s"]

    def _turn(self, command: str, plugin: Plugin, pod: str) -> list[dict[str, Any]]:
        steps = [self._command(command, plugin, number, pod) for number in range(len(plugin.steps))]
        return steps if command == "ADD" else steps[::-1]

    def _command(self, command: str, plugin: Plugin, number: int, pod: str) -> dict[str, Any]:
        argv, config = plugin.steps[number]
        network = f"bench-{plugin.name.partition('+')[0]}"
        return {
            "argv": list(argv),
            "config": {"cniVersion": "1.0.0", "name": network, **config},
            "result": str(self._dir / f"{pod}.{plugin.name}.result"),
            "env": {
                "CNI_COMMAND": command,
                "CNI_CONTAINERID": pod,
                "CNI_NETNS": f"/run/netns/{pod}",
                "CNI_IFNAME": "eth0",
                "CNI_PATH": str(_REFERENCE),
                "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME={pod}",
                "TERWAY_SOCKET": str(self._node.cni_socket),
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            },
        }

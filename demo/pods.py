"""Pods on the network: two simulated nodes, a container runtime on one of them, a real VPC fabric.

Each step keeps a promise, and fails the demo when it does not hold.
"""

import contextlib
import pathlib
import time
from collections.abc import Iterator

from demo import life, story
from tests.support import network_rig, traffic

CONF = {
    "min_pool_size": 2,
    "max_pool_size": 5,
    "ip_cooldown_period": "3s",
    "ip_pool_sync_period": "1h",
}
CONFLIST = {
    "cniVersion": "1.0.0",
    "name": "terway",
    "plugins": [{"type": "terway", "capabilities": {"bandwidth": True}}],
}
NETWORK = {"cniVersion": "1.0.0", "name": "terway", "type": "terway"}
SERVICE = "172.16.0.10"
LIMIT_BITS = 16_000_000
_PORT = 8080


class Pods:
    """The second half of the demo. rig: not started yet."""

    def __init__(self, rig: network_rig.NetworkRig, told: story.Story) -> None:
        self._rig = rig
        self._told = told

    def run(self) -> None:
        """Every step; raises life.Failed."""
        with self._told.step("a VPC with two nodes, ipamd on each of them"):
            self._start()
        with self._told.step("containerd on node-1 starts two pods through our CNI configuration"):
            self._start_runtime()
        with self._told.step("cnitool-style pod on node-2, straight through the executable"):
            self._there = self._rig.pod(self._nodes[1], "web-there")
            self._there_ip = str(self._there.add(NETWORK)["ips"][0]["address"]).split("/")[0]
            self._told.node(f"web-there has {self._there_ip}")
        with self._told.step("pods reach pods on both nodes, their node, and a service address"):
            self._reach()
        with self._told.step(f"a pod limited to {LIMIT_BITS // 1_000_000} Mbit/s"):
            self._limit()
        with self._told.step("a deleted pod's address comes back after its rest"):
            self._give_back()
        with self._told.step("the fabric refused nothing"):
            drops = self._rig.control.request("GET", "network")["drops"]
            self._told.cloud(f"dropped packets: {drops}")
            expect(not any(drops.values()), f"the fabric dropped packets: {drops}")
        print("\n" + self._table())

    def _start(self) -> None:
        for name in ("node-1", "node-2"):
            node = self._rig.node(name)
            node.configure(CONF, CONFLIST)
            node.start_daemon()
            rows = node.cli("mapping")
            self._told.node(f"{name}: {len(rows)} warm addresses, CNI configuration written")
        self._nodes = self._rig.nodes

    def _start_runtime(self) -> None:
        self._runtime = self._nodes[0].start_containerd()
        self._runtime.wait_network_ready()
        self._pods = [
            self._runtime.run_pod(self._runtime.sandbox_config(name)) for name in ("web-0", "web-1")
        ]
        for pod in self._pods:
            status, text = self._runtime.execute(pod, "/bin/ip", "-4", "addr", "show", "eth0")
            expect(
                status == 0 and f"inet {pod.ip}/32" in text, f"CRI told {pod.ip}, eth0 has {text}"
            )
            self._told.node(f"{pod.name} has {pod.ip}, as eth0 says")

    def _reach(self) -> None:
        here, other = self._pods
        node_ip = self._nodes[0].ip("addr", "show", "eth0")[0]["addr_info"][0]["local"]
        there = ["nsenter", f"--net={self._there.path}"]
        for what, source, target, address in (
            ("pod to pod, one node", self._enter(here.ip), self._enter(other.ip), other.ip),
            ("pod to pod, two nodes", self._enter(here.ip), there, self._there_ip),
            ("pod to its node", self._enter(here.ip), self._nodes[0].enter(), node_ip),
        ):
            with traffic.serving(target, _PORT):
                seen, _ = traffic.send(source, address, _PORT)
            expect(seen == here.ip, f"{what}: the server saw {seen}, not {here.ip}")
            self._told.node(f"{what}: the server saw {seen}")
        with self._service(other.ip), traffic.serving(self._enter(other.ip), _PORT):
            seen, _ = traffic.send(self._enter(here.ip), SERVICE, 80)
        self._told.node(f"pod to service {SERVICE}: the server saw {seen}")

    def _limit(self) -> None:
        slow = self._rig.pod(self._nodes[0], "slow")
        limits = {"bandwidth": {"ingressRate": LIMIT_BITS, "ingressBurst": 400_000}}
        address = str(slow.add({**NETWORK, "runtimeConfig": limits})["ips"][0]["address"])[:-3]
        with traffic.serving(["nsenter", f"--net={slow.path}"], _PORT):
            _, rate = traffic.send(self._enter(self._pods[0].ip), address, _PORT, 4_000_000)
        slow.delete(NETWORK)
        self._told.node(f"measured {rate * 8 / 1e6:.1f} Mbit/s")
        expect(rate * 8 < LIMIT_BITS * 1.25, "the limit does not hold")

    def _give_back(self) -> None:
        gone = self._pods.pop()
        self._runtime.remove(gone)
        self._told.node(f"{gone.ip} is {self._state(gone.ip)} at once")
        began_s = time.monotonic()
        while self._state(gone.ip) == "cooling":
            expect(time.monotonic() - began_s < 30, f"{gone.ip} never came back")
            time.sleep(0.1)
        self._told.node(f"{gone.ip} is {self._state(gone.ip)} after {CONF['ip_cooldown_period']}")

    def _state(self, address: str) -> str:
        rows = self._nodes[0].cli("mapping")
        return next((str(row["state"]) for row in rows if row["ip"] == address), "given back")

    def _enter(self, address: str) -> list[str]:
        return ["nsenter", f"--net={self._nodes[0].netns_of(address)}"]

    @contextlib.contextmanager
    def _service(self, backend: str) -> Iterator[None]:
        """A service address, as kube-proxy would make it."""
        rule = ["PREROUTING", "-d", SERVICE, "-p", "tcp", "--dport", "80"]
        rule += ["-j", "DNAT", "--to-destination", f"{backend}:{_PORT}"]
        self._nodes[0].run("iptables", "-t", "nat", "-A", *rule)
        try:
            yield
        finally:
            self._nodes[0].run("iptables", "-t", "nat", "-D", *rule)

    def _table(self) -> str:
        lines = [("node", "interface", "address", "state", "pod")]
        for node in self._nodes:
            lines += [
                (node.name, row["ifname"], row["ip"], row["state"], row["pod"])
                for row in node.cli("mapping")
            ]
        widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


def expect(kept: bool, otherwise: str) -> None:  # noqa: FBT001
    """Raise life.Failed unless a promise is *kept*."""
    if not kept:
        raise life.Failed(otherwise)


def build(directory: pathlib.Path) -> pathlib.Path:
    """The CNI executable, built once."""
    return network_rig.build_executables(directory).default

"""The simulated VPC on this machine (root): namespaces, veth pairs, and a router between them.

`<prefix>-vpc` is the VPC, `<prefix>-<node name>` an instance. Each interface is a veth pair: the
instance's end has the MAC the cloud gave it; the other end is a port of the VPC, which delivers by
host routes and permanent neighbours, as a hypervisor does, and drops what a VPC would drop. Only
namespaces of this prefix are ever touched. Not here: cloud rules; security groups.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from sim.hardware import api, network_api

CLOUD_ADDRESS = "100.100.100.200"
"""Where instances find the metadata service; the API is served there as well."""
_ROUTER_MAC = "ee:ff:ff:ff:ff:ff"
_NETNS_DIR = pathlib.Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_TABLE = "vpc"
_COMMAND_S = 30.0
_RULES = """
table inet vpc {
  counter spoofed {}
  counter unassigned {}
  set sources { type ifname . ipv4_addr; }
  set macs { type ifname . ether_addr; }
  set unchecked { type ifname; }
  chain forward {
    type filter hook forward priority 0;
    ip6 version 6 drop
    jump checked
  }
  chain input {
    type filter hook input priority 0;
    iifname "lo" accept
    meta l4proto { tcp, udp, icmp } jump checked
  }
  chain checked {
    iifname . ether saddr != @macs counter name spoofed drop
    iifname @unchecked accept
    iifname . ip saddr != @sources counter name spoofed drop
  }
  chain nobody {
    type filter hook output priority 0;
    ip protocol icmp icmp type destination-unreachable counter name unassigned
  }
}
"""


class LinuxNetwork:
    """Implements network_api.Network. prefix: of the namespaces' names."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._vpc = f"{prefix}-vpc"
        self._last: network_api.Fabric | None = None

    def sync(self, fabric: network_api.Fabric) -> None:
        if fabric == self._last:
            return
        self._ensure_vpc()
        wanted = {_port_name(port): port for port in fabric.ports}
        present = self._ports()
        for name in present - wanted.keys():
            self._ip(self._vpc, [f"link del {name}"])
        for name, port in sorted(wanted.items(), key=lambda each: not each[1].primary):
            if name not in present:
                self._plug(name, port, fabric.instances[port.instance_id])
        self._sync_routes(wanted)
        self._sync_rules(wanted)
        self._last = fabric

    def drops(self) -> network_api.Drops:
        found = {"spoofed": 0, "unassigned": 0}
        if (_NETNS_DIR / self._vpc).exists():
            told = self._run(["nft", "-j", "list", "counters"], netns=self._vpc)
            for each in json.loads(told)["nftables"]:
                counter = each.get("counter")
                if counter is not None:
                    found[counter["name"]] = counter["packets"]
        return network_api.Drops(**found)

    def release(self) -> None:
        self._last = None
        for path in _NETNS_DIR.glob(f"{self._prefix}-*"):
            self._run(["ip", "netns", "del", path.name])

    def listen(self, port: int) -> socket.socket:
        """A listening socket at `CLOUD_ADDRESS` inside the VPC."""
        self._ensure_vpc()
        made: list[socket.socket] = []

        def make() -> None:
            with _opened(_NETNS_DIR / self._vpc) as fd:
                if ctypes.CDLL(None, use_errno=True).setns(fd, _CLONE_NEWNET) == 0:
                    made.append(socket.create_server((CLOUD_ADDRESS, port)))

        # A thread of its own that ends: only it is in the namespace, the socket stays there.
        thread = threading.Thread(target=make, name="vpc-listener")
        thread.start()
        thread.join()
        if not made:
            raise api.HardwareError(f"cannot listen on {CLOUD_ADDRESS}:{port} in {self._vpc}")
        return made[0]

    def node_netns(self, node_name: str) -> str:
        """Name of an instance's namespace."""
        return f"{self._prefix}-{node_name}"

    def _ensure_vpc(self) -> None:
        if (_NETNS_DIR / self._vpc).exists():
            return
        self._run(["ip", "netns", "add", self._vpc])
        self._ip(
            self._vpc,
            ["link set lo up", f"addr add {CLOUD_ADDRESS}/32 dev lo"],
        )
        self._sysctl(
            self._vpc,
            {
                "net.ipv4.ip_forward": "1",
                "net.ipv4.conf.all.rp_filter": "0",
                "net.ipv4.conf.default.rp_filter": "0",
                "net.ipv4.conf.default.proxy_arp": "1",
                "net.ipv4.conf.all.send_redirects": "0",
                "net.ipv4.conf.default.send_redirects": "0",
                "net.ipv6.conf.all.disable_ipv6": "1",
                "net.ipv6.conf.default.disable_ipv6": "1",
                # Each packet nobody owns is one to count.
                "net.ipv4.icmp_ratelimit": "0",
                "net.ipv4.icmp_ratemask": "0",
            },
        )
        self._run(["nft", "-f", "-"], netns=self._vpc, stdin=_RULES)

    def _plug(self, name: str, port: network_api.Port, node_name: str) -> None:
        """Make the pair; a primary interface comes up as an instance's does at boot."""
        node = self.node_netns(node_name)
        if not (_NETNS_DIR / node).exists():
            self._run(["ip", "netns", "add", node])
            self._ip(node, ["link set lo up"])
        guest = "eth0" if port.primary else self._free_name(node)
        peer = f"name {guest} address {port.mac} netns {node}"
        self._ip(
            self._vpc,
            [f"link add {name} address {_ROUTER_MAC} type veth peer {peer}", f"link set {name} up"],
        )
        # Else the kernel answers for others only after some random time.
        self._sysctl(self._vpc, {f"net.ipv4.neigh.{name}.proxy_delay": "0"})
        if port.primary:
            self._ip(
                node,
                [
                    f"addr add {port.addresses[0]}/{port.prefix_length} dev {guest}",
                    f"link set {guest} up",
                    f"route add default via {port.gateway} dev {guest}",
                ],
            )

    def _free_name(self, node: str) -> str:
        taken = {link["ifname"] for link in self._json(node, "link")}
        return next(f"eth{n}" for n in range(1, 1000) if f"eth{n}" not in taken)

    def _sync_routes(self, wanted: dict[str, network_api.Port]) -> None:
        """A route and a neighbour for each address: the guest need not answer ARP for it."""
        have = {
            (route["dst"], route["dev"])
            for route in self._json(self._vpc, "-4", "route", "show", "table", "main")
            if route.get("dev", "").startswith("p")
        }
        want = {(ip, name): port for name, port in wanted.items() for ip in port.addresses}
        commands = [f"route del {ip} dev {dev}" for ip, dev in have - want.keys()]
        commands += [f"neigh del {ip} dev {dev}" for ip, dev in have - want.keys()]
        for (ip, dev), port in want.items():
            if (ip, dev) not in have:
                commands.append(f"route replace {ip}/32 dev {dev}")
                commands.append(f"neigh replace {ip} lladdr {port.mac} dev {dev} nud permanent")
        # The gateways' addresses are the router's, so that it answers ARP for them on every port.
        commands += [f"addr replace {gateway}/32 dev lo" for gateway in _gateways(wanted)]
        if commands:
            self._ip(self._vpc, commands)

    def _sync_rules(self, wanted: dict[str, network_api.Port]) -> None:
        lines = [f"flush set inet {_TABLE} {each}" for each in ("sources", "macs", "unchecked")]
        sources = [f'"{n}" . {ip}' for n, port in wanted.items() for ip in port.addresses]
        macs = [f'"{n}" . {port.mac}' for n, port in wanted.items()]
        unchecked = [f'"{n}"' for n, port in wanted.items() if not port.source_dest_check]
        # An interface without the check may send from any address, pods' of other nodes included.
        for name, elements in (("sources", sources), ("macs", macs), ("unchecked", unchecked)):
            if elements:
                lines.append(f"add element inet {_TABLE} {name} {{ {', '.join(elements)} }}")
        self._run(["nft", "-f", "-"], netns=self._vpc, stdin="\n".join(lines))

    def _ports(self) -> set[str]:
        """Ports whose guest end is still there."""
        return {
            link["ifname"]
            for link in self._json(self._vpc, "link")
            if link["ifname"].startswith("p")
        }

    def _json(self, netns: str, *words: str) -> Any:
        return json.loads(self._run(["ip", "-n", netns, "-j", *words]) or "[]")

    def _ip(self, netns: str, commands: Sequence[str]) -> None:
        stdin = "".join(f"{command}\n" for command in commands)
        self._run(["ip", "-n", netns, "-batch", "-"], stdin=stdin)

    def _sysctl(self, netns: str, values: dict[str, str]) -> None:
        words = [f"{key}={value}" for key, value in values.items()]
        self._run(["sysctl", "-q", "-w", *words], netns=netns)

    @staticmethod
    def _run(argv: Sequence[str], *, netns: str = "", stdin: str = "") -> str:
        words = [*(["ip", "netns", "exec", netns] if netns else []), *argv]
        try:
            done = subprocess.run(
                words, input=stdin, capture_output=True, text=True, timeout=_COMMAND_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as e:
            raise api.HardwareError(f"network: {' '.join(words)}: {e}") from e
        if done.returncode != 0:
            raise api.HardwareError(f"network: {' '.join(words)}: {done.stderr.strip()} {stdin}")
        return done.stdout


def _gateways(ports: dict[str, network_api.Port]) -> list[str]:
    return sorted({port.gateway for port in ports.values()})


def _port_name(port: network_api.Port) -> str:
    """Name of the VPC's end, from the interface's id."""
    return "p" + hashlib.sha256(port.eni_id.encode()).hexdigest()[:12]


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)

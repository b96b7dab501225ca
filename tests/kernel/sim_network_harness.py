"""A small VPC for tests of the simulated network: two instances, and packets between them."""

import contextlib
import dataclasses
import pathlib
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable
from typing import TypeVar

from sim.hardware import network_api
from sim.hardware.network import linux, namespaces
from tests.support import netns

T = TypeVar("T")

NODE_1, NODE_2 = "i-1", "i-2"
PORT = 7000
WAIT_S = 2.0
LOST_S = 0.3
SENDS = 7
"""How long a packet is waited for that is not to come."""
GROUP = "sg-1"


def port(number: int, instance_id: str, **changes) -> network_api.Port:
    """Interface *number* with the address 10.0.0.<number> in a /24; primary when it is below 10."""
    fields = {
        "eni_id": f"eni-{number}",
        "mac": f"00:16:3e:00:00:{number:02x}",
        "instance_id": instance_id,
        "primary": number < 10,
        "addresses": (f"10.0.0.{number}",),
        "gateway": "10.0.0.253",
        "prefix_length": 24,
        "security_group_ids": (GROUP,),
        "source_dest_check": True,
        "vpc_id": "vpc-1",
    }
    return network_api.Port(**(fields | changes))


def with_addresses(of: network_api.Port, *addresses: str) -> network_api.Port:
    """The interface with these addresses behind its own."""
    return dataclasses.replace(of, addresses=(*of.addresses, *addresses))


class Vpc:
    """The network under test, and the view of its guests."""

    def __init__(self) -> None:
        self.prefix = f"t{uuid.uuid4().hex[:8]}"
        self.network = linux.LinuxNetwork(self.prefix)

    def sync(self, *ports: network_api.Port, **fields) -> None:
        """Make the network so."""
        nodes = {NODE_1: "node-1", NODE_2: "node-2"}
        defaults = {"instances": nodes, "security_groups": {GROUP: ()}}
        self.network.sync(network_api.Fabric(ports=ports, **(defaults | fields)))

    def restart(self) -> None:
        """Another process takes over: nothing is known but what the machine has."""
        self.network.close()
        self.network = linux.LinuxNetwork(self.prefix)

    def namespace(self, instance_id: str) -> str:
        return f"{self.prefix}-node-{instance_id[-1]}"

    def sh(self, name: str, command: str) -> str:
        """Output of a command in the namespace `<prefix>-<name>`."""
        argv = ["nsenter", f"--net=/run/netns/{self.prefix}-{name}", *command.split()]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def configure(self, instance_id: str, ifname: str, *addresses: str) -> None:
        """Do as a guest does with an interface it found."""
        node = f"node-{instance_id[-1]}"
        self.sh(
            node, f"sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{ifname}.rp_filter=0"
        )
        self.sh(node, f"ip link set {ifname} up")
        for address in addresses:
            self.sh(node, f"ip addr add {address}/32 dev {ifname}")

    def inside(self, instance_id: str, call: Callable[[], T]) -> T:
        """Result of *call* made in an instance's network."""
        results: list[T] = []

        def work() -> None:
            with pathlib.Path(f"/run/netns/{self.namespace(instance_id)}").open("rb") as file:
                netns.enter(file.fileno())
            results.append(call())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return results[0]

    def udp(self, instance_id: str, address: str) -> socket.socket:
        """A socket of a guest, bound to one of its addresses."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET

        def make() -> socket.socket:
            made = socket.socket(family, socket.SOCK_DGRAM)
            made.bind((address, PORT))
            made.settimeout(WAIT_S)
            return made

        return self.inside(instance_id, make)

    def arrives(
        self, source: tuple[str, str], target: tuple[str, str], *, lost: bool = False
    ) -> bool:
        """Whether a packet from (instance, address) reaches (instance, address).

        lost: it is expected not to, so do not wait long.
        """
        with (
            contextlib.closing(self.udp(*target)) as receiver,
            contextlib.closing(self.udp(*source)) as sender,
        ):
            # A link that has just come up drops packets for a moment, until the kernel has noticed.
            receiver.settimeout(LOST_S)
            payload = uuid.uuid4().bytes
            for _ in range(1 if lost else SENDS):
                sender.sendto(payload, (target[1], PORT))
                with contextlib.suppress(TimeoutError):
                    got, (seen, *_) = receiver.recvfrom(100)
                    return (got, seen) == (payload, source[1])
            return False

    def drops(self) -> dict[str, int]:
        """Counters that are not zero."""
        return {name: n for name, n in dataclasses.asdict(self.network.drops()).items() if n}

    def dump(self) -> str:
        """All that is in the VPC's namespace, with indexes and handles."""
        commands = (
            "ip -d link",
            "ip addr",
            "ip route show table all",
            "ip -6 route show table all",
            "ip neigh show nud permanent",
            "ip -6 neigh show proxy",
            "nft -a list ruleset",
        )
        return "\n".join(self.sh("vpc", command) for command in commands)

    def namespaces(self) -> list[str]:
        return sorted(p.name for p in pathlib.Path("/run/netns").glob(f"{self.prefix}-*"))

    def notes(self) -> list[pathlib.Path]:
        return list(namespaces.RUN_DIR.glob(f"{self.prefix}*"))

    def close(self) -> None:
        self.network.release()
        for name in self.namespaces():
            subprocess.run(["ip", "netns", "del", name], check=False)

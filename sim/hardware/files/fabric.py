"""The network of the exports: a router namespace, one link to this machine, one to each server.

Every step may be repeated, also after a kill at any command.
"""

import ipaddress
import json
import pathlib

from sim.hardware import api
from sim.hardware.files import command, model

NETNS_DIR = pathlib.Path("/run/netns")


class Fabric:
    """Links and routes of one state directory. `addresses` once `ensure` has been called."""

    def __init__(self, names: model.Names) -> None:
        self._names = names
        self._addresses: model.Addresses | None = None

    @property
    def addresses(self) -> model.Addresses:
        """Addresses of the block in use. HardwareError before `ensure`."""
        if self._addresses is None:
            raise api.HardwareError("files: there is no network of exports yet")
        return self._addresses

    def ensure(self) -> None:
        """Make router and link. A block that this machine routes elsewhere is passed over."""
        if self._addresses is not None:
            return
        router, link = self._names.router, self._names.link
        addresses = model.Addresses(self._choose())
        if not is_namespace(router):
            _remove_namespace(router)
            command.run("ip", "netns", "add", router)
        if not pathlib.Path(f"/sys/class/net/{link}").exists():
            command.ip("", f"link add {link} type veth peer name machine netns {router}")
        command.ip(
            router,
            "link set lo up",
            "link set machine up",
            f"addr replace {addresses.router}/32 dev machine",
            f"route replace {addresses.machine}/32 dev machine",
        )
        forward = "net.ipv4.ip_forward=1"
        command.run("ip", "netns", "exec", router, "sysctl", "-qw", forward)
        command.ip(
            "",
            f"link set {link} up",
            f"addr replace {addresses.machine}/32 dev {link}",
            f"route replace {addresses.block} via {addresses.router} dev {link} onlink "
            f"src {addresses.machine}",
        )
        self._addresses = addresses

    def plug(self, number: int) -> str:
        """The namespace of a server, with its address and its link. Returns the name."""
        name, router = self._names.server(number), self._names.router
        port, address = f"s{number}", self.addresses.server(number)
        command.run("ip", "netns", "add", name)
        command.ip(
            name,
            "link set lo up",
            f"link add eth0 type veth peer name {port} netns {router}",
            "link set eth0 up",
            f"addr add {address}/32 dev eth0",
            f"route add {self.addresses.router}/32 dev eth0",
            f"route add default via {self.addresses.router}",
        )
        command.ip(router, f"link set {port} up", f"route replace {address}/32 dev {port}")
        return name

    def unplug(self, number: int) -> None:
        """Remove the namespace of a server; absent and half made are fine."""
        name = self._names.server(number)
        if is_namespace(name) and " eth0@" in command.run("ip", "-n", name, "-o", "link", "show"):
            # The kernel removes a namespace's links some time later; the name is to be free now.
            command.ip(name, "link del eth0")
        _remove_namespace(name)

    def numbers(self) -> list[int]:
        """Of the servers whose namespaces exist."""
        found = [self._names.number(path.name) for path in NETNS_DIR.glob("nas-*")]
        return sorted(number for number in found if number is not None)

    def remove(self) -> None:
        """Remove router and link; absent is fine. The servers are gone."""
        if pathlib.Path(f"/sys/class/net/{self._names.link}").exists():
            command.ip("", f"link del {self._names.link}")
        _remove_namespace(self._names.router)
        self._addresses = None

    def _choose(self) -> ipaddress.IPv4Network:
        """The block that our link has, else the first from the wanted one on that is free."""
        routes = json.loads(command.run("ip", "-4", "-json", "route", "show", "table", "all"))
        taken = {route["dst"]: route.get("dev", "") for route in routes if "dst" in route}
        for destination, device in taken.items():
            if device == self._names.link and destination.endswith(model.BLOCK_SUFFIX):
                return ipaddress.IPv4Network(destination)
        free = (b for b in self._names.blocks() if str(b) not in taken)
        found = next(free, None)
        if found is None:
            raise api.HardwareError(f"files: every block of {model.POOL} is routed elsewhere")
        return found


def is_namespace(name: str) -> bool:
    """Whether there is a namespace of that name; `ip netns add`, killed, leaves an empty file."""
    try:
        return (NETNS_DIR / name).stat().st_dev != NETNS_DIR.stat().st_dev
    except FileNotFoundError:
        return False


def _remove_namespace(name: str) -> None:
    if (NETNS_DIR / name).exists():
        command.run("ip", "netns", "del", name)

"""The network namespaces we made, and only those.

Their names are noted in a file under /run before they are made, so that they are found again after
a crash, and a namespace of somebody else with such a name is never touched. Like the namespaces,
the file does not outlive a boot.
"""

import contextlib
import json
import pathlib
import socket
from collections.abc import Callable, Iterable

from sim.hardware import api
from sim.hardware.network import command, ruleset

RUN_DIR = pathlib.Path("/run/cloudsim")
# Of the VPC's namespace. The guard tells what passes, so no check of the kernel is in its way.
_SYSCTLS = {
    "net.ipv4.ip_forward": 1,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv4.conf.default.proxy_arp": 1,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
    "net.ipv6.conf.all.forwarding": 1,
    "net.ipv6.conf.default.forwarding": 1,
    "net.ipv6.conf.default.accept_ra": 0,
    "net.ipv6.conf.default.accept_dad": 0,
    "net.ipv6.conf.all.proxy_ndp": 1,
    "net.ipv6.conf.default.proxy_ndp": 1,
    # Nodes with two interfaces send by one and receive by the other.
    "net.netfilter.nf_conntrack_tcp_be_liberal": 1,
}


class Namespaces:
    """Namespaces whose names begin with *prefix*. One process at a time has a prefix."""

    def __init__(self, prefix: str, run_dir: pathlib.Path = RUN_DIR) -> None:
        self._prefix = prefix
        self._file = run_dir / f"{prefix}.json"
        self._holder: socket.socket | None = None
        self.vpc = f"{prefix}-vpc"

    def node(self, node_name: str) -> str:
        """Name of an instance's namespace; HardwareError when that is the VPC's."""
        name = f"{self._prefix}-{node_name}"
        if name == self.vpc or "/" in name:
            raise api.HardwareError(f"network: no instance may be called {node_name}")
        return name

    def made(self) -> set[str]:
        """Names of those we made that exist."""
        return {name for name in self._noted() if (command.NETNS_DIR / name).exists()}

    def ensure_vpc(self) -> None:
        """Make the VPC's namespace, a router without ports."""
        self._ensure(self.vpc, _set_up_vpc)

    def ensure_node(self, name: str) -> None:
        """Make an instance's namespace, without interfaces."""
        self._ensure(name, _set_up_node)

    def _ensure(self, name: str, set_up: Callable[[str], None]) -> None:
        """Make a namespace and set it up; HardwareError when somebody else has one of that name."""
        self._lock()
        noted = self._noted()
        exists = (command.NETNS_DIR / name).exists()
        if exists and name not in noted:
            raise api.HardwareError(
                f"network: a namespace {name} exists that was not made here; remove it "
                f"(ip netns del {name}) or take another --netns-prefix"
            )
        if exists and noted[name]:
            return
        self._note({**noted, name: False})
        if not exists:
            command.run(["ip", "netns", "add", name])
        set_up(name)
        self._note({**noted, name: True})

    def remove(self, names: Iterable[str]) -> None:
        """Remove namespaces we made; interfaces in them go as well."""
        noted = self._noted()
        gone = noted.keys() & set(names)
        if not gone:
            return
        self._lock()
        for name in sorted(gone):
            if (command.NETNS_DIR / name).exists():
                command.run(["ip", "netns", "del", name])
        self._note({name: done for name, done in noted.items() if name not in gone})

    def release(self) -> None:
        """Remove all, and the note."""
        self.remove(self._noted())
        self._file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others' notes are there
            self._file.parent.rmdir()
        self.close()

    def close(self) -> None:
        """Leave the prefix to others; the namespaces stay."""
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    def _lock(self) -> None:
        """Have the prefix until `close`; HardwareError while another process has it.

        The lock is a name that goes with the process and leaves no file.
        """
        if self._holder is not None:
            return
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            holder.bind(f"\0cloudsim-netns-{self._prefix}")
        except OSError as e:
            holder.close()
            raise api.HardwareError(
                f"network: another process has the namespaces of {self._prefix}: {e}"
            ) from e
        self._holder = holder

    def _noted(self) -> dict[str, bool]:
        """Name → whether it was set up."""
        try:
            noted: dict[str, bool] = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as e:
            raise api.HardwareError(
                f"network: {self._file}: {e}; remove it and the namespaces {self._prefix}-*"
            ) from e
        return noted

    def _note(self, noted: dict[str, bool]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(noted), encoding="utf-8")
        new.replace(self._file)


def _set_up_vpc(name: str) -> None:
    words = [f"{key}={value}" for key, value in _SYSCTLS.items()]
    # -e: a kernel without IPv6 has not all of them.
    command.run(["sysctl", "-q", "-e", "-w", *words], netns=name)
    cloud = f"addr replace {ruleset.CLOUD_ADDRESS}/32 dev lo"
    command.ip_batch(name, ["link set lo up", cloud])


def _set_up_node(name: str) -> None:
    command.ip_batch(name, ["link set lo up"])

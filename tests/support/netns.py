"""Network namespaces for tests: nameless, gone with their descriptors.

A Lab is a node with an ENI, whose other end is in a "vpc", and pods. The datapath runs in a thread
that lives in the node.
"""

import concurrent.futures
import contextlib
import ctypes
import dataclasses
import ipaddress
import os
import pathlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from ipamd.datapath import interface, kernel, model, names
from ipamd.datapath.host_objects import HostObjects

T = TypeVar("T")

NODE_IP = ipaddress.IPv4Address("10.0.0.5")
NODE_IPV6 = ipaddress.IPv6Address("fd00::5")
GATEWAY = ipaddress.IPv4Address("10.0.1.253")
GATEWAY_V6 = ipaddress.IPv6Address("fd00:1::253")
ENI_MAC = "02:00:00:00:01:01"
VPC_MAC = "02:00:00:00:01:fe"
POD_IP = ipaddress.IPv4Address("10.0.1.23")
POD_NAME = "cali0d7763386da"
"""Of the pod "default/web-0": spec/terway.md Appendix A."""

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def enter(fd: int) -> None:
    """Move the calling thread; for threads that end there."""
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Netns:
    """A namespace that lives as long as its descriptor."""

    def __init__(self) -> None:
        self.fd = -1
        maker = threading.Thread(target=self._make)
        maker.start()
        maker.join()

    @property
    def path(self) -> pathlib.Path:
        """Where others find it."""
        return pathlib.Path(f"/proc/{os.getpid()}/fd/{self.fd}")

    def close(self) -> None:
        os.close(self.fd)

    def sh(self, command: str) -> str:
        """Output of a command run inside."""
        argv = ["nsenter", f"--net={self.path}", *command.split()]
        ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
        assert ended.returncode == 0, f"{command}: {ended.stderr}"
        return "\n".join(line.rstrip() for line in ended.stdout.splitlines())

    def batch(self, commands: str) -> None:
        """Run `ip` commands inside, one a line."""
        argv = ["nsenter", f"--net={self.path}", "ip", "-batch", "-"]
        subprocess.run(argv, input=commands, text=True, check=True, timeout=20)

    def run(self, call: Callable[[], T]) -> T:
        """Result of *call* in a thread inside."""
        with concurrent.futures.ThreadPoolExecutor(1, initializer=enter, initargs=(self.fd,)) as ex:
            return ex.submit(call).result(timeout=20)

    def socket(self, kind: socket.SocketKind, family: int = socket.AF_INET) -> socket.socket:
        """A socket inside, which gives up after two seconds."""
        made = self.run(lambda: socket.socket(family, kind))
        made.settimeout(2)
        return made

    def _make(self) -> None:
        if _libc.unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Lab:
    """node: with `eni1`, prepared; vpc: what is behind it, at the gateway's address."""

    def __init__(self, *, ipv6: bool = False) -> None:
        self.ipv6 = ipv6
        with contextlib.ExitStack() as undo:
            self._undo = undo
            self._build(ipv6=ipv6)
            self._undo = undo.pop_all()

    def _build(self, *, ipv6: bool) -> None:
        self.node = self.netns()
        self.vpc = self.netns()
        self.node.batch(
            f"link set lo up\n"
            f"link add eni1 address {ENI_MAC} type veth"
            f" peer name fab address {VPC_MAC} netns {self.vpc.path}\n"
        )
        self.vpc.batch(f"link set lo up\nlink set fab up\naddr add {GATEWAY}/16 dev fab\n")
        if ipv6:
            self.vpc.batch(f"addr add {GATEWAY_V6}/32 dev fab nodad\n")
        self.thread = concurrent.futures.ThreadPoolExecutor(
            1, thread_name_prefix="lab", initializer=enter, initargs=(self.node.fd,)
        )
        self._undo.callback(self.thread.shutdown)
        self.open()
        self._undo.callback(lambda: self.do(self.host.close))
        made = self.do(self.datapath.prepare_eni, self.eni)
        assert made is not None
        self.link = made

    def open(self, mtu: int = 1500) -> None:
        """Open the node's kernel: `host` and `datapath`."""
        node_ipv6 = NODE_IPV6 if self.ipv6 else None
        opened = self.do(kernel.open_kernel, NODE_IP, mtu=mtu, node_ipv6=node_ipv6)
        self.host: HostObjects = opened.host
        self.datapath: interface.Datapath = opened.datapath

    def reopen(self, mtu: int = 1500) -> None:
        """As a new process would."""
        self.do(self.host.close)
        self.open(mtu)

    @property
    def eni(self) -> model.Eni:
        gateway_v6 = GATEWAY_V6 if self.ipv6 else None
        return model.Eni(mac=ENI_MAC, gateway=GATEWAY, ipv6_gateway=gateway_v6)

    def close(self) -> None:
        self._undo.close()

    def netns(self) -> Netns:
        """A further namespace, for a pod."""
        made = Netns()
        self._undo.callback(made.close)
        return made

    def do(self, call: Callable[..., T], *args: object, **kwargs: object) -> T:
        """Result of *call* in the node's thread."""
        return self.thread.submit(call, *args, **kwargs).result(timeout=60)

    def wiring(self, pod: Netns, number: int = 0, **other: object) -> model.Wiring:
        """How pod `default/web-<number>` is wired, unless *other* says otherwise."""
        told: dict[str, object] = {
            "alias": f"network/container-{number}/eth0",
            "netns_path": pod.path,
            "ifname": "eth0",
            "host_ifname": names.host_ifname("default", f"web-{number}", "eth0"),
            "ipv4": POD_IP + number,
            "gateway": GATEWAY,
            "eni": self.link,
        }
        if self.ipv6:
            told["ipv6"] = ipaddress.IPv6Address("fd00:1::23") + number
            told["ipv6_gateway"] = GATEWAY_V6
        return model.Wiring(**(told | other))  # type: ignore[arg-type]

    def wire(self, wiring: model.Wiring) -> model.Wired:
        return self.do(self.datapath.wire, wiring)

    def unwire(self, wiring: model.Wiring, **other: object) -> "concurrent.futures.Future[None]":
        """Start the deletion."""
        unwiring = model.Unwiring(
            host_ifname=wiring.host_ifname,
            alias=wiring.alias,
            addresses=(wiring.ipv4,) if wiring.ipv6 is None else (wiring.ipv4, wiring.ipv6),
            netns_path=wiring.netns_path,
            ifname=wiring.ifname,
        )
        return self.do(self.datapath.unwire, dataclasses.replace(unwiring, **other))  # type: ignore[arg-type]

    def check(self, wiring: model.Wiring) -> list[model.Difference]:
        return self.do(self.datapath.check, wiring)

    def snapshot(self) -> str:
        """All that the datapath may change on the node, without what changes by itself."""
        # Name and MAC only: the kernel brings a link's state up to date some time later.
        links = [line.split()[::2][:2] for line in self.node.sh("ip -br link").splitlines()]
        parts = [
            "-4 -o addr",
            "-4 route show table all",
            "-4 rule",
            "-6 rule",
        ]
        told = "\n".join([str(links), *(self.node.sh(f"ip {part}") for part in parts)])
        return told.replace(" linkdown", "")  # a state of the link, too

    def udp_reaches(self, source: Netns, target: Netns, address: object, port: int = 7000) -> str:
        """Send from one to the other and back; the source address the target saw."""
        family = (
            socket.AF_INET if ipaddress.ip_address(str(address)).version == 4 else socket.AF_INET6
        )
        with (
            target.socket(socket.SOCK_DGRAM, family) as server,
            source.socket(socket.SOCK_DGRAM, family) as client,
        ):
            server.bind((str(address), port))
            client.connect((str(address), port))
            client.send(b"there")
            data, peer = server.recvfrom(100)
            server.sendto(data + b" and back", peer)
            assert client.recv(100) == b"there and back"
            return str(peer[0])


@contextlib.contextmanager
def lab(*, ipv6: bool = False) -> Iterator[Lab]:
    """A Lab for the length of the block."""
    made = Lab(ipv6=ipv6)
    try:
        yield made
    finally:
        made.close()

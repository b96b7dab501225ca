"""A node for CNI tests and measurements that need no cloud.

A namespace with one interface, and the daemon's real services on a socket, with a fixed number of
addresses.

`python -m tests.support.lab_node SOCKET STATE_DIR COUNT` is the daemon; it runs in the namespace.
"""

import asyncio
import contextlib
import ipaddress
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import types
import uuid
from typing import Any

from tests.support import network_rig, processes

_READY = "lab daemon ready"
_FIRST = ipaddress.IPv4Address("10.0.1.10")


class LabNode:
    """What `network_rig.CniPod` needs of a node. addresses: how many pods fit."""

    def __init__(self, executable: pathlib.Path, *, addresses: int = 60) -> None:
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="lab-node-"))
        self.netns = f"l{uuid.uuid4().hex[:6]}"
        self._fabric = f"{self.netns}v"
        self.socket = self.dir / "eni.socket"
        self.state_dir = self.dir / "state"
        self.bin_dir = self.dir / "bin"
        self.bin_dir.mkdir()
        self.pods: list[network_rig.CniPod] = []
        for file in executable.parent.iterdir():
            shutil.copy2(file, self.bin_dir / file.name)
        for plugin in network_rig.REFERENCE_PLUGINS.iterdir():
            with contextlib.suppress(FileExistsError):
                (self.bin_dir / plugin.name).symlink_to(plugin)
        self._make_network()
        argv = [*self.enter(), sys.executable, "-m", "tests.support.lab_node"]
        argv += [str(self.socket), str(self.state_dir), str(addresses)]
        environment = {**os.environ, "PYTHONPATH": str(processes.ROOT)}
        self.daemon = processes.Process(argv, self.dir / "daemon.log", environment)

    def start(self) -> None:
        """Start the daemon, or start it again."""
        self.daemon.start(_READY)

    def enter(self) -> list[str]:
        """The words before a command that is to run in this node's network."""
        return ["nsenter", f"--net=/run/netns/{self.netns}"]

    def cni_environment(self) -> dict[str, str]:
        """What tells the CNI executable where the daemon is."""
        return {
            "TERWAY_SOCKET": str(self.socket),
            "TERWAY_SPOOL": str(self.state_dir / "pending-del"),
        }

    def pod(self, name: str = "") -> network_rig.CniPod:
        """A pod that is only a namespace, not wired yet."""
        made = network_rig.CniPod(self, name)  # type: ignore[arg-type]  # what it needs of a Node
        self.pods.append(made)
        return made

    def traces(self) -> list[str]:
        """Links, rules and routes of the node."""
        parts = ("-br link", "-br -4 addr", "-4 rule", "-4 route show table all")
        told = [
            subprocess.run(
                [*self.enter(), "ip", *part.split()], capture_output=True, text=True, check=True
            ).stdout
            for part in parts
        ]
        # Only names of links: their state and flags follow by themselves.
        told[0] = "\n".join(line.split()[0] for line in told[0].splitlines())
        told[1] = re.sub(r" +(UP|DOWN|UNKNOWN) +", " ", told[1])
        return sorted(line.strip() for text in told for line in text.splitlines())

    def close(self) -> None:
        """End everything."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.daemon.kill9()
        for pod in self.pods:
            pod.remove()
        for name in (self.netns, self._fabric):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)

    def _make_network(self) -> None:
        from tests.support import netns  # noqa: PLC0415  # loads the daemon's code

        for name in (self.netns, self._fabric):
            subprocess.run(["ip", "netns", "add", name], check=True)
        commands = (
            f"link set lo up\nlink add eni1 address {netns.ENI_MAC} type veth"
            f" peer name fab netns {self._fabric}\n"
        )
        subprocess.run(
            ["ip", "-n", self.netns, "-batch", "-"], input=commands, text=True, check=True
        )
        subprocess.run(["ip", "-n", self._fabric, "link", "set", "fab", "up"], check=True)


async def _serve(socket: pathlib.Path, state_dir: pathlib.Path, count: int) -> None:
    from core import clock, grpc_server, logs, metrics  # noqa: PLC0415
    from ipamd import gauges  # noqa: PLC0415
    from ipamd._pb import ipamd_pb2_grpc  # noqa: PLC0415
    from ipamd.cni import pending_dels  # noqa: PLC0415
    from tests.kernel import ipamd_harness  # noqa: PLC0415

    logs.configure(json=True, verbosity=0)
    ipamd_harness.CAPACITY = count
    state_dir.mkdir(mode=0o700, exist_ok=True)
    node: Any = types.SimpleNamespace(
        database=state_dir / "ipamd.db",
        steps=ipamd_harness.Steps(),
        addresses=tuple(_FIRST + n for n in range(count)),
    )
    node.record = lambda: ipamd_harness.Node.record(node)
    daemon = ipamd_harness.Daemon(node, cool_down_s=0.0)
    await daemon.start()
    pending = pending_dels.PendingDels(state_dir / "pending-del", daemon.cni, clock.SystemClock())
    await pending.replay()
    interceptor = grpc_server.ServeInterceptor(
        observe=gauges.observer(metrics.Metrics()), redact=lambda _: None, quiet=gauges.QUIET
    )
    server = grpc_server.make_server(interceptor)
    ipamd_pb2_grpc.add_CniServicer_to_server(daemon.cni, server)
    grpc_server.add_unix_socket(server, socket)
    await server.start()
    print(_READY, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])))

"""A simulated VPC with nodes as network namespaces, and our daemon on each of them.

Used by tests, the demo and the benchmarks. Whatever happens, `close` leaves nothing behind.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from typing import Any

from tests.support import containerd, control, ports, processes

CLOUD = "100.100.100.200"
"""Where nodes find the cloud and its metadata service."""
IPAMD_SERVES = "ipamd serves"
IPAMD_READY = "ipamd ready"
IDS = {"node-1": processes.NODE_1, "node-2": processes.NODE_2}
REFERENCE_PLUGINS = pathlib.Path("/usr/lib/cni")
CNITOOL = processes.ROOT / ".tools/bin/cnitool"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Executables:
    """The built CNI executables. static: None where it could not be built."""

    static: pathlib.Path | None
    pyc: pathlib.Path

    @property
    def default(self) -> pathlib.Path:
        """The one a node gets."""
        return self.static or self.pyc


def build_executables(directory: pathlib.Path) -> Executables:
    """Build both into *directory*, once."""
    static, pyc = directory / "static/terway", directory / "pyc/terway"
    if not pyc.exists():
        argv = ["tools/build_cni.sh", str(directory)]
        subprocess.run(argv, cwd=processes.ROOT, check=True, stdout=subprocess.DEVNULL)
    return Executables(static=static if static.exists() else None, pyc=pyc)


class Node:
    """One simulated machine: a namespace, a daemon, CNI directories."""

    def __init__(self, rig: "NetworkRig", name: str) -> None:
        self.name = name
        self.instance_id = IDS[name]
        self.netns = f"{rig.prefix}-{name}"
        self.dir = rig.dir / name
        self.run_dir = self.dir / "run"
        self.conf_dir = self.dir / "eni"
        self.cni_dir = self.dir / "net.d"
        self.state_dir = self.dir / "state"
        for made in (self.run_dir, self.conf_dir, self.cni_dir):
            made.mkdir(parents=True)
        self.bin_dir = rig.bin_dir
        self.socket = self.run_dir / "eni.socket"
        self.cni_socket = self.run_dir / "cni.socket"
        self.debug_socket = self.run_dir / "eni_debug.socket"
        self._rig = rig
        self.daemon: processes.Process | None = None
        self.containerd: containerd.Containerd | None = None

    # -- the daemon

    def configure(
        self, conf: Mapping[str, Any] | None = None, conflist: Mapping[str, Any] | None = None
    ) -> None:
        """Write its configuration files."""
        (self.conf_dir / "eni_conf").write_text(json.dumps({"version": "1", **(conf or {})}))
        if conflist is not None:
            (self.conf_dir / "10-terway.conflist").write_text(json.dumps(conflist))

    def start_daemon(self, *flags: str, ready: str = IPAMD_READY) -> processes.Process:
        """Start ipamd in the node's namespace and wait until it says *ready*."""
        argv = [*self.enter(), sys.executable, "-m", "ipamd"]
        argv += ["--config", str(self.conf_dir / "eni_conf"), "--socket", str(self.socket)]
        argv += ["--readonly-listen", f"unix://{self.debug_socket}"]
        argv += ["--state-dir", str(self.state_dir), "--run-dir", str(self.run_dir)]
        argv += ["--cni-dir", str(self.cni_dir), "--log-level", "debug", *flags]
        variables = self._rig.environment() | {"NODE_NAME": self.name}
        self.daemon = processes.Process(argv, self.dir / "ipamd.log", variables)
        self.daemon.start(ready)
        return self.daemon

    @property
    def ipamd(self) -> processes.Process:
        assert self.daemon is not None
        return self.daemon

    # -- things in its namespace

    def enter(self) -> list[str]:
        """The words before a command that is to run in this node's network."""
        return ["nsenter", f"--net=/run/netns/{self.netns}"]

    def run(self, *argv: str, check: bool = True, timeout_s: float = 60.0) -> str:
        """Output of a command in the node's network."""
        done = subprocess.run(
            [*self.enter(), *argv], capture_output=True, text=True, check=False, timeout=timeout_s
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{argv} failed: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def ip(self, *words: str) -> Any:
        """What `ip -j` tells in the node's network."""
        return json.loads(self.run("ip", "-j", *words) or "[]")

    def attachments(self) -> list[dict[str, Any]]:
        """What the daemon's introspection page shows."""
        found: list[dict[str, Any]] = json.loads(self._page("/v1/attachments"))
        return found

    def metrics(self) -> str:
        """What the daemon's metrics page shows."""
        return self._page("/metrics")

    def _page(self, path: str) -> str:
        fetch = ["curl", "-s", "--unix-socket", str(self.debug_socket), f"http://ipamd{path}"]
        return self.run(*fetch)

    def netns_of(self, address: str) -> str:
        """Path of the network namespace of the pod with *address*."""
        return next(str(row["netns"]) for row in self.attachments() if row["ipv4"] == address)

    def start_containerd(self) -> containerd.Containerd:
        """A container runtime on this node."""
        self.containerd = containerd.Containerd(
            self.dir / "c",
            netns=self.netns,
            bin_dir=self.bin_dir,
            conf_dir=self.cni_dir,
            environment=self.cni_environment(),
        )
        self.containerd.start()
        return self.containerd

    def cni_environment(self) -> dict[str, str]:
        """What tells the CNI executable where this node's daemon is."""
        return {
            "TERWAY_SOCKET": str(self.cni_socket),
            "TERWAY_SPOOL": str(self.state_dir / "pending-del"),
        }

    def cli(self, *words: str) -> Any:
        """What `terway-cli --output json` tells."""
        argv = [sys.executable, "-m", "ipamd.cli", "--socket", str(self.socket), "-o", "json"]
        done = subprocess.run(
            [*argv, *words], capture_output=True, text=True, check=False, cwd=processes.ROOT
        )
        if not done.stdout:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout)

    def close(self) -> None:
        """End its processes."""
        if self.containerd is not None:
            self.containerd.close()
        if self.daemon is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.daemon.kill9()


class CniPod:
    """A pod that is only a network namespace, wired through the CNI executable."""

    def __init__(self, node: Node, name: str = "", **environment: str) -> None:
        self.node = node
        self.name = name or f"pod-{uuid.uuid4().hex[:8]}"
        self.container_id = uuid.uuid4().hex * 2
        self.netns = f"{node.netns}-{self.container_id[:12]}"
        self.path = f"/run/netns/{self.netns}"
        self._environment = environment
        subprocess.run(["ip", "netns", "add", self.netns], check=True)
        subprocess.run(["ip", "-n", self.netns, "link", "set", "lo", "up"], check=True)

    def cni(
        self,
        command: str,
        config: Mapping[str, Any] | bytes | None = None,
        **environment: str,
    ) -> tuple[int, Any]:
        """Exit status and what was printed, decoded."""
        if config is None:
            config = {"cniVersion": "1.0.0", "name": "terway", "type": "terway"}
        stdin = config if isinstance(config, bytes) else json.dumps(config).encode()
        variables = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": self.container_id,
            "CNI_NETNS": self.path,
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(self.node.bin_dir),
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={self.name}",
            **self.node.cni_environment(),
            "PATH": os.environ["PATH"],
            **self._environment,
            **environment,
        }
        done = subprocess.run(
            [*self.node.enter(), str(self.node.bin_dir / "terway")],
            input=stdin,
            env=variables,
            capture_output=True,
            check=False,
            timeout=150,
        )
        return done.returncode, json.loads(done.stdout) if done.stdout else None

    def add(self, config: Mapping[str, Any] | None = None, **environment: str) -> Any:
        """The result of ADD; raises when it fails."""
        status, told = self.cni("ADD", config, **environment)
        if status != 0:
            raise RuntimeError(f"ADD failed: {told}")
        return told

    def delete(self, config: Mapping[str, Any] | None = None, **environment: str) -> None:
        """DEL; raises when it fails."""
        status, told = self.cni("DEL", config, **environment)
        if status != 0:
            raise RuntimeError(f"DEL failed: {told}")

    def run(self, *argv: str, check: bool = True, timeout_s: float = 30.0) -> str:
        """Output of a command in the pod's network."""
        done = subprocess.run(
            ["nsenter", f"--net={self.path}", *argv],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{argv} failed: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def ip(self, *words: str) -> Any:
        """What `ip -j` tells in the pod's network."""
        return json.loads(self.run("ip", "-j", *words) or "[]")

    def remove(self) -> None:
        """Remove the namespace; absent is fine."""
        subprocess.run(["ip", "netns", "del", self.netns], check=False, capture_output=True)


class NetworkRig:
    """A directory with a simulated cloud, its VPC fabric, and nodes."""

    def __init__(self, *, time_scale: float = 0.2, world: pathlib.Path | None = None) -> None:
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="net-rig-"))
        self.prefix = f"n{uuid.uuid4().hex[:6]}"
        self._time_scale = time_scale
        self._world = world
        self._sim: processes.Process | None = None
        self.port = ports.free_port()
        self.bin_dir = self.dir / "bin"
        self.bin_dir.mkdir()
        self.nodes: list[Node] = []
        self.pods: list[CniPod] = []

    def start_sim(self) -> None:
        """Start the cloud with its fabric; a second start finds the same state."""
        argv = [sys.executable, "-m", "sim", "serve", "--listen", f"127.0.0.1:{self.port}"]
        argv += ["--state-dir", str(self.dir / "cloud"), "--hardware", "network"]
        argv += ["--netns-prefix", self.prefix, "--time-scale", str(self._time_scale)]
        if self._world is not None:
            argv += ["--world", str(self._world)]
        self._sim = processes.Process(argv, self.dir / "sim.log", os.environ)
        self._sim.start(processes.SIM_READY)

    @property
    def sim(self) -> processes.Process:
        assert self._sim is not None
        return self._sim

    @property
    def control(self) -> control.Control:
        """The simulator's control API."""
        return control.Control(f"http://127.0.0.1:{self.port}")

    def install(self, executable: pathlib.Path) -> None:
        """Put the CNI executable and the reference plug-ins where runtimes look."""
        shutil.copy2(executable, self.bin_dir / "terway")
        for plugin in REFERENCE_PLUGINS.iterdir():
            with contextlib.suppress(FileExistsError):
                (self.bin_dir / plugin.name).symlink_to(plugin)

    def environment(self) -> dict[str, str]:
        """Environment of a daemon on a node: the cloud is where a real one finds it."""
        kept = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "TMPDIR") if k in os.environ}
        return kept | {
            "ECS_ENDPOINT": CLOUD,
            "VPC_ENDPOINT": CLOUD,
            "STS_ENDPOINT": CLOUD,
            "ALICLOUD_CLIENT_SCHEME": "HTTP",
            "ALIBABA_CLOUD_ACCESS_KEY_ID": processes.ACCESS_KEY_ID,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": processes.ACCESS_KEY_SECRET,
            "IMDS_ENDPOINT": f"http://{CLOUD}",
            "PYTHONPATH": str(processes.ROOT),
        }

    def node(self, name: str = "node-1") -> Node:
        """A node with empty configuration."""
        made = Node(self, name)
        self.nodes.append(made)
        made.configure()
        return made

    def pod(self, node: Node, name: str = "", **environment: str) -> CniPod:
        """A pod that is only a namespace, not wired yet."""
        made = CniPod(node, name, **environment)
        self.pods.append(made)
        return made

    def namespaces(self) -> list[str]:
        """Our namespaces that exist."""
        return [p.name for p in pathlib.Path("/run/netns").glob(f"{self.prefix}-*")]

    def close(self) -> None:
        """End everything. Safe to call at any point and again."""
        for node in self.nodes:
            node.close()
        for pod in self.pods:
            pod.remove()
        if self._sim is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._sim.kill9()
        if (self.dir / "cloud").exists():
            argv = [sys.executable, "-m", "sim", "clean", "--state-dir", str(self.dir / "cloud")]
            argv += ["--netns-prefix", self.prefix]
            subprocess.run(argv, cwd=processes.ROOT, check=False, capture_output=True)
        for name in self.namespaces():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)

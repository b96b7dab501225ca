"""The simulator with real file systems, and machines that reach them: for tests in the lab."""

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.support import control, machine, ports, processes, rpc, signed_api

FILE_SYSTEM, EXTREME = "0a1b2c3d4e", "extreme-0a1b2c3d4e5f6071"
DOMAIN = f"{FILE_SYSTEM}-sim01.cn-hangzhou.nas.aliyuncs.com"
EXTREME_DOMAIN = f"{EXTREME}-sim02.cn-hangzhou.extreme.nas.aliyuncs.com"
"""File systems and mount targets of the default world."""
NETWORK = {"VpcId": "vpc-bp1sim000000000001", "VSwitchId": "vsw-bp1sim000000000002"}
_KEY = (processes.ACCESS_KEY_ID, processes.ACCESS_KEY_SECRET)
_START_S = 180.0
_BEGUN = "exports begin"


class NasCloud:
    """A simulator with `--hardware files`. What is made here goes with `close`.

    Machines join before the first `start`, or else keep the trees mounted longer than the cloud.
    """

    def __init__(self, directory: pathlib.Path, *, time_scale: float = 0.2) -> None:
        self.state_dir = directory / "cloud"
        self.log = directory / "cloud.log"
        self._time_scale = time_scale
        self._port = ports.free_port()
        self._process: processes.Process | None = None
        self._joined = 0

    # -- the process

    def start(self, until: str = "ready") -> None:
        """Start it, or start it again on the same port; every declared export answers then.

        until: "exports" returns when it has begun to make them.
        """
        argv = [sys.executable, "-m", "sim", "serve", "--listen", f"0.0.0.0:{self._port}"]
        argv += ["--state-dir", str(self.state_dir), "--hardware", "files"]
        argv += ["--time-scale", str(self._time_scale)]
        self._process = processes.Process(argv, self.log, os.environ)
        if until == "exports":
            self._process.start(_BEGUN, _START_S)
            return
        self._process.start(processes.SIM_READY, _START_S)

    def kill(self) -> None:
        """SIGKILL; exports stay."""
        assert self._process is not None
        self._process.kill9()

    def stop(self) -> int:
        """SIGTERM; exports stay. Returns its exit status."""
        assert self._process is not None
        return self._process.terminate()

    def close(self) -> None:
        """End it, and remove its exports and all its files."""
        if self._process is not None:
            self._process.kill9()
        if self.state_dir.exists():
            argv = [sys.executable, "-m", "sim", "clean", "--state-dir", str(self.state_dir)]
            machine.run(*argv, timeout_s=_START_S)
            # Its image would stay in the guest's memory.
            shutil.rmtree(self.state_dir)

    # -- what it tells

    @property
    def control(self) -> control.Control:
        """The control API; for this process, not for machines."""
        return control.Control(f"http://127.0.0.1:{self._port}")

    @property
    def files(self) -> dict[str, Any]:
        """`GET /_sim/files`."""
        told: dict[str, Any] = self.control.request("GET", "files")
        return told

    @property
    def endpoint(self) -> str:
        """The API's address for machines that joined: host:port."""
        return f"{self.files['machine_address']}:{self._port}"

    def tree(self, file_system_id: str = FILE_SYSTEM) -> pathlib.Path:
        """What is in a file system, seen from the server."""
        return self.state_dir / "files/disk/trees" / file_system_id

    def call(self, action: str, **parameters: object) -> dict[str, Any]:
        """An action of NAS. Raises signed_api.Refused."""
        endpoint = f"127.0.0.1:{self._port}"
        return signed_api.call(endpoint, _KEY, signed_api.NAS, action, parameters)

    def wait(self, kind: str, key: str, status: str) -> None:
        """Until a row of the simulator's state has a status, for at most a minute."""
        rpc.wait_until(lambda: self.control.resources(kind)[key]["status"] == status, timeout_s=60)

    def status(self, domain: str) -> str:
        """Of a mount target, "" when there is none."""
        try:
            found = self.call("DescribeMountTargets", MountTargetDomain=domain)
        except signed_api.Refused as e:
            if e.code == "InvalidMountTarget.NotFound":
                return ""
            raise
        status: str = found["MountTargets"]["MountTarget"][0]["Status"]
        return status

    # -- machines

    def join(self, node: machine.Machine) -> None:
        """Have a machine reach the exports by name, and the API. The cloud runs."""
        self.connect(str(node.pid), node.run)
        node.run("mount", "--bind", self.files["hosts"], "/etc/hosts")

    def connect(self, netns: str, run: Callable[..., str]) -> None:
        """Have a network reach the exports by address, and the API.

        netns: as `ip link` takes it. run: runs a command in there.
        """
        told = self.files
        addresses, self._joined = told["client_addresses"], self._joined + 1
        address, link = addresses[self._joined - 1], f"c{self._joined}"
        router = told["router"]
        ours = f"link add {link} type veth peer name eth0 netns {netns}\nlink set {link} up\n"
        ours += f"route add {address}/32 dev {link}\n"
        theirs = f"link set eth0 up\naddress add {address}/32 dev eth0\n"
        theirs += f"route add {told['block']} via {told['router_address']} dev eth0 onlink\n"
        machine.run("sh", "-ec", f"ip -n {router} -batch - <<END\n{ours}END")
        run("sh", "-ec", f"ip -batch - <<END\n{theirs}END")

    def unreachable(self, domain: str) -> "Unreachable":
        """As a server whose network is gone, in a `with` block: packets are dropped."""
        row = next(row for row in self.files["exports"] if row["domain"] == domain)
        return Unreachable(self.files["router"], row["address"])


class Unreachable:
    """An address that the router drops packets to."""

    def __init__(self, router: str, address: str) -> None:
        self._ip = ["ip", "-n", router]
        self._route = ["blackhole", f"{address}/32", "metric", "0"]
        self._address = address
        self._was = ""

    def __enter__(self) -> None:
        shown = machine.run(*self._ip, "route", "show", f"{self._address}/32")
        self._was = shown.strip()
        machine.run(*self._ip, "route", "replace", *self._route)

    def __exit__(self, *_: object) -> None:
        subprocess.run([*self._ip, "route", "replace", *self._was.split()], check=True)

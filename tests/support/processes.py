"""The simulator and the driver as real processes in a directory of their own.

Used by tests, the demo and the benchmarks. Whatever happens, `Rig.close` leaves nothing behind:
no process, no mount, no loop device, no file.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support import control, ports

ROOT = pathlib.Path(__file__).parents[2]
READY_TIMEOUT_S = 30.0
SIM_READY = "cloudsim ready"
DRIVER_READY = "csi-plugin ready"
STOP_TIMEOUT_S = 40.0
NODE_1 = "i-bp1sim000000000001"
NODE_2 = "i-bp1sim000000000002"
HURRY = {"ALIBABA_CLOUD_DESCRIBE_QPS": "1000"}
"""For drivers of tests: do not hold look-ups back, which is what keeps a real account's quota."""
ACCESS_KEY_ID = "LTAIsimulated"
ACCESS_KEY_SECRET = "simulated-secret"


class Process:
    """One child process with its output in a file."""

    def __init__(self, argv: Sequence[str], log: pathlib.Path, env: Mapping[str, str]) -> None:
        self.argv = list(argv)
        self.log = log
        self._env = dict(env)
        self._child: subprocess.Popen[bytes] | None = None
        self._seen = 0

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self, ready: str, timeout_s: float = READY_TIMEOUT_S) -> str:
        """Start and wait for a line that contains *ready*; returns that line."""
        assert not self.running
        self.log.touch()
        self._seen = self.log.stat().st_size
        with self.log.open("ab") as out:
            self._child = subprocess.Popen(
                self.argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=self._env, cwd=ROOT
            )
        return self.wait_for(ready, timeout_s)

    def wait_for(self, text: str, timeout_s: float = READY_TIMEOUT_S) -> str:
        """Wait for a line with *text* written since the last start."""
        give_up_s = time.monotonic() + timeout_s
        while time.monotonic() < give_up_s:
            for line in self.log.read_bytes()[self._seen :].decode(errors="replace").splitlines():
                if text in line:
                    return line
            if not self.running:
                break
            time.sleep(0.01)
        raise RuntimeError(f"{self.argv[2]} never said {text!r}:\n{self.tail()}")

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill9(self) -> None:
        """SIGKILL, as an OOM killer would."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
            self._child.wait(STOP_TIMEOUT_S)

    def wait_dead(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        assert self._child is not None
        return self._child.wait(timeout_s)

    def terminate(self) -> int:
        """SIGTERM and wait; kills what does not end."""
        if self._child is None:
            return 0
        if self.running:
            self._child.send_signal(signal.SIGTERM)
        try:
            return self._child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise

    def http_port(self) -> int:
        """Port of the driver's status pages, as its ready line (in JSON) tells."""
        port: int = json.loads(self.wait_for(DRIVER_READY))["http_port"]
        return port

    def rss_kib(self) -> int:
        """Resident memory."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise RuntimeError("no VmRSS")


class Rig:
    """A directory with a simulator and any number of drivers.

    hardware: "disks" = real block devices. time_scale: factor on the cloud's latencies.
    """

    def __init__(
        self, *, hardware: str = "disks", time_scale: float = 0.2, world: pathlib.Path | None = None
    ) -> None:
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="csi-rig-"))
        self.by_id = self.dir / "by-id"
        self.kubelet = self.dir / "kubelet"
        for made in (self.by_id, self.kubelet, self.dir / "run"):
            made.mkdir()
        self._hardware = hardware
        self._time_scale = time_scale
        self._world = world
        self._sim: Process | None = None
        self.drivers: list[Process] = []
        self.port = ports.free_port()

    @property
    def has_node(self) -> bool:
        """Whether disks are real devices, so that a node service can work."""
        return self._hardware == "disks"

    # -- the simulator

    def start_sim(self) -> None:
        """Start the simulator; a second start finds the same port and the same state."""
        listen = f"127.0.0.1:{self.port}"
        argv = [sys.executable, "-m", "sim", "serve", "--listen", listen]
        argv += ["--state-dir", str(self.dir / "cloud"), "--hardware", self._hardware]
        argv += ["--by-id-dir", str(self.by_id), "--time-scale", str(self._time_scale)]
        if self._world is not None:
            argv += ["--world", str(self._world)]
        self._sim = Process(argv, self.dir / "sim.log", os.environ)
        self._sim.start(SIM_READY)

    @property
    def sim(self) -> Process:
        assert self._sim is not None
        return self._sim

    @property
    def control(self) -> control.Control:
        """The simulator's control API."""
        return control.Control(f"http://127.0.0.1:{self.port}")

    # -- drivers

    def environment(self, **extra: str) -> dict[str, str]:
        """Environment of a driver that runs against our simulator."""
        kept = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "TMPDIR") if k in os.environ}
        address = f"127.0.0.1:{self.port}"
        return kept | {
            "ECS_ENDPOINT": address,
            "STS_ENDPOINT": address,
            "VPC_ENDPOINT": address,
            "NAS_ENDPOINT": address,
            "EFLO_CONTROLLER_ENDPOINT": address,
            "ALICLOUD_CLIENT_SCHEME": "HTTP",
            "ALIBABA_CLOUD_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": ACCESS_KEY_SECRET,
            "REGION_ID": "cn-hangzhou",
            "IMDS_ENDPOINT": f"http://{address}",
            "KUBELET_ROOT_DIR": str(self.kubelet),
            "DISK_BY_ID_DIR": str(self.by_id),
            "SERVICE_ADDRESS": "127.0.0.1",
            "SERVICE_PORT": "0",
            "DISK_METRIC_BY_PLUGIN": "true",
            **extra,
        }

    def socket(self, name: str) -> pathlib.Path:
        return self.dir / "run" / f"{name}.sock"

    def driver(
        self,
        name: str = "csi",
        *,
        controller: bool = True,
        node: bool = True,
        driver: str = "disk",
        node_id: str = NODE_1,
        flags: Sequence[str] = (),
        **env: str,
    ) -> Process:
        """A driver process, not started yet; `start_driver` starts it."""
        argv = [sys.executable, "-m", "csi", f"--driver={driver}"]
        argv += [f"--endpoint=unix://{self.socket(name)}", f"--nodeid={node_id}"]
        argv += [f"--run-controller-service={str(controller).lower()}"]
        argv += [f"--run-node-service={str(node).lower()}"]
        argv += ["--v=5", "--logging-format=json", *flags]
        process = Process(argv, self.dir / f"{name}.log", self.environment(**env))
        self.drivers.append(process)
        return process

    def start_driver(self, name: str = "csi", **options: Any) -> Process:
        """A driver process that serves; *options* as in `driver`."""
        process = self.driver(name, **options)
        process.start(DRIVER_READY)
        return process

    # -- the end

    def mounts(self) -> list[str]:
        """Mount points below our directory, inner ones first."""
        points = []
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            point = line.split(" ")[4].replace("\\040", " ")
            if point.startswith(f"{self.dir}/"):
                points.append(point)
        return points[::-1]

    def loop_devices(self) -> list[str]:
        """Loop devices whose file is in our directory."""
        found = []
        for entry in pathlib.Path("/sys/block").glob("loop*/loop/backing_file"):
            with contextlib.suppress(OSError):
                if entry.read_text().startswith(f"{self.dir}/"):
                    found.append(f"/dev/{entry.parts[3]}")
        return found

    def unmount_all(self) -> None:
        """Unmount all below our directory, at once, whoever uses it."""
        for point in self.mounts():
            subprocess.run(["umount", "-l", point], check=False, capture_output=True)

    def close(self) -> None:
        """End everything. Safe to call at any point and again."""
        for process in [*self.drivers, *([self._sim] if self._sim else [])]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.kill9()
        self.unmount_all()
        if (self.dir / "cloud").exists():
            argv = [sys.executable, "-m", "sim", "clean", "--state-dir", str(self.dir / "cloud")]
            argv += ["--by-id-dir", str(self.by_id)]
            subprocess.run(argv, cwd=ROOT, check=False, capture_output=True)
        for device in self.loop_devices():
            subprocess.run(["losetup", "-d", device], check=False, capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)

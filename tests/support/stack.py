"""A whole deployment for tests: the cloud, a controller and a node on sockets of their own."""

import hashlib
import os
import pathlib
import shutil
import uuid
from collections.abc import Mapping
from typing import Any

from csi._pb import csi_pb2 as pb
from tests.support import csi_client, processes, rpc, wrappers

PLENTY_BYTES = 3 * 1024 * 1024


class Stack:
    """`rig` with `controller` and `node` processes, and `client` connected to both.

    hardware: "none" = no devices, and no node process. time_scale: 0 = the cloud does all at once,
    so that nothing waits for a second poll. environment: for both drivers; None = they do not pace
    look-ups. wrapped: the node's tools are those of `tests.support.wrappers`, which cost some
    milliseconds a command.
    """

    def __init__(
        self,
        *,
        hardware: str = "disks",
        time_scale: float = 0.0,
        world: pathlib.Path | None = None,
        environment: Mapping[str, str] | None = None,
        wrapped: bool = True,
    ) -> None:
        self.rig = processes.Rig(hardware=hardware, time_scale=time_scale, world=world)
        try:
            self._start(
                hardware, processes.HURRY if environment is None else environment, wrapped=wrapped
            )
        except BaseException:
            self.rig.close()
            raise

    def _start(self, hardware: str, environment: Mapping[str, str], *, wrapped: bool) -> None:
        self.rig.start_sim()
        self.control = self.rig.control
        self.tools = wrappers.Wrappers(self.rig.dir / "tools")
        self.controller = self.rig.start_driver("controller", node=False, **environment)
        if hardware == "disks":
            path = os.environ["PATH"]
            if wrapped:
                path = f"{self.tools.directory}:{path}"
            self.node = self.rig.start_driver("node", controller=False, PATH=path, **environment)
        self.client = csi_client.Client(self.rig.socket("node"), self.rig.socket("controller"))

    def close(self) -> None:
        """End everything; leaves nothing behind."""
        self.client.close()
        self.rig.close()

    def restart(self, driver: processes.Process) -> None:
        """Start *driver* again; it must have ended."""
        driver.wait_dead()
        driver.start(processes.DRIVER_READY)

    def calm(self) -> None:
        """The cloud and every driver running; no faults, no lag, no planned kills."""
        if not self.rig.sim.running:
            self.rig.start_sim()
        self.control.clear_faults()
        self.control.set_consistency_lag(0.0)
        self.tools.disarm()
        for driver in self.rig.drivers:
            if not driver.running:
                self.restart(driver)

    def reset(self) -> None:
        """Back to an empty cloud and node, by force; for what a failed test left behind."""
        for driver in self.rig.drivers:
            driver.kill9()
        self.rig.unmount_all()
        self.control.request("POST", "reset")
        shutil.rmtree(self.rig.kubelet / "pods", ignore_errors=True)
        self.calm()

    # -- volumes

    def staging(self, volume_id: str) -> pathlib.Path:
        """The staging directory kubelet would make; made."""
        path = self.rig.kubelet / "plugins/kubernetes.io/csi" / volume_id / "globalmount"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def target(self, volume_id: str, pod: str = "pod") -> pathlib.Path:
        """A pod's target path; its parent is made, itself is the driver's business."""
        path = self.rig.kubelet / "pods" / pod / "volumes/kubernetes.io~csi" / volume_id / "mount"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def volume(self, **options: Any) -> "Volume":
        """A volume that is created; *options* as in `Client.create`."""
        name = f"pvc-{uuid.uuid4()}"
        capability = options.get("capability") or csi_client.mount_capability()
        return Volume(self, self.client.create(name, **options), name, capability)


class Volume:
    """One volume and the steps of its life on the first node; every step may be repeated."""

    def __init__(
        self, stack: Stack, message: pb.Volume, name: str, capability: pb.VolumeCapability
    ) -> None:
        self.message = message
        self.name = name
        self.capability = capability
        self.publish_context: dict[str, str] = {}
        self.staging = stack.staging(message.volume_id)
        self.target = stack.target(message.volume_id)
        self._stack = stack
        self._client = stack.client

    @property
    def volume_id(self) -> str:
        """Its id."""
        return self.message.volume_id

    def attach(self) -> "Volume":
        self.publish_context = self._client.attach(
            self.message, processes.NODE_1, capability=self.capability
        )
        return self

    def stage(self) -> "Volume":
        self._client.stage(
            self.message, self.publish_context, self.staging, capability=self.capability
        )
        return self

    def publish(self, target: pathlib.Path | None = None, *, readonly: bool = False) -> "Volume":
        self._client.publish(
            self.message,
            self.publish_context,
            self.staging,
            target or self.target,
            capability=self.capability,
            readonly=readonly,
        )
        return self

    def unpublish(self, target: pathlib.Path | None = None) -> "Volume":
        self._client.unpublish(self.volume_id, target or self.target)
        return self

    def unstage(self) -> "Volume":
        self._client.unstage(self.volume_id, self.staging)
        return self

    def detach(self) -> "Volume":
        self._client.detach(self.volume_id, processes.NODE_1)
        return self

    def delete(self) -> None:
        self._client.delete(self.volume_id)

    def tear_down(self) -> None:
        """From any state to nothing, as kubelet and the sidecars would, with their retries."""
        steps = [self.detach, self.delete]
        if self._stack.rig.has_node:
            steps = [self.unpublish, self.unstage, *steps]
        for step in steps:
            rpc.retry(step)


def write_data(target: pathlib.Path, size_bytes: int = PLENTY_BYTES) -> str:
    """Write random bytes to a file in *target*, or to the device *target*; their checksum."""
    data = os.urandom(size_bytes)
    with _file(target).open("r+b" if target.is_block_device() else "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    return hashlib.sha256(data).hexdigest()


def read_data(target: pathlib.Path, size_bytes: int = PLENTY_BYTES) -> str:
    """Checksum of what `write_data` wrote."""
    with _file(target).open("rb") as f:
        return hashlib.sha256(f.read(size_bytes)).hexdigest()


def total_bytes(path: pathlib.Path) -> int:
    """Size of the file system at *path*."""
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize


def _file(target: pathlib.Path) -> pathlib.Path:
    return target if target.is_block_device() else target / "data.bin"

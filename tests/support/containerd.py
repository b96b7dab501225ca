"""A containerd of our own in a network namespace, and a small CRI client for it."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from tests.support import image, processes
from tests.support.cri import cri_pb2, cri_pb2_grpc

_CONFIG = """version = 2
root = "{root}/lib"
state = "{root}/run"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{bin_dir}"
    conf_dir = "{conf_dir}"
"""
_READY = "containerd successfully booted"
_CALL_S = 120.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A running sandbox. container_id: "" when it has no container of its own."""

    sandbox_id: str
    name: str
    ip: str
    container_id: str = ""


class Containerd:
    """netns: name of the network namespace it runs in. bin_dir, conf_dir: CNI's.

    environment: more variables, which the plug-ins get too.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        *,
        netns: str,
        bin_dir: pathlib.Path,
        conf_dir: pathlib.Path,
        environment: Mapping[str, str],
    ) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self.socket = directory / "c.sock"
        config = directory / "config.toml"
        config.write_text(
            _CONFIG.format(
                root=directory,
                socket=self.socket,
                image=image.NAME,
                bin_dir=bin_dir,
                conf_dir=conf_dir,
            )
        )
        argv = ["nsenter", f"--net=/run/netns/{netns}", "containerd", "--config", str(config)]
        self.process = processes.Process(
            argv, directory / "containerd.log", {**os.environ, **environment}
        )
        self._channel: grpc.Channel | None = None

    def start(self) -> None:
        """Start it and import the image of the pods."""
        self.process.start(_READY)
        archive = self._directory / "image.tar"
        image.build(archive)
        argv = ["ctr", "--address", str(self.socket), "-n", "k8s.io", "images", "import"]
        subprocess.run([*argv, str(archive)], check=True, capture_output=True)
        self._channel = grpc.insecure_channel(f"unix:{self.socket}")

    @property
    def runtime(self) -> Any:
        """The CRI stub."""
        return cri_pb2_grpc.RuntimeServiceStub(self._channel)

    def network_ready(self) -> bool:
        """Whether the runtime would start pods."""
        status = self.runtime.Status(cri_pb2.StatusRequest(), timeout=_CALL_S).status
        return any(c.type == "NetworkReady" and c.status for c in status.conditions)

    def wait_network_ready(self, timeout_s: float = 30.0) -> None:
        give_up_s = time.monotonic() + timeout_s
        while not self.network_ready():
            assert time.monotonic() < give_up_s, "the runtime never found a CNI configuration"
            time.sleep(0.1)

    def sandbox_config(
        self,
        name: str,
        *,
        annotations: Mapping[str, str] | None = None,
        ports: Sequence[tuple[int, int]] = (),
        dns: Sequence[str] = (),
    ) -> Any:
        """ports: (host port, container port) over TCP."""
        return cri_pb2.PodSandboxConfig(
            metadata=cri_pb2.PodSandboxMetadata(
                name=name, uid=str(uuid.uuid4()), namespace="default"
            ),
            hostname=name,
            log_directory=str(self._directory / "logs"),
            annotations=annotations,
            port_mappings=[cri_pb2.PortMapping(host_port=h, container_port=c) for h, c in ports],
            dns_config=cri_pb2.DNSConfig(servers=dns) if dns else None,
            linux=cri_pb2.LinuxPodSandboxConfig(),
        )

    def run_sandbox(self, config: Any) -> Pod:
        """A sandbox without container: enough for everything about its network."""
        sandbox_id = self.runtime.RunPodSandbox(
            cri_pb2.RunPodSandboxRequest(config=config), timeout=_CALL_S
        ).pod_sandbox_id
        return Pod(sandbox_id=sandbox_id, name=config.metadata.name, ip=self.ip_of(sandbox_id))

    def run_pod(self, config: Any, command: Sequence[str] = ()) -> Pod:
        """A sandbox with one container that runs *command*."""
        pod = self.run_sandbox(config)
        container_id = self.runtime.CreateContainer(
            cri_pb2.CreateContainerRequest(
                pod_sandbox_id=pod.sandbox_id,
                config=cri_pb2.ContainerConfig(
                    metadata=cri_pb2.ContainerMetadata(name="main"),
                    image=cri_pb2.ImageSpec(image=image.NAME),
                    command=command or ["/bin/sleep", "2000000000"],
                ),
                sandbox_config=config,
            ),
            timeout=_CALL_S,
        ).container_id
        self.runtime.StartContainer(
            cri_pb2.StartContainerRequest(container_id=container_id), timeout=_CALL_S
        )
        return dataclasses.replace(pod, container_id=container_id)

    def ip_of(self, sandbox_id: str) -> str:
        """The address CRI tells kubelet."""
        status = self.runtime.PodSandboxStatus(
            cri_pb2.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id), timeout=_CALL_S
        ).status
        return str(status.network.ip)

    def execute(self, pod: Pod, *command: str) -> tuple[int, str]:
        """Exit status and output of a command in the pod's container."""
        answer = self.runtime.ExecSync(
            cri_pb2.ExecSyncRequest(container_id=pod.container_id, cmd=command, timeout=30),
            timeout=_CALL_S,
        )
        return answer.exit_code, (answer.stdout + answer.stderr).decode(errors="replace")

    def remove(self, pod: Pod) -> None:
        """Stop and remove, as kubelet does."""
        request = cri_pb2.StopPodSandboxRequest(pod_sandbox_id=pod.sandbox_id)
        self.runtime.StopPodSandbox(request, timeout=_CALL_S)
        self.runtime.RemovePodSandbox(
            cri_pb2.RemovePodSandboxRequest(pod_sandbox_id=pod.sandbox_id), timeout=_CALL_S
        )

    def sandboxes(self) -> list[str]:
        """Ids of all sandboxes."""
        items = self.runtime.ListPodSandbox(cri_pb2.ListPodSandboxRequest(), timeout=_CALL_S).items
        return [each.id for each in items]

    def close(self) -> None:
        """End it and everything it started."""
        if self._channel is not None:
            for sandbox_id in self._try_sandboxes():
                with contextlib.suppress(grpc.RpcError):
                    self.remove(Pod(sandbox_id=sandbox_id, name="", ip=""))
            self._channel.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.terminate()
        self._kill_shims()
        _unmount_below(self._directory)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _try_sandboxes(self) -> list[str]:
        try:
            return self.sandboxes()
        except grpc.RpcError:
            return []

    def _kill_shims(self) -> None:
        """Shims outlive their containerd; ours name its socket."""
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError, ValueError):
                if str(self.socket).encode() in entry.read_bytes():
                    os.kill(int(entry.parts[2]), signal.SIGKILL)


def _unmount_below(directory: pathlib.Path) -> None:
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split(" ")[4] for line in lines]
    for point in reversed(points):
        if point.startswith(f"{directory}/"):
            subprocess.run(["umount", "-l", point], check=False, capture_output=True)

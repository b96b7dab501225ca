"""Brings a cluster up, tells how it is, takes it down."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.support import control, image, network_rig, ports, processes
from tests.support.cluster import (
    chart,
    cleanup,
    components,
    configuration,
    kubectl,
    launch,
    layout,
    process_table,
    stand_ins,
)

NETWORKS = ("terway", "ptp")
_OBJECTS = pathlib.Path(__file__).parent / "objects"
_TOKEN = "8760h"
_DRIVERS = tuple(
    f"{name}plugin.csi.alibabacloud.com" for name in ("disk", "nas", "oss", "bmcpfs", "local")
)
_API_S = 60.0
_STATUS_S = 1.0
_NODE_READY_S = 60.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of `status`."""

    name: str
    well: bool
    detail: str


class Cluster:
    """Nodes and a control plane below *state_dir*.

    network: "terway" = our plug-in and daemon; "ptp" = the reference plug-ins.
    say: told what happens, a line at a time. nodes: some of `layout.NODES`.
    values: of the chart, instead of ours where they differ. patience: factor on how long it waits.
    """

    def __init__(
        self,
        state_dir: pathlib.Path,
        *,
        network: str = "",
        say: Callable[[str], None] = print,
        nodes: Sequence[str] = layout.NODES,
        values: Mapping[str, Any] | None = None,
        patience: float = 1.0,
    ) -> None:
        self.where = layout.Layout(state_dir=state_dir.resolve())
        self.nodes = tuple(nodes)
        self._machines = (layout.CONTROL, *self.nodes)
        self._values = values or {}
        self.patience = patience
        self._network = network
        self._say = say
        self._launcher = launch.Launcher(self.where)
        self.kubectl = kubectl.Kubectl(self.where.kubectl)

    # -- up

    def up(self) -> None:
        """Start what does not run. May be repeated; a repetition changes nothing that is well."""
        self._require_place()
        programs = build_programs()
        self.where.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = self._settings()
        self._write_settings(settings)
        self._configure(programs, settings["network"])
        self._start_cloud(int(settings["cloud_port"]), settings)
        for machine in self._machines:
            self._start_machine(machine)
        for component in components.control_plane(self.where, programs / "bin"):
            self._start(component)
            if component.name == "kube-apiserver":
                # Those that come next have their permissions only then.
                kubectl.wait_until(
                    "the API server answers", self._api_ready, _API_S * self.patience
                )
        self._apply_objects(programs / "crds")
        for node in self.nodes:
            self._start_node(node, programs / "bin")
        self.run(layout.CONTROL, "mkdir", "-p", "/run/csi", "/run/csi-plugin/nas")
        for component in chart.controllers(self.where, programs / "bin"):
            self._start(component)
        self._say("waiting for the nodes")
        limit_s = _NODE_READY_S * self.patience
        self.kubectl.wait("node", "--all", "condition=Ready", limit_s=limit_s)
        # Without it no pod can be made in this namespace.
        self.kubectl.wait("serviceaccount", "default", "create", limit_s=limit_s)
        self._say(f"up: {self.where.kubectl} get nodes")

    def _require_place(self) -> None:
        path = self.where.state_dir
        if os.geteuid() != 0:
            raise RuntimeError("a cluster needs root: it makes namespaces and mounts")
        if any(path.is_relative_to(place) for place in layout.OVERLAID):
            raise RuntimeError(
                f"--state-dir: {path} is not allowed; allowed: not below "
                f"{', '.join(layout.OVERLAID)}, of which machines have their own"
            )
        if path.exists() and any(path.iterdir()) and not self.where.settings.exists():
            raise RuntimeError(f"--state-dir: {path} is not empty and not a cluster's")
        if path.exists() and path.stat().st_uid != os.geteuid():
            raise RuntimeError(f"--state-dir: {path} belongs to somebody else")

    def _settings(self) -> dict[str, str]:
        kept = {"network": self._network or NETWORKS[0], "cloud_port": "0"}
        if self.where.settings.exists():
            kept = json.loads(self.where.settings.read_text())
            if self._network not in ("", kept["network"]):
                raise RuntimeError(
                    f"--network: {self._network} is not allowed; this cluster has "
                    f"{kept['network']}; take it down first"
                )
        return kept

    def _write_settings(self, settings: dict[str, str]) -> None:
        new = self.where.settings.with_suffix(".new")
        new.write_text(json.dumps(settings))
        new.rename(self.where.settings)

    def _configure(self, programs: pathlib.Path, network: str) -> None:
        configuration.ensure_pki(self.where)
        configuration.write_kubeconfigs(self.where)
        configuration.write_control(self.where, programs / "bin")
        chart.render(self.where, programs / "bin", network, self._values)
        archive = self.where.state_dir / "image.tar"
        if not archive.exists():
            image.build(archive.with_suffix(".new"))
            archive.with_suffix(".new").rename(archive)
        for node in self.nodes:
            self._configure_node(node, network)

    def _configure_node(self, node: str, network: str) -> None:
        configuration.write_node(
            self.where,
            node,
            network,
            image.NAME,
            chart.read(self.where).eni_config,
            status_s=_STATUS_S * self.patience,
        )
        self._install_cni(self.where.home(node) / "bin", network)

    def _install_cni(self, bin_dir: pathlib.Path, network: str) -> None:
        bin_dir.mkdir(exist_ok=True)
        for plugin in network_rig.REFERENCE_PLUGINS.iterdir():
            with contextlib.suppress(FileExistsError):
                (bin_dir / plugin.name).symlink_to(plugin)
        if network == "terway" and not (bin_dir / "terway").exists():
            built = network_rig.build_executables(self.where.state_dir / "cni").default
            shutil.copy2(built, bin_dir / "terway")

    def _start_cloud(self, port: int, settings: dict[str, str]) -> None:
        """The cloud's argv has its port, which the first start chooses."""
        world = configuration.write_world(self.where)
        if port == 0:
            port = ports.free_port()
            self._write_settings(settings | {"cloud_port": str(port)})
        self._start(components.cloudsim(self.where, world, port))

    def _start_machine(self, name: str) -> None:
        self._launcher.ensure_machine(name)

    def _start_node(self, node: str, programs: pathlib.Path) -> None:
        for component in components.node(self.where, node, programs):
            started = self._start(component)
            if started and component.name.endswith("/containerd"):
                archive = str(self.where.state_dir / "image.tar")
                self.run(node, "ctr", "-n", "k8s.io", "images", "import", archive)
        for driver in _DRIVERS:
            self.run(node, "mkdir", "-p", f"{layout.KUBELET}/csi-plugins/{driver}")
        self.run(node, "mkdir", "-p", "/run/fuse.ossfs")
        for component in chart.node(self.where, programs, node):
            self._start(component)

    def add_node(self, node: str) -> None:
        """Start a node that `up` does not start, without node-local volumes. Ready afterwards."""
        programs = build_programs() / "bin"
        self._configure_node(node, self._settings()["network"])
        self._launcher.ensure_machine(node)
        self._start_node(node, programs)
        self.kubectl.wait("node", node, "condition=Ready", limit_s=_NODE_READY_S)

    def remove_node(self, node: str) -> None:
        """End a node and all that runs there, and tell the API server. May be repeated."""
        self._launcher.end_machine(node)
        self.kubectl("delete", "node", node, "--ignore-not-found")

    def _apply_objects(self, crds: pathlib.Path) -> None:
        """Tell the API server what the chart says, and give its accounts kubeconfigs."""
        rendered = chart.read(self.where)
        self.kubectl.apply_files(crds)
        limit_s = _API_S * self.patience
        self.kubectl("wait", "crd", "--all", "--for=condition=Established", f"--timeout={limit_s}s")
        self.kubectl.apply(*rendered.objects)
        self.kubectl.apply_files(_OBJECTS)
        stand_ins.apply(self.kubectl, rendered, self.nodes, limit_s=limit_s)
        for account in rendered.accounts:
            words = ["create", "token", account, "-n", chart.NAMESPACE, f"--duration={_TOKEN}"]
            token = self.where.pki / f"{account}.token"
            if not token.exists():
                token.touch(mode=0o600)
                token.write_text(self.kubectl(*words))
            configuration.write_account(self.where, account, token)

    def _start(self, component: components.Component) -> bool:
        limit_s = component.ready_timeout_s * self.patience
        started = self._launcher.ensure(dataclasses.replace(component, ready_timeout_s=limit_s))
        self._say(f"{component.name}: {'started' if started else 'runs'}")
        return started

    def _api_ready(self) -> bool:
        try:
            return self.kubectl("get", "--raw=/readyz") == "ok"
        except kubectl.Refused:
            return False

    # -- looking

    @property
    def control(self) -> control.Control:
        """The control API of its cloud."""
        return control.Control(f"http://{self.cloud_address}")

    @property
    def cloud_address(self) -> str:
        """host:port of the cloud, from this machine."""
        return f"127.0.0.1:{self._settings()['cloud_port']}"

    def instance_id(self, node: str) -> str:
        """What the cloud calls a node."""
        return components.instance_id(self.where, node)

    def component(self, name: str) -> components.Component:
        """One of its processes, such as `node-1/kubelet`. Raises KeyError for an unknown name.

        `node-1/disk-attacher` and the like are of the controllers' second replica, which is no
        part of the cluster until a test starts it.
        """
        known = {each.name: each for each in self.parts()}
        if name not in known:
            machine = name.partition("/")[0]
            second = chart.second_replica(self.where, build_programs() / "bin", machine)
            known = {each.name: each for each in second}
        return known[name]

    def parts(self) -> list[components.Component]:
        """All of its processes, whether they run or not."""
        return self._all_components(self._settings())

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End a component; `up`, or `start`, starts it again."""
        self._launcher.stop(self.component(name), number)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a component that runs a signal, and do not wait for what comes of it."""
        self._launcher.signal(self.component(name), number)

    def start(self, name: str) -> None:
        """Start a component that does not run."""
        self._launcher.ensure(self.component(name))

    def apply_stand_ins(self) -> None:
        """Make the pods again that nobody runs; those that are there stay."""
        stand_ins.apply(
            self.kubectl, chart.read(self.where), self.nodes, limit_s=_API_S * self.patience
        )

    def kill_machine(self, name: str) -> None:
        """End a machine as a power failure does, all that runs in it included; `up` boots it."""
        links = [path.resolve() for path in (self.where.home(name) / "by-id").iterdir()]
        self._launcher.kill_machine(name)
        # Machines share a kernel, which remembers kubelet's locks on raw devices: loop devices.
        for device in links:
            cleanup.detach_holders(device)

    def run(self, machine: str, *argv: str, timeout_s: float = 60.0) -> str:
        """What a command prints that runs in a machine. Raises RuntimeError when it fails."""
        done = subprocess.run(
            [*self._launcher.enter(machine), *argv],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{machine}: {argv} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def status(self) -> list[Row]:
        """Every component and node. Empty when there is no cluster."""
        if not self.where.settings.exists():
            return []
        settings = self._settings()
        table = self._launcher.table()
        rows = [
            _row(f"{name}/machine", process_table.machine(table, f"{name}/machine"))
            for name in self._machines
        ]
        for component in self._all_components(settings):
            found = process_table.component(table, component.name, component.argv)
            rows.append(_row(component.name, found))
        return rows + self._node_rows()

    def _all_components(self, settings: dict[str, str]) -> list[components.Component]:
        programs = build_programs() / "bin"
        cloud = components.cloudsim(self.where, self.where.world, int(settings["cloud_port"]))
        made = [cloud, *components.control_plane(self.where, programs)]
        for node in self.nodes:
            made += components.node(self.where, node, programs)
            made += chart.node(self.where, programs, node)
        return made + chart.controllers(self.where, programs)

    def _node_rows(self) -> list[Row]:
        try:
            nodes = self.kubectl.list("nodes")
        except (kubectl.Refused, OSError) as fault:
            return [Row(name="nodes", well=False, detail=str(fault).strip())]
        rows = []
        for node in nodes:
            ready = next(c for c in node["status"]["conditions"] if c["type"] == "Ready")
            well = ready["status"] == "True"
            detail = "Ready" if well else str(ready["message"])
            rows.append(Row(name=f"node {node['metadata']['name']}", well=well, detail=detail))
        return rows

    # -- down

    def down(self) -> None:
        """End and remove everything, however far `up` came. May be repeated."""
        if not self.where.settings.exists():
            self._say(f"no cluster in {self.where.state_dir}")
            return
        self._launcher.end_all()
        cleanup.clean(self.where)
        self._say("down: nothing is left")


def build_programs() -> pathlib.Path:
    """The directory of tools/kubernetes/build.sh, which tells how far it is when it builds."""
    argv = [str(processes.ROOT / "tools/kubernetes/build.sh")]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
    return pathlib.Path(done.stdout.strip())


def _row(name: str, found: process_table.Found | None) -> Row:
    return Row(
        name=name, well=found is not None, detail=f"pid {found.pid}" if found else "does not run"
    )

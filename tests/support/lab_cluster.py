"""A Kubernetes of one node in the lab's guest, whose kernel has NFS and device-mapper.

It is `tests.support.cluster` without the VPC, which needs packet filters that the guest lacks: all
machines share one network, which has every address, and the cloud has real NFS exports.
"""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from tests.support import machine, nas_cloud, volume_group
from tests.support.cluster import cluster, kubectl, layout

_PATIENCE = 10.0
"""On a machine with other work, a sidecar takes a minute to start."""
_DISABLED = {"enabled": False}


class LabCluster(cluster.Cluster):
    """One node, which has NAS and the volume *group*."""

    def __init__(
        self,
        state_dir: pathlib.Path,
        group: volume_group.VolumeGroup,
        say: Callable[[str], None] = print,
    ) -> None:
        super().__init__(
            state_dir,
            network="plain",
            say=say,
            nodes=layout.NODES[:1],
            values=_values(group),
            patience=_PATIENCE,
        )
        self.kubectl = kubectl.Kubectl(self.where.kubectl, validates=False)
        self.cloud = nas_cloud.NasCloud(self.where.state_dir)

    def _start_machine(self, name: str) -> None:
        super()._start_machine(name)
        self.run(name, "mount", "--bind", self.cloud.files["hosts"], "/etc/hosts")

    def down(self) -> None:
        """End and remove everything."""
        self._launcher.end_all()
        self.cloud.close()
        for netns in map(self.where.netns, reversed(self._machines)):
            if netns.exists():  # `up` may not have come that far
                machine.run("ip", "netns", "delete", netns.name)
        super().down()

    def _start_cloud(self, port: int, settings: dict[str, str]) -> None:
        """Start it, and make the network in which all machines are."""
        del port
        self.cloud.start()
        self._write_settings(settings | {"cloud_port": self.cloud.endpoint.rpartition(":")[2]})
        first, *others = (self.where.netns(name) for name in self._machines)
        machine.run("ip", "netns", "add", first.name)

        def run(*argv: str) -> str:
            return machine.run("nsenter", f"--net={first}", *argv)

        addresses = (layout.ADDRESSES[name] for name in self._machines)
        lines = [f"address add {address}/32 dev lo" for address in addresses]
        batch = "\n".join(["link set lo up", *lines, ""])
        run("sh", "-ec", f"ip -batch - <<END\n{batch}END")
        self.cloud.connect(first.name, run)
        route = ("via", self.cloud.files["router_address"], "dev", "eth0", "onlink")
        run("ip", "route", "add", f"{layout.CLOUD}/32", *route)
        at = ("-d", layout.CLOUD, "-p", "tcp", "--dport", "80")
        to = ("-j", "DNAT", "--to-destination", self.cloud.endpoint)
        run("iptables-legacy", "-w", "-t", "nat", "-A", "OUTPUT", *at, *to)
        for other in others:
            other.touch()
            machine.run("mount", "--bind", str(first), str(other))


def _values(group: volume_group.VolumeGroup) -> Mapping[str, Any]:
    """Of the chart: the drivers that need this kernel, and no others."""
    return {
        "classes": {"localVolumeGroup": group.name},
        "csi": {
            "disk": _DISABLED,
            "oss": _DISABLED,
            "lvm": {"enabled": True, "devices": list(group.devices), "loopDir": ""},
        },
    }

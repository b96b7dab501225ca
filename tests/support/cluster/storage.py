"""Our storage plug-in and the standard sidecars: what runs where, for which driver."""

import dataclasses
import pathlib
import sys
from collections.abc import Sequence

from tests.support.cluster import components, layout

CONTROLLER_ACCOUNT = "alicloud-csi-provisioner"
NODE_ACCOUNT = "alicloud-csi-node"
SNAPSHOT_ACCOUNT = "snapshot-controller"
ACCOUNTS = (CONTROLLER_ACCOUNT, NODE_ACCOUNT, SNAPSHOT_ACCOUNT)
"""Service accounts of kube-system that processes of the cluster have tokens of."""
REPLACE = "driverplugin.csi.alibabacloud.com-replace"
"""Stands for a driver's full name in --endpoint of csi-plugin."""
CONTROLLER_DIR = "/run/csi"
NODE_DIR = f"{layout.KUBELET}/csi-plugins"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A driver and what its sidecars are told. short: as --driver of csi-plugin says it.

    prefix: of the names of volumes and, with "alibabacloud-" before it, of snapshots.
    """

    short: str
    name: str
    prefix: str
    fstype: str
    attaches: bool = True
    expands: bool = True
    snapshots: bool = True


DRIVERS = (
    Driver(short="disk", name="diskplugin.csi.alibabacloud.com", prefix="disk", fstype="ext4"),
)


def controllers(where: layout.Layout, programs: pathlib.Path) -> list[components.Component]:
    """The plug-in's controllers and all sidecars, in the order of their start."""
    plugin = components.Component(
        name="csi-controller",
        machine=layout.CONTROL,
        argv=(
            *_plugin(where, CONTROLLER_DIR, CONTROLLER_ACCOUNT),
            "--run-node-service=false",
        ),
        ready="csi-plugin ready",
        environment={**components.cloud_environment(), "CLUSTER_ID": where.prefix},
    )
    snapshot_controller = components.Component(
        name="snapshot-controller",
        machine=layout.CONTROL,
        argv=(
            str(programs / "snapshot-controller"),
            f"--kubeconfig={where.kubeconfig(SNAPSHOT_ACCOUNT)}",
        ),
        ready="Starting snapshot controller",
        restarts=True,
    )
    made = [plugin, snapshot_controller]
    for driver in DRIVERS:
        made += _sidecars(where, programs, driver)
    return made


def node(where: layout.Layout, name: str) -> components.Component:
    """The plug-in on a node."""
    return components.Component(
        name=f"{name}/csi-node",
        machine=name,
        argv=(*_plugin(where, NODE_DIR, NODE_ACCOUNT), "--run-controller-service=false"),
        ready="csi-plugin ready",
        environment={
            **components.cloud_environment(),
            "CLUSTER_ID": where.prefix,
            "KUBE_NODE_NAME": name,
            "DISK_BY_ID_DIR": str(where.home(name) / "by-id"),
        },
    )


def _plugin(where: layout.Layout, directory: str, account: str) -> Sequence[str]:
    return (
        sys.executable,
        "-m",
        "csi",
        f"--driver={','.join(driver.short for driver in DRIVERS)}",
        f"--endpoint=unix://{directory}/{REPLACE}/csi.sock",
        f"--kubeconfig={where.kubeconfig(account)}",
        "--logging-format=json",
        "--v=5",
    )


def _sidecars(
    where: layout.Layout, programs: pathlib.Path, driver: Driver
) -> list[components.Component]:
    snapshots = f"alibabacloud-{driver.prefix}"
    flags: list[tuple[str, bool, str, list[str]]] = [
        (
            "csi-provisioner",
            True,
            "Starting provisioner controller",
            [
                f"--volume-name-prefix={driver.prefix}",
                f"--default-fstype={driver.fstype}",
                "--strict-topology=true",
                "--extra-create-metadata=true",
                "--timeout=150s",
                "--retry-interval-start=500ms",
            ],
        ),
        ("csi-attacher", driver.attaches, "Starting CSI attacher", ["--timeout=30s"]),
        (
            "csi-resizer",
            driver.expands,
            "Starting external resizer",
            ["--handle-volume-inuse-error=false", "--extra-modify-metadata"],
        ),
        (
            "csi-snapshotter",
            driver.snapshots,
            "Starting CSI snapshotter",
            ["--extra-create-metadata", f"--snapshot-name-prefix={snapshots}"],
        ),
    ]
    return [
        components.Component(
            name=f"{driver.short}-{program.removeprefix('csi-')}",
            machine=layout.CONTROL,
            argv=(
                str(programs / program),
                f"--csi-address={CONTROLLER_DIR}/{driver.name}/csi.sock",
                f"--kubeconfig={where.kubeconfig(CONTROLLER_ACCOUNT)}",
                *words,
            ),
            ready=ready,
            restarts=True,
        )
        for program, used, ready, words in flags
        if used
    ]

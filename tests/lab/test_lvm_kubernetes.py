"""Node-local volumes that PersistentVolumes tell of: real LVM and a real API server."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from csi.lvm import driver as local
from csi.lvm import old_volumes
from tests.support import api_server, rpc, wrappers
from tests.support.lvm_driver import NODE, LvmDriver, code_of
from tests.support.machine import run
from tests.support.volume_group import VolumeGroup

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("foreign")]
ADDRESS = "192.0.2.1"
"""Of the guest: an API server on a loopback address looks for another, and the guest has none."""
ALSO = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.FAILED_PRECONDITION})
"""While a command of the killed driver still runs, LVM may say anything."""


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[api_server.ApiServer]:
    server = api_server.ApiServer(tmp_path_factory.mktemp("kubernetes") / "api", address=ADDRESS)
    with contextlib.ExitStack() as undo:
        run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
        undo.callback(run, "ip", "address", "delete", f"{ADDRESS}/32", "dev", "lo")
        undo.callback(server.close)
        server.start()
        yield server


class Stage:
    """A driver with a group and the API server, that can be killed and started again."""

    def __init__(
        self, group: VolumeGroup, directory: pathlib.Path, kubernetes: api_server.ApiServer
    ) -> None:
        self.group = group
        self.kubernetes = kubernetes
        self._directory = directory
        self.wrappers = wrappers.Wrappers(directory / "bin", ("lvcreate", "lvchange"))
        self.driver = self.start()

    def start(self, **more: str) -> LvmDriver:
        return LvmDriver(
            self._directory,
            self.group.devices,
            path=f"{self.wrappers.directory}:{os.environ['PATH']}",
            LVM_WATCH_INTERVAL="0s",
            KUBECONFIG=str(self.kubernetes.kubeconfig(api_server.ADMIN)),
            KUBE_NODE_NAME=NODE,
            **more,
        )

    def restart(self) -> None:
        self.driver.close()
        self.driver = self.start()

    def volume(self, name: str, **attributes: str) -> pb.Volume:
        """A PersistentVolume as the old provisioner makes it, and as kubelet tells it."""
        told = {"volumeType": "LVM", "vgName": self.group.name, "fsType": "ext4", **attributes}
        spec = {
            "capacity": {"storage": "64Mi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete",
            "csi": {"driver": local.NAME, "volumeHandle": name, "volumeAttributes": told},
        }
        metadata = {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": local.NAME}}
        self.kubernetes.kubectl.apply(
            {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}
        )
        return pb.Volume(volume_id=name, volume_context=told)

    def seen(self, name: str) -> tuple[str, list[str]]:
        """The node that the PersistentVolume says has the volume, and those it is bound to."""
        found: dict[str, Any] = self.kubernetes.kubectl.get("pv", name)
        terms = (
            found["spec"].get("nodeAffinity", {}).get("required", {}).get("nodeSelectorTerms", [])
        )
        bound = [value for term in terms for each in term["matchExpressions"]
                 for value in each["values"]]  # fmt: skip
        return found["metadata"]["annotations"].get(old_volumes.MADE_ON, ""), bound

    def lvs(self) -> list[str]:
        """Names and tags."""
        told = run("lvs", "--noheadings", "-o", "lv_name,lv_tags", self.group.name)
        return sorted(" ".join(line.split()) for line in told.splitlines())

    def close(self) -> None:
        self.driver.close()


@pytest.fixture
def stage(
    volume_group: VolumeGroup, tmp_path: pathlib.Path, kubernetes: api_server.ApiServer
) -> Iterator[Stage]:
    made = Stage(volume_group, tmp_path, kubernetes)
    yield made
    made.close()


def test_a_volume_of_the_old_driver_is_made_once_and_never_again_when_it_is_lost(
    stage: Stage,
) -> None:
    driver = stage.driver
    volume = stage.volume("old-1", lvmType="striping")

    target = driver.publish(volume)
    (target / "file").write_text("kept")
    driver.unpublish(volume, target)
    assert stage.seen("old-1") == (NODE, [NODE])
    assert "csi-making" not in stage.lvs()[0]
    segments = run("lvs", "--noheadings", "-o", "stripes", stage.group.path("old-1"))
    assert segments.strip() == "2"
    target = driver.publish(volume)
    assert (target / "file").read_text() == "kept"
    driver.unpublish(volume, target)

    run("lvremove", "-qq", "--yes", stage.group.path("old-1"))
    assert code_of(driver.stage, volume) == "NOT_FOUND"
    assert stage.lvs() == []
    stage.kubernetes.kubectl(
        "annotate", "pv", "old-1", f"{old_volumes.MADE_ON}-", f"{old_volumes.TO_BE_MADE}=true"
    )
    target = driver.publish(volume)
    assert not (target / "file").exists()
    driver.unpublish(volume, target)
    driver.delete("old-1")
    assert stage.lvs() == []


def test_an_api_server_that_is_away_makes_nothing_and_holds_up_nothing_that_is_there(
    stage: Stage,
) -> None:
    volume = stage.volume("old-2")
    there = stage.volume("old-3")
    run("lvcreate", "-qq", "--yes", "-n", "old-3", "-L", "64m", stage.group.name)
    stage.kubernetes.stop()
    try:
        assert code_of(stage.driver.stage, volume) == "UNAVAILABLE"
        assert [row.split()[0] for row in stage.lvs()] == ["old-3"]
        stage.driver.stage(there)
        stage.driver.unstage(there)
    finally:
        stage.kubernetes.start()
    assert stage.seen("old-3") == ("", [])

    stage.driver.stage(there)
    stage.driver.unstage(there)

    assert stage.seen("old-3") == (NODE, [NODE])
    assert code_of(stage.driver.delete, "old-3") == "FAILED_PRECONDITION"


@pytest.mark.parametrize(
    ("number", "phase", "known"),
    [
        (1, wrappers.Phase.BEFORE, ""),
        (1, wrappers.Phase.AFTER, ""),
        (2, wrappers.Phase.BEFORE, NODE),
        (2, wrappers.Phase.AFTER, NODE),
    ],
)
def test_a_driver_that_is_killed_while_it_makes_one_goes_on(
    stage: Stage, number: int, phase: wrappers.Phase, known: str
) -> None:
    """The first command makes the volume, the second lets it count; between them it is told."""
    name = f"old-{number}-{phase}"
    volume = stage.volume(name)
    stage.wrappers.arm(stage.driver.process.pid, number, phase)
    with pytest.raises(grpc.RpcError):
        stage.driver.stage(volume)
    commands = stage.wrappers.calls()
    assert [line.split()[0] for line in commands] == ["lvcreate", "lvchange"][:number]
    assert stage.seen(name)[0] == known
    stage.wrappers.disarm()
    stage.restart()

    rpc.retry(lambda: stage.driver.stage(volume), also=ALSO)

    assert stage.seen(name) == (NODE, [NODE])
    assert [row.split()[0] for row in stage.lvs()] == [name]
    assert "csi-making" not in stage.lvs()[0]
    stage.driver.unstage(volume)
    stage.driver.delete(name)


def test_a_volume_whose_publishes_were_never_noted_is_not_made(stage: Stage) -> None:
    volume = stage.volume("old-4", nodeAffinity="false")

    assert code_of(stage.driver.stage, volume) == "NOT_FOUND"
    assert stage.lvs() == []

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
from csi.lvm import legacy, old_volumes, topology
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

    def volume(self, name: str, driver_name: str = local.NAME, **attributes: str) -> pb.Volume:
        """A PersistentVolume as the old provisioner makes it, and as kubelet tells it."""
        told = {"volumeType": "LVM", "vgName": self.group.name, "fsType": "ext4", **attributes}
        spec = {
            "capacity": {"storage": "64Mi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete",
            "csi": {"driver": driver_name, "volumeHandle": name, "volumeAttributes": told},
        }
        metadata = {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": driver_name}}
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


def test_a_volume_of_the_older_name_is_made_when_an_operator_says_so(stage: Stage) -> None:
    stage.driver.close()
    stage.driver = stage.start(name="lvm")
    volume = stage.volume("old-5", legacy.NAME, volumeType="")
    assert code_of(stage.driver.stage, volume) == "NOT_FOUND"
    assert stage.lvs() == []

    stage.kubernetes.kubectl("annotate", "pv", "old-5", f"{old_volumes.TO_BE_MADE}=true")
    stage.driver.stage(volume)

    stage.driver.unstage(volume)
    assert stage.seen("old-5") == (NODE, [NODE])
    assert topology.OF_LVMPLUGIN in str(stage.kubernetes.kubectl.get("pv", "old-5")["spec"])
    stage.driver.delete("old-5")
    assert stage.lvs() == []


def test_a_volume_whose_publishes_were_never_noted_is_not_made(stage: Stage) -> None:
    volume = stage.volume("old-4", nodeAffinity="false")

    assert code_of(stage.driver.stage, volume) == "NOT_FOUND"
    assert stage.lvs() == []


OWN = ("csi-local", "csi-plain", "csi-stale=1000")
"""Of volumes of ours that a collection saw in 1970."""
CONTENTS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "volumesnapshotcontents.snapshot.storage.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved, of a test"},
    },
    "spec": {
        "group": "snapshot.storage.k8s.io",
        "scope": "Cluster",
        "names": {"plural": "volumesnapshotcontents", "kind": "VolumeSnapshotContent"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}


def test_what_nobody_names_is_collected_and_nothing_else(stage: Stage) -> None:
    kubectl = stage.kubernetes.kubectl
    kubectl.apply(CONTENTS)
    kubectl.wait("crd", CONTENTS["metadata"]["name"], "condition=Established", limit_s=60.0)
    kubectl.apply(
        {
            "apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshotContent",
            "metadata": {"name": "content-1"},
            "spec": {"source": {"snapshotHandle": "snap-named"}},
        }
    )
    stage.volume("named")
    made = {
        "named": (*OWN, "csi-kind=volume"),
        "leaked": (*OWN, "csi-kind=volume"),
        "wiped": (*OWN, "csi-kind=volume", "csi-wipe=zero"),
        "used": (*OWN, "csi-kind=volume"),
        "inline": (*OWN, "csi-kind=volume", "csi-ephemeral"),
        "new": ("csi-local", "csi-kind=volume"),
        "retained": (*OWN, "csi-kind=volume", "csi-retained"),
        "guarded": (*OWN, "csi-kind=volume", "protected"),
        "theirs": ("csi-kind=volume", "csi-stale=1000"),
    }
    for name, tags in made.items():
        words = [word for tag in tags for word in ("--addtag", tag)]
        stage.group.create(name, "--size", "8m", *words)
    for name in ("snap-named", "snap-leaked", "snap-guarded"):
        words = [word for tag in (*OWN, "csi-kind=snapshot") for word in ("--addtag", tag)]
        run("lvcreate", "-qq", "--yes", "--snapshot", "--name", name, "--size", "4m", *words,
            stage.group.path("theirs"))  # fmt: skip
    run("lvchange", "--addtag", "protected", stage.group.path("snap-guarded"))
    run("mkfs.ext4", "-q", stage.group.path("used"))
    mount_point = stage.driver.kubelet / "used"
    mount_point.mkdir()
    run("mount", stage.group.path("used"), mount_point)
    (stage.driver.kubelet / "pods").mkdir(exist_ok=True)

    stage.driver.close()
    stage.driver = stage.start(LOCAL_GC_LVM_DURATION="1h")
    gone = {"leaked", "wiped", "inline", "snap-leaked"}

    def is_through() -> bool:
        now = dict(row.split() for row in stage.lvs())
        unmarked = ("named", "used", "retained", "snap-named")
        return (
            not gone & set(now)
            and "csi-stale=" in now["new"]
            and not any("csi-stale" in now[name] for name in unmarked)
        )

    try:
        rpc.wait_until(is_through, timeout_s=180)
    finally:
        run("umount", mount_point)

    tags_now = dict(row.split() for row in stage.lvs())
    assert set(tags_now) == {*made, "snap-named", "snap-guarded"} - gone
    assert tags_now["theirs"] == "csi-kind=volume,csi-stale=1000"
    assert "csi-stale=1000" in tags_now["guarded"]
    refused = rpc.refusal(lambda: stage.driver.delete("guarded"))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert f"lvchange --deltag protected {stage.group.name}/guarded" in refused.message
    refused = rpc.refusal(lambda: stage.driver.delete_snapshot("snap-guarded"))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert f"lvchange --deltag protected {stage.group.name}/snap-guarded" in refused.message

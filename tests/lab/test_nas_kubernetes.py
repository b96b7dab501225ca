"""NAS volumes that Kubernetes objects tell of, on real exports, with a real API server."""

import contextlib
import pathlib
from collections.abc import Iterator

import pytest

from tests.support import api_server, machine, nas_cloud
from tests.support.cnfs import cnfs, install, persistent_volume
from tests.support.nas_cloud import DOMAIN, FILE_SYSTEM, NasCloud
from tests.support.nas_driver import NasDriver

pytestmark = pytest.mark.timeout(400)

Cloud = tuple[NasCloud, machine.Machine, machine.Machine]
Rig = tuple[NasCloud, api_server.ApiServer, NasDriver]
SHARED = {
    "filesystemType": "standard",
    "filesystemId": FILE_SYSTEM,
    "server": nas_cloud.DOMAIN,
}
SPARE = {
    "filesystemType": "extreme",
    "filesystemId": nas_cloud.EXTREME,
    "server": nas_cloud.EXTREME_DOMAIN,
}


@pytest.fixture
def rig(nas_cloud: Cloud, tmp_path: pathlib.Path) -> Iterator[Rig]:
    """A NAS driver with a real cloud of files and a real API server."""
    cloud, node, _ = nas_cloud
    kubernetes = api_server.ApiServer(tmp_path / "api", address=cloud.files["machine_address"])
    with contextlib.ExitStack() as undo:
        undo.callback(kubernetes.close)
        kubernetes.start()
        install(kubernetes)
        driver = NasDriver(
            node,
            tmp_path,
            "node-a",
            DOMAIN,
            endpoint=cloud.endpoint,
            KUBECONFIG=str(kubernetes.kubeconfig(api_server.ADMIN)),
            KUBE_NODE_NAME="node-a",
        )
        undo.callback(driver.close)
        yield cloud, kubernetes, driver


def test_g42_volumes_of_an_object_are_mounted_and_its_fallback_when_it_is_silent(rig: Rig) -> None:
    cloud, kubernetes, driver = rig
    kubernetes.kubectl.apply(
        cnfs("shared", fallback="spare", strategy="IfConnectFailed", **SHARED),
        cnfs("spare", **SPARE),
    )
    made = driver.create(
        "pvc-1", server="", containerNetworkFileSystem="shared", path="/share/team"
    )
    first = driver.publish(made, pod="one")
    driver.machine.run("sh", "-c", f"echo first >{first}/file")
    seen = (cloud.tree() / "share/team/pvc-1/file").read_text()

    with cloud.unreachable(nas_cloud.DOMAIN):
        second = driver.publish(made, pod="two")
        driver.machine.run("sh", "-c", f"echo second >{second}/file")
    spare_file, *others = cloud.tree(nas_cloud.EXTREME).rglob("team/pvc-1/file")
    of_spare = spare_file.read_text()
    # What is mounted from the fallback stays so when the publish is repeated.
    assert driver.publish(made, pod="two") == second
    driver.unpublish(made, first)
    driver.unpublish(made, second)

    assert (seen, of_spare) == ("first\n", "second\n")
    assert others == []
    driver.delete(made.volume_id)
    assert not (cloud.tree() / "share/team/pvc-1").exists()


def test_g36_what_the_existing_driver_made_is_archived_or_deleted_as_its_class_says(
    rig: Rig,
) -> None:
    cloud, kubernetes, driver = rig
    old = cloud.tree() / "old"
    for name, policy in (("pvc-kept", "true"), ("pvc-gone", "false")):
        (old / name).mkdir(parents=True)
        (old / name / "file").write_text(name)
        kubernetes.kubectl.apply(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": name},
                "provisioner": "nasplugin.csi.alibabacloud.com",
                "parameters": {"archiveOnDelete": policy},
            },
            persistent_volume(
                name,
                storage_class=name,
                server=nas_cloud.DOMAIN,
                path=f"/old/{name}",
                fileSystemId=FILE_SYSTEM,
            ),
        )
    (old / "neighbour").mkdir()

    for name in ("pvc-kept", "pvc-gone", "pvc-gone"):
        driver.delete(name)

    left = {path.name for path in old.iterdir() if not path.name.startswith(".")}
    archived = left - {"neighbour"}
    assert len(archived) == 1
    assert archived.pop().startswith("archived-pvc-kept.")
    assert "neighbour" in left
    told = kubernetes.event("VolumeArchived")
    assert told["involvedObject"]["name"] == "pvc-kept"
    assert "/old/archived-pvc-kept." in told["message"]

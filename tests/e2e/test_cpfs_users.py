"""Who needs a storage channel, as a real API server tells it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from csi.cpfs import node_ids
from csi.cpfs.controller import users
from kube import api, client, connection, settings
from tests.support import api_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

DRIVER = "bmcpfsplugin.csi.alibabacloud.com"
FS, OTHER = "bmcpfs-0a1b", "bmcpfs-0c2d"
NODE = node_ids.NodeId(node_ids.Reach.VSC, "i-1")
WEAK = "weak"
KEPT = "test.example/kept"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[api_server.ApiServer]:
    made = api_server.ApiServer(tmp_path_factory.mktemp("kubernetes") / "api", WEAK)
    try:
        made.start()
        yield made
    finally:
        made.close()


def of(server: api_server.ApiServer, user: str) -> client.Client:
    config = settings.KubeSettings(kubeconfig=str(server.kubeconfig(user)), is_configured=True)
    return client.Client(connection.Connection(config))


@pytest.fixture
async def kubernetes(server: api_server.ApiServer) -> AsyncIterator[client.Client]:
    made = of(server, api_server.ADMIN)
    yield made
    await made.close()


def csi_node(name: str, node_id: str) -> dict[str, Any]:
    drivers = [{"name": DRIVER, "nodeID": node_id, "topologyKeys": []}]
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": {"name": name},
        "spec": {"drivers": drivers},
    }


def volume(name: str, volume_id: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteMany"],
            "csi": {"driver": DRIVER, "volumeHandle": volume_id},
        },
    }


def attachment(name: str, node: str) -> dict[str, Any]:
    """Of the volume of that name, with a finalizer as the attacher's."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "VolumeAttachment",
        "metadata": {"name": f"csi-{name}-{node}", "finalizers": [KEPT]},
        "spec": {
            "attacher": DRIVER,
            "nodeName": node,
            "source": {"persistentVolumeName": name},
        },
    }


async def test_a_channel_is_needed_until_the_last_volume_of_the_node_leaves(
    server: api_server.ApiServer, kubernetes: client.Client
) -> None:
    who = users.Users(kubernetes, DRIVER)
    unknown = await who.ask(FS, NODE).need()
    server.kubectl.apply(
        *(csi_node("worker-1", str(NODE)), csi_node("worker-2", "vsc:i-2")),
        *(volume("pv-a", f"{FS}+fset-1"), volume("pv-b", FS), volume("pv-c", OTHER)),
        *(attachment("pv-a", "worker-1"), attachment("pv-b", "worker-1")),
        *(attachment("pv-b", "worker-2"), attachment("pv-c", "worker-1")),
    )
    both = await who.ask(FS, NODE).need()
    server.kubectl("delete", "volumeattachment", "csi-pv-a-worker-1", "--wait=false")
    one = await who.ask(FS, NODE).need()
    server.kubectl("delete", "volumeattachment", "csi-pv-b-worker-1", "--wait=false")
    none = await who.ask(FS, NODE).need()

    assert unknown is None
    assert both == users.Need("PersistentVolume pv-a is attached", is_sure=True)
    assert one == users.Need("PersistentVolume pv-b is attached", is_sure=True)
    assert none is None
    assert await who.ask(OTHER, NODE).need() is not None


async def test_who_may_not_look_takes_it_for_needed(server: api_server.ApiServer) -> None:
    kubernetes = of(server, WEAK)
    try:
        need = await users.Users(kubernetes, DRIVER).ask(FS, NODE).need()
    finally:
        await kubernetes.close()

    assert need is not None
    assert not need.is_sure


async def test_where_there_is_no_kubernetes_nobody_is_asked() -> None:
    assert await users.Users(api.Nowhere(), DRIVER).ask(FS, NODE).need() is None

"""Lists and changes of PersistentVolumes at a real API server: whole or refused, never half."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from core import errors
from csi.lvm import collection, deleted_nodes, old_volumes, released_volumes, topology
from csi.lvm import driver as local
from kube import api, child, client, connection, events, settings
from kube import volumes as kube_volumes
from tests.fakes import virtual_clock
from tests.support import api_server
from tests.support.cluster import kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
PLACE = topology.Place(node_id="node-a", key=topology.HOSTNAME, value="node-a")
WAIT_S = 3600.0
WEAK = "weak"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[api_server.ApiServer]:
    made = api_server.ApiServer(tmp_path_factory.mktemp("kubernetes") / "api", WEAK)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture(params=["client", "child"])
async def kubernetes(
    request: pytest.FixtureRequest, server: api_server.ApiServer
) -> AsyncIterator[api.VolumeApi]:
    config = settings.KubeSettings(
        kubeconfig=str(server.kubeconfig(api_server.ADMIN)), is_configured=True
    )
    made: api.VolumeApi = child.Child(config)
    if request.param == "client":
        made = client.Client(connection.Connection(config))
    yield made
    await made.close()


def an_object(name: str, *, node: str = "", **metadata: Any) -> dict[str, Any]:
    told = {
        "name": name,
        "annotations": {kube_volumes.PROVISIONED_BY: local.NAME},
        **metadata,
    }
    spec: dict[str, Any] = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Delete",
        "csi": {
            "driver": local.NAME,
            "volumeHandle": name,
            "volumeAttributes": {"volumeType": "LVM", "vgName": "vg1"},
        },
    }
    if node:
        term = {"key": topology.HOSTNAME, "operator": "In", "values": [node]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": told, "spec": spec}


@pytest.fixture
def apply(server: api_server.ApiServer) -> Iterator[Any]:
    made: list[str] = []

    def do(*objects: dict[str, Any]) -> None:
        made.extend(each["metadata"]["name"] for each in objects)
        server.kubectl.apply(*objects)

    yield do
    for name in made:
        server.kubectl("delete", "pv", name, "--ignore-not-found", "--wait=false")
        if server.kubectl("get", "pv", name, "--ignore-not-found"):
            server.kubectl(
                "patch", "pv", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
            )


async def test_a_list_has_every_page_and_only_what_is_looked_at(
    kubernetes: api.VolumeApi, apply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_PAGE", 2)
    names = [f"pvc-{n}" for n in range(5)]
    apply(*(an_object(name) for name in names))

    found = await kubernetes.list_all(api.Kind.PERSISTENT_VOLUME, collection.OF_VOLUME)

    assert collection.handles(found) == set(names)
    assert all("volumeAttributes" not in each["spec"]["csi"] for each in found)
    assert {kube_volumes.parse(each).provisioned_by for each in found} == {local.NAME}


async def test_a_kind_that_the_cluster_does_not_have_is_not_an_empty_list(
    kubernetes: api.VolumeApi,
) -> None:
    with pytest.raises(errors.Precondition, match="VolumeSnapshotContent"):
        await kubernetes.list_all(api.Kind.VOLUME_SNAPSHOT_CONTENT, collection.OF_SNAPSHOT)


async def test_a_list_that_is_refused_is_not_empty(server: api_server.ApiServer) -> None:
    config = settings.KubeSettings(kubeconfig=str(server.kubeconfig(WEAK)), is_configured=True)

    with pytest.raises(errors.Denied):
        await child.Child(config).list_all(api.Kind.PERSISTENT_VOLUME, collection.OF_VOLUME)


async def test_a_claim_binds_a_volume_and_a_second_one_of_the_same_version_is_refused(
    kubernetes: api.VolumeApi, apply: Any
) -> None:
    apply(an_object("pvc-1"))
    before = await kube_volumes.read(kubernetes, "pvc-1")
    assert before is not None
    elsewhere = topology.Place(node_id="node-b", key=topology.HOSTNAME, value="node-b")

    await kubernetes.patch_volume("pvc-1", old_volumes.claim(before, PLACE))
    with pytest.raises(errors.Busy):
        await kubernetes.patch_volume("pvc-1", old_volumes.claim(before, elsewhere))

    after = await kube_volumes.read(kubernetes, "pvc-1")
    assert after is not None
    assert after.annotations[old_volumes.MADE_ON] == "node-a"
    assert deleted_nodes.nodes(after, [topology.HOSTNAME]) == {"node-a"}
    with pytest.raises(errors.Invalid):
        await kubernetes.patch_volume("pvc-1", {"spec": {"nodeAffinity": None}})


async def test_a_volume_that_is_gone_cannot_be_claimed_and_may_be_deleted_again(
    kubernetes: api.VolumeApi, apply: Any
) -> None:
    apply(an_object("pvc-1"))
    await kubernetes.patch_volume("pvc-1", {"metadata": {"finalizers": None}})
    await kubernetes.delete_volume("pvc-1")
    await kubernetes.delete_volume("pvc-1")

    with pytest.raises(errors.Precondition):
        await kubernetes.patch_volume("pvc-1", {"metadata": {"annotations": {"a": "b"}}})


async def test_a_released_volume_of_a_deleted_node_is_deleted_and_its_event_stays(
    kubernetes: api.VolumeApi, server: api_server.ApiServer, apply: Any
) -> None:
    waits = {"finalizers": [deleted_nodes.FINALIZER]}
    name = f"pvc-gone-{type(kubernetes).__name__.lower()}"
    apply(
        an_object(name, node="node-b", **waits),
        an_object("pvc-here", node="node-a", **waits),
        an_object("pvc-bound", node="node-b", **waits),
    )
    for each, phase in ((name, "Released"), ("pvc-here", "Released"), ("pvc-bound", "Bound")):
        patch = f'{{"status":{{"phase":"{phase}"}}}}'
        server.kubectl("patch", "pv", each, "--subresource=status", "--type=merge", "-p", patch)
    server.kubectl.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-a"}})
    time = virtual_clock.VirtualClock()
    recorder = events.Recorder(kubernetes, component=local.NAME, host="node-a", time=time)
    recorder.start()
    released = released_volumes.ReleasedVolumes(
        driver_name=local.NAME,
        place=PLACE,
        wait_s=WAIT_S,
        kubernetes=kubernetes,
        recorder=recorder,
        time=time,
    )

    async def listed() -> list[api.Object]:
        return await kubernetes.list_all(api.Kind.PERSISTENT_VOLUME, collection.OF_VOLUME)

    await released.let_go(await listed())
    assert len(await listed()) == 3
    time.now_s += WAIT_S
    await released.let_go(await listed())

    found = map(kube_volumes.parse, await listed())
    told = {each.name: (each.is_going, each.finalizers) for each in found}
    theirs = "kubernetes.io/pv-protection"  # taken away by a controller, which is not here
    assert told == {
        name: (True, (theirs,)),
        "pvc-here": (False, (deleted_nodes.FINALIZER, theirs)),
        "pvc-bound": (False, (deleted_nodes.FINALIZER, theirs)),
    }
    about = f"--field-selector=reason={released_volumes.ON_DELETED_NODE},involvedObject.name={name}"
    await asyncio.to_thread(
        kubectl.wait_until, "it is told", lambda: server.kubectl.list("events", about) != [], 30.0
    )
    await recorder.close()
    server.kubectl("delete", "node", "node-a")

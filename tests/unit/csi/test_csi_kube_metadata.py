from collections.abc import Mapping

import pytest

from cloud import metadata
from core import errors, settings
from csi import kube_metadata
from kube import api
from kube import settings as kube_settings
from tests.fakes import fake_kubernetes, virtual_clock

Key = metadata.Key
NODE = {
    "metadata": {
        "name": "n1",
        "labels": {"topology.kubernetes.io/zone": "cn-hangzhou-j", "mine": "i-mine"},
    },
    "spec": {"providerID": "cn-hangzhou.i-1"},
}


@pytest.fixture
def server() -> fake_kubernetes.FakeKubernetes:
    return fake_kubernetes.FakeKubernetes({(api.Kind.NODE, "n1"): NODE})


def chain(server: api.Api, node_name: str = "n1", **environ: str) -> metadata.Metadata:
    config = kube_settings.KubeSettings(is_configured=True, node_name=node_name)
    sources = kube_metadata.providers(server, config, settings.Reader(environ))
    return metadata.Metadata(sources, virtual_clock.VirtualClock())


async def test_the_node_object_tells_region_zone_and_instance(
    server: fake_kubernetes.FakeKubernetes,
) -> None:
    found = chain(server)

    assert await found.get(Key.REGION_ID) == "cn-hangzhou"
    assert await found.get(Key.ZONE_ID) == "cn-hangzhou-j"
    assert await found.get(Key.INSTANCE_ID) == "i-1"
    assert await found.find(Key.INSTANCE_TYPE) == ""
    assert len(server.reads) == 1


async def test_a_node_object_that_is_filled_in_later_is_read_again(
    server: fake_kubernetes.FakeKubernetes,
) -> None:
    server.objects[api.Kind.NODE, "n1"] = {"metadata": {"name": "n1"}, "spec": {}}
    found = chain(server)
    with pytest.raises(metadata.UnknownMetadata):
        await found.get(Key.ZONE_ID)

    server.objects[api.Kind.NODE, "n1"] = NODE

    assert await found.get(Key.ZONE_ID) == "cn-hangzhou-j"
    assert await found.get(Key.INSTANCE_ID) == "i-1"


class Imds:
    """A metadata service that knows the instance only."""

    name = "metadata service"
    keys = frozenset({Key.INSTANCE_ID})

    def __init__(self, instance_id: str) -> None:
        self._instance_id = instance_id

    async def read(self, key: Key, known: Mapping[Key, str]) -> str | None:
        assert key in self.keys
        return self._instance_id


async def test_an_ecs_instance_is_no_lingjun_machine_while_the_api_server_is_away(
    server: fake_kubernetes.FakeKubernetes,
) -> None:
    server.fault = errors.Unavailable("away")
    config = kube_settings.KubeSettings(is_configured=True, node_name="n1")
    more = kube_metadata.providers(server, config, settings.Reader({}))

    ecs = metadata.Metadata([Imds("i-1"), *more], virtual_clock.VirtualClock())
    assert await ecs.find(Key.LINGJUN_NODE) == ""
    assert await ecs.find(Key.LINGJUN_HPN_ZONE) == ""

    other = metadata.Metadata([Imds("e01-cn-1"), *more], virtual_clock.VirtualClock())
    with pytest.raises(errors.Unavailable):
        await other.find(Key.LINGJUN_NODE)


async def test_the_operator_s_label_names_the_instance(
    server: fake_kubernetes.FakeKubernetes,
) -> None:
    found = chain(server, NODE_LABEL_ECS_ID_KEY="mine")

    assert await found.get(Key.INSTANCE_ID) == "i-mine"


async def test_a_node_that_is_not_there_is_told_by_name(
    server: fake_kubernetes.FakeKubernetes,
) -> None:
    with pytest.raises(metadata.UnknownMetadata, match="there is no Node n2; see KUBE_NODE_NAME"):
        await chain(server, "n2").get(Key.REGION_ID)


async def test_the_profile_tells_the_cluster(server: fake_kubernetes.FakeKubernetes) -> None:
    server.objects[api.Kind.CONFIG_MAP, "ack-cluster-profile"] = {"data": {"clusterid": "c-1"}}

    assert await chain(server).get(Key.CLUSTER_ID) == "c-1"
    assert server.reads == [(api.Kind.CONFIG_MAP, "ack-cluster-profile", "kube-system")]


async def test_a_cluster_without_the_profile_or_the_right_to_read_it_has_no_id(
    server: fake_kubernetes.FakeKubernetes,
) -> None:
    assert await chain(server).find(Key.CLUSTER_ID) == ""
    server.fault = errors.Denied("no")
    assert await chain(server).find(Key.CLUSTER_ID) == ""


async def test_an_api_server_that_is_away_is_unavailable(
    server: fake_kubernetes.FakeKubernetes,
) -> None:
    server.fault = errors.Unavailable("away")

    with pytest.raises(errors.Unavailable):
        await chain(server).get(Key.REGION_ID)


def test_without_kubernetes_nothing_is_asked() -> None:
    reader = settings.Reader({})

    assert kube_metadata.providers(api.Nowhere(), kube_settings.KubeSettings(), reader) == ()

"""Pods and events: what is asked of the watch and of the API server."""

import pytest

from core import errors
from ipamd import events, model
from ipamd.datapath import names
from ipamd.kube import kube_events, kube_pods
from kube import api, pod_cache, pods
from kube import events as recorder
from tests.fakes import fake_kubernetes, virtual_clock

WEB = model.Pod(namespace="shop", name="web-0", uid="u-1")


@pytest.fixture
def server():
    return fake_kubernetes.FakeKubernetes()


@pytest.fixture
def cache():
    made = pod_cache.PodCache()
    made.begin()
    made.end()
    made.live()
    return made


@pytest.fixture
def known(server, cache):
    return kube_pods.KubePods(server, cache, stateful_kinds=(), wait_s=0.01)


def show(cache, uid="u-1", **fields):
    cache.put(pods.Pod(namespace="shop", name="web-0", uid=uid, **fields))


async def test_a_pod_the_watch_shows_is_known_at_once(known, cache):
    show(cache, owner_kind="StatefulSet")

    assert (await known.wishes(WEB)).keep_s == 300.0
    assert known.known(WEB).keep_s == 300.0


async def test_the_predecessor_of_a_pod_is_not_the_pod(known, cache):
    show(cache, uid="u-0", owner_kind="StatefulSet")

    assert await known.wishes(WEB) is None


async def test_a_runtime_that_tells_no_uid_gets_the_pod_of_that_name(known, cache):
    show(cache, owner_kind="StatefulSet")

    assert (await known.wishes(model.Pod(namespace="shop", name="web-0"))).keep_s == 300.0


async def test_a_pod_is_known_by_the_name_of_its_link(known, cache):
    show(cache)

    assert known.owner_of(names.host_ifname("shop", "web-0", "eth0"), "eth0") == WEB
    assert known.owner_of("cali00000000000", "eth0") == model.NO_POD


async def test_a_container_without_a_pod_is_not_looked_for(known, server):
    assert await known.wishes(model.NO_POD) is None
    assert known.known(model.NO_POD) is None
    assert server.reads == []


async def test_a_pod_is_gone_only_when_watch_and_server_agree(known, cache, server):
    assert await known.is_gone(WEB)

    server.objects[api.Kind.POD, "web-0"] = {}
    assert not await known.is_gone(WEB)
    server.objects.clear()
    show(cache)
    assert not await known.is_gone(WEB)


@pytest.mark.parametrize("trouble", ["away", "fault", "never listed", "no pod"])
async def test_in_doubt_no_pod_is_gone(known, cache, server, trouble):
    pod = WEB
    if trouble == "away":
        cache.away("cut")
    elif trouble == "fault":
        server.fault = errors.Unavailable("away")
    elif trouble == "never listed":
        cache.was_listed = False
    else:
        pod = model.NO_POD

    assert not await known.is_gone(pod)


@pytest.fixture
async def tell(server, cache):
    made = recorder.Recorder(
        server, component="c", host="node-1", time=virtual_clock.VirtualClock(), logs=False
    )
    made.start()
    return kube_events.KubeEvents(made, cache, node_name="node-1")


async def test_events_stand_on_the_pod_as_the_api_server_calls_it(tell, cache, server):
    show(cache, uid="u-9", static_uid="u-1")

    tell.pod(WEB, events.Reason.ALLOC_IP_SUCCEED, "Alloc IP", warning=False)
    tell.pod(model.NO_POD, events.Reason.ALLOC_IP_FAILED, "nobody to tell")
    await virtual_clock.settle()

    assert [
        (namespace, event["involvedObject"]["uid"], event["type"])
        for namespace, event in server.events
    ] == [("shop", "u-9", "Normal")]


async def test_the_same_trouble_of_the_node_is_told_once(tell, server):
    for number in range(3):
        text = f"A failed: Code: m (request id {number})"
        tell.node(events.Reason.ALLOC_IP_FAILED, text)
    await virtual_clock.settle()

    [(namespace, event)] = server.events
    assert namespace == "default"
    assert event["message"] == "A failed: Code: m"
    assert event["involvedObject"]["kind"] == "Node"
    assert event["involvedObject"]["uid"] == "node-1"

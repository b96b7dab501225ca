"""Addresses on pods: what is written, when, and what happens when it cannot be."""

import dataclasses

import pytest

from core import errors
from ipamd import model
from ipamd.kube import kube_pods, pod_ips
from kube import pod_cache, pods
from tests.fakes import fake_kubernetes, virtual_clock
from tests.unit.ipamd.test_store import LEASE

WRITTEN = ("web-0", {"metadata": {"uid": "u", "annotations": {pod_ips.KEY: "10.0.1.5"}}}, False)


@pytest.fixture
def server():
    return fake_kubernetes.FakeKubernetes()


@pytest.fixture
def cache():
    return pod_cache.PodCache()


@pytest.fixture
async def shown(server, cache):
    made = pod_ips.PodIps(server, cache)
    yield made
    await made.close()


def put(cache, **fields):
    cache.put(pods.Pod(**{"namespace": "default", "name": "web-0", "uid": "u", **fields}))


async def test_the_address_is_written_on_the_pod_of_that_uid(server, cache, shown):
    put(cache)

    kube_pods.KubePods(server, cache, stateful_kinds=(), ips=shown).show(LEASE)
    shown.show(LEASE)  # is being written
    await virtual_clock.settle()

    assert server.patches == [WRITTEN]


async def test_what_is_there_is_not_written_again_and_what_is_wrong_is(server, cache, shown):
    put(cache, annotations={pod_ips.KEY: "10.0.1.5"})
    shown.show(LEASE)
    await virtual_clock.settle()
    assert server.patches == []

    put(cache, annotations={pod_ips.KEY: "10.0.1.6"})
    shown.show(LEASE)
    await virtual_clock.settle()
    assert server.patches == [WRITTEN]


@pytest.mark.parametrize(
    "lease",
    [
        dataclasses.replace(LEASE, pod=model.NO_POD),
        dataclasses.replace(LEASE, pod=dataclasses.replace(LEASE.pod, uid="another")),
        dataclasses.replace(LEASE, key=dataclasses.replace(LEASE.key, ifname="net1")),
    ],
)
async def test_nothing_is_written_where_it_would_be_wrong(server, cache, shown, lease):
    put(cache)

    shown.show(lease)
    await virtual_clock.settle()

    assert server.patches == []


async def test_what_the_server_refused_is_tried_at_the_next_time(server, cache, shown):
    put(cache)
    server.fault = errors.Busy("the uid is another")
    shown.show(LEASE)
    await virtual_clock.settle()

    server.fault = None
    shown.show(LEASE)
    await virtual_clock.settle()

    assert server.patches == [WRITTEN]


async def test_where_it_is_switched_off_nothing_is_written(server, cache):
    put(cache)

    kube_pods.KubePods(server, cache, stateful_kinds=()).show(LEASE)
    await virtual_clock.settle()

    assert server.patches == []

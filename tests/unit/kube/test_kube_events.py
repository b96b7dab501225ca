import datetime

import pytest

from core import errors
from kube import api, events
from tests.fakes import fake_kubernetes, virtual_clock

POD = events.Target(kind="Pod", name="web-0", namespace="shop", uid="u-1")


@pytest.fixture
def server() -> fake_kubernetes.FakeKubernetes:
    return fake_kubernetes.FakeKubernetes()


@pytest.fixture
def time() -> virtual_clock.VirtualClock:
    return virtual_clock.VirtualClock()


@pytest.fixture
def recorder(
    server: fake_kubernetes.FakeKubernetes, time: virtual_clock.VirtualClock
) -> events.Recorder:
    return events.Recorder(server, component="nasplugin", host="n1", time=time)


settle = virtual_clock.settle


async def test_an_event_stands_on_its_object(
    recorder: events.Recorder, server: fake_kubernetes.FakeKubernetes
) -> None:
    recorder.warn(POD, "CNFSFallback", "mounted from elsewhere")
    await settle()

    namespace, event = server.events[0]
    assert namespace == "shop"
    assert event["involvedObject"] == {
        "kind": "Pod", "name": "web-0", "namespace": "shop", "uid": "u-1", "apiVersion": "v1",
    }  # fmt: skip
    assert (event["type"], event["reason"]) == ("Warning", "CNFSFallback")
    assert event["source"] == {"component": "nasplugin", "host": "n1"}


async def test_the_same_event_is_posted_once_in_ten_minutes(
    recorder: events.Recorder,
    server: fake_kubernetes.FakeKubernetes,
    time: virtual_clock.VirtualClock,
) -> None:
    for _ in range(3):
        recorder.warn(POD, "CNFSFallback", "same")
    recorder.warn(POD, "CNFSFallback", "other")
    await settle()
    assert len(server.events) == 2

    await time.advance(601)
    recorder.warn(POD, "CNFSFallback", "same")
    await settle()
    assert len(server.events) == 3


async def test_who_cannot_be_told_is_not_told(
    recorder: events.Recorder, server: fake_kubernetes.FakeKubernetes
) -> None:
    recorder.note(None, "Made", "no object known")
    await settle()

    assert server.events == []


@pytest.mark.parametrize(
    "fault", [errors.Unavailable("away"), errors.Denied("no"), api.NotConfigured()]
)
async def test_an_event_that_cannot_be_posted_harms_nobody(
    recorder: events.Recorder, server: fake_kubernetes.FakeKubernetes, fault: errors.Error
) -> None:
    server.fault = fault
    recorder.warn(POD, "CNFSFallback", "same")
    await settle()

    await recorder.close()
    assert server.events == []


def test_long_texts_fit_what_the_api_takes() -> None:
    event = events.describe(
        events.Target(kind="PersistentVolumeClaim", name="c" * 253, namespace="shop"),
        kind="Normal",
        reason="Made",
        message="m" * 5000,
        component="x",
        host="",
        now=datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC),
    )

    assert len(event["metadata"]["name"]) <= 253
    assert len(event["message"]) == 1024
    assert event["firstTimestamp"] == "2026-11-28T00:00:00Z"
    assert event["source"] == {"component": "x"}


def test_pods_and_claims_are_known_by_what_kubernetes_tells_drivers() -> None:
    told = {f"csi.storage.k8s.io/pod.{key}": key for key in ("name", "namespace", "uid")}

    assert events.pod(told) == events.Target(
        kind="Pod", name="name", namespace="namespace", uid="uid"
    )
    assert events.pod({}) is None
    claim = {f"csi.storage.k8s.io/pvc/{key}": key for key in ("name", "namespace")}
    assert events.claim(claim) == events.Target(
        kind="PersistentVolumeClaim", name="name", namespace="namespace"
    )
    assert events.claim({}) is None

import asyncio
import datetime
import gc

import pytest
import structlog

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
async def recorder(
    server: fake_kubernetes.FakeKubernetes, time: virtual_clock.VirtualClock
) -> events.Recorder:
    made = events.Recorder(server, component="nasplugin", host="n1", time=time)
    made.start()
    return made


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


async def test_an_event_may_be_told_from_any_thread(
    recorder: events.Recorder, server: fake_kubernetes.FakeKubernetes
) -> None:
    await asyncio.to_thread(recorder.warn, POD, "VolumeRemounted", "in a thread")
    await settle()

    assert [event["reason"] for _, event in server.events] == ["VolumeRemounted"]


async def test_an_object_is_asked_for_its_uid_by_which_describe_looks_for_events(
    recorder: events.Recorder, server: fake_kubernetes.FakeKubernetes
) -> None:
    kind = api.Kind.PERSISTENT_VOLUME
    server.objects[kind, "pv-1"] = {"metadata": {"name": "pv-1", "uid": "u-7"}}

    recorder.note(events.volume("pv-1"), "VolumeArchived", "kept")
    recorder.note(events.volume("pv-2"), "VolumeArchived", "kept")
    recorder.warn_node("PoolFull", "no room")
    await settle()

    told = {event["involvedObject"]["name"]: event for _, event in server.events}
    assert told["pv-1"]["involvedObject"]["uid"] == "u-7"
    assert "uid" not in told["pv-2"]["involvedObject"]
    assert told["n1"]["involvedObject"]["uid"] == "n1"
    assert told["pv-1"]["metadata"]["namespace"] == "default"


async def test_what_is_told_before_the_start_or_after_the_end_is_only_logged(
    server: fake_kubernetes.FakeKubernetes, time: virtual_clock.VirtualClock
) -> None:
    recorder = events.Recorder(server, component="nas", host="", time=time)
    with structlog.testing.capture_logs() as logged:
        recorder.warn(POD, "Early", "before")
        recorder.start()
        recorder.warn(POD, "Just", "before the end")
        await recorder.close()
        await settle()
        recorder.warn(POD, "Late", "after")
        recorder.warn_node("Nowhere", "no node is known")
        await settle()

    assert server.events == []
    assert [each["reason"] for each in logged] == ["Early", "Just", "Late", "Nowhere"]


async def test_the_same_event_is_posted_and_logged_once_in_ten_minutes(
    recorder: events.Recorder,
    server: fake_kubernetes.FakeKubernetes,
    time: virtual_clock.VirtualClock,
) -> None:
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            recorder.warn(POD, "CNFSFallback", "same")
        recorder.warn(POD, "CNFSFallback", "other")
        await settle()
    assert len(server.events) == 2
    assert [each["message"] for each in logged] == ["same", "other"]

    await time.advance(601)
    with structlog.testing.capture_logs() as logged:
        recorder.warn(POD, "CNFSFallback", "same")
        await settle()
    assert len(server.events) == 3
    assert [each["message"] for each in logged] == ["same"]


async def test_who_cannot_be_told_is_not_told(
    recorder: events.Recorder, server: fake_kubernetes.FakeKubernetes
) -> None:
    with structlog.testing.capture_logs() as logged:
        recorder.note(None, "Made", "no object known")
        recorder.note(None, "Made", "no object known")
        await settle()

    assert server.events == []
    assert len(logged) == 2


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (errors.Unavailable("away"), ["event cannot be posted"]),
        (errors.Denied("no"), ["event cannot be posted"]),
        (api.NotConfigured(), []),
    ],
)
async def test_an_event_that_cannot_be_posted_is_in_the_log_only(
    recorder: events.Recorder,
    server: fake_kubernetes.FakeKubernetes,
    fault: errors.Error,
    told: list[str],
) -> None:
    server.fault = fault
    died: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: died.append(context))
    with structlog.testing.capture_logs() as logged:
        recorder.warn(POD, "CNFSFallback", "same")
        await settle()
    gc.collect()

    assert [each["event"] for each in logged] == ["event", *told]
    assert died == []


async def test_an_event_told_just_before_the_end_is_not_posted_after_it(
    recorder: events.Recorder, server: fake_kubernetes.FakeKubernetes
) -> None:
    recorder.warn(POD, "VolumeRemounted", "later")
    await recorder.close()
    await settle()

    assert server.reads == []
    assert server.events == []


async def test_an_event_that_was_lost_is_posted_when_it_is_told_again(
    recorder: events.Recorder, server: fake_kubernetes.FakeKubernetes
) -> None:
    server.fault = errors.Unavailable("away")
    recorder.warn(POD, "CNFSFallback", "same")
    await settle()
    server.fault = None

    recorder.warn(POD, "CNFSFallback", "same")
    await settle()

    assert len(server.events) == 1


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

"""The companion process itself, against an API server that is a thread of the test."""

import asyncio
import os
import pathlib
import signal

import pytest

from core import clock, errors
from kube import api, companion, settings
from tests.fakes import api_http

EVENT = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod"}, "reason": "R"}
KEY = "k8s.aliyun.com/ingress-bandwidth"


@pytest.fixture
def server():
    made = api_http.ApiHttp()
    yield made
    made.close()


@pytest.fixture
async def asked(server, tmp_path):
    path = server.write_kubeconfig(tmp_path / "kubeconfig")
    config = settings.KubeSettings(kubeconfig=str(path), node_name="node-1", is_configured=True)
    made = companion.Companion(
        config, manager="ipamd", annotations={KEY}, labels={"mine"}, time=clock.SystemClock()
    )
    made.start()
    yield made
    await made.close()


async def until(holds):
    """Return once *holds*; pytest's limit ends the wait."""
    while not holds():
        await asyncio.sleep(0.01)


def names(asked):
    return sorted(pod.name for pod in asked.pods)


async def watched(server, asked):
    await until(lambda: asked.pods.is_live and server.watches)


async def test_pods_are_listed_and_followed_by_their_metadata_alone(server, asked):
    server.pods = [server.pod("a", annotations={KEY: "1M", "other": "x"})]
    second = server.pod("b")
    await until(lambda: asked.pods.is_live and asked.pods.was_listed)
    if not names(asked):  # the list came before the pod
        server.send({"type": "ADDED", "object": server.pods[0]})
    await watched(server, asked)
    server.send({"type": "ADDED", "object": second})
    await until(lambda: names(asked) == ["a", "b"])
    server.send({"type": "DELETED", "object": second})
    await until(lambda: names(asked) == ["a"])

    assert asked.pods.get("default", "a").annotations == {KEY: "1M"}
    assert all("PartialObjectMetadata" in each for each in server.accepts)
    queries = [query for _, path, query, _ in server.seen if path == "/api/v1/pods"]
    assert all("spec.nodeName=node-1" in query["fieldSelector"][0] for query in queries)
    assert queries[-1]["allowWatchBookmarks"] == ["true"]


async def test_a_watch_that_is_cut_within_an_event_goes_on_where_it_was(server, asked):
    await watched(server, asked)
    server.send({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "77"}}})
    server.send(None)
    await until(lambda: not asked.pods.is_live)
    assert "broke within an event" in asked.pods.why_away or "does not answer" in (
        asked.pods.why_away
    )
    await watched(server, asked)

    asked_for = [query for _, path, query, _ in server.seen if path == "/api/v1/pods"]
    assert len([query for query in asked_for if "watch" not in query]) == 1
    assert asked_for[-1]["resourceVersion"] == ["77"]


@pytest.mark.parametrize("how", ["status", "event"])
async def test_a_version_that_is_forgotten_means_a_new_list(server, asked, how):
    await watched(server, asked)
    server.pods = [server.pod("a")]
    if how == "event":
        server.send({"type": "ERROR", "object": {"code": 410, "message": "too old"}})
    else:
        server.gone = True
        server.send(None)

    await until(lambda: names(asked) == ["a"])


async def test_the_node_is_watched_too_and_told_when_it_is_another(server, asked):
    await until(lambda: asked.node.uid == "uid-node" and server.node_watches)
    assert asked.node.labels == {}
    node = server.node
    node["metadata"] |= {"labels": {"mine": "1", "other": "2"}}
    server.tell_of_node("MODIFIED", node)
    await until(lambda: asked.node.labels == {"mine": "1"})
    server.tell_of_node("DELETED", node)
    await until(lambda: asked.node.is_known and asked.node.uid == "")
    server.tell_of_node("ADDED", {"metadata": {"name": "node-1", "uid": "uid-2"}})
    await until(lambda: asked.node.uid == "uid-2")


async def test_a_node_that_is_not_there_is_known_to_be_missing(server, asked):
    server.node = None
    await until(lambda: asked.node.is_known)
    server.tell_of_node("ERROR", {"code": 410, "message": "too old"})
    await until(lambda: asked.node.uid == "")


async def test_calls_go_the_same_way(server, asked):
    found = await asked.read(api.Kind.NODE, "node-1")
    await asked.post_event("default", EVENT)
    await asked.patch(api.Kind.NODE, "node-1", {"metadata": {"annotations": {"k": "v"}}})
    await asked.patch(api.Kind.NODE, "node-1", {"status": {"conditions": []}}, status=True)

    assert found["metadata"]["name"] == "node-1"
    assert await asked.read(api.Kind.NODE, "node-2") is None
    changes = [(method, path) for method, path, _, _ in server.seen if method != "GET"]
    assert changes == [
        ("POST", "/api/v1/namespaces/default/events"),
        ("PATCH", "/api/v1/nodes/node-1"),
        ("PATCH", "/api/v1/nodes/node-1/status"),
    ]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, errors.Unauthenticated), (403, errors.Denied), (500, errors.Unavailable)],
)
async def test_a_refusal_is_told_in_the_server_s_words(server, asked, status, kind):
    server.refuse = (status, "no such right")

    with pytest.raises(kind, match="no such right"):
        await asked.read(api.Kind.NODE, "node-1")
    server.send(None)
    await until(lambda: "no such right" in asked.pods.why_away)


async def test_a_defect_is_told_to_who_asked(asked):
    with pytest.raises(errors.Internal, match="TypeError"):
        await asked._ask({"patch": {"kind": "Pod", "name": "p", "patch": {}, "unknown": True}})


async def test_a_companion_that_dies_is_replaced_and_who_waits_is_told(server, asked):
    await watched(server, asked)
    first = asked.pid
    os.kill(first, signal.SIGSTOP)
    waiting = asyncio.create_task(asked.read(api.Kind.NODE, "node-1"))
    await asyncio.sleep(0)
    await until(lambda: asked._waiting)
    os.kill(first, signal.SIGKILL)

    with pytest.raises(errors.Unavailable, match="another one starts"):
        await waiting
    await until(lambda: asked.pid not in (None, first))
    assert (await asked.read(api.Kind.NODE, "node-1"))["kind"] == "Node"


async def test_nothing_is_left_after_close(server, asked):
    await watched(server, asked)
    pid = asked.pid

    await asked.close()

    assert not pathlib.Path(f"/proc/{pid}").exists()
    assert not asked.pods.is_live

"""The companion process against a real kube-apiserver: its watch, its calls, and its own death."""

import asyncio
import contextlib
import os
import pathlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from core import clock, errors
from kube import api, companion, settings
from tests.support import api_pods, api_server

pytestmark = pytest.mark.e2e

NODE = "node-1"
KEY = "k8s.aliyun.com/ingress-bandwidth"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[api_server.ApiServer]:
    if not api_pods.are_programs_built():
        pytest.skip("kube-apiserver is not built; `make cluster` builds it")
    made = api_server.ApiServer(tmp_path_factory.mktemp("kubernetes") / "api")
    try:
        made.start()
        api_pods.make_namespace(made, "default")
        api_pods.make_node(made, NODE)
        yield made
    finally:
        made.close()


def config(kubeconfig: pathlib.Path) -> settings.KubeSettings:
    return settings.KubeSettings(kubeconfig=str(kubeconfig), node_name=NODE, is_configured=True)


@contextlib.asynccontextmanager
async def running(server: api_server.ApiServer) -> AsyncIterator[companion.Companion]:
    made = companion.Companion(
        config(server.kubeconfig(api_server.ADMIN)),
        manager="test",
        annotations={KEY},
        time=clock.SystemClock(),
    )
    made.start()
    try:
        yield made
    finally:
        await made.close()


async def until(holds: Callable[[], bool]) -> None:
    """Return once *holds*; pytest's limit ends the wait."""
    while not holds():
        await asyncio.sleep(0.02)


async def test_the_watch_works_on_across_a_restart_of_the_server(
    server: api_server.ApiServer,
) -> None:
    await asyncio.to_thread(server.stop)
    async with running(server) as asked:
        await until(lambda: "does not answer" in asked.pods.why_away)
        with pytest.raises(errors.Unavailable):
            await asked.read(api.Kind.NODE, NODE)

        await asyncio.to_thread(server.start)
        await until(lambda: asked.pods.is_live)
        uid = await asyncio.to_thread(
            api_pods.make_pod, server, NODE, "w-1", annotations={KEY: "1M", "other": "x"}
        )
        await asyncio.to_thread(api_pods.make_pod, server, "node-2", "w-elsewhere")
        found = await asked.pods.find("default", "w-1", uid, wait_s=60)
        assert found is not None
        assert found.annotations == {KEY: "1M"}

        await asyncio.to_thread(server.stop)
        await until(lambda: not asked.pods.is_live)
        assert asked.pods.get("default", "w-1") == found

        await asyncio.to_thread(server.start)
        await asyncio.to_thread(api_pods.make_pod, server, NODE, "w-2")
        await asyncio.to_thread(api_pods.delete_pod, server, "w-1")
        await until(lambda: [pod.name for pod in asked.pods] == ["w-2"] and asked.pods.is_live)


async def test_a_killed_companion_is_replaced_and_ends_with_its_parent(
    server: api_server.ApiServer,
) -> None:
    async with running(server) as asked:
        await until(lambda: asked.pods.is_live)
        first = asked.pid
        assert first is not None

        os.kill(first, signal.SIGKILL)
        await until(lambda: not asked.pods.is_live)
        await until(lambda: asked.pods.is_live)
        second = asked.pid

        assert second not in (None, first)
        assert await asked.read(api.Kind.NODE, NODE) is not None
    assert not pathlib.Path(f"/proc/{second}").exists()


async def test_a_condition_is_merged_into_the_node(server: api_server.ApiServer) -> None:
    async with running(server) as asked:
        for kind in ("One", "Two"):
            told = {"type": kind, "status": "True", "reason": "R", "message": "m"}
            await asked.patch(api.Kind.NODE, NODE, {"status": {"conditions": [told]}}, status=True)
        assert await asked.read(api.Kind.NODE, "no-such-node") is None

    found = await asyncio.to_thread(server.kubectl.get, "node", NODE)
    assert {each["type"] for each in found["status"]["conditions"]} == {"One", "Two"}

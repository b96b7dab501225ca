"""Keys of pods' roles: how many are asked for at once, and who does not wait for them."""

import asyncio
import json
import pathlib
import threading
import time
from collections.abc import AsyncIterator

import pytest

from cloud import metadata
from core import call, clock, errors, settings
from csi._pb import csi_pb2 as pb
from csi.oss.node import mounters, node_requests, objects, publish, roles, service, usage
from csi.oss.node import settings as node_settings
from host import own_program
from tests.fakes import fake_kubernetes
from tests.support import csi_client

ARNS = {"roleArn": "acs:ram::1:role/r", "oidcProviderArn": "acs:ram::1:oidc-provider/p"}
POD = roles.PodRole(
    role_arn=ARNS["roleArn"],
    oidc_provider_arn=ARNS["oidcProviderArn"],
    assume_role_arn="",
    external_id="",
    token="t",
)
ROLE = {"authType": "rrsa", roles.TOKENS: json.dumps({roles.AUDIENCE: {"token": "t"}}), **ARNS}
MANY = 24
"""More than the node has threads for mounts."""


class Exchange:
    """Answers when it may. asked counts; now, most: how many are asked for."""

    def __init__(self) -> None:
        self.asked = self.now = self.most = 0
        self.go_on = threading.Event()
        self._lock = threading.Lock()

    def ask(self, module: str, *, timeout_s: float, stdin: bytes) -> str:
        with self._lock:
            self.asked += 1
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.go_on.wait(60)
        with self._lock:
            self.now -= 1
        key = {"AccessKeyId": "i", "AccessKeySecret": "s", "SecurityToken": "t"}
        return json.dumps({**key, "Expiration": "2100-01-01T00:00:00Z"})


class Asked(mounters.Mounters):
    """No client starts; by whose key it should have is noted."""

    def __init__(self, own: node_settings.NodeSettings) -> None:
        super().__init__(own)
        self.key_ids: list[str] = []

    def mount(self, want: node_requests.Publishing) -> None:
        assert want.credential is not None
        self.key_ids.append(want.credential.key_id)
        raise errors.Unavailable("no client here")


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Exchange:
    made = Exchange()
    monkeypatch.setattr(own_program, "ask", made.ask)
    return made


@pytest.fixture
async def keys() -> AsyncIterator[roles.Roles]:
    made = roles.Roles("http://imds")
    yield made
    made.close()


@pytest.fixture
def own(tmp_path: pathlib.Path) -> node_settings.NodeSettings:
    return node_settings.read_node(settings.Reader({"KUBELET_ROOT_DIR": str(tmp_path)}))


@pytest.fixture
def mounting(own: node_settings.NodeSettings) -> Asked:
    return Asked(own)


@pytest.fixture
async def node(
    tmp_path: pathlib.Path, own: node_settings.NodeSettings, mounting: Asked, keys: roles.Roles
) -> AsyncIterator[service.NodeServicer]:
    usages = usage.Usages()
    made = service.NodeServicer(
        own,
        node_id="worker-1",
        metadata=metadata.Metadata([], clock.SystemClock()),
        publisher=publish.Publisher(
            mounting, keys, usages, fake_kubernetes.silent_recorder(), tmp_path / "work"
        ),
        keys=keys,
        kubernetes=objects.Objects(fake_kubernetes.FakeKubernetes(), "kube-system"),
        usages=usages,
    )
    yield made
    await made.close()


def request(root: pathlib.Path, volume_id: str) -> pb.NodePublishVolumeRequest:
    return pb.NodePublishVolumeRequest(
        volume_id=volume_id,
        target_path=str(root / volume_id),
        volume_context={"bucket": "b-b", "url": "oss-cn-hangzhou.aliyuncs.com", **ROLE},
        volume_capability=csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER"),
    )


async def until_asked(exchange: Exchange) -> None:
    while exchange.now < roles.AT_ONCE:
        await asyncio.sleep(0.01)


async def test_volumes_that_need_no_key_leave_and_come_while_no_role_can_be_assumed(
    tmp_path: pathlib.Path, node: service.NodeServicer, mounting: Asked, exchange: Exchange
) -> None:
    publishing = [
        asyncio.create_task(node.NodePublishVolume(request(tmp_path, f"pv-{number}"), None))
        for number in range(MANY)
    ]
    await until_asked(exchange)

    gone = pb.NodeUnpublishVolumeRequest(volume_id="gone", target_path=str(tmp_path / "gone"))
    await node.NodeUnpublishVolume(gone, None)

    assert not any(each.done() for each in publishing)
    exchange.go_on.set()
    told = await asyncio.gather(*publishing, return_exceptions=True)
    assert {str(each) for each in told} == {"no client here"}
    assert mounting.key_ids == ["i"] * MANY
    assert exchange.most == roles.AT_ONCE


async def test_who_has_a_key_waits_for_nobody_and_who_has_no_time_is_told_why(
    keys: roles.Roles, exchange: Exchange
) -> None:
    exchange.go_on.set()
    kept = await keys.of_pod("kept", POD)
    exchange.go_on.clear()
    waiting = [
        asyncio.create_task(keys.of_pod(f"pv-{number}", POD)) for number in range(roles.AT_ONCE)
    ]
    await until_asked(exchange)

    async def hurried() -> None:
        soon_s = time.monotonic() + 0.1
        call.enter(call.Call(call_id="c", method="m", deadline_s=soon_s))
        await keys.of_pod("late", POD)

    assert await keys.of_pod("kept", POD) is kept
    with pytest.raises(errors.Unavailable, match="those of other volumes come first"):
        await asyncio.create_task(hurried())
    exchange.go_on.set()
    await asyncio.gather(*waiting)
    assert exchange.asked == 1 + roles.AT_ONCE


async def test_a_key_that_comes_too_late_for_its_call_is_there_for_the_next_one(
    keys: roles.Roles, exchange: Exchange
) -> None:
    first = asyncio.create_task(keys.of_pod("pv", POD))
    while not exchange.now:
        await asyncio.sleep(0.01)
    first.cancel()
    exchange.go_on.set()
    while not keys._pool.idle:
        await asyncio.sleep(0.01)

    assert (await keys.of_pod("pv", POD)).key_id == "i"
    assert exchange.asked == 1

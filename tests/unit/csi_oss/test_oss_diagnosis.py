"""What a publish says when its client does not come up, and what it costs to find out."""

import asyncio
import pathlib
import threading
import time
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from cloud import metadata
from core import call, clock, settings
from csi._pb import csi_pb2 as pb
from csi.oss import credentials
from csi.oss.node import (
    bucket_question,
    diagnosis,
    mounters,
    node_requests,
    objects,
    publish,
    roles,
    service,
    usage,
)
from csi.oss.node import settings as node_settings
from tests.fakes import fake_kubernetes
from tests.support import csi_client

ROLE_KEY = credentials.Credential(key_id="id", secret="s", token="t", expiration="e")
KEY = {"akId": "id", "akSecret": "s"}
MANY = 40
NOTHING: Mapping[str, str] = MappingProxyType({})


class NoClient(publish.Publisher):
    """Nothing can be mounted but the volume "well"."""

    def publish(self, want: node_requests.Publishing) -> None:
        if want.volume_id != "well":
            raise mounters.MountFailed("ossfs ended without a word")


class OfInstance(roles.Roles):
    """Every role is the instance's."""

    def of_instance(self, role_name: str) -> credentials.Credential:
        return ROLE_KEY


class Question:
    """Asks no bucket. go_on: it answers then."""

    def __init__(self) -> None:
        self.asked: list[node_requests.Publishing] = []
        self.now = self.most = 0
        self.go_on = threading.Event()
        self._lock = threading.Lock()

    def ask(self, what: str, want: node_requests.Publishing) -> dict[str, Any]:
        with self._lock:
            self.asked.append(want)
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.go_on.wait(60)
        with self._lock:
            self.now -= 1
        return {"error": f"bucket {want.volume.bucket} does not exist"}


@pytest.fixture
def question(monkeypatch: pytest.MonkeyPatch) -> Question:
    made = Question()
    monkeypatch.setattr(bucket_question, "ask", made.ask)
    return made


@pytest.fixture
async def node(tmp_path: pathlib.Path) -> AsyncIterator[service.NodeServicer]:
    own = node_settings.read_node(settings.Reader({"KUBELET_ROOT_DIR": str(tmp_path)}))
    usages = usage.Usages()
    keys = OfInstance("http://imds")
    publisher = NoClient(
        mounters.Mounters(own),
        keys,
        usages,
        fake_kubernetes.silent_recorder(),
        tmp_path,
    )
    made = service.NodeServicer(
        own,
        node_id="worker-1",
        metadata=metadata.Metadata([], clock.SystemClock()),
        publisher=publisher,
        keys=keys,
        kubernetes=objects.Objects(fake_kubernetes.FakeKubernetes(), "kube-system"),
        usages=usages,
    )
    yield made
    await made.close()


def request(
    root: pathlib.Path, volume_id: str, secrets: Mapping[str, str] = NOTHING, **attributes: str
) -> pb.NodePublishVolumeRequest:
    return pb.NodePublishVolumeRequest(
        volume_id=volume_id,
        target_path=str(root / volume_id),
        volume_context={"bucket": "b-b", "url": "oss-cn-hangzhou.aliyuncs.com", **attributes},
        volume_capability=csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER"),
        secrets=secrets,
    )


@pytest.mark.parametrize(
    ("attributes", "asks_with"),
    [({"authType": "sts", "roleName": "r"}, ROLE_KEY), ({"authType": "public"}, None)],
    ids=["role", "public"],
)
async def test_the_bucket_is_asked_with_what_the_client_has(
    tmp_path: pathlib.Path,
    node: service.NodeServicer,
    question: Question,
    attributes: dict[str, str],
    asks_with: credentials.Credential | None,
) -> None:
    question.go_on.set()

    with pytest.raises(mounters.MountFailed, match="pv cannot be mounted: bucket b-b does not"):
        await node.NodePublishVolume(request(tmp_path, "pv", **attributes), None)

    assert [row.credential for row in question.asked] == [asks_with]


async def test_many_publishes_that_fail_ask_a_few_at_a_time_and_hold_no_other_volume_up(
    tmp_path: pathlib.Path, node: service.NodeServicer, question: Question
) -> None:
    failing = [
        asyncio.create_task(node.NodePublishVolume(request(tmp_path, f"pv-{number}", KEY), None))
        for number in range(MANY)
    ]
    while question.now < diagnosis.AT_ONCE:
        await asyncio.sleep(0.01)

    await node.NodePublishVolume(request(tmp_path, "well", KEY), None)
    question.go_on.set()
    ended = await asyncio.gather(*failing, return_exceptions=True)

    assert question.most == diagnosis.AT_ONCE
    assert [str(each).partition(" cannot be mounted: ")[2] for each in ended] == [
        "bucket b-b does not exist"
    ] * MANY


async def test_a_call_that_has_no_time_to_ask_tells_the_clients_words_and_takes_no_turn(
    tmp_path: pathlib.Path, node: service.NodeServicer, question: Question
) -> None:
    in_front = [
        asyncio.create_task(node.NodePublishVolume(request(tmp_path, f"pv-{number}", KEY), None))
        for number in range(diagnosis.AT_ONCE)
    ]
    while question.now < diagnosis.AT_ONCE:
        await asyncio.sleep(0.01)

    async def hurried() -> None:
        soon_s = time.monotonic() + 1.0
        call.enter(call.Call(call_id="c", method="m", deadline_s=soon_s))
        await node.NodePublishVolume(request(tmp_path, "late", KEY), None)

    with pytest.raises(mounters.MountFailed, match=r"^ossfs ended without a word"):
        await asyncio.create_task(hurried())

    question.go_on.set()
    await asyncio.gather(*in_front, return_exceptions=True)
    assert sorted(want.volume_id for want in question.asked) == ["pv-0", "pv-1"]

"""The Node service of OSS: what is told before the metadata service is asked."""

import asyncio
import pathlib
import threading
from collections.abc import Container, Mapping
from typing import Any

import pytest

from cloud import metadata
from core import clock, errors, settings
from csi._pb import csi_pb2 as pb
from csi.node import at_path
from csi.oss.node import node_requests, objects, publish, roles, service, usage
from csi.oss.node import settings as node_settings
from host import looks, nfs
from tests.fakes import fake_kubernetes
from tests.support import csi_client


class Counted:
    """A metadata service that notes what it is asked for."""

    name = "test"
    keys: Container[metadata.Key] = frozenset(metadata.Key)

    def __init__(self) -> None:
        self.asked: list[metadata.Key] = []

    async def read(self, key: metadata.Key, known: Mapping[metadata.Key, str]) -> str | None:
        self.asked.append(key)
        return {metadata.Key.ACCOUNT_ID: "123", metadata.Key.REGION_ID: "cn-node"}.get(key)


class Noted(publish.Publisher):
    """Notes what is to be published."""

    def __init__(self) -> None:
        self.wanted: list[node_requests.Publishing] = []

    def publish(self, want: node_requests.Publishing) -> None:
        self.wanted.append(want)

    def describe(self, volume_id: str) -> str:
        return ""


@pytest.fixture
def cloud() -> Counted:
    return Counted()


@pytest.fixture
def publisher() -> Noted:
    return Noted()


@pytest.fixture
async def node(tmp_path: pathlib.Path, cloud: Counted, publisher: Noted) -> Any:
    own = node_settings.read_node(settings.Reader({"KUBELET_ROOT_DIR": str(tmp_path)}))
    made = service.NodeServicer(
        own,
        node_id="worker-1",
        metadata=metadata.Metadata([cloud], clock.SystemClock()),
        publisher=publisher,
        keys=roles.Roles("http://imds"),
        kubernetes=objects.Objects(fake_kubernetes.FakeKubernetes(), "kube-system"),
        usages=usage.Usages(),
    )
    yield made
    await made.close()


def request(root: pathlib.Path, **attributes: str) -> pb.NodePublishVolumeRequest:
    return pb.NodePublishVolumeRequest(
        volume_id="pv",
        target_path=str(root / "target"),
        volume_context={"url": "oss-cn-hangzhou.aliyuncs.com", "authType": "public", **attributes},
        volume_capability=csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER"),
    )


AGENTIC = {"agenticBucket": "agents", "bucketSpacePrefix": "mine"}
BAD = {
    "a client": ({**AGENTIC, "fuseType": "ossf"}, "fuseType 'ossf' is not known"),
    "an option": ({**AGENTIC, "otherOpts": "passwd_file=/etc/shadow"}, "otherOpts"),
    "a prefix": ({**AGENTIC, "bucketSpacePrefix": "M!"}, "bucketSpacePrefix 'M!' cannot begin"),
    "a prefix alone": ({**AGENTIC, "agenticBucket": ""}, "'mine' needs agenticBucket"),
    "a path, with a signature": (
        {"bucket": "b-b", "url": "http://10.0.0.1", "sigVersion": "v4", "path": "/a/../b"},
        "path '/a/../b'",
    ),
}


@pytest.mark.parametrize(("attributes", "told"), BAD.values(), ids=BAD.keys())
async def test_what_is_wrong_with_a_request_is_told_without_the_metadata_service(
    tmp_path: pathlib.Path,
    node: service.NodeServicer,
    cloud: Counted,
    attributes: dict[str, str],
    told: str,
) -> None:
    with pytest.raises(errors.InvalidField, match=told):
        await node.NodePublishVolume(request(tmp_path, **attributes), None)

    assert cloud.asked == []


ASKED: dict[str, tuple[dict[str, str], list[metadata.Key], tuple[str, str]]] = {
    "nothing": ({"bucket": "b-b"}, [], ("b-b", "cn-hangzhou")),
    "a region that is told, with a signature": (
        {"bucket": "b-b", "sigVersion": "v4"},
        [],
        ("b-b", "cn-hangzhou"),
    ),
    "a region that only the node knows": (
        {"bucket": "b-b", "url": "http://10.0.0.1", "sigVersion": "v4"},
        [metadata.Key.REGION_ID],
        ("b-b", "cn-node"),
    ),
    "a bucket space": (
        AGENTIC,
        [metadata.Key.ACCOUNT_ID],
        ("mine-123-cn-hangzhou-bs-apsr", "cn-hangzhou"),
    ),
}


@pytest.mark.parametrize("case", ASKED.values(), ids=ASKED.keys())
async def test_the_metadata_service_is_asked_for_what_is_needed(
    tmp_path: pathlib.Path,
    node: service.NodeServicer,
    cloud: Counted,
    publisher: Noted,
    case: tuple[dict[str, str], list[metadata.Key], tuple[str, str]],
) -> None:
    attributes, asked, found = case

    await node.NodePublishVolume(request(tmp_path, **attributes), None)

    (want,) = publisher.wanted
    assert (want.volume.bucket, want.volume.region) == found
    assert cloud.asked == asked


async def test_clients_that_hang_do_not_hold_up_the_statistics_of_others(
    tmp_path: pathlib.Path, node: service.NodeServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def look(self: looks.Looks, path: pathlib.Path, *, timeout_s: float) -> nfs.Usage:
        if path.name != "well":
            assert go_on.wait(60)
            raise nfs.SilentMount("it hangs")
        return nfs.usage_of([10, 4, 4, 512, 7, 7])

    def parse(request: pb.NodeGetVolumeStatsRequest, root: pathlib.Path) -> at_path.AtPath:
        return at_path.AtPath(volume_id=request.volume_id, path=pathlib.Path(request.volume_path))

    monkeypatch.setattr(looks.Looks, "usage", look)
    monkeypatch.setattr(at_path, "parse_stats", parse)  # nothing is mounted

    def asked(name: str) -> asyncio.Task[pb.NodeGetVolumeStatsResponse]:
        made = pb.NodeGetVolumeStatsRequest(volume_id=name, volume_path=str(tmp_path / name))
        return asyncio.create_task(node.NodeGetVolumeStats(made, None))

    hanging = [asked(f"pv-{number}") for number in range(10)]
    told = await asked("well")
    go_on.set()
    ill = await asyncio.gather(*hanging)

    assert told.usage[0].total == 5120
    assert not told.volume_condition.abnormal
    assert {each.volume_condition.message for each in ill} == {"it hangs"}

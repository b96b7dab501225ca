"""The Node service of OSS: what is told before the metadata service is asked."""

import pathlib
from collections.abc import Container, Mapping
from typing import Any

import pytest

from cloud import metadata
from core import clock, errors, settings
from csi._pb import csi_pb2 as pb
from csi.oss.node import node_requests, objects, publish, roles, service, usage
from csi.oss.node import settings as node_settings
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

    def publish(self, want: node_requests.Publishing, pod: roles.PodRole | None = None) -> None:
        self.wanted.append(want)


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

"""What a publish says when its client does not come up."""

import pathlib

import pytest

from core import settings
from csi._pb import csi_pb2
from csi.oss import credentials
from csi.oss.node import diagnosis, mounters, node_requests, publish, roles
from csi.oss.node import settings as node_settings
from tests.support import csi_client

ROLE_KEY = credentials.Credential(key_id="id", secret="s", token="t", expiration="e")


class NoClient(mounters.Mounters):
    """Nothing can be mounted."""

    def mount(self, want: node_requests.Publishing) -> None:
        raise mounters.MountFailed("ossfs ended without a word")


class OfInstance(roles.Roles):
    """Every role is the instance's."""

    def of_instance(self, role_name: str) -> credentials.Credential:
        return ROLE_KEY


@pytest.mark.parametrize(
    ("attributes", "asks_with"),
    [
        ({"authType": "sts", "roleName": "r"}, ROLE_KEY),
        ({"authType": "public"}, None),
    ],
    ids=["role", "public"],
)
def test_the_bucket_is_asked_with_what_the_client_has(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    attributes: dict[str, str],
    asks_with: credentials.Credential | None,
) -> None:
    asked: list[node_requests.Publishing] = []

    def examine(want: node_requests.Publishing) -> str:
        asked.append(want)
        return "bucket b-b does not exist"

    monkeypatch.setattr(diagnosis, "examine", examine)
    own = node_settings.read_node(settings.Reader({"KUBELET_ROOT_DIR": str(tmp_path)}))
    request = csi_pb2.NodePublishVolumeRequest(
        volume_id="pv",
        target_path=str(tmp_path / "target"),
        volume_context={"bucket": "b-b", "url": "oss-cn-hangzhou.aliyuncs.com", **attributes},
        volume_capability=csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER"),
    )
    want = node_requests.parse_publish(request, own, "")
    publisher = publish.Publisher(NoClient(own), OfInstance("http://imds"), tmp_path)

    with pytest.raises(mounters.MountFailed, match="pv cannot be mounted: bucket b-b does not"):
        publisher.publish(want)

    assert [row.credential for row in asked] == [asks_with]

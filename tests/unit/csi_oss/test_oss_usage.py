"""How full a bucket is said to be: asked for by publishes, which do not wait for it."""

import pathlib
import threading
from collections.abc import Mapping
from types import MappingProxyType

from core import errors, settings
from csi._pb import csi_pb2
from csi.oss.node import node_requests, usage
from csi.oss.node import settings as node_settings
from tests.support import csi_client, rpc


def publishing(
    root: pathlib.Path, secrets: Mapping[str, str] = MappingProxyType({}), **attributes: str
) -> tuple[node_settings.NodeSettings, node_requests.Publishing]:
    own = node_settings.read_node(settings.Reader({"KUBELET_ROOT_DIR": str(root)}))
    request = csi_pb2.NodePublishVolumeRequest(
        volume_id="pv",
        target_path=str(root / "target"),
        volume_context={"bucket": "b-b", "url": "oss-cn-hangzhou.aliyuncs.com", **attributes},
        volume_capability=csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER"),
        secrets=secrets,
    )
    want = node_requests.parse_publish(
        request, own, region_id="", context=dict(request.volume_context), secrets=secrets
    )
    return own, want


class Counting:
    """A bucket that counts how often it is asked; go_on: it answers then."""

    def __init__(self) -> None:
        self.asked = 0
        self.go_on = threading.Event()
        self.error: Exception | None = None

    def ask(self, want: node_requests.Publishing) -> usage.BucketUsage:
        self.asked += 1
        assert self.go_on.wait(20)
        if self.error is not None:
            raise self.error
        return usage.BucketUsage(used_bytes=10 * self.asked, used_inodes=self.asked)


def test_a_buckets_usage_is_asked_once_an_hour_and_holds_nobody_up(tmp_path: pathlib.Path) -> None:
    bucket, now_s = Counting(), [0.0]
    usages = usage.Usages(bucket.ask, lambda: now_s[0])
    _, want = publishing(tmp_path, {"akId": "id", "akSecret": "s"})

    usages.refresh(want)
    usages.refresh(want)
    assert usages.find("pv") is None
    bucket.go_on.set()
    rpc.wait_until(lambda: usages.find("pv") is not None, timeout_s=20)
    usages.refresh(want)
    assert bucket.asked == 1

    now_s[0] = 3600.0
    bucket.error = errors.Unavailable("away")
    rpc.wait_until(lambda: usages.refresh(want) or bucket.asked == 2, timeout_s=20)
    assert usages.find("pv") == usage.BucketUsage(used_bytes=10, used_inodes=1)
    usages.forget("pv")
    assert usages.find("pv") is None


def test_a_part_of_a_bucket_has_no_usage_of_its_own(tmp_path: pathlib.Path) -> None:
    bucket = Counting()
    usages = usage.Usages(bucket.ask)

    usages.refresh(publishing(tmp_path, {"akId": "id", "akSecret": "s"}, path="/a")[1])
    usages.refresh(publishing(tmp_path, authType="public")[1])

    assert bucket.asked == 0

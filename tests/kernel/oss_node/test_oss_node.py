"""The OSS node service and csi-mounter as processes, real FUSE by Debian's s3fs."""

import hashlib
import os

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from host import mountinfo
from tests.sim.conftest import KEY_ID
from tests.sim.oss_harness import bucket
from tests.support import oss_node, rpc
from tests.support.oss_node import refused

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]
Code = grpc.StatusCode


def test_a_volume_is_written_read_and_shared(any_node: oss_node.OssNode) -> None:
    first, second = any_node.publish("pod-1"), any_node.publish("pod-2")

    (first / "dir").mkdir()
    (first / "dir" / "a").write_text("hello")
    (first / "dir" / "a").rename(first / "b")

    assert (second / "b").read_text() == "hello"
    assert bucket(any_node.cloud).get_object("b").read() == b"hello"
    assert any_node.volume()["restarts"] == 0
    assert len({mountinfo.mounts_at(path)[-1].device for path in (first, second)}) == 1
    any_node.unpublish("pod-1")
    assert (second / "b").read_text() == "hello"
    any_node.unpublish("pod-2")
    any_node.unpublish("pod-2")
    any_node.unstage()
    any_node.unstage()
    assert any_node.left_mounts() == []
    assert any_node.mounter.client_pids() == []
    assert not first.exists()
    assert [path.name for path in any_node.mounter.work_dir.iterdir()] == [".mounter"]


def test_a_large_file_and_many_files(any_node: oss_node.OssNode) -> None:
    target = any_node.publish()
    data = os.urandom(20 << 20) * 10
    (target / "large").write_bytes(data)
    ours = bucket(any_node.cloud)
    for number in range(5000):
        ours.put_object(f"many/{number:05d}", b"x")

    assert hashlib.sha256((target / "large").read_bytes()).digest() == hashlib.sha256(data).digest()
    # What the client shows may come from its own memory; this does not.
    assert hashlib.sha256(ours.get_object("large").read()).digest() == hashlib.sha256(data).digest()
    assert ours.head_object("large").headers["x-oss-object-type"] == "Multipart"
    assert len(list((target / "many").iterdir())) == 5000
    refusals = [row for row in any_node.cloud.calls() if row["http_status"] in (400, 403, 501)]
    assert refusals == []


def test_read_only_pods_cannot_write(any_node: oss_node.OssNode) -> None:
    writer, reader = any_node.publish("writer"), any_node.publish("reader", readonly=True)
    (writer / "a").write_text("x")

    assert (reader / "a").read_text() == "x"
    with pytest.raises(OSError, match="Read-only"):
        (reader / "b").write_text("y")
    refused(any_node, Code.ALREADY_EXISTS, "writable", pod="writer", readonly=True)
    only = any_node.publish("pod", volume_id="pv-ro", mode="MULTI_NODE_READER_ONLY")
    with pytest.raises(OSError, match="Read-only"):
        (only / "b").write_text("y")


def test_a_path_shows_nothing_beside_it(any_node: oss_node.OssNode) -> None:
    ours = bucket(any_node.cloud)
    for key in ("mine/", "mine/a", "other/b"):
        ours.put_object(key, b"x")

    target = any_node.publish(path="/mine")

    assert [path.name for path in target.iterdir()] == ["a"]
    assert not (target / ".." / "other").exists()


def test_what_is_wrong_is_refused_by_its_name(node: oss_node.OssNode) -> None:
    refused(node, Code.INVALID_ARGUMENT, "bucket is required", bucket="")
    refused(node, Code.INVALID_ARGUMENT, "url is required", url="")
    refused(node, Code.INVALID_ARGUMENT, "fuseType 'geesefs' is not known", fuseType="geesefs")
    refused(node, Code.INVALID_ARGUMENT, "no access key", secrets={})
    refused(node, Code.INVALID_ARGUMENT, "lack akSecret", secrets={"akId": KEY_ID})
    refused(node, Code.INVALID_ARGUMENT, "exclude each other", authType="public")
    refused(node, Code.INVALID_ARGUMENT, "passwd_file", otherOpts="-o passwd_file=/etc/shadow")
    refused(node, Code.INVALID_ARGUMENT, "not one option", flags=("uid=1 -o credlib=x",))
    refused(node, Code.INVALID_ARGUMENT, "exclude each other", secretRef="name")
    refused(node, Code.FAILED_PRECONDITION, "KUBECONFIG", secretRef="name", secrets={})
    refused(node, Code.UNIMPLEMENTED, "runtimeClass 'rund'", runtimeClass="rund")
    refused(node, Code.FAILED_PRECONDITION, "ossfs2 is not installed", fuseType="ossfs2")
    assert node.left_mounts() == []
    assert node.mounter.ask("status")["volumes"] == []


def test_a_directory_that_nobody_made_is_mounted_empty(node: oss_node.OssNode) -> None:
    target = node.publish(path="/base/pvc-1")
    assert list(target.iterdir()) == []

    (target / "a").write_text("x")

    assert bucket(node.cloud).get_object("base/pvc-1/a").read() == b"x"


def test_the_usage_of_a_whole_bucket_is_what_the_bucket_counts(node: oss_node.OssNode) -> None:
    ours = bucket(node.cloud)
    ours.put_object("a", b"x" * 1000)
    ours.put_object("mine/b", b"y" * 234)

    node.publish()
    rpc.wait_until(lambda: node.stats().usage[0].used == 1234, timeout_s=20)
    told_bytes, objects = node.stats().usage

    assert (objects.unit, objects.used) == (pb.VolumeUsage.INODES, 2)
    assert told_bytes.total == told_bytes.used + told_bytes.available == 1 << 60
    assert len(node.cloud.calls("GetBucketStat")) == 1
    node.publish("part", volume_id="pv-2", path="/mine")
    node.publish("part", volume_id="pv-2", path="/mine")
    assert len(node.cloud.calls("GetBucketStat")) == 1

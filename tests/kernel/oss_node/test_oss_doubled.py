"""ReadWriteOncePod where every mount of the node is in its table twice."""

import contextlib
import os
from collections.abc import Iterator

import grpc
import pytest

from host import mountinfo, mounts
from tests.support import oss_node
from tests.support.doubled import doubled

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]
REFUSED = grpc.StatusCode.FAILED_PRECONDITION
ONLY = {"mode": "SINGLE_NODE_SINGLE_WRITER"}


@contextlib.contextmanager
def doubled_node() -> Iterator[oss_node.OssNode]:
    node = oss_node.OssNode()
    with doubled(node.rig.kubelet), doubled(node.mounter.work_dir):
        try:
            node.start()
            yield node
        finally:
            node.close()


def test_a_pod_whose_path_is_seen_twice_has_the_volume_alone() -> None:
    with doubled_node() as node:
        for pod in ("one", "one", "two"):
            target = node.publish(pod, **ONLY)
            (target / pod).write_text("x")
            oss_node.refused(node, REFUSED, "ReadWriteOncePod", f"/{pod}/", pod="three", **ONLY)
            node.unpublish(pod)
        seen = sorted(path.name for path in node.publish("four", **ONLY).iterdir())
        node.unpublish("four")
        node.unstage()

        assert seen == ["one", "two"]


def test_a_pod_and_its_subpaths_are_healed_once() -> None:
    with doubled_node() as node:
        target = node.publish()
        (target / "sub").mkdir()
        (target / "sub" / "a").write_text("kept")
        part = node.rig.kubelet / "pods/pod/volume-subpaths/pv/container/0"
        part.mkdir(parents=True)
        mounts.bind(target / "sub", part, read_only=False)

        node.kill_client()
        node.publish()

        for path in (target / "sub", part):
            assert (path / "a").read_text() == "kept"
        for path in (target, part):
            assert len(mountinfo.mounts_at(path)) == 1
        node.unpublish()

"""ReadWriteOncePod: one path on the node for a volume, whatever client mounts it, and no more."""

import json
import os
import pathlib
import shutil

import pytest

from core import errors
from csi._pb import csi_pb2 as pb
from csi.nas import roots, volume_context
from csi.nas.node import loop_volume, modes, mounter, node_requests, publish
from csi.nas.node import settings as node_settings
from csi.node import at_path
from host import looks, mountinfo, mounts
from tests.fakes import fake_kubernetes
from tests.support import mount_proxy
from tests.support.doubled import doubled

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]

DRIVER = "nasplugin.csi.alibabacloud.com"
SERVER = "0a1b2c-abc12.cn-hangzhou.nas.aliyuncs.com"
EFC = {"useClient": "EFCClient", volume_context.POD_UID: "uid-1"}


class Node:
    """The node half, with a mount proxy, and kubelet's notes beside each target."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.root = directory / "kubelet"
        self.root.mkdir(exist_ok=True)
        self.served = directory / "served"
        (self.served / "shared").mkdir(parents=True)
        settings = node_settings.NodeSettings(
            kubelet_root=self.root,
            work_dir=self.root / "csi-plugins/nas/node",
            check_port=False,
            proxy_socket=directory / "proxy.sock",
            connector_socket=directory / "connector.sock",
        )
        self.proxy = mount_proxy.MountProxy(settings.proxy_socket, self.served)
        self.looks = looks.Looks()
        mounting = mounter.Mounter(settings, roots.Roots(settings.work_dir), self.looks)
        self._settings = settings
        self.publisher = publish.Publisher(
            settings,
            mounting=mounting,
            loops=loop_volume.LoopVolumes(settings, mounting, "node-a"),
            changing=modes.Modes(settings.work_dir),
            recorder=fake_kubernetes.silent_recorder(),
        )

    def target(self, volume_id: str, pod: str, driver: str = DRIVER) -> pathlib.Path:
        """Where kubelet wants the volume, its note written."""
        directory = self.root / "pods" / pod / "volumes/kubernetes.io~csi" / volume_id
        directory.mkdir(parents=True, exist_ok=True)
        told = {"driverName": driver, "volumeHandle": volume_id}
        (directory / "vol_data.json").write_text(json.dumps(told))
        return directory / "mount"

    def publish(self, volume_id: str, pod: str) -> pathlib.Path:
        target = self.target(volume_id, pod)
        request = pb.NodePublishVolumeRequest(
            volume_id=volume_id,
            target_path=str(target),
            volume_context={"server": SERVER, "path": "/shared", **EFC},
            volume_capability=pb.VolumeCapability(
                mount={}, access_mode={"mode": "SINGLE_NODE_SINGLE_WRITER"}
            ),
        )
        self.publisher.publish(node_requests.parse_publish(request, self._settings))
        return target

    def unpublish(self, volume_id: str, target: pathlib.Path) -> None:
        self.publisher.unpublish(at_path.AtPath(volume_id=volume_id, path=target))

    def close(self) -> None:
        self.looks.close()
        self.proxy.close()
        below = [m.mount_point for m in mountinfo.read() if str(self.root) in m.mount_point]
        for path in reversed(below):
            mounts.ensure_unmounted(path)
        shutil.rmtree(self.served)


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path)
    yield made
    made.close()


def test_a_second_pod_is_refused_whatever_client_mounts_the_volume(node):
    first = node.publish("v-1", "one")
    node.publish("v-1", "one")

    with pytest.raises(errors.Precondition, match=r"already published at .*/one/"):
        node.publish("v-1", "two")
    node.unpublish("v-1", first)
    node.unpublish("v-1", node.publish("v-1", "two"))


def test_a_pod_whose_path_is_seen_twice_has_the_volume_alone(tmp_path):
    with doubled(tmp_path / "kubelet"):
        node = Node(tmp_path)
        try:
            for pod in ("one", "one", "two"):
                target = node.publish("v-1", pod)
                with pytest.raises(errors.Precondition, match=f"already published at .*/{pod}/"):
                    node.publish("v-1", "three")
                node.unpublish("v-1", target)
        finally:
            node.close()


def test_a_mount_that_is_there_is_looked_at_without_a_command(node, monkeypatch):
    first = node.publish("v-1", "one")

    with monkeypatch.context() as bare:
        bare.setenv("PATH", "/nowhere")
        for _ in range(3):
            node.publish("v-1", "one")

    node.unpublish("v-1", first)


def test_another_volume_that_is_the_same_directory_is_not_refused(node):
    first = node.publish("v-1", "one")
    second = node.publish("v-2", "two")

    (first / "file").write_text("seen")
    seen = (second / "file").read_text()
    for volume_id, target in (("v-1", first), ("v-2", second)):
        node.unpublish(volume_id, target)

    assert seen == "seen"


def test_a_volume_of_another_driver_with_that_id_is_another_one(node):
    other = node.target("v-1", "other", driver="ossplugin.csi.alibabacloud.com")
    other.mkdir()
    mounts.bind(node.served, other, read_only=False)

    node.unpublish("v-1", node.publish("v-1", "one"))
    mounts.unmount(other)


def test_a_pod_whose_mount_was_lost_gets_it_again_beside_its_subpaths(node):
    target = node.publish("v-1", "one")
    part = node.root / "pods/one/volume-subpaths/v-1/main/0"
    part.mkdir(parents=True)
    mounts.bind(target, part, read_only=False)
    mounts.unmount(target)

    node.publish("v-1", "one")

    mounts.unmount(part)
    node.unpublish("v-1", target)

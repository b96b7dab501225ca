"""cpfsplugin on a node with and without the Lustre client, which a program on PATH stands for."""

import os
import pathlib
from collections.abc import Iterator

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from tests.support import csi_client, processes

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.timeout(60),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]

CONTEXT = {"server": "mgs.example@tcp", "fileSystem": "0237ef41", "subPath": "/team"}
HELPER = """#!/bin/sh -e
# mount.lustre SOURCE TARGET -o OPTIONS
echo "$@" >>{directory}/asked
mount --bind {directory}/served${{1#*:}} "$2"
"""


@pytest.fixture
def rig() -> Iterator[processes.Rig]:
    made = processes.Rig(hardware="none")
    yield made
    made.close()
    assert made.mounts() == []


def publish(rig: processes.Rig) -> pathlib.Path:
    target = rig.kubelet / "pods/p/volumes/kubernetes.io~csi/pv/mount"
    target.parent.mkdir(parents=True, exist_ok=True)
    request = pb.NodePublishVolumeRequest(
        volume_id="old-pv",
        target_path=str(target),
        volume_context=CONTEXT,
        volume_capability=csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER"),
    )
    with client_of(rig) as client:
        client.node.NodePublishVolume(request, timeout=30)
    return target


class client_of:  # noqa: N801  # reads as the function that it is
    def __init__(self, rig: processes.Rig) -> None:
        self._client = csi_client.Client(rig.socket("old"))

    def __enter__(self) -> csi_client.Client:
        return self._client

    def __exit__(self, *_: object) -> None:
        self._client.close()


def start(rig: processes.Rig, path: str = "") -> None:
    found = ":".join(filter(None, (path, os.environ["PATH"])))
    rig.start_driver("old", driver="cpfs", controller=False, node_id="worker-1", PATH=found)


def test_where_the_client_still_is_an_old_volume_is_mounted(rig: processes.Rig) -> None:
    (rig.dir / "served/0237ef41/team").mkdir(parents=True)
    (rig.dir / "bin").mkdir()
    helper = rig.dir / "bin/mount.lustre"
    helper.write_text(HELPER.format(directory=rig.dir))
    helper.chmod(0o755)
    start(rig, str(rig.dir / "bin"))

    target = publish(rig)
    publish(rig)
    (target / "file").touch()
    with client_of(rig) as client:
        stats = pb.NodeGetVolumeStatsRequest(volume_id="old-pv", volume_path=str(target))
        told = client.node.NodeGetVolumeStats(stats, timeout=30)
        gone = pb.NodeUnpublishVolumeRequest(volume_id="old-pv", target_path=str(target))
        client.node.NodeUnpublishVolume(gone, timeout=30)

    assert (rig.dir / "asked").read_text() == f"mgs.example@tcp:/0237ef41/team {target} -o rw\n"
    assert (rig.dir / "served/0237ef41/team/file").exists()
    assert not told.volume_condition.abnormal
    assert not target.exists()


def test_where_it_is_not_the_refusal_says_where_to_move_the_data(rig: processes.Rig) -> None:
    start(rig)

    with pytest.raises(grpc.RpcError) as caught:
        publish(rig)

    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    for word in ("mount.lustre", "nasplugin", "bmcpfsplugin"):
        assert word in caught.value.details()
    assert not (rig.kubelet / "pods/p/volumes/kubernetes.io~csi/pv/mount").exists()

"""csi-sanity against the CPFS driver on the simulated cloud, with a stand-in for its client.

The elastic client is a program of Alibaba Cloud that is not to be had here. What stands for it
speaks the mount proxy's protocol on a real socket, and binds directories where it would mount.
"""

import os
import pathlib
from collections.abc import Iterator

import pytest

from tests.support import leaks, mount_proxy, processes, sanity, sanity_skips, worlds

pytestmark = [
    pytest.mark.sanity,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]

LINGJUN = "bmcpfs-0a1b2c3d4e5f6072"
SKIPPED = sanity_skips.of(
    "SNAPSHOTS",  # CPFS has no snapshots of filesets
    "GROUP_SNAPSHOTS",
    "CLONE",
    "MODIFY",  # nothing of a fileset but its quota can change
    "LIST",  # a fileset does not tell whether it is a volume
    "CAPACITY",
    "ATTACH_LIMIT",  # one channel serves any number of volumes
    "PUBLISH_READONLY",  # read-only is enforced by the node's mount
    "NODE_EXPAND",  # the quota is the file system's
    "HEALTH",  # newer than CSI 1.13, which we serve; VolumeCondition tells health
)


@pytest.fixture
def rig(tmp_path: pathlib.Path) -> Iterator[processes.Rig]:
    made = processes.Rig(hardware="none", time_scale=0.0, world=worlds.with_channels(tmp_path))
    try:
        made.start_sim()
        yield made
    finally:
        made.close()
    assert [*made.mounts(), *made.loop_devices()] == []


@pytest.fixture
def proxy(rig: processes.Rig) -> Iterator[mount_proxy.MountProxy]:
    served = rig.dir / "served"
    served.mkdir()
    made = mount_proxy.MountProxy(rig.dir / "run/proxy.sock", served, make_directories=True)
    yield made
    made.close()


@pytest.mark.parametrize("node_id", [f"vsc:{processes.NODE_1}", "common:worker-1"])
def test_csi_sanity(rig: processes.Rig, proxy: mount_proxy.MountProxy, node_id: str) -> None:
    rig.start_driver(
        "cpfs",
        driver="bmcpfs",
        node_id=node_id,
        NAS_MOUNT_PROXY_SOCKET=str(proxy.path),
        **processes.HURRY,
    )

    report = sanity.run(
        rig.kubelet / "sanity",
        rig.socket("cpfs"),
        access_type="mount",
        seed=1,
        parameters={"bmcpfsId": LINGJUN},
        mutable_parameters={},
    )

    assert not report.failed, f"{report.failed}\n{report.output[-6000:]}"
    assert list(report.skipped) == SKIPPED
    assert not leaks.left_behind(rig)
    assert leaks.logs_with(rig.dir, [sanity.SECRET_VALUE, processes.ACCESS_KEY_SECRET]) == []

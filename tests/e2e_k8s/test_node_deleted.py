"""A Node object that somebody deletes while a disk is attached to its machine."""

from collections.abc import Iterator

import pytest

from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import layout, tenant

HERE, THERE = layout.NODES
GONE_S = 150.0
"""The controller manager looks every 20 s for pods without a node, and waits 40 s more."""
HEALED_S = 90.0
_AGAIN = (f"{HERE}/ipamd", f"{HERE}/csi-node")


@pytest.fixture(autouse=True)
def all_is_well_afterwards(cluster: cluster_module.Cluster) -> Iterator[None]:
    yield
    cluster.up()
    cluster.kubectl.wait("node", HERE, "condition=Ready", limit_s=HEALED_S)
    assert [row for row in cluster.status() if not row.well] == []


def come_back(cluster: cluster_module.Cluster) -> None:
    """Kubelet tells of its node when it starts; the DaemonSets of a new node start anew."""
    cluster.stop(f"{HERE}/kubelet")
    cluster.start(f"{HERE}/kubelet")
    cluster.kubectl.wait("node", HERE, "condition=Ready", limit_s=HEALED_S)
    for name in _AGAIN:
        cluster.stop(name)
        cluster.start(name)


def attachments(cluster: cluster_module.Cluster) -> list[str]:
    """Nodes that VolumeAttachments name."""
    return [str(each["spec"]["nodeName"]) for each in cluster.kubectl.list("volumeattachments")]


def test_its_volume_comes_to_the_other_node_and_nothing_stays_attached(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data")
    user.user_of("data", "first", node=HERE)
    user.execute("first", "/bin/sh", "-ec", "echo kept >/data/file; sync")
    disk = str(user.volume_of("data")["spec"]["csi"]["volumeHandle"])

    cluster.kubectl("delete", "node", HERE)
    try:
        user.kubectl("wait", "pod", "first", "--for=delete", f"--timeout={GONE_S:.0f}s")
        # What was mounted there may still be: Kubernetes waits for the node, or six minutes.
        assert attachments(cluster) == [HERE]
    finally:
        come_back(cluster)

    user.user_of("data", "second", node=THERE)
    assert user.execute("second", "cat", "/data/file") == "kept\n"
    assert attachments(cluster) == [THERE]
    assert list(cluster.control.attachments(disk)) == [cluster.instance_id(THERE)]
    assert list(cluster.control.data_disks()) == [disk]

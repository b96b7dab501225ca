"""Two replicas of the disk's controller, as the chart deploys it: one works, by a Lease.

The second one is started on a node, by the tests alone.
"""

import signal
from collections.abc import Iterator

import pytest

from tests.support.cluster import chart, kubectl, layout, tenant
from tests.support.cluster import cluster as cluster_module

HERE, THERE = layout.NODES
SECOND = [f"{THERE}/{name}" for name in ("csi-controller", "disk-provisioner", "disk-attacher")]
FIRST = ("disk-provisioner", "disk-attacher", "csi-controller")
LEASES = {
    "disk-provisioner": "diskplugin-csi-alibabacloud-com",
    "disk-attacher": "external-attacher-leader-diskplugin-csi-alibabacloud-com",
}
ELECTED_S = 60.0
"""A Lease is its holder's for 15 s after the last time it was renewed."""


@pytest.fixture
def two(cluster: cluster_module.Cluster) -> Iterator[cluster_module.Cluster]:
    """The cluster with a second replica that waits; afterwards the first one leads again."""
    cluster.run(THERE, "mkdir", "-p", "/run/csi")
    try:
        for name in SECOND:
            cluster.start(name)
        yield cluster
    finally:
        cluster.control.clear_faults()
        for name in reversed(SECOND):
            cluster.stop(name)
        cluster.up()
    assert [row for row in cluster.status() if not row.well] == []
    kubectl.wait_until(
        "the first replica leads again", lambda: leaders(cluster) == {layout.CONTROL}, ELECTED_S
    )


def leaders(cluster: cluster_module.Cluster) -> set[str]:
    """Machines whose sidecars hold the Leases."""
    rows = (cluster.kubectl.get("lease", name, chart.NAMESPACE) for name in LEASES.values())
    return {str(row["spec"].get("holderIdentity", "")) for row in rows}


def test_a_replica_that_comes_back_to_life_does_nothing_twice(
    two: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    assert leaders(two) == {layout.CONTROL}
    creating = two.control.add_fault("CreateDisk", "notify")
    user.claim("data")
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    selector = {"kubernetes.io/hostname": HERE}
    user.apply(
        kubectl.pod("pod", tenant.SLEEP, container=mount, volumes=volumes, nodeSelector=selector)
    )
    two.control.wait_held(creating, 30.0)
    try:
        # The first replica falls silent in the middle of its work, as on a machine that hangs.
        for name in FIRST:
            two.signal(name, signal.SIGSTOP)
        two.control.release(creating)
        kubectl.wait_until("the second leads", lambda: leaders(two) == {THERE}, ELECTED_S)
        user.wait("pod", "pod", "condition=Ready")
        assert len(two.control.data_disks()) == 1
    finally:
        for name in FIRST:
            two.signal(name, signal.SIGCONT)

    # What it had begun, it ends; and it sees that it leads no more, and starts anew.
    user.claim("later")
    user.user_of("later", "later", node=HERE)
    assert leaders(two) == {THERE}
    disks = {str(user.volume_of(name)["spec"]["csi"]["volumeHandle"]) for name in ("data", "later")}
    assert set(two.control.data_disks()) == disks
    for disk in disks:
        assert list(two.control.attachments(disk)) == [two.instance_id(HERE)]

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


def runs(cluster: cluster_module.Cluster, *names: str) -> bool:
    """Whether any of these processes runs."""
    return any(row.well for row in cluster.status() if row.name in names)


def ask_for_pod(user: tenant.Tenant, name: str) -> None:
    """A claim and a pod with it, both called *name*; not waited for."""
    user.claim(name)
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    selector = {"kubernetes.io/hostname": HERE}
    user.apply(
        kubectl.pod(name, tenant.SLEEP, container=mount, volumes=volumes, nodeSelector=selector)
    )


def require_once(user: tenant.Tenant, *claims: str) -> None:
    """Each claim has one disk, which is attached to its pod's node, and there is no other disk."""
    cloud = user.cluster.control
    disks = {str(user.volume_of(name)["spec"]["csi"]["volumeHandle"]) for name in claims}
    assert len(disks) == len(claims)
    assert set(cloud.data_disks()) == disks
    for disk in disks:
        assert list(cloud.attachments(disk)) == [user.cluster.instance_id(HERE)]


@pytest.mark.timeout(600)  # two Leases run out, one after the other
def test_a_leader_that_falls_silent_or_is_killed_is_followed_and_nothing_is_done_twice(
    two: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    assert leaders(two) == {layout.CONTROL}
    creating = two.control.add_fault("CreateDisk", "notify", count=1)
    ask_for_pod(user, "silent")
    two.control.wait_held(creating, 30.0)
    try:
        # The first replica falls silent in the middle of its work, as on a machine that hangs.
        for name in FIRST:
            two.signal(name, signal.SIGSTOP)
        two.control.release(creating)
        kubectl.wait_until("the second leads", lambda: leaders(two) == {THERE}, ELECTED_S)
        user.wait("pod", "silent", "condition=Ready")
        require_once(user, "silent")
    finally:
        for name in FIRST:
            two.signal(name, signal.SIGCONT)

    # For ten seconds it works beside the second one. Then its sidecars see that they lead no more,
    # and end; they are started again, as kubelet does.
    kubectl.wait_until("the first replica ends", lambda: not runs(two, *LEASES), ELECTED_S)
    two.up()
    user.claim("later")
    user.user_of("later", "later", node=HERE)
    assert leaders(two) == {THERE}
    require_once(user, "silent", "later")

    # The second one is killed in the middle of its work, and nobody starts it again.
    creating = two.control.add_fault("CreateDisk", "notify", count=1)
    ask_for_pod(user, "killed")
    two.control.wait_held(creating, 30.0)
    for name in SECOND:
        two.stop(name, signal.SIGKILL)
    two.control.release(creating)
    ask_for_pod(user, "meanwhile")
    for name in ("killed", "meanwhile"):
        user.wait("pod", name, "condition=Ready")
    kubectl.wait_until("the first leads", lambda: leaders(two) == {layout.CONTROL}, ELECTED_S)
    require_once(user, "silent", "later", "killed", "meanwhile")

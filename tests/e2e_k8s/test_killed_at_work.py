"""Our controller, our node plug-in and kubelet are killed in the middle of what they do."""

import signal

import pytest

from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import gate, kubectl, layout, tenant

pytestmark = pytest.mark.usefixtures("healed")
HERE, THERE = layout.NODES
HEALED_S = 120.0
HELD_S = 30.0
XFS = "disk-xfs"
"""It grows while mounted on every machine; ext4 only with CAP_SYS_RESOURCE."""


def kill(cluster: cluster_module.Cluster, name: str) -> None:
    """Kill a program, and have it started again."""
    cluster.stop(name, signal.SIGKILL)
    cluster.start(name)


def expect_grown(user: tenant.Tenant, before_bytes: int) -> None:
    user.wait("pvc", "data", "jsonpath={.status.capacity.storage}=40Gi", HEALED_S)
    kubectl.wait_until(
        "the pod sees the new size", lambda: user.size_bytes("pod") > 1.9 * before_bytes, HEALED_S
    )
    assert user.shell("pod", "cat /data/file") == "kept\n"
    assert user.get("pod", "pod")["status"]["containerStatuses"][0]["restartCount"] == 0


def given_up(cluster: cluster_module.Cluster) -> int:
    """How many calls to the node plug-in had lost their caller before they ended."""
    return (cluster.where.logs / f"{HERE}-csi-node.log").read_text().count("CANCELLED")


def small_volume(user: tenant.Tenant) -> int:
    """A pod with a file on a volume of 20 GiB; bytes of its file system."""
    user.claim("data", "20Gi", storage_class=XFS)
    user.user_of("data", "pod", node=HERE)
    user.shell("pod", "echo kept >/data/file; sync")
    return user.size_bytes("pod")


def test_the_controller_is_killed_twice_while_a_disk_grows(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    before_bytes = small_volume(user)
    first = cluster.control.add_fault("ResizeDisk", "notify")
    user.claim("data", "40Gi", storage_class=XFS)
    cluster.control.wait_held(first, HELD_S)
    cluster.stop("csi-controller", signal.SIGKILL)
    # The cloud never got the first request; of the second, nobody gets the answer.
    cluster.control.release(first, drop=True)
    second = cluster.control.add_fault("ResizeDisk", "notify")
    cluster.start("csi-controller")
    cluster.control.wait_held(second, HELD_S)
    cluster.stop("csi-controller", signal.SIGKILL)
    cluster.control.release(second)
    cluster.start("csi-controller")
    expect_grown(user, before_bytes)
    assert [row["size_gib"] for row in cluster.control.data_disks().values()] == [40]


@pytest.mark.parametrize("outlives", [True, False], ids=["which goes on", "which ends with it"])
def test_the_node_plug_in_is_killed_while_a_file_system_grows(
    cluster: cluster_module.Cluster, user: tenant.Tenant, *, outlives: bool
) -> None:
    before_bytes = small_volume(user)
    with gate.Gate(cluster, HERE, "xfs_growfs") as growing:
        user.claim("data", "40Gi", storage_class=XFS)
        growing.wait_held()
        cluster.stop(f"{HERE}/csi-node", signal.SIGKILL)
        if not outlives:
            growing.kill_held()
        growing.open()
        cluster.start(f"{HERE}/csi-node")
        expect_grown(user, before_bytes)


@pytest.mark.parametrize("outlives", [True, False], ids=["which goes on", "which ends with it"])
@pytest.mark.parametrize(
    ("command", "pattern"),
    [
        pytest.param("mkfs.ext4", "*", id="making a file system"),
        pytest.param("mount", "*/globalmount", id="staging"),
    ],
)
def test_the_node_plug_in_is_killed_while_a_volume_is_mounted(
    cluster: cluster_module.Cluster,
    user: tenant.Tenant,
    command: str,
    pattern: str,
    *,
    outlives: bool,
) -> None:
    user.claim("data")
    with gate.Gate(cluster, HERE, command, pattern) as mounting:
        user.start_user_of("data", "pod", node=HERE)
        mounting.wait_held()
        cluster.stop(f"{HERE}/csi-node", signal.SIGKILL)
        if not outlives:
            mounting.kill_held()
        cluster.start(f"{HERE}/csi-node")
        mounting.open()
        user.wait("pod", "pod", "condition=Ready", HEALED_S)
    user.shell("pod", "echo kept >/data/file; sync")
    user.delete("pod", "pod")
    user.user_of("data", "moved", node=THERE)
    assert user.shell("moved", "cat /data/file") == "kept\n"


def test_kubelet_is_killed_while_a_volume_is_mounted(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data")
    with gate.Gate(cluster, HERE, "mkfs.ext4") as mounting:
        user.start_user_of("data", "pod", node=HERE)
        mounting.wait_held()
        kill(cluster, f"{HERE}/kubelet")
        mounting.open()
        user.wait("pod", "pod", "condition=Ready", HEALED_S)
    assert user.shell("pod", "echo kept >/data/file; cat /data/file") == "kept\n"


def test_a_pod_goes_while_its_volume_is_mounted_and_kubelet_is_killed(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data")
    with gate.Gate(cluster, HERE, "mkfs.ext4") as mounting:
        user.start_user_of("data", "pod", node=HERE)
        mounting.wait_held()
        before = given_up(cluster)
        cluster.stop(f"{HERE}/kubelet", signal.SIGKILL)
        user.kubectl("delete", "pod", "pod", "--force", "--grace-period=0")
        # That kubelet would never undo what the plug-in did now: the plug-in must have noticed.
        kubectl.wait_until("its call is given up", lambda: given_up(cluster) > before, HELD_S)
        mounting.open()
        cluster.start(f"{HERE}/kubelet")
        user.start_user_of("data", "moved", node=THERE)
        user.wait("pod", "moved", "condition=Ready", HEALED_S)


@pytest.mark.parametrize("action", ["AttachDisk", "DetachDisk"])
def test_the_controller_is_killed_while_a_raw_disk_comes_or_goes(
    cluster: cluster_module.Cluster, user: tenant.Tenant, action: str
) -> None:
    user.claim("data", mode="Block")
    fault = cluster.control.add_fault(action, "notify")
    user.start_user_of("data", "first", node=HERE, at="/dev/raw")
    if action == "DetachDisk":
        user.wait("pod", "first", "condition=Ready", HEALED_S)
        user.delete("pod", "first")
    cluster.control.wait_held(fault, HELD_S)
    cluster.stop("csi-controller", signal.SIGKILL)
    cluster.control.release(fault)
    cluster.start("csi-controller")
    if action == "AttachDisk":
        user.wait("pod", "first", "condition=Ready", HEALED_S)
        user.delete("pod", "first")
    user.start_user_of("data", "second", node=THERE, at="/dev/raw")
    user.wait("pod", "second", "condition=Ready", HEALED_S)
    (attached,) = cluster.control.attachments(user.disk_of("data"))
    assert attached == cluster.instance_id(THERE)
    assert len(cluster.control.data_disks()) == 1

"""A kubelet that is dead, and nobody says so: after six minutes its volumes are taken away."""

import signal
from collections.abc import Iterator

import pytest

from tests.e2e_k8s import test_by_force as by_force
from tests.e2e_k8s import test_node_lost as lost
from tests.support import signed_api
from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import kubectl, layout, tenant

pytestmark = pytest.mark.timeout(1500)
HERE, THERE = layout.NODES
FORCED_S = 600.0
"""The controller manager waits six minutes for a node that does not unmount, and for none less."""
ASKED_S = 120.0
HEALED_S = 240.0
WRITER = ("/bin/sh", "-ec", "while :; do date >>/data/log; sync; sleep 1; done")
_TAG = "supportConcurrencyDetach"
"""Without it, a disk that cannot leave its instance keeps the others there, in this cloud."""
_TAKE_AWAY = """
id=$(ctr -n k8s.io containers ls -q 'labels."io.kubernetes.pod.name"=={pod},\
labels."io.cri-containerd.kind"==container')
ctr -n k8s.io tasks kill -s SIGKILL "$id"
while ctr -n k8s.io tasks ls | grep "^$id .*RUNNING"; do sleep 0.1; done
for place in $(grep ' {device} ' /proc/1/mountinfo | cut -d ' ' -f 5); do umount "$place"; done
"""


@pytest.fixture
def back(cluster: cluster_module.Cluster) -> Iterator[None]:
    """The node may detach several disks at once; it is ready afterwards."""
    tags = {"RegionId": "cn-hangzhou", "ResourceType": "instance"}
    tags["ResourceId.1"] = cluster.instance_id(HERE)

    def ask(action: str, **more: str) -> None:
        signed_api.call(cluster.cloud_address, lost.KEY, lost.ECS, action, tags | more)

    ask("TagResources", **{"Tag.1.Key": _TAG, "Tag.1.Value": "true"})
    yield
    ask("UntagResources", **{"TagKey.1": _TAG})
    cluster.up()
    kubectl.wait_until(f"{HERE} is ready", lambda: lost.is_ready(cluster), HEALED_S)
    assert [row for row in cluster.status() if not row.well] == []


def take_away(cluster: cluster_module.Cluster, disk: str, pod: str) -> None:
    """What a cloud does that takes a disk from under its file system: its users end, it is off.

    This one waits until the device is closed.
    """
    link = cluster.where.home(HERE) / "by-id" / f"virtio-{disk.removeprefix('d-')}"
    script = _TAKE_AWAY.format(pod=pod, device=link.resolve())
    cluster.run(HERE, "sh", "-ec", script)


def log_lines(cluster: cluster_module.Cluster, user: tenant.Tenant) -> int:
    """How many lines the pod on the dead node has written."""
    volume = user.volume_of("held")["metadata"]["name"]
    place = f"{layout.KUBELET}/pods/*/volumes/kubernetes.io~csi/{volume}/mount/log"
    return int(cluster.run(HERE, "sh", "-c", f"cat {place} | wc -l"))


@pytest.mark.usefixtures("back")
def test_a_volume_goes_to_the_other_node_once_nobody_can_write_to_it_any_more(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    for claim in ("gone", "held"):
        user.claim(claim)
    user.user_of("gone", "gone-first", node=HERE)
    user.user_of("held", "held-first", node=HERE, command=WRITER)
    user.shell("gone-first", "echo kept >/data/file; sync")
    gone, held = user.disk_of("gone"), user.disk_of("held")
    here, there = cluster.instance_id(HERE), cluster.instance_id(THERE)

    cluster.stop(f"{HERE}/kubelet", signal.SIGKILL)
    take_away(cluster, gone, "gone-first")
    for pod in ("gone-first", "held-first"):
        by_force.delete_by_force(user, pod)
    user.start_user_of("gone", "gone-second", node=THERE)
    user.start_user_of("held", "held-second", node=THERE)

    user.wait("pod", "gone-second", "condition=Ready", FORCED_S)
    assert user.shell("gone-second", "cat /data/file") == "kept\n"
    assert list(cluster.control.attachments(gone)) == [there]
    assert "out-of-service" not in str(cluster.kubectl.get("node", HERE)["spec"].get("taints"))
    # The other one is asked for, too; somebody has it mounted, and nobody else gets it meanwhile.
    kubectl.wait_until(
        "its disk is leaving",
        lambda: cluster.control.attachments(held) == {here: "detaching"},
        ASKED_S,
    )
    written = log_lines(cluster, user)
    kubectl.wait_until("it writes", lambda: log_lines(cluster, user) > written, ASKED_S)
    assert user.get("pod", "held-second")["status"]["phase"] == "Pending"

    cluster.start(f"{HERE}/kubelet")

    user.wait("pod", "held-second", "condition=Ready", HEALED_S)
    assert int(user.shell("held-second", "wc -l </data/log")) > written
    assert list(cluster.control.attachments(held)) == [there]
    assert lost.attached_to(cluster) == [THERE, THERE]
    assert len(cluster.control.data_disks()) == 2

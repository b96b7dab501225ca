"""What operators do in despair: pods deleted by force, attachments deleted by hand."""

import json

import pytest

from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import kubectl, layout, tenant

pytestmark = pytest.mark.usefixtures("healed")
HERE, THERE = layout.NODES
HEALED_S = 120.0
HELD_S = 30.0
NO_FINALIZERS = json.dumps({"metadata": {"finalizers": None}})


def delete_by_force(user: tenant.Tenant, pod: str) -> None:
    user.kubectl("delete", "pod", pod, "--force", "--grace-period=0")


def give_secret(user: tenant.Tenant) -> None:
    key = {"akId": "LTAIsimulated", "akSecret": "simulated-secret"}
    user.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "oss"}, "stringData": key}
    )


def attachments(cluster: cluster_module.Cluster) -> dict[str, str]:
    """Node to name of the VolumeAttachment for it."""
    rows = cluster.kubectl.list("volumeattachments")
    return {str(row["spec"]["nodeName"]): str(row["metadata"]["name"]) for row in rows}


def events(user: tenant.Tenant) -> str:
    return user.kubectl("get", "events", "-o", "jsonpath={.items[*].message}")


@pytest.mark.parametrize(
    ("storage_class", "size", "then"),
    [
        pytest.param("oss-directory", "5Gi", THERE, id="oss"),
        pytest.param("local-file", "320Mi", HERE, id="local"),
    ],
)
def test_a_pod_is_deleted_by_force_while_its_volume_is_mounted(
    user: tenant.Tenant, storage_class: str, size: str, then: str
) -> None:
    give_secret(user)
    user.claim("data", size, storage_class=storage_class)
    user.user_of("data", "first", node=HERE)
    user.shell("first", "echo kept >/data/file; sync")
    delete_by_force(user, "first")
    user.user_of("data", "second", node=then)
    assert user.shell("second", "cat /data/file") == "kept\n"


def test_a_block_volume_of_a_pod_deleted_by_force_comes_to_the_other_node(
    user: tenant.Tenant,
) -> None:
    user.claim("data", mode="Block")
    user.start_user_of("data", "first", node=HERE, at="/dev/raw")
    user.wait("pod", "first", "condition=Ready", HEALED_S)
    user.shell("first", "echo kept | dd of=/dev/raw conv=fsync 2>/dev/null")
    delete_by_force(user, "first")
    user.start_user_of("data", "second", node=THERE, at="/dev/raw")
    user.wait("pod", "second", "condition=Ready", HEALED_S)
    assert user.shell("second", "head -c 5 /dev/raw") == "kept\n"


def test_an_attachment_that_hangs_is_deleted_by_hand_with_its_finalizers(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data")
    user.user_of("data", "first", node=HERE)
    user.shell("first", "echo kept >/data/file; sync")
    fault = cluster.control.add_fault("DetachDisk", "notify")
    user.delete("pod", "first")
    cluster.control.wait_held(fault, HELD_S)
    name = attachments(cluster)[HERE]
    cluster.kubectl("patch", "volumeattachment", name, "--type=merge", "-p", NO_FINALIZERS)
    cluster.kubectl("wait", f"volumeattachment/{name}", "--for=delete", "--timeout=30s")
    user.start_user_of("data", "second", node=THERE)
    kubectl.wait_until("it is asked for", lambda: THERE in attachments(cluster), HELD_S)
    cluster.control.release(fault)
    user.wait("pod", "second", "condition=Ready", HEALED_S)
    assert user.shell("second", "cat /data/file") == "kept\n"
    (attached,) = cluster.control.attachments(user.disk_of("data"))
    assert attached == cluster.instance_id(THERE)


def test_a_disk_whose_attachment_was_deleted_by_hand_stays_and_says_where_it_is(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.claim("data")
    user.user_of("data", "first", node=HERE)
    user.shell("first", "echo kept >/data/file; sync")
    name = attachments(cluster)[HERE]
    # In this order no controller hears of it: the disk stays where it is, and nobody detaches it.
    cluster.kubectl("patch", "volumeattachment", name, "--type=merge", "-p", NO_FINALIZERS)
    cluster.kubectl("delete", "volumeattachment", name, "--wait=true", "--timeout=30s")
    assert user.shell("first", "cat /data/file") == "kept\n"
    user.delete("pod", "first")
    user.start_user_of("data", "second", node=THERE)
    told = f"is attached to {cluster.instance_id(HERE)}; detach it there"
    kubectl.wait_until("the pod says why it waits", lambda: told in events(user), HEALED_S)
    user.delete("pod", "second")

    # A pod over there takes it over, and lets it go as every pod does.
    user.user_of("data", "third", node=HERE)
    assert user.shell("third", "cat /data/file") == "kept\n"
    user.delete("pod", "third")
    user.start_user_of("data", "fourth", node=THERE)
    user.wait("pod", "fourth", "condition=Ready", HEALED_S)
    assert user.shell("fourth", "cat /data/file") == "kept\n"
    (attached,) = cluster.control.attachments(user.disk_of("data"))
    assert attached == cluster.instance_id(THERE)

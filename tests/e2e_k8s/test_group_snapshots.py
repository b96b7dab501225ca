"""Snapshots of several disks at one moment: VolumeGroupSnapshot, and claims made from it."""

import json
from collections.abc import Iterator

import pytest

from tests.support.cluster import kubectl, tenant

CLASS = "alibabacloud-disk-group-snapshot"
CLAIMS = ("data", "log")
PATHS = {claim: f"/volumes/{claim}" for claim in CLAIMS}
TOLD_S = 60.0
GONE = ("--wait=true", "--timeout=90s")


@pytest.fixture
def database(user: tenant.Tenant) -> Iterator[tenant.Tenant]:
    """A namespace whose group snapshots go with the test: their members cannot go before."""
    yield user
    user.kubectl("delete", "volumegroupsnapshots", "--all", *GONE)


def start(user: tenant.Tenant, pod: str, claims: dict[str, str]) -> None:
    """A ready pod with several claims. claims: claim to the path where it is."""
    volumes = [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims]
    mounts = [{"name": each, "mountPath": path} for each, path in claims.items()]
    user.run(pod, container={"volumeMounts": mounts}, volumes=volumes)


def shell(user: tenant.Tenant, pod: str, script: str) -> str:
    return user.execute(pod, "/bin/sh", "-ec", script)


def members(user: tenant.Tenant) -> dict[str, str]:
    """Claim to the VolumeSnapshot of it that the group made."""
    made = json.loads(user.kubectl("get", "volumesnapshots", "-o", "json"))["items"]
    return {
        str(each["spec"]["source"]["persistentVolumeClaimName"]): str(each["metadata"]["name"])
        for each in made
    }


def why_not(user: tenant.Tenant) -> str:
    """The error that the group snapshot tells; "" = none."""
    path = "jsonpath={.status.error.message}"
    return user.kubectl("get", "volumegroupsnapshot", "cut", "-o", path)


def test_the_disks_of_a_group_are_cut_at_one_moment_and_restored(
    database: tenant.Tenant,
) -> None:
    user = database
    for claim in CLAIMS:
        user.claim(claim)
        user.kubectl("label", "pvc", claim, "app=database")
    start(user, "writer", PATHS)
    for claim, path in PATHS.items():
        shell(user, "writer", f"echo {claim} before >{path}/file; sync")

    refused = "QuotaExceed.Snapshot"
    user.cluster.control.add_fault(
        "CreateSnapshotGroup", "error", code=refused, status=403, always=True
    )
    user.apply(
        {
            "apiVersion": "groupsnapshot.storage.k8s.io/v1",
            "kind": "VolumeGroupSnapshot",
            "metadata": {"name": "cut"},
            "spec": {
                "volumeGroupSnapshotClassName": CLASS,
                "source": {"selector": {"matchLabels": {"app": "database"}}},
            },
        }
    )
    try:
        kubectl.wait_until("it tells why not", lambda: refused in why_not(user), TOLD_S)
        assert refused in user.kubectl("describe", "volumegroupsnapshot", "cut")
    finally:
        user.cluster.control.clear_faults()
    user.wait("volumegroupsnapshot", "cut", "jsonpath={.status.readyToUse}=true")
    for path in PATHS.values():
        shell(user, "writer", f"echo after >{path}/file; sync")

    found = members(user)
    assert sorted(found) == sorted(CLAIMS)
    for claim, snapshot in found.items():
        source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": snapshot}
        user.claim(f"{claim}-restored", source=source)
    start(user, "reader", {f"{claim}-restored": path for claim, path in PATHS.items()})
    for claim, path in PATHS.items():
        assert shell(user, "reader", f"cat {path}/file") == f"{claim} before\n"

"""Which disks the cluster tells to be attached to this node."""

import pytest

from core import errors
from csi.lvm import attached_disks
from kube import api
from tests.fakes.fake_kubernetes import FakeKubernetes

DISK = "kubernetes.io/csi/diskplugin.csi.alibabacloud.com^"
NODE = (api.Kind.NODE, "node-a")


@pytest.mark.parametrize(
    ("status", "ids"),
    [
        ({}, set()),
        ({"volumesInUse": None, "volumesAttached": None}, set()),
        (
            {
                "volumesInUse": [
                    f"{DISK}d-1",
                    "kubernetes.io/csi/nasplugin^share-1",
                    "other/d-9",
                    f"{DISK}d-",
                    f"{DISK}d-1/2",
                ],
                "volumesAttached": [{"name": f"{DISK}d-2", "devicePath": ""}, {}],
            },
            {"d-1", "d-2"},
        ),
    ],
)
async def test_disks_in_use_and_attached_are_told(status: dict[str, object], ids: set[str]) -> None:
    kubernetes = FakeKubernetes(objects={NODE: {"status": status}})

    told = await attached_disks.read(kubernetes, "node-a")

    assert told == attached_disks.Attached(disk_ids=frozenset(ids))


async def test_who_cannot_tell_is_not_one_who_has_none() -> None:
    gone = await attached_disks.read(FakeKubernetes(), "node-a")
    away = await attached_disks.read(FakeKubernetes(fault=errors.Unavailable("away")), "node-a")

    assert gone.why_unknown == "there is no Node node-a"
    assert away.why_unknown == "away"


async def test_without_a_cluster_there_are_none() -> None:
    assert await attached_disks.read(api.Nowhere(), "node-a") == attached_disks.NONE

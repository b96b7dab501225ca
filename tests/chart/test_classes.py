"""Classes are those of the existing driver's chart, and our drivers take their parameters."""

import pytest

from csi.disk.controller import params, snapshot_params
from csi.lvm import params as local_params
from tests.chart.conftest import Render
from tests.support import chart

EXISTING = {
    "alicloud-disk-topology-alltype": {"type": "cloud_essd,cloud_ssd,cloud_efficiency"},
    "alicloud-disk-essd": {"type": "cloud_essd"},
    "alicloud-disk-ssd": {"type": "cloud_ssd"},
    "alicloud-disk-efficiency": {"type": "cloud_efficiency"},
    "csi-local-lvm": {
        "volumeType": "LVM",
        "vgName": "volumegroup1",
        "lvmType": "striping",
        "fsType": "ext4",
    },
}
"""Source: spec/csi-driver.md 7.4. Kubernetes lets nobody change the parameters of a class."""
PRIVATE = {
    "alicloud-disk-topology-alltype": {
        "type": "cloud_essd,cloud_ssd,cloud_efficiency,cloud_sperf,cloud_pperf"
    },
    "alicloud-disk-cloud-sperf": {"type": "cloud_sperf"},
    "alicloud-disk-cloud-pperf": {"type": "cloud_pperf"},
}
PARSERS = {
    "diskplugin.csi.alibabacloud.com": params.parse,
    "localplugin.csi.alibabacloud.com": local_params.parse,
}


def classes(objects: list[chart.Object]) -> dict[str, dict[str, str]]:
    return {
        each["metadata"]["name"]: each["parameters"]
        for each in chart.of_kind(objects, "StorageClass")
    }


def test_names_and_parameters_are_those_of_the_existing_chart(
    everything: list[chart.Object], render: Render
) -> None:
    private = render({"classes": {"privateCloud": True}})

    assert classes(everything) == EXISTING
    wanted = {**EXISTING, **PRIVATE}
    del wanted["csi-local-lvm"]
    assert classes(private) == wanted


def test_what_cannot_be_changed_of_a_class_is_as_it_was(everything: list[chart.Object]) -> None:
    for each in chart.of_kind(everything, "StorageClass"):
        late = each["metadata"]["name"] in {"alicloud-disk-topology-alltype", "csi-local-lvm"}
        assert each["volumeBindingMode"] == ("WaitForFirstConsumer" if late else "Immediate")
        assert each["reclaimPolicy"] == "Delete"
        assert each["allowVolumeExpansion"] is True


def test_the_drivers_take_the_parameters(objects: list[chart.Object]) -> None:
    for each in chart.of_kind(objects, "StorageClass"):
        assert PARSERS[each["provisioner"]](each["parameters"])


def test_snapshot_classes_are_those_of_the_existing_chart(
    everything: list[chart.Object],
) -> None:
    found = chart.of_kind(everything, "VolumeSnapshotClass", "VolumeGroupSnapshotClass")

    assert {each["metadata"]["name"] for each in found} == {
        "alibabacloud-disk-snapshot",
        "alibabacloud-disk-group-snapshot",
    }
    for each in found:
        assert each["driver"] == "diskplugin.csi.alibabacloud.com"
        assert each["deletionPolicy"] == "Delete"
        assert snapshot_params.parse(each.get("parameters", {}))


@pytest.mark.parametrize("name", ["", "alicloud-disk-essd"])
def test_one_class_at_most_is_the_default(render: Render, name: str) -> None:
    made = render({"classes": {"default": name}})

    told = [
        each["metadata"]["name"]
        for each in chart.of_kind(made, "StorageClass")
        if "storageclass.kubernetes.io/is-default-class" in each["metadata"].get("annotations", {})
    ]
    assert told == ([name] if name else [])

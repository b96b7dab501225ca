from collections.abc import Mapping

import pytest

from core import errors
from csi.disk.controller import category, mutable_params, params, snapshot_params

PVC = {
    "csi.storage.k8s.io/pvc/name": "data",
    "csi.storage.k8s.io/pvc/namespace": "shop",
    "csi.storage.k8s.io/pv/name": "pvc-1",
}


def test_no_parameters_mean_the_default_types() -> None:
    parsed = params.parse({})

    assert parsed.categories == ("cloud_ssd", "cloud_efficiency")
    assert parsed.performance_levels == ()
    assert not parsed.encrypted
    assert parsed.bursting_enabled is None


def test_all_parameters_are_understood() -> None:
    parsed = params.parse(
        {
            "type": "cloud_essd, cloud_auto",
            "performanceLevel": "PL2,PL1",
            "zoneId": "z-a,z-b",
            "encrypted": "yes",
            "kmsKeyId": "k-old",
            "alibabacloud.com/kms-key-id": "k-new",
            "alibabacloud.com/createdisk-arn": '[{"RoleType":"user","Rolearn":"acs:ram::1:role/x",'
            '"AssumeRoleFor":1}]',
            "resourceGroupId": "rg",
            "storageClusterId": "sc",
            "multiAttach": "Enabled",
            "provisionedIops": "100",
            "burstingEnabled": "false",
            "volumeDeleteSnapshotRetentionDays": "7",
            "volumeSizeAutoAvailable": "true",
            "diskTags": "a:1,b:2:3",
            "diskTags/a": "one",
            **PVC,
        }
    )

    assert parsed.categories == ("cloud_essd", "cloud_auto")
    assert parsed.performance_levels == ("PL2", "PL1")
    assert parsed.zone_ids == ("z-a", "z-b")
    assert parsed.encrypted
    assert parsed.kms_key_id == "k-new"
    assert parsed.arns[0].assume_role_for == 1
    assert parsed.multi_attach
    assert parsed.bursting_enabled is False
    assert parsed.raise_small
    assert parsed.delete_retention_days == 7
    assert parsed.tags == {
        "a": "one",
        "b": "2:3",
        "kubernetes.io/created-for/pvc/name": "data",
        "kubernetes.io/created-for/pvc/namespace": "shop",
        "kubernetes.io/created-for/pv/name": "pvc-1",
    }


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"typo": "x"}, "'typo'"),
        ({"type": "cloud_turbo"}, "'cloud_turbo'"),
        ({"type": "cloud_essd,,nonsense"}, "'nonsense'"),
        ({"performanceLevel": "PL9"}, "'PL9'"),
        ({"encrypted": "ture"}, "'ture'"),
        ({"multiAttach": "maybe"}, "'maybe'"),
        ({"diskTags": "nocolon"}, "'nocolon'"),
        ({"diskTags/createdby": "me"}, "'createdby'"),
        ({"provisionedIops": "-1"}, "'-1'"),
        ({"provisionedIops": "²"}, "'²'"),
        ({"volumeDeleteSnapshotRetentionDays": "0"}, "'0'"),
        ({"volumeDeleteSnapshotRetentionDays": "x"}, "'x'"),
        ({"alibabacloud.com/createdisk-arn": "{"}, "'{'"),
        ({"alibabacloud.com/createdisk-arn": '["x"]'}, "is not a list of roles"),
        ({"storageClusterId": "sc"}, "performanceLevel"),
        ({"restrictToHpnZone": "sometimes"}, "'sometimes'"),
        ({"fsType": "ntfs"}, "'ntfs'"),
        ({"readIOPS": "4294967296"}, "'4294967296'"),
        ({"readBPS": "10X"}, "'10X'"),
        ({"sysConfig": "novalue"}, "'novalue'"),
        ({"sysConfig": "../x=1"}, "'../x=1'"),
        ({"dataCacheMode": "writeback"}, "dataCacheSize"),
    ],
)
def test_bad_parameters_are_refused_by_name_and_value(
    parameters: Mapping[str, str], named: str
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        params.parse(parameters)

    assert named in str(caught.value)


def test_unknown_parameter_message_lists_the_known_ones() -> None:
    with pytest.raises(errors.InvalidField, match="performanceLevel"):
        params.parse({"preformanceLevel": "PL1"})


@pytest.mark.parametrize(
    "key",
    [
        "csi.storage.k8s.io/fstype",
        "csi.alibabacloud.com/reclaimPolicy",
        "csi.alibabacloud.com/storageclassName",
        "allowVolumeExpansion",
        "volume.kubernetes.io/selected-node",
        "volume.beta.kubernetes.io/storage-provisioner",
        "kubectl.kubernetes.io/last-applied-configuration",
    ],
)
def test_what_provisioners_add_is_accepted_and_not_handed_to_the_node(key: str) -> None:
    parsed = params.parse({key: "x", "mkfsOptions": "-O foo"})

    assert parsed.context == {"mkfsOptions": "-O foo"}


def test_type_available_stands_for_the_defaults() -> None:
    assert params.parse({"type": "available"}).categories == category.DEFAULT_TYPES


def test_mutable_parameters_override_at_creation() -> None:
    base = params.parse(
        {"type": "cloud_ssd,cloud_essd", "performanceLevel": "PL1", "diskTags": "a:1,b:2"}
    )
    wanted = mutable_params.parse(
        {"type": "cloud_auto", "provisionedIops": "9", "diskTags/c": "3", "-diskTags/a": ""}
    )

    made = mutable_params.override(base, wanted)

    assert made.categories == ("cloud_auto",)
    assert made.performance_levels == ("PL1",)
    assert made.provisioned_iops == 9
    assert made.tags == {"b": "2", "c": "3"}


@pytest.mark.parametrize(
    "parameters",
    [
        {"XXX_FakeKey": "1"},
        {"type": "cloud_essd", "burstingEnabled": "true"},
        {"type": "cloud_essd", "provisionedIops": "5"},
        {"type": "cloud_auto", "performanceLevel": "PL1"},
        {"type": "cloud_essd,cloud_auto"},
        {"-diskTags/createdby": ""},
        {"diskTags/a": "1", "-diskTags/a": ""},
        {"provisionedIops": "many"},
    ],
)
def test_bad_mutable_parameters_are_refused(parameters: Mapping[str, str]) -> None:
    with pytest.raises(errors.InvalidField):
        mutable_params.parse(parameters)


def test_mutable_parameters_of_the_sidecar_are_ignored() -> None:
    assert mutable_params.parse(PVC) == mutable_params.MutableParameters()


def test_snapshot_parameters_are_understood() -> None:
    parsed = snapshot_params.parse(
        {
            "retentionDays": "30",
            "resourceGroupId": "rg",
            "snapshotType": "standard",
            "snapshotTags/team": "a",
            "csi.storage.k8s.io/volumesnapshot/name": "s",
            "csi.storage.k8s.io/volumesnapshot/namespace": "ns",
        }
    )

    assert parsed.retention_days == 30
    assert parsed.tags == {
        "team": "a",
        "csi.alibabacloud.com/snapshot/name": "s",
        "csi.alibabacloud.com/snapshot/namespace": "ns",
    }


@pytest.mark.parametrize(
    "parameters",
    [
        {"retentionDays": "5", "forceDelete": "true"},
        {"snapshotType": "InstantAccess", "instantAccessRetentionDays": "1"},
        {"instantAccess": "true", "retentionDays": "30"},
    ],
    ids=str,
)
def test_snapshot_classes_of_acks_documentation_are_taken(parameters: Mapping[str, str]) -> None:
    days = parameters.get("retentionDays")

    assert snapshot_params.parse(parameters).retention_days == (int(days) if days else None)


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "cloud_ssd", "zoneId": "cn-hangzhou-b", "fstype": "ext4", "readonly": "false"},
        {"type": "cloud_ssd", "fsType": "ext4", "readOnly": "false", "resourceGroupId": "rg-a"},
        {"type": "cloud_ssd", "mkfsOptions": "-q -L yunpan -J size=2048 -T largefile"},
        {"type": "available"},
    ],
    ids=str,
)
def test_storage_classes_of_acks_documentation_are_taken(parameters: Mapping[str, str]) -> None:
    assert set(params.parse(parameters).categories) & {"cloud_ssd"}


@pytest.mark.parametrize("parameters", [{"retentionDays": "x"}, {"foo": "bar"}])
def test_bad_snapshot_parameters_are_refused(parameters: Mapping[str, str]) -> None:
    with pytest.raises(errors.InvalidField):
        snapshot_params.parse(parameters)


def test_group_snapshots_have_no_retention_time() -> None:
    with pytest.raises(errors.InvalidField, match="retentionDays"):
        snapshot_params.parse_group({"retentionDays": "3"})


@pytest.mark.parametrize(
    ("size_gib", "most"), [(1, 0), (3, 0), (4, 1000), (20, 17_000), (100, 50_000), (9999, 50_000)]
)
def test_provisioned_iops_follow_the_documented_formula(size_gib: int, most: int) -> None:
    assert category.max_provisioned_iops(size_gib) == most

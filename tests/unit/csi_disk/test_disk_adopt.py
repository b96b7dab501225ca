import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from core import errors
from csi.disk.controller import settings, tags
from tests.unit.csi_disk import disk_harness as harness

GIB = harness.GIB
wish = harness.wish


ADOPT = {"volume.alibabacloud.com/disk-id": "d-mine"}


async def test_an_existing_disk_is_adopted_and_tagged() -> None:
    parts = harness.Parts()
    parts.put_disk(disk_id="d-mine", size_gib=20)

    disk = await parts.provisioner.create(wish(parameters=ADOPT))
    await parts.provisioner.create(wish(parameters=ADOPT))

    assert disk.disk_id == "d-mine"
    assert parts.disks.disks["d-mine"].tags[tags.VOLUME_NAME] == "pvc-1"
    assert parts.disks.record.names().count("tag") == 1
    assert parts.disks.record.names().count("create") == 0


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"size_gib": 21}, errors.InvalidField),
        ({"disk_type": "system"}, errors.InvalidField),
        ({"disk_id": "d-else"}, errors.InvalidField),
        ({"tags": {tags.VOLUME_NAME: "pvc-9"}}, errors.Exists),
    ],
)
async def test_a_disk_that_does_not_fit_is_not_adopted(
    fields: Mapping[str, Any], error: type[errors.Error]
) -> None:
    parts = harness.Parts()
    parts.put_disk(**{"disk_id": "d-mine", "size_gib": 20, **fields})

    with pytest.raises(error):
        await parts.provisioner.create(wish(parameters=ADOPT))

    assert "tag" not in parts.disks.record.names()


@pytest.mark.parametrize(
    ("parameters", "fields", "kind"),
    [
        ({"encrypted": "true"}, {}, errors.Kind.INVALID),
        (
            {"encrypted": "true", "kmsKeyId": "k-1"},
            {"encrypted": True, "kms_key_id": "k-2"},
            errors.Kind.INVALID,
        ),
        ({"multiAttach": "true"}, {}, errors.Kind.INVALID),
        ({}, {"tags": {tags.CLUSTER: "c-other"}}, errors.Kind.EXISTS),
    ],
    ids=["unencrypted", "another key", "for one instance", "another cluster's"],
)
async def test_a_disk_that_is_not_what_the_class_promises_is_not_adopted(
    parameters: Mapping[str, str], fields: Mapping[str, Any], kind: errors.Kind
) -> None:
    parts = harness.Parts(config=settings.DiskSettings(cluster_id="c-1"))
    parts.put_disk(disk_id="d-mine", size_gib=20, **fields)
    several = harness.capability(
        harness.Mode.MULTI_NODE_MULTI_WRITER, harness.requests.AccessType.BLOCK
    )
    wanted = {"capabilities": (several,)} if "multiAttach" in parameters else {}

    with pytest.raises(errors.Error) as caught:
        await parts.provisioner.create(wish(parameters={**ADOPT, **parameters}, **wanted))

    assert caught.value.kind is kind
    assert "tag" not in parts.disks.record.names()


async def test_a_disk_is_not_adopted_in_place_of_a_copy() -> None:
    parts = harness.Parts()
    parts.put_disk(disk_id="d-mine", size_gib=20)

    with pytest.raises(errors.InvalidField, match="cannot be given together"):
        await parts.provisioner.create(
            wish(parameters=ADOPT, source=harness.from_snapshot("s-1"), from_content_source=True)
        )


async def test_of_two_volumes_that_adopt_one_disk_at_once_one_gets_it() -> None:
    parts = harness.Parts()
    parts.put_disk(disk_id="d-mine", size_gib=20)
    servicer = parts.servicers().controller

    async def create(name: str) -> str:
        request = harness.csi_pb2.CreateVolumeRequest(
            name=name,
            capacity_range=harness.csi_pb2.CapacityRange(required_bytes=20 * GIB),
            volume_capabilities=[harness.pb_capability()],
            parameters=ADOPT,
        )
        return (await servicer.CreateVolume(request, None)).volume.volume_id

    told = await asyncio.gather(create("pvc-1"), create("pvc-2"), return_exceptions=True)

    assert [type(each) for each in told] == [str, errors.Busy]

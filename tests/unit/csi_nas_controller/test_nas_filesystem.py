"""File systems of volumes' own: what is on them beside the volume, and which way leads to them."""

import dataclasses
import types
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cloud import errors as cloud_errors
from cloud import nas_model
from core import clock, errors
from csi.nas.controller import filesystem, settings, tags, wiring
from tests.fakes import fake_nas


class Cloud:
    """One file system, and the access points on it. fault: of whoever asks for those."""

    def __init__(self, system: nas_model.FileSystem, *points: nas_model.AccessPoint) -> None:
        self.system: nas_model.FileSystem | None = system
        self.points = list(points)
        self.deleted: list[str] = []
        self.fault: errors.Error | None = None

    async def read(self, file_system_id: str) -> nas_model.FileSystem | None:
        return self.system

    async def find(
        self, *, file_system_id: str = "", tags: Mapping[str, str | None] | None = None
    ) -> list[nas_model.AccessPoint]:
        assert tags is None
        if self.fault is not None:
            raise self.fault
        return [each for each in self.points if each.file_system_id == file_system_id]

    async def delete_mount_target(self, file_system_id: str, domain: str) -> None:
        assert self.system is not None
        self.deleted.append(domain)
        kept = tuple(each for each in self.system.mount_targets if each.domain != domain)
        self.system = dataclasses.replace(self.system, mount_targets=kept)

    async def delete(self, file_system_id: str) -> None:
        self.deleted.append(file_system_id)
        self.system = None

    async def wait(
        self,
        file_system_id: str,
        done: Callable[[nas_model.FileSystem | None], bool],
        *,
        what: str,
    ) -> nas_model.FileSystem | None:
        assert done(self.system), what
        return self.system


def filesystems(cloud: Cloud) -> filesystem.Filesystems:
    return filesystem.Filesystems(
        api=cloud,  # type: ignore[arg-type]  # only what the test asks of it
        points=cloud,
        zones=None,  # type: ignore[arg-type]  # no zone is asked for
        time=clock.SystemClock(),
        config=settings.NasSettings(),
    )


OWN = dataclasses.replace(
    fake_nas.file_system("aaaa"),
    tags={tags.VOLUME_NAME: "pvc-1", tags.DELETE_VOLUME: "true"},
)
POINT = nas_model.AccessPoint(
    access_point_id="ap-1",
    file_system_id="aaaa",
    name="pvc-2",
    domain="ap-1.test",
    root_path="/pvc-2",
    status="Active",
)


async def test_a_volumes_file_system_goes_with_its_mount_targets() -> None:
    cloud = Cloud(OWN, dataclasses.replace(POINT, file_system_id="bbbb"))

    await filesystems(cloud).delete(OWN)

    assert cloud.deleted == [OWN.mount_targets[0].domain, "aaaa"]


async def test_one_that_became_the_server_of_other_volumes_is_kept_with_them() -> None:
    shared = dataclasses.replace(OWN, tags={**OWN.tags, **tags.of_base("/base")})
    cloud = Cloud(shared)

    with pytest.raises(errors.Precondition, match="aaaa holds volumes as directories"):
        await filesystems(cloud).delete(shared)

    assert cloud.deleted == []


async def test_one_with_access_points_of_other_volumes_keeps_its_mount_targets() -> None:
    cloud = Cloud(OWN, POINT)

    with pytest.raises(errors.Precondition, match="aaaa has access points: ap-1"):
        await filesystems(cloud).delete(OWN)

    assert cloud.deleted == []


def refusal(code: str, status: int) -> cloud_errors.CloudError:
    return cloud_errors.make(action="DescribeAccessPoints", code=code, status=status, message="no")


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (nas_model.FileSystemType.EXTREME, refusal("InvalidFileSystem.NotSupported", 400)),
        (nas_model.FileSystemType.STANDARD, refusal("InvalidFileSystem.NotFound", 404)),
    ],
    ids=["a type without access points", "one that is gone"],
)
async def test_where_no_access_point_can_be_the_file_system_goes(
    kind: nas_model.FileSystemType, fault: cloud_errors.CloudError
) -> None:
    system = dataclasses.replace(OWN, type=kind)
    cloud = Cloud(system)
    cloud.fault = fault

    await filesystems(cloud).delete(system)

    assert cloud.system is None


async def test_who_may_not_look_for_access_points_keeps_the_file_system_and_tells_why() -> None:
    cloud = Cloud(OWN)
    cloud.fault = refusal("Forbidden.RAM", 403)

    with pytest.raises(errors.Denied, match=r"aaaa is kept.* allow nas:DescribeAccessPoints"):
        await filesystems(cloud).delete(OWN)

    assert cloud.deleted == []


class VSwitches:
    """None is there yet; asked counts."""

    def __init__(self) -> None:
        self.there: dict[str, Any] = {}
        self.asked = 0

    async def read(self, vswitch_id: str) -> Any:
        self.asked += 1
        return self.there.get(vswitch_id)


async def test_a_vswitch_that_was_not_seen_yet_is_asked_for_again() -> None:
    vswitches = VSwitches()
    zones = wiring._Zones(vswitches)

    before = await zones.of_vswitch("vsw-1")
    vswitches.there["vsw-1"] = types.SimpleNamespace(zone_id="zone-a")
    after = [await zones.of_vswitch("vsw-1") for _ in range(2)]

    assert (before, after) == ("", ["zone-a", "zone-a"])
    assert vswitches.asked == 2

"""Volumes that the existing driver made, found by their PersistentVolumes, become ours."""

import pathlib
from typing import Any, cast

import pytest

from cloud import nas_model
from core import clock, errors
from csi.nas import layout, tree
from csi.nas.controller import (
    accesspoint,
    adoption,
    file_systems,
    filesystem,
    made,
    removal,
    search,
    settings,
    subpath,
    tags,
    volumes,
)
from kube import api
from tests.fakes import fake_kubernetes, fake_nas, virtual_clock

NAME = "d-8c6a1e"
DRIVER = "nasplugin.csi.alibabacloud.com"
HOST = "aaaa-x.cn-hangzhou.nas.aliyuncs.com"
GIB = 1 << 30


class Rig:
    """One cluster, whose volume NAME the existing driver made."""

    def __init__(self, tmp_path: pathlib.Path, *there: nas_model.FileSystem) -> None:
        self.kubernetes = fake_kubernetes.FakeKubernetes()
        self.systems = fake_nas.FakeFileSystems(*there)
        self.directories = fake_nas.FakeDirectories()
        self.roots = fake_nas.LocalRoots(tmp_path)
        self.points: dict[str, nas_model.AccessPoint] = {}
        self.asked: list[tuple[str, str]] = []
        time = clock.SystemClock()
        config = settings.NasSettings()
        self.subpaths = subpath.Subpaths(
            catalogue=file_systems.Catalogue(self.systems, time),
            directories=self.directories,
            roots=self.roots,
            remover=removal.Remover(self.roots, time, fake_kubernetes.silent_recorder()),
            config=config,
        )
        filesystems = filesystem.Filesystems(
            api=cast("Any", self.systems),
            points=cast("Any", self),
            zones=cast("Any", None),
            time=time,
            config=config,
        )
        accesspoints = accesspoint.Accesspoints(
            api=cast("Any", self),
            directories=self.directories,
            time=virtual_clock.VirtualClock(),
            config=config,
        )
        self.adoption = adoption.Adoption(
            kubernetes=self.kubernetes,
            driver_name=DRIVER,
            subpaths=self.subpaths,
            filesystems=filesystems,
            accesspoints=accesspoints,
        )
        self.volumes = volumes.Volumes(
            subpaths=self.subpaths,
            filesystems=filesystems,
            accesspoints=accesspoints,
            adoption=self.adoption,
        )

    async def find(self, *, tag_key: str, tag_value: str) -> list[nas_model.AccessPoint]:
        return []

    async def read(self, file_system_id: str, access_point_id: str) -> nas_model.AccessPoint | None:
        self.asked.append((file_system_id, access_point_id))
        return self.points.get(access_point_id)

    def volume(self, *, by: str = DRIVER, driver: str = DRIVER, **told: str) -> None:
        self.kubernetes.objects[api.Kind.PERSISTENT_VOLUME, NAME] = {
            "metadata": {"name": NAME, "annotations": {"pv.kubernetes.io/provisioned-by": by}},
            "spec": {
                "capacity": {"storage": "20Gi"},
                "storageClassName": "nas",
                "csi": {"driver": driver, "volumeHandle": NAME, "volumeAttributes": told},
            },
        }

    def storage_class(self, **parameters: str) -> None:
        self.kubernetes.objects[api.Kind.STORAGE_CLASS, "nas"] = {"parameters": parameters}


@pytest.fixture
def rig(tmp_path: pathlib.Path) -> Rig:
    return Rig(tmp_path, fake_nas.file_system("aaaa"))


async def directory(rig: Rig) -> None:
    await rig.directories.create("aaaa", f"/base/{NAME}")
    rig.volume(volumeAs="subpath", server=HOST, path=f"/base/{NAME}", fileSystemId="aaaa")


CLASSES = [
    ({"archiveOnDelete": "false"}, "delete"),
    ({"archiveOnDelete": "true"}, "archive"),
    ({}, "archive"),
    (None, "archive"),
]


@pytest.mark.parametrize(("parameters", "action"), CLASSES)
async def test_g36_a_directory_goes_as_its_class_says_and_is_archived_when_the_class_is_gone(
    rig: Rig, parameters: dict[str, str] | None, action: str
) -> None:
    await directory(rig)
    if parameters is not None:
        rig.storage_class(**parameters)

    found = await rig.adoption.adopt(NAME)

    assert isinstance(found, search.Found)
    assert found.by_api
    record = f"/base/{layout.RECORDS}/{NAME}/{action}-{20 * GIB}"
    assert ("aaaa", record) in rig.directories.there
    assert rig.systems.tagged["aaaa"] == tags.of_base("/base")


async def test_a_directory_with_a_quota_grows(rig: Rig) -> None:
    await directory(rig)
    rig.directories.quotas["aaaa", f"/base/{NAME}"] = 20

    found = await rig.adoption.adopt(NAME)
    assert isinstance(found, search.Found)
    want = made.ExpandRequest(volume_id=NAME, required_bytes=30 * GIB, limit_bytes=0)

    assert await rig.subpaths.expand(found, want) == 30 * GIB
    assert rig.directories.quotas["aaaa", f"/base/{NAME}"] == 30


async def test_after_that_the_volume_is_found_without_its_persistent_volume(rig: Rig) -> None:
    await directory(rig)
    await rig.adoption.adopt(NAME)
    rig.systems.there["aaaa"] = fake_nas.file_system("aaaa", "/base")

    assert await rig.subpaths.find(NAME) is not None


async def test_a_directory_on_a_server_of_ones_own_is_noted_there(rig: Rig) -> None:
    rig.volume(server="nas.example", path=f"/{NAME}")
    base = rig.roots.path / "nas.example"
    (base / NAME).mkdir(parents=True)

    found = await rig.adoption.adopt(NAME)

    assert isinstance(found, search.Found)
    assert found.file_system is None
    assert tree.read_record(base, NAME) == layout.Record(archive=True, capacity_bytes=20 * GIB)


async def test_g36_a_path_that_is_not_the_volume_s_own_is_left_alone(rig: Rig) -> None:
    rig.volume(server=HOST, path="/base", fileSystemId="aaaa")

    with pytest.raises(errors.InvalidField, match=f"does not end in the volume's id {NAME}"):
        await rig.adoption.adopt(NAME)


NOT_OURS = {
    "another driver's": {"driver": "diskplugin.csi.alibabacloud.com"},
    "written by hand": {"by": ""},
    "another provisioner's": {"by": "nfs.csi.k8s.io"},
    "of a kind that is not known": {"volumeAs": "bucket"},
}


@pytest.mark.parametrize("told", NOT_OURS.values(), ids=NOT_OURS.keys())
async def test_what_is_not_a_volume_of_a_provisioner_is_left_alone(
    rig: Rig, told: dict[str, str]
) -> None:
    await rig.directories.create("aaaa", f"/base/{NAME}")
    rig.volume(server=HOST, path=f"/base/{NAME}", **cast("Any", told))

    assert await rig.adoption.adopt(NAME) is None
    assert rig.systems.tagged == {}


async def test_a_shared_directory_takes_any_size_and_keeps_its_files(rig: Rig) -> None:
    await rig.directories.create("aaaa", "/team")
    rig.volume(volumeAs="sharepath", server=HOST, path="/team", fileSystemId="aaaa")
    want = made.ExpandRequest(volume_id=NAME, required_bytes=30 * GIB, limit_bytes=0)

    assert await rig.volumes.expand(want) == 30 * GIB
    await rig.volumes.delete(NAME)

    assert rig.systems.tagged == {}
    assert await rig.directories.exists("aaaa", "/team")


async def test_a_shared_directory_that_a_person_wrote_down_is_not_known(rig: Rig) -> None:
    rig.volume(by="", volumeAs="sharepath", server=HOST, path="/team")

    with pytest.raises(errors.NotFound):
        await rig.volumes.expand(
            made.ExpandRequest(volume_id=NAME, required_bytes=GIB, limit_bytes=0)
        )


async def test_what_is_gone_is_gone(rig: Rig) -> None:
    assert await rig.adoption.adopt(NAME) is None
    rig.volume(server=HOST, path=f"/base/{NAME}", fileSystemId="aaaa")
    assert await rig.adoption.adopt(NAME) is None
    rig.volume(server=HOST, path=f"/base/{NAME}", fileSystemId="bbbb")
    assert await rig.adoption.adopt(NAME) is None


async def test_an_id_of_ours_and_a_process_without_kubernetes_ask_nobody(rig: Rig) -> None:
    assert await rig.adoption.adopt("nfs#nas.example#/#x") is None
    assert rig.kubernetes.reads == []
    rig.kubernetes.fault = api.NotConfigured()
    assert await rig.adoption.adopt(NAME) is None


async def test_an_api_server_that_is_away_does_not_mean_gone(rig: Rig) -> None:
    rig.kubernetes.fault = errors.Unavailable("away")

    with pytest.raises(errors.Unavailable):
        await rig.adoption.adopt(NAME)


@pytest.mark.parametrize("delete", ["true", "false"])
async def test_a_file_system_is_tagged_as_its_volume_says(rig: Rig, delete: str) -> None:
    rig.systems.there["aaaa"].tags[tags.MANAGED] = "true"  # type: ignore[index]
    rig.volume(volumeAs="filesystem", server=HOST, fileSystemId="aaaa", deleteVolume=delete)

    found = await rig.adoption.adopt(NAME)

    assert isinstance(found, nas_model.FileSystem)
    assert found.tags[tags.DELETE_VOLUME] == delete
    assert rig.systems.tagged["aaaa"][tags.VOLUME_NAME] == NAME


async def test_a_file_system_that_may_be_somebody_s_own_is_not_deleted(rig: Rig) -> None:
    rig.volume(volumeAs="filesystem", server=HOST, fileSystemId="aaaa", deleteVolume="true")

    with pytest.raises(errors.Precondition, match=r"aaaa.*does not carry the tag k8s\.aliyun\.com"):
        await rig.adoption.adopt(NAME)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        (tags.VOLUME_NAME, "d-other", "is volume d-other's"),
        (tags.SUBPATHS, "true", "holds volumes as directories"),
    ],
)
async def test_a_file_system_that_others_use_stays_as_it_is(
    rig: Rig, key: str, value: str, why: str
) -> None:
    rig.systems.there["aaaa"].tags.update({tags.MANAGED: "true", key: value})  # type: ignore[attr-defined]
    rig.volume(volumeAs="filesystem", server=HOST, fileSystemId="aaaa", deleteVolume="true")

    with pytest.raises(errors.Precondition, match=why):
        await rig.adoption.adopt(NAME)

    assert "aaaa" not in rig.systems.tagged


async def test_an_access_point_of_the_existing_driver_has_its_file_system_from_the_object(
    rig: Rig,
) -> None:
    # Its volume context has no fileSystemId; source: spec/csi-driver.md 3.5.
    rig.volume(
        volumeAs="accesspoint", accesspoint="ap-1.nas", accesspointId="ap-1", path="/",
        containerNetworkFileSystem="shared",
    )  # fmt: skip
    rig.points["ap-1"] = nas_model.AccessPoint(
        access_point_id="ap-1", file_system_id="aaaa", name=NAME, domain="ap-1.nas",
        root_path=f"/{NAME}", status="Active",
    )  # fmt: skip
    with pytest.raises(errors.Precondition, match="shared"):
        await rig.adoption.adopt(NAME)

    rig.kubernetes.objects[api.Kind.CNFS, "shared"] = fake_kubernetes.cnfs_object(
        "shared", filesystemType="standard", filesystemId="aaaa", server=HOST
    )
    assert await rig.adoption.adopt(NAME) == [rig.points["ap-1"]]
    assert rig.asked == [("aaaa", "ap-1")]


async def test_a_record_that_is_there_is_not_contradicted_by_a_second_one(rig: Rig) -> None:
    await directory(rig)
    rig.storage_class(archiveOnDelete="true")
    await rig.adoption.adopt(NAME)
    rig.storage_class(archiveOnDelete="false")

    await rig.adoption.adopt(NAME)

    records = [path for _, path in rig.directories.there if f".csi-volumes/{NAME}/" in path]
    assert records == [f"/base/.csi-volumes/{NAME}/archive-{20 * GIB}"]


async def test_whoever_only_asks_for_a_volume_changes_nothing(rig: Rig) -> None:
    assert not await rig.volumes.exists(NAME)
    await directory(rig)
    before = set(rig.directories.there)

    assert await rig.volumes.exists(NAME)

    assert set(rig.directories.there) == before
    assert rig.systems.tagged == {}


async def test_an_access_point_is_known_by_its_id(rig: Rig) -> None:
    rig.volume(volumeAs="accesspoint", fileSystemId="aaaa", accesspointId="ap-1")
    assert await rig.adoption.adopt(NAME) is None
    rig.points["ap-1"] = nas_model.AccessPoint(
        access_point_id="ap-1", file_system_id="aaaa", name=NAME, domain="ap-1.nas",
        root_path=f"/{NAME}", status="Active",
    )  # fmt: skip

    assert await rig.adoption.adopt(NAME) == [rig.points["ap-1"]]


async def test_a_volume_of_an_object_that_names_its_server_is_found_by_that(rig: Rig) -> None:
    await rig.directories.create("aaaa", f"/{NAME}")
    rig.volume(containerNetworkFileSystem="shared", path=f"/{NAME}")
    with pytest.raises(errors.Precondition, match="shared"):
        await rig.adoption.adopt(NAME)

    rig.kubernetes.objects[api.Kind.CNFS, "shared"] = fake_kubernetes.cnfs_object(
        "shared", filesystemType="standard", filesystemId="aaaa", server=HOST
    )
    assert isinstance(await rig.adoption.adopt(NAME), search.Found)

"""Volumes that are directories: made, found and refused, on fakes."""

import dataclasses
import pathlib

import pytest

from cloud import nas_model
from core import clock, errors
from csi import requests
from csi.nas import layout, server, tree
from csi.nas.controller import (
    file_systems,
    made,
    params,
    parse_params,
    removal,
    search,
    settings,
    subpath,
)
from tests.fakes import fake_kubernetes, fake_nas

Type = nas_model.FileSystemType
GIB = 1 << 30
RECORD = layout.Record(archive=True, capacity_bytes=GIB)
MODE = requests.AccessMode.MULTI_NODE_MULTI_WRITER
HOST = "aaaa-x.cn-hangzhou.nas.aliyuncs.com"
OTHER = "bbbb-x.cn-hangzhou.nas.aliyuncs.com"
WIDE = "extreme-cccc-x.cn-hangzhou.extreme.nas.aliyuncs.com"
PLAIN = settings.NasSettings()


@dataclasses.dataclass
class Rig:
    subpaths: subpath.Subpaths
    systems: fake_nas.FakeFileSystems
    directories: fake_nas.FakeDirectories
    roots: fake_nas.LocalRoots

    async def create(self, name: str, size: int = GIB, **parameters: str) -> made.Made:
        mount = requests.VolumeCapability(access=requests.AccessType.MOUNT, mode=MODE)
        want = made.VolumeRequest(
            name=name, required_bytes=size, limit_bytes=0, capabilities=(mount,)
        )
        parsed = parse_params.parse({"server": f"{HOST}:/base", **parameters})
        assert isinstance(parsed, params.SubpathParameters)
        return await self.subpaths.create(want, parsed)


def rig(
    tmp_path: pathlib.Path, *there: nas_model.FileSystem, config: settings.NasSettings = PLAIN
) -> Rig:
    systems = fake_nas.FakeFileSystems(*there)
    directories, roots = fake_nas.FakeDirectories(), fake_nas.LocalRoots(tmp_path)
    time = clock.SystemClock()
    subpaths = subpath.Subpaths(
        catalogue=file_systems.Catalogue(systems, time),
        directories=directories,
        roots=roots,
        remover=removal.Remover(
            roots, time, fake_kubernetes.silent_recorder(), cluster_id=config.cluster_id
        ),
        config=config,
    )
    return Rig(subpaths, systems, directories, roots)


STANDARD = fake_nas.file_system("aaaa", "/base")
SICK = fake_nas.file_system("bbbb", "/base")
EXTREME = fake_nas.file_system("extreme-cccc", "/share", kind=Type.EXTREME)


async def test_a_file_system_out_of_order_hides_no_volume_of_another(
    tmp_path: pathlib.Path,
) -> None:
    made_here = rig(tmp_path, SICK, EXTREME, STANDARD)
    await made_here.create("pvc-1")
    made_here.directories.dead.add("bbbb")
    made_here.roots.dead.add(EXTREME.mount_targets[0].domain)

    found = await made_here.subpaths.find("pvc-1")

    assert found is not None
    assert found.path == "/base/pvc-1"
    assert made_here.roots.opened_hosts == []


@pytest.mark.parametrize("dead", ["bbbb", "extreme-cccc"])
async def test_a_volume_that_nobody_can_look_for_is_not_called_gone(
    tmp_path: pathlib.Path, dead: str
) -> None:
    made_here = rig(tmp_path, SICK, EXTREME, STANDARD)
    made_here.directories.dead.add(dead)
    if dead == "extreme-cccc":
        made_here.roots.dead.add(EXTREME.mount_targets[0].domain)

    with pytest.raises(search.Unsure, match="pvc-1"):
        await made_here.subpaths.find("pvc-1")


async def test_a_volume_went_with_its_file_system_though_that_is_remembered(
    tmp_path: pathlib.Path,
) -> None:
    made_here = rig(tmp_path, SICK, STANDARD)
    await made_here.create("pvc-1")
    assert await made_here.subpaths.find("pvc-1") is not None
    made_here.directories.deleted.add("aaaa")

    assert await made_here.subpaths.find("pvc-1") is None


async def test_a_file_system_without_a_way_in_hides_no_volume_of_another(
    tmp_path: pathlib.Path,
) -> None:
    closed = fake_nas.file_system("extreme-dddd", "/share", kind=Type.EXTREME, active=False)
    made_here = rig(tmp_path, closed, STANDARD)
    await made_here.create("pvc-1")

    assert await made_here.subpaths.find("pvc-1") is not None
    with pytest.raises(search.Unsure, match="no active mount target"):
        await made_here.subpaths.find("pvc-2")


@pytest.mark.parametrize("kind", [Type.STANDARD, Type.EXTREME])
async def test_a_way_in_from_another_vpc_does_not_keep_a_volume_from_being_deleted(
    tmp_path: pathlib.Path, kind: Type
) -> None:
    plain = fake_nas.file_system("aaaa", "/base", kind=kind)
    (mine,) = plain.mount_targets
    elsewhere = dataclasses.replace(mine, domain="other-vpc.cn-hangzhou.nas.aliyuncs.com")
    off = dataclasses.replace(mine, domain="off.cn-hangzhou.nas.aliyuncs.com", status="Inactive")
    both = dataclasses.replace(plain, mount_targets=(off, elsewhere, mine))
    made_here = rig(tmp_path, both)
    made_here.roots.dead.add(elsewhere.domain)
    volume = await made_here.create("pvc-1", archiveOnDelete="false")
    directory = (
        show(made_here, "pvc-1") if kind is Type.STANDARD else tmp_path / HOST / "base/pvc-1"
    )
    assert directory.is_dir()

    found = await made_here.subpaths.find(volume.volume_id)
    assert found is not None
    await made_here.subpaths.delete(found)
    again = await made_here.subpaths.find(volume.volume_id)

    assert not directory.exists()
    assert made_here.roots.asked_hosts[:2] == [elsewhere.domain, mine.domain]
    assert again is None or made_here.roots.asked_hosts[-2:] == [mine.domain, elsewhere.domain]


async def test_a_volume_is_found_while_lists_do_not_show_its_base_yet(
    tmp_path: pathlib.Path,
) -> None:
    made_here = rig(tmp_path, dataclasses.replace(STANDARD, tags={}))
    made_here.systems.lagging = True
    await made_here.create("pvc-1")

    assert await made_here.subpaths.find("pvc-1") is not None


async def test_records_on_two_file_systems_are_not_guessed_between(
    tmp_path: pathlib.Path,
) -> None:
    made_here = rig(tmp_path, SICK, STANDARD)
    for file_system_id in ("aaaa", "bbbb"):
        await made_here.directories.create(file_system_id, layout.records("/base", "pvc-1"))

    with pytest.raises(errors.Internal, match="several places"):
        await made_here.subpaths.find("pvc-1")


@pytest.mark.parametrize("server", [f"{OTHER}:/base", f"{HOST}:/elsewhere", f"{WIDE}:/share"])
async def test_a_class_made_anew_with_another_server_makes_no_second_directory(
    tmp_path: pathlib.Path, server: str
) -> None:
    """The answer of the first call was lost; external-provisioner reads the class at each."""
    before = rig(tmp_path, STANDARD, SICK, EXTREME)
    await before.create("pvc-1")
    there = set(before.directories.there)

    with pytest.raises(errors.Exists, match="pvc-1 was begun on aaaa in /base"):
        await before.create("pvc-1", server=server)
    again = await before.create("pvc-1")
    found = await before.subpaths.find("pvc-1")

    assert before.directories.there == there
    assert not (tmp_path / WIDE).exists()
    assert found is not None
    assert again.volume_id == found.volume_id


async def test_a_file_system_that_cannot_be_looked_into_keeps_no_volume_from_being_made(
    tmp_path: pathlib.Path,
) -> None:
    made_here = rig(tmp_path, STANDARD, SICK, EXTREME)
    made_here.directories.dead.add("bbbb")

    volume = await made_here.create("pvc-1")

    assert volume.context["path"] == "/base/pvc-1"
    assert made_here.roots.opened_hosts == [], "nothing is mounted to find out"


async def test_a_volume_of_ones_own_server_is_known_by_its_record(
    tmp_path: pathlib.Path,
) -> None:
    made_here = rig(tmp_path)
    volume = await made_here.create("pvc-1", server="nas.test:/base")

    found = await made_here.subpaths.find(volume.volume_id)
    forged = await made_here.subpaths.find("nfs#nas.test#/base#pvc-2")
    elsewhere = await made_here.subpaths.find("nfs#nas.test#/other#pvc-1")

    assert found is not None
    assert found.place == server.Place(host="nas.test", base="/base")
    assert forged is None
    assert elsewhere is None


async def test_a_name_is_not_taken_while_the_files_of_its_last_volume_go(
    tmp_path: pathlib.Path,
) -> None:
    made_here = rig(tmp_path, STANDARD)
    await made_here.create("pvc-1", archiveOnDelete="false")
    await made_here.directories.create("aaaa", f"/base/{layout.trash_name('pvc-1')}")
    own = await made_here.create("pvc-2", server="nas.test:/base", archiveOnDelete="false")
    (tmp_path / "nas.test/base" / layout.trash_name("pvc-2")).mkdir()

    with pytest.raises(errors.Busy, match="is being deleted"):
        await made_here.create("pvc-1", archiveOnDelete="false")
    with pytest.raises(errors.Busy, match="is being deleted"):
        await made_here.create("pvc-2", server="nas.test:/base", archiveOnDelete="false")

    assert own.volume_id == "nfs#nas.test#/base#pvc-2"


@pytest.mark.parametrize(
    ("asked", "told"),
    [(1, 1), (GIB, 1), (3 * GIB // 2, 2), (2 * GIB + 1, 3)],
    ids=["a byte", "1 GiB", "1.5 GiB", "above 2 GiB"],
)
async def test_g35_a_quota_is_whole_gib_never_less_than_asked(
    tmp_path: pathlib.Path, asked: int, told: int
) -> None:
    made_here = rig(tmp_path, STANDARD)

    volume = await made_here.create("pvc-1", size=asked, volumeCapacity="true")

    assert volume.capacity_bytes == told * GIB
    assert made_here.directories.quotas == {("aaaa", "/base/pvc-1"): told}
    assert volume.context["volumeCapacity"] == "true"


async def test_g35_a_quota_grows_and_never_shrinks(tmp_path: pathlib.Path) -> None:
    made_here = rig(tmp_path, STANDARD)
    await made_here.create("pvc-1", size=2 * GIB, volumeCapacity="true")
    found = await made_here.subpaths.find("pvc-1")
    assert found is not None

    sizes = [
        await made_here.subpaths.expand(
            found,
            made.ExpandRequest(volume_id="pvc-1", required_bytes=asked * GIB, limit_bytes=0),
        )
        for asked in (3, 1)
    ]

    assert sizes == [3 * GIB, 3 * GIB]
    assert made_here.directories.quotas == {("aaaa", "/base/pvc-1"): 3}
    with pytest.raises(errors.OutOfRange, match="never made smaller"):
        await made_here.subpaths.expand(
            found, made.ExpandRequest(volume_id="pvc-1", required_bytes=0, limit_bytes=GIB)
        )


async def test_g35_a_retry_of_create_does_not_shrink_what_has_grown(tmp_path: pathlib.Path) -> None:
    made_here = rig(tmp_path, STANDARD)
    await made_here.create("pvc-1", size=GIB, volumeCapacity="true")
    found = await made_here.subpaths.find("pvc-1")
    assert found is not None
    await made_here.subpaths.expand(
        found, made.ExpandRequest(volume_id="pvc-1", required_bytes=3 * GIB, limit_bytes=0)
    )

    again = await made_here.create("pvc-1", size=GIB, volumeCapacity="true")

    assert made_here.directories.quotas == {("aaaa", "/base/pvc-1"): 3}
    assert again.capacity_bytes == 3 * GIB


async def test_a_quota_that_a_killed_controller_had_not_set_yet_is_set_by_the_retry(
    tmp_path: pathlib.Path,
) -> None:
    made_here = rig(tmp_path, STANDARD)
    await made_here.create("pvc-1", size=2 * GIB, volumeCapacity="true")
    made_here.directories.quotas.clear()

    await made_here.create("pvc-1", size=2 * GIB, volumeCapacity="true")

    assert made_here.directories.quotas == {("aaaa", "/base/pvc-1"): 2}


# archiveOnDelete, ENABLE_NAS_RECYCLEBIN_CHECK, the recycle bin → what becomes of the files.
G36 = [
    ("true", False, False, "archived"),
    ("true", True, False, "archived"),
    ("true", True, True, "archived"),
    ("false", False, False, "deleted"),
    ("false", False, True, "deleted"),
    ("false", True, False, "archived"),
    ("false", True, True, "deleted"),
]


@pytest.mark.parametrize(("archive", "check", "recycles", "meant"), G36)
async def test_g36_what_becomes_of_the_files(
    tmp_path: pathlib.Path, archive: str, check: bool, recycles: bool, meant: str
) -> None:
    config = settings.NasSettings(check_recycle_bin=check)
    made_here = rig(tmp_path, STANDARD, config=config)
    made_here.directories.recycles = recycles
    base = tmp_path / HOST / "base"
    base.mkdir(parents=True)
    volume = await made_here.create("pvc-1", archiveOnDelete=archive, volumeCapacity="true")
    # The API of this test has no files, so they are put where it would have put them.
    record = layout.Record(archive=archive == "true", capacity_bytes=volume.capacity_bytes)
    tree.make(base, "pvc-1", record)
    (base / "pvc-1/file").write_text("content")
    found = await made_here.subpaths.find("pvc-1")
    assert found is not None

    await made_here.subpaths.delete(found)

    kept = [path for path in base.iterdir() if path.name != layout.RECORDS]
    assert made_here.directories.quotas == {}
    assert tree.read_record(base, "pvc-1") is None
    if meant == "deleted":
        assert kept == []
    else:
        assert (kept[0] / "file").read_text() == "content"


async def test_a_volume_that_its_mount_does_not_show_is_not_called_deleted(
    tmp_path: pathlib.Path,
) -> None:
    made_here = rig(tmp_path, STANDARD)
    await made_here.create("pvc-1")
    (tmp_path / HOST / "base").mkdir(parents=True)
    found = await made_here.subpaths.find("pvc-1")
    assert found is not None

    with pytest.raises(errors.Unavailable, match=r"not seen at .*:/base; retry"):
        await made_here.subpaths.delete(found)

    made_here.directories.there.discard(("aaaa", layout.records("/base", "pvc-1")))
    await made_here.subpaths.delete(found)


async def test_g36_an_id_that_names_another_path_leads_to_nothing(tmp_path: pathlib.Path) -> None:
    made_here = rig(tmp_path, STANDARD)
    await made_here.create("pvc-1")

    for forged in ("base/pvc-1", "../base/pvc-1", ".csi-volumes", "/base/pvc-1"):
        assert await made_here.subpaths.find(forged) is None
    for forged in ("nfs#nas.test#/base/../etc#x", "nfs#nas.test#/base#..", "nfs##/#x"):
        with pytest.raises(errors.InvalidField):
            await made_here.subpaths.find(forged)


def of_cluster(first: Rig, tmp_path: pathlib.Path, cluster_id: str) -> Rig:
    """The controller of another cluster, on the same cloud."""
    there = rig(tmp_path, config=settings.NasSettings(cluster_id=cluster_id))
    again = subpath.Subpaths(
        catalogue=file_systems.Catalogue(first.systems, clock.SystemClock()),
        directories=first.directories,
        roots=first.roots,
        remover=removal.Remover(
            first.roots,
            clock.SystemClock(),
            fake_kubernetes.silent_recorder(),
            cluster_id=cluster_id,
        ),
        config=settings.NasSettings(cluster_id=cluster_id),
    )
    return dataclasses.replace(there, subpaths=again, systems=first.systems)


def show(made_here: Rig, name: str) -> pathlib.Path:
    """Make what the API made seen at the mount, as on a real file system."""
    base = made_here.roots.path / STANDARD.mount_targets[0].domain / "base"
    for file_system_id, path in made_here.directories.there:
        if file_system_id == "aaaa" and path.startswith("/base/"):
            (base / path.removeprefix("/base/")).mkdir(parents=True, exist_ok=True)
    return base / name


@pytest.mark.parametrize("server", ["", "nas.test:/base"], ids=["by the API", "mounted"])
async def test_a_second_cluster_neither_deletes_nor_takes_what_the_first_one_made(
    tmp_path: pathlib.Path, server: str
) -> None:
    first = rig(tmp_path, STANDARD, config=settings.NasSettings(cluster_id="c-1"))
    second = of_cluster(first, tmp_path, "c-2")
    told = {"server": server} if server else {"volumeCapacity": "true"}
    volume = await first.create("pvc-1", **told)
    directory = next(tmp_path.rglob("base/pvc-1")) if server else show(first, "pvc-1")
    quotas = dict(first.directories.quotas)
    found = await second.subpaths.find(volume.volume_id)
    assert found is not None

    with pytest.raises(errors.Precondition, match="cluster c-1"):
        await second.subpaths.delete(found)
    with pytest.raises(errors.Exists, match="another cluster"):
        await second.create("pvc-1", **told)

    assert directory.is_dir()
    assert first.directories.quotas == quotas
    assert await first.create("pvc-1", **told) == volume
    await first.subpaths.delete(found)
    assert not directory.exists()


async def test_a_volume_from_before_clusters_were_noted_is_made_again_and_noted(
    tmp_path: pathlib.Path,
) -> None:
    before = rig(tmp_path, STANDARD)
    volume = await before.create("pvc-1")
    now = of_cluster(before, tmp_path, "c-1")

    assert await now.create("pvc-1") == volume
    with pytest.raises(errors.Exists, match="another cluster"):
        await of_cluster(before, tmp_path, "c-2").create("pvc-1")

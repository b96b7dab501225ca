"""Filesets over an API that answers as its pages say, in memory."""

import asyncio
import re
import types
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from cloud import cpfs_filesets
from core import errors
from csi.cpfs import handles
from csi.cpfs.controller import filesets, marks, params
from tests.fakes import fake_refusals, virtual_clock

FS, OTHER = "bmcpfs-0a1b", "bmcpfs-0c2d"
GIB = 1 << 30
HANDLE = handles.Handle(FS, "fset-1")
WISH = params.parse({"bmcpfsId": FS})


class Nas:
    """`openapi.OpenApi` for filesets.

    there: file system → fileset id → row. shown: how a path looks in an answer. hidden: filesets
    that lists do not show.
    """

    def __init__(self) -> None:
        self.there: dict[str, dict[str, dict[str, Any]]] = {FS: {}, OTHER: {}}
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.shown: Callable[[str], str] = str
        self.before_create: Callable[[], None] = lambda: None
        self.full = False
        self.hidden: set[str] = set()

    def put(self, fileset_id: str, status: str, *, fs: str = FS, name: str = "pvc-1") -> None:
        self.there[fs][fileset_id] = {
            "path": f"/{name}/",
            "status": status,
            "description": f"CSI::{name}",
            "size": 20 * GIB,
        }

    async def call(self, _: object, action: str, told: Mapping[str, Any]) -> Any:
        self.asked.append((action, told))
        if told["FileSystemId"] not in self.there:
            raise fake_refusals.refusal(action, "InvalidFileSystem.NotFound")
        rows = self.there[told["FileSystemId"]]
        return getattr(self, f"_{action}")(action, rows, told)

    def _CreateFileset(self, action: str, rows: dict[str, Any], told: Mapping[str, Any]) -> Any:
        self.before_create()
        path, said = told["FileSystemPath"], told["Description"]
        if self.full:
            raise fake_refusals.refusal(action, "OperationDenied.TooManyFilesets")
        if path.count("/") > 2:
            raise fake_refusals.refusal(action, "InvalidFileSystemPath.ParentNotFound")
        if any(row["path"] == path and row["status"] != "RELEASED" for row in rows.values()):
            raise fake_refusals.refusal(action, "OperationDenied.AlreadyExists")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9:_-]{1,127}", said):
            raise fake_refusals.refusal(action, "InvalidDescription.InvalidFormat")
        size = told["Quota"]["SizeLimit"]
        made = f"fset-new{len(rows)}"
        rows[made] = {"path": path, "status": "CREATED", "description": said, "size": size}
        return types.SimpleNamespace(fset_id=made)

    def _DeleteFileset(self, action: str, rows: dict[str, Any], told: Mapping[str, Any]) -> Any:
        row = rows.get(told["FsetId"])
        if row is None or row["status"] == "RELEASED":
            raise fake_refusals.refusal(action, "InvalidFsetId.NotFound")
        if row.get("protected"):
            raise fake_refusals.refusal(action, "InvalidOperation.DeletionProtection")
        if {each["status"] for each in rows.values()} - {"CREATED", "RELEASED"}:
            raise fake_refusals.refusal(action, "OperationDenied.InvalidState")
        row["status"] = "RELEASING"
        return None

    def _DescribeFilesets(self, _: str, rows: dict[str, Any], told: Mapping[str, Any]) -> Any:
        (wanted,) = told["Filters"]
        assert wanted["Value"].count(",") < 10
        fits = [
            (fileset_id, row)
            for fileset_id, row in rows.items()
            if fileset_id not in self.hidden
            if (wanted["Key"] == "FsetIds" and fileset_id in wanted["Value"].split(","))
            or (wanted["Key"] == "FileSystemPath" and wanted["Value"] in row["path"])
        ]
        entries = types.SimpleNamespace(entrie=[self._entry(*each) for each in fits])
        return types.SimpleNamespace(entries=entries, next_token="")

    def _entry(self, fileset_id: str, row: dict[str, Any]) -> Any:
        return types.SimpleNamespace(
            fset_id=fileset_id,
            file_system_path=self.shown(row["path"]),
            status=row["status"],
            description=row["description"],
            quota=types.SimpleNamespace(size_limit=row["size"], file_count_limit=1_000_000),
            space_usage=0,
            file_count_usage=0,
            deletion_protection=False,
        )


@pytest.fixture
def nas() -> Nas:
    return Nas()


@pytest.fixture
def time() -> virtual_clock.VirtualClock:
    return virtual_clock.VirtualClock()


@pytest.fixture
async def api(nas: Nas, time: virtual_clock.VirtualClock) -> AsyncIterator[cpfs_filesets.Filesets]:
    made = cpfs_filesets.Filesets(nas, time)  # type: ignore[arg-type]
    yield made
    made.close()


@pytest.fixture
def do(api: cpfs_filesets.Filesets, time: virtual_clock.VirtualClock) -> filesets.Filesets:
    return filesets.Filesets(api, time)


async def create(do: filesets.Filesets, **changes: object) -> str:
    made = await do.create(**{"name": "pvc-1", "size_bytes": 20 * GIB, "wish": WISH, **changes})  # type: ignore[arg-type]
    return made.fileset_id


async def test_a_deletion_waits_until_the_other_filesets_are_at_rest(
    do: filesets.Filesets, nas: Nas, time: virtual_clock.VirtualClock
) -> None:
    nas.put("fset-1", "CREATED")
    nas.put("fset-2", "CREATING", name="pvc-2")
    running = asyncio.create_task(do.delete(HANDLE))
    await time.advance(5.0)
    nas.there[FS]["fset-2"]["status"] = "CREATED"
    await time.advance(5.0)
    del nas.there[FS]["fset-1"]
    await time.advance(5.0)

    await running


async def test_a_deletion_goes_on_where_an_earlier_call_gave_up(
    do: filesets.Filesets, nas: Nas, time: virtual_clock.VirtualClock
) -> None:
    nas.put("fset-1", "RELEASING")
    running = asyncio.create_task(do.delete(HANDLE))
    await time.advance(60.0)
    assert not running.done()
    del nas.there[FS]["fset-1"]
    await time.advance(5.0)

    await running


async def test_a_fileset_that_lists_do_not_show_yet_is_not_taken_for_gone(
    do: filesets.Filesets, nas: Nas, time: virtual_clock.VirtualClock
) -> None:
    nas.put("fset-1", "CREATED")
    nas.put("fset-2", "CREATING", name="pvc-2")
    nas.hidden.add("fset-1")
    running = asyncio.create_task(do.delete(HANDLE))
    await time.advance(5.0)
    assert not running.done()
    nas.there[FS]["fset-2"]["status"] = "CREATED"
    await time.advance(5.0)
    await running

    assert nas.there[FS]["fset-1"]["status"] == "RELEASING"


async def test_a_deletion_that_others_keep_off_may_be_tried_again(
    do: filesets.Filesets, nas: Nas, time: virtual_clock.VirtualClock
) -> None:
    nas.put("fset-1", "CREATED")
    nas.put("fset-2", "RELEASING", name="pvc-2")
    running = asyncio.create_task(do.delete(HANDLE))
    await time.advance(60.0)

    with pytest.raises(errors.Unavailable, match="InvalidState"):
        await running


async def test_a_protected_fileset_is_told_as_such(do: filesets.Filesets, nas: Nas) -> None:
    nas.put("fset-1", "CREATED")
    nas.there[FS]["fset-1"]["protected"] = True

    with pytest.raises(errors.Precondition, match="console"):
        await do.delete(HANDLE)


async def test_a_released_fileset_is_gone(
    do: filesets.Filesets, nas: Nas, time: virtual_clock.VirtualClock
) -> None:
    nas.put("fset-1", "CREATED")
    running = asyncio.create_task(do.delete(HANDLE))
    await time.advance(5.0)
    nas.there[FS]["fset-1"]["status"] = "RELEASED"
    await time.advance(5.0)
    await running
    await do.delete(HANDLE)

    assert await do.read(HANDLE) is None
    assert await create(do) == "fset-new1"


@pytest.mark.parametrize("shown", ["pathtoroot/pvc-1", "pathtoroot/pvc-1/", "/pathtoroot/pvc-1/"])
async def test_a_fileset_is_found_however_its_path_is_shown(
    do: filesets.Filesets, nas: Nas, shown: str
) -> None:
    nas.put("fset-1", "CREATED", name="pathtoroot/pvc-1")
    nas.there[FS]["fset-1"]["description"] = "CSI::pvc-1"
    nas.shown = lambda _: shown
    wish = params.parse({"bmcpfsId": FS, "path": "/pathtoroot"})

    made = await do.create("pvc-1", 20 * GIB, wish)

    assert (made.fileset_id, made.path) == ("fset-1", "/pathtoroot/pvc-1/")


async def test_a_volumes_name_that_a_description_may_not_have_is_no_obstacle(
    do: filesets.Filesets,
) -> None:
    name = "pvc-1.of.a_namespace" + "x" * 200

    assert await create(do, name=name) == await create(do, name=name)


async def test_what_another_cluster_made_is_neither_taken_nor_deleted(
    api: cpfs_filesets.Filesets,
    do: filesets.Filesets,
    nas: Nas,
    time: virtual_clock.VirtualClock,
) -> None:
    """A restored backup brings the volume ids of the cluster that it was made in."""
    first = filesets.Filesets(api, time, cluster_id="c-1")
    second = filesets.Filesets(api, time, cluster_id="c-2")
    made = await create(first)

    with pytest.raises(errors.Exists, match="CSI:c-1:pvc-1"):
        await create(second)
    with pytest.raises(errors.Precondition, match="c-1"):
        await second.delete(handles.Handle(FS, made))

    assert nas.there[FS][made]["status"] == "CREATED"
    assert made == await create(first) == await create(do), "one that knows no cluster"
    running = asyncio.create_task(first.delete(handles.Handle(FS, made)))
    await virtual_clock.settle()
    del nas.there[FS][made]
    await time.advance(5.0)
    await running


async def test_what_was_made_before_the_clusters_id_was_known_is_its_own(
    api: cpfs_filesets.Filesets,
    do: filesets.Filesets,
    nas: Nas,
    time: virtual_clock.VirtualClock,
) -> None:
    made = await create(do)
    known = filesets.Filesets(api, time, cluster_id="c-1")

    assert await create(known) == made
    running = asyncio.create_task(known.delete(handles.Handle(FS, made)))
    await virtual_clock.settle()
    assert nas.there[FS][made]["status"] == "RELEASING"
    running.cancel()


@pytest.mark.parametrize("former", ["CSI volume pvc-1.a", "CSI:volume:pvc-1_a"])
async def test_what_a_former_version_made_is_the_volumes(
    api: cpfs_filesets.Filesets, nas: Nas, time: virtual_clock.VirtualClock, former: str
) -> None:
    known = filesets.Filesets(api, time, cluster_id="c-1")
    made = await create(known, name="pvc-1.a")
    nas.there[FS][made]["description"] = former

    assert await create(known, name="pvc-1.a") == made
    nas.there[FS][made]["description"] = former.replace("pvc-1", "pvc-2")
    with pytest.raises(errors.Exists, match=r"not made for volume pvc-1\.a"):
        await create(known, name="pvc-1.a")


@pytest.mark.parametrize("name", ["pvc-1", "pvc-1.of.a_namespace" + "x" * 200, "a" * 128])
@pytest.mark.parametrize("cluster_id", ["", "c0123456789abcdef", "some cluster: of mine" * 9])
def test_a_mark_fits_into_a_description_and_is_read_again(name: str, cluster_id: str) -> None:
    mark = marks.Mark.of(name, cluster_id=cluster_id)

    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9:_-]{1,127}", str(mark))
    assert marks.Mark.parse(str(mark)) == mark
    assert mark.is_of(name)
    assert not mark.is_of(f"x{name}")
    assert not mark.is_foreign_to(cluster_id)
    assert mark.is_foreign_to("other") is bool(cluster_id)


@pytest.mark.parametrize("text", ["", "team-data", "CSI volume ", "CSI:c-1:", "CSI:a:b:c"])
def test_other_descriptions_are_no_marks(text: str) -> None:
    assert marks.Mark.parse(text) is None


async def test_what_another_process_made_meanwhile_is_the_volume(
    do: filesets.Filesets, nas: Nas
) -> None:
    nas.before_create = lambda: nas.put("fset-1", "CREATED")

    assert await create(do) == "fset-1"


async def test_a_missing_parent_and_a_full_file_system_are_told(
    do: filesets.Filesets, nas: Nas
) -> None:
    with pytest.raises(errors.InvalidField, match="/missing/base"):
        await create(do, wish=params.parse({"bmcpfsId": FS, "path": "/missing/base"}))
    nas.full = True
    with pytest.raises(errors.Error) as caught:
        await create(do)

    assert caught.value.kind is errors.Kind.EXHAUSTED


async def test_a_file_system_that_vanishes_fails_nobody_elses_wait(
    do: filesets.Filesets, nas: Nas, time: virtual_clock.VirtualClock
) -> None:
    nas.put("fset-1", "RELEASING")
    nas.put("fset-9", "RELEASING", fs=OTHER)
    running = [
        asyncio.create_task(do.delete(each)) for each in (HANDLE, handles.Handle(OTHER, "fset-9"))
    ]
    await time.advance(5.0)
    del nas.there[OTHER]
    await time.advance(5.0)
    del nas.there[FS]["fset-1"]
    await time.advance(5.0)

    await asyncio.gather(*running)


async def test_many_that_are_waited_for_share_a_look(
    api: cpfs_filesets.Filesets, nas: Nas, time: virtual_clock.VirtualClock
) -> None:
    for n in range(25):
        nas.put(f"fset-{n}", "CREATED", name=f"pvc-{n}")
    waiting = [
        api.wait(FS, f"fset-{n}", lambda seen: seen is not None, what="it") for n in range(25)
    ]
    running = asyncio.gather(*waiting)
    await time.advance(1.0)

    assert [each.fileset_id for each in await running if each] == [f"fset-{n}" for n in range(25)]
    assert len(nas.asked) == 3

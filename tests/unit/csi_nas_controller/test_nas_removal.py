"""Archiving and deleting volumes' files, on a directory of this machine in the server's place."""

import asyncio
import contextlib
import datetime
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import pytest

from core import call, clock, errors
from csi.nas import layout, server, tree
from csi.nas.controller import removal
from tests.fakes import fake_kubernetes

PLACE = server.Place(host="nas.test", base="/base")
ARCHIVE = layout.Record(archive=True, capacity_bytes=1 << 30)
DELETE = layout.Record(archive=False, capacity_bytes=1 << 30)


class LocalRoots:
    """Every place is one directory. opened_times counts mounts."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.opened_times = 0

    def leftovers(self) -> list[pathlib.Path]:
        return []

    def clean_up(self, left: Iterable[pathlib.Path]) -> None:
        pass

    def choose(self, places: Sequence[server.Place]) -> server.Place:
        return places[0]

    @contextlib.contextmanager
    def opened(self, place: server.Place, *, create: bool = False) -> Iterator[pathlib.Path]:
        assert place.base == PLACE.base
        self.opened_times += 1
        yield self.path


@pytest.fixture
def roots(tmp_path: pathlib.Path) -> LocalRoots:
    return LocalRoots(tmp_path)


@pytest.fixture
def remover(roots: LocalRoots) -> removal.Remover:
    return removal.Remover(roots, clock.SystemClock(), fake_kubernetes.silent_recorder())


def make(base: pathlib.Path, name: str, record: layout.Record) -> pathlib.Path:
    tree.make(base, name, record)
    (base / name / "sub").mkdir()
    (base / name / "sub/file").write_text("content")
    return base / name


def names(base: pathlib.Path) -> list[str]:
    return sorted(path.name for path in base.iterdir() if path.name != layout.RECORDS)


async def test_an_archived_volume_keeps_its_files_under_another_name(roots, remover):
    make(roots.path, "pvc-1", ARCHIVE)

    await remover.remove("pvc-1", PLACE)
    await remover.remove("pvc-1", PLACE)

    (kept,) = names(roots.path)
    assert kept.startswith("archived-pvc-1.2")
    assert (roots.path / kept / "sub/file").read_text() == "content"
    assert list((roots.path / layout.RECORDS).iterdir()) == []


async def test_a_deleted_volume_is_gone_and_its_neighbours_are_not(roots, remover):
    volume = make(roots.path, "pvc-1", DELETE)
    neighbour = make(roots.path, "pvc-2", DELETE)
    (volume / "link").symlink_to(neighbour)
    (volume / "sub/up").symlink_to("../../pvc-2/sub")

    await remover.remove("pvc-1", PLACE)

    assert names(roots.path) == ["pvc-2"]
    assert (neighbour / "sub/file").read_text() == "content"
    assert tree.read_record(roots.path, "pvc-2") == DELETE


async def test_a_directory_without_a_record_is_never_touched(roots, remover):
    (roots.path / "pvc-1").mkdir()
    (roots.path / "pvc-1/file").write_text("somebody's")

    await remover.remove("pvc-1", PLACE)

    assert (roots.path / "pvc-1/file").read_text() == "somebody's"


async def test_files_that_no_recycle_bin_would_hold_are_archived_when_asked(roots, remover):
    make(roots.path, "pvc-1", DELETE)

    await remover.remove("pvc-1", PLACE, keep=True)

    (kept,) = names(roots.path)
    assert kept.startswith("archived-pvc-1.")


async def test_two_records_are_not_guessed_between(roots, remover):
    make(roots.path, "pvc-1", DELETE)
    (roots.path / layout.RECORDS / "pvc-1" / str(ARCHIVE)).mkdir()

    with pytest.raises(errors.Internal, match="several records"):
        await remover.remove("pvc-1", PLACE)

    assert names(roots.path) == ["pvc-1"]


@pytest.mark.parametrize("record", [ARCHIVE, DELETE], ids=["archive", "delete"])
async def test_what_another_cluster_made_is_left_alone(roots, record):
    def of(cluster_id: str) -> removal.Remover:
        time = clock.SystemClock()
        recorder = fake_kubernetes.silent_recorder()
        return removal.Remover(roots, time, recorder, cluster_id=cluster_id)

    tree.make(roots.path, "pvc-1", record, owner="c-first")

    with pytest.raises(errors.Precondition, match=r"made by cluster c-first.*by cluster c-second"):
        await of("c-second").remove("pvc-1", PLACE)
    assert names(roots.path) == ["pvc-1"]
    assert tree.read_record(roots.path, "pvc-1") == record

    await of("c-first").remove("pvc-1", PLACE)
    assert "pvc-1" not in names(roots.path)
    assert list((roots.path / layout.RECORDS).iterdir()) == []


@pytest.mark.parametrize(("owner", "cluster_id"), [("", "c-2"), ("c-1", ""), ("", "")])
async def test_where_a_cluster_is_not_known_nothing_is_asked(roots, owner, cluster_id):
    tree.make(roots.path, "pvc-1", DELETE, owner=owner)

    await removal.Remover(
        roots, clock.SystemClock(), fake_kubernetes.silent_recorder(), cluster_id=cluster_id
    ).remove("pvc-1", PLACE)

    assert names(roots.path) == []
    assert list((roots.path / layout.RECORDS).iterdir()) == []


async def test_a_link_in_the_place_of_a_volume_is_refused(roots, remover, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "file").write_text("somebody's")
    tree.make(roots.path, "pvc-1", DELETE)
    (roots.path / "pvc-1").rmdir()
    (roots.path / "pvc-1").symlink_to(elsewhere)

    with pytest.raises(errors.Precondition, match="not a directory"):
        await remover.remove("pvc-1", PLACE)

    assert (elsewhere / "file").read_text() == "somebody's"


STEPS = ("put_aside", "remove", "forget")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_any_step_the_next_call_finishes(roots, monkeypatch, step, after):
    make(roots.path, "pvc-1", DELETE)
    make(roots.path, "pvc-2", DELETE)
    real = getattr(tree, step)

    def killed(*arguments, **limits):
        if after:
            real(*arguments, **limits)
        raise KeyboardInterrupt

    monkeypatch.setattr(tree, step, killed)
    work = removal.Remover(roots, clock.SystemClock(), fake_kubernetes.silent_recorder())
    with pytest.raises(KeyboardInterrupt):
        work._remove("pvc-1", PLACE, keep=False)
    monkeypatch.setattr(tree, step, real)

    await removal.Remover(roots, clock.SystemClock(), fake_kubernetes.silent_recorder()).remove(
        "pvc-1", PLACE
    )

    assert names(roots.path) == ["pvc-2"]
    assert tree.read_record(roots.path, "pvc-1") is None
    assert not (roots.path / layout.trash_name("pvc-1")).exists()


@pytest.mark.parametrize("record", [ARCHIVE, DELETE], ids=["archive", "delete"])
@pytest.mark.parametrize("step", ["archive", *STEPS])
async def test_another_replica_may_be_through_before_any_step(
    roots, remover, monkeypatch, step, record
):
    """One that lost its Lease goes on with what it began, beside the new leader."""
    make(roots.path, "pvc-1", record)
    make(roots.path, "pvc-2", DELETE)
    other = removal.Remover(roots, clock.SystemClock(), fake_kubernetes.silent_recorder())
    real = getattr(tree, step)

    def overtaken(*arguments, **limits):
        monkeypatch.setattr(tree, step, real)
        other._remove("pvc-1", PLACE, keep=False)
        return real(*arguments, **limits)

    monkeypatch.setattr(tree, step, overtaken)
    await remover.remove("pvc-1", PLACE)

    kept = [name for name in names(roots.path) if name != "pvc-2"]
    assert [name.startswith("archived-pvc-1.") for name in kept] == [True] * record.archive
    assert (roots.path / "pvc-2/sub/file").read_text() == "content"
    assert [each.name for each in (roots.path / layout.RECORDS).iterdir()] == ["pvc-2"]


@pytest.mark.parametrize("record", [ARCHIVE, DELETE], ids=["archive", "delete"])
async def test_another_replica_may_rename_the_directory_that_was_just_seen(
    roots, remover, monkeypatch, record
):
    volume = make(roots.path, "pvc-1", record)
    other = removal.Remover(roots, clock.SystemClock(), fake_kubernetes.silent_recorder())
    real = tree._is_directory

    def sees(path):
        found = real(path)
        if path == volume and found:
            monkeypatch.setattr(tree, "_is_directory", real)
            other._remove("pvc-1", PLACE, keep=False)
        return found

    monkeypatch.setattr(tree, "_is_directory", sees)
    await remover.remove("pvc-1", PLACE)

    assert len(names(roots.path)) == int(record.archive)
    assert list((roots.path / layout.RECORDS).iterdir()) == []


def killed_before(monkeypatch, owner, name, nth=1):
    """Have the process end before the *nth* call of `owner.name`; one to be restored after."""
    real, calls = getattr(owner, name), []

    def killed(*arguments, **more):
        calls.append(arguments)
        if len(calls) == nth:
            raise KeyboardInterrupt
        return real(*arguments, **more)

    monkeypatch.setattr(owner, name, killed)


@pytest.mark.parametrize("nth", range(1, 6))
async def test_killed_while_a_record_goes_its_name_is_free_or_it_is_whole(
    roots, remover, monkeypatch, nth
):
    tree.make(roots.path, "pvc-1", DELETE, owner="c-1")
    records = roots.path / layout.RECORDS
    with monkeypatch.context() as patch:
        killed_before(patch, pathlib.Path, "rmdir", nth)
        with contextlib.suppress(KeyboardInterrupt):
            tree.forget(roots.path, "pvc-1")

    # What the cloud's list of directories shows of the volume.
    assert not (records / "pvc-1").exists() or tree.read_record(roots.path, "pvc-1") == DELETE
    tree.make(roots.path, "pvc-1", DELETE)
    await remover.remove("pvc-1", PLACE)
    assert list(records.iterdir()) == []


async def test_a_record_that_says_nothing_goes_with_the_next_deletion(roots, remover):
    (roots.path / layout.RECORDS / "pvc-1").mkdir(parents=True)
    (roots.path / layout.RECORDS / "pvc-2/what").mkdir(parents=True)

    gone = [await remover.remove(name, PLACE) for name in ("pvc-1", "pvc-2", "pvc-3")]

    assert gone == [False, False, False]
    assert [each.name for each in (roots.path / layout.RECORDS).iterdir()] == ["pvc-2"]


# Of the four directories that are made, the volume's is the last.
@pytest.mark.parametrize(("step", "nth"), [*(("chmod", n) for n in range(1, 6)), ("rename", 1)])
def test_killed_while_a_volume_is_made_it_is_open_to_all_in_the_end(roots, monkeypatch, step, nth):
    with monkeypatch.context() as patch:
        killed_before(patch, pathlib.Path, step, nth)
        with pytest.raises(KeyboardInterrupt):
            tree.make(roots.path, "pvc-1", DELETE)

    tree.make(roots.path, "pvc-1", DELETE)

    assert (roots.path / "pvc-1").stat().st_mode & 0o777 == 0o777
    assert [each.name for each in (roots.path / layout.RECORDS).iterdir()] == ["pvc-1"]


async def test_nothing_is_left_of_a_volume_that_was_never_whole(roots, remover, monkeypatch):
    with monkeypatch.context() as patch:
        killed_before(patch, pathlib.Path, "rename")
        with pytest.raises(KeyboardInterrupt):
            tree.make(roots.path, "pvc-1", DELETE)

    await remover.remove("pvc-1", PLACE)

    assert names(roots.path) == []
    assert list((roots.path / layout.RECORDS).iterdir()) == []


def test_a_volume_that_another_replica_made_meanwhile_stays_as_it_is(roots, monkeypatch):
    real = pathlib.Path.rename

    def overtaken(path, target):
        monkeypatch.setattr(pathlib.Path, "rename", real)
        tree.make(roots.path, "pvc-1", DELETE)
        (roots.path / "pvc-1/file").write_text("content")
        return real(path, target)

    monkeypatch.setattr(pathlib.Path, "rename", overtaken)
    tree.make(roots.path, "pvc-1", DELETE)

    assert (roots.path / "pvc-1/file").read_text() == "content"
    assert [each.name for each in (roots.path / layout.RECORDS).iterdir()] == ["pvc-1"]


async def test_what_was_put_aside_is_archived_when_the_recycle_bin_is_off_meanwhile(roots, remover):
    make(roots.path, "pvc-1", DELETE)
    tree.put_aside(roots.path, "pvc-1")

    await remover.remove("pvc-1", PLACE, keep=True)

    (kept,) = names(roots.path)
    assert (roots.path / kept / "sub/file").read_text() == "content"
    assert not tree.is_going(roots.path, "pvc-1")
    assert list((roots.path / layout.RECORDS).iterdir()) == []


async def test_long_deletions_keep_nobody_from_archiving_on_their_server(
    roots, monkeypatch, tmp_path_factory
):
    made = removal.Remover(roots, clock.SystemClock(), fake_kubernetes.silent_recorder())
    programs = tmp_path_factory.mktemp("bin")
    started = programs / "started"
    started.touch()
    (programs / "rm").write_text(f"#!/bin/sh\necho >>{started}\nexec sleep 60\n")
    (programs / "rm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(removal, "_QUICK_S", 0.1)
    large = [f"pvc-large-{n}" for n in range(6)]
    for name in large:
        make(roots.path, name, DELETE)
    make(roots.path, "pvc-1", ARCHIVE)
    going = [asyncio.create_task(made.remove(name, PLACE)) for name in large]
    try:
        async with asyncio.timeout(30):
            while started.read_text().count("\n") < len(large) + 4:
                await asyncio.sleep(0.05)
            await made.remove("pvc-1", PLACE)
    finally:
        await made.close()
        await asyncio.gather(*going, return_exceptions=True)

    assert [name.startswith("archived-pvc-1.") for name in names(roots.path)] == [True]


async def test_a_long_removal_outlives_its_call_and_is_joined_by_the_next(
    roots, remover, monkeypatch
):
    make(roots.path, "pvc-1", DELETE)
    go_on = asyncio.Event()
    loop = asyncio.get_running_loop()
    real = tree.remove

    def slow(trash, stopping, *, limit_s):
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
        return real(trash, stopping, limit_s=limit_s)

    monkeypatch.setattr(tree, "remove", slow)
    call.enter(call.Call("1", "DeleteVolume", deadline_s=clock.SystemClock().monotonic_s() + 0.6))
    with pytest.raises(errors.DeadlineExceeded, match="the job goes on"):
        await remover.remove("pvc-1", PLACE)
    call.enter(call.Call("2", "DeleteVolume"))
    go_on.set()

    await remover.remove("pvc-1", PLACE)

    assert names(roots.path) == []
    assert roots.opened_times == 1


async def test_a_failure_reaches_whoever_waits_and_the_next_call_tries_again(
    roots, remover, monkeypatch
):
    make(roots.path, "pvc-1", DELETE)
    real = tree.remove

    def fails(trash, stopping, *, limit_s):
        raise errors.Unavailable("the server went away")

    monkeypatch.setattr(tree, "remove", fails)
    with pytest.raises(errors.Unavailable):
        await remover.remove("pvc-1", PLACE)
    monkeypatch.setattr(tree, "remove", real)

    await remover.remove("pvc-1", PLACE)

    assert names(roots.path) == []


@pytest.mark.parametrize("record", [ARCHIVE, DELETE, layout.Record(archive=True, capacity_bytes=0)])
def test_a_record_is_read_as_it_was_written(record):
    assert layout.Record.parse(str(record)) == record


@pytest.mark.parametrize("text", ["", "archive", "archive-", "delete-1x", "Archive-1", "delete--1"])
def test_what_is_no_record_is_none(text):
    assert layout.Record.parse(text) is None


def test_archives_are_told_apart_by_time():
    at = datetime.datetime(2026, 11, 24, 1, 2, 3, tzinfo=datetime.UTC)

    assert layout.archived_name("pvc-1", at) == "archived-pvc-1.20261124010203"


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a b", "-rf", "ä", "a\n"])
def test_names_that_are_no_directory_are_refused(name):
    with pytest.raises(errors.InvalidField):
        layout.require_name("name", name)


@pytest.mark.parametrize("part", ["", "/pvc-1"], ids=["all records", "the volume's"])
async def test_links_in_the_place_of_records_lead_nowhere(roots, remover, tmp_path_factory, part):
    make(roots.path, "pvc-1", DELETE)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "moved"
    records = roots.path / f"{layout.RECORDS}{part}"
    records.rename(elsewhere)
    records.symlink_to(elsewhere)

    with pytest.raises(errors.Precondition, match="not a directory"):
        await remover.remove("pvc-1", PLACE)

    assert (roots.path / "pvc-1/sub/file").read_text() == "content"
    assert list(elsewhere.iterdir()) != []


async def test_a_closing_driver_stops_what_it_deletes_and_the_next_one_goes_on(
    roots, remover, monkeypatch, tmp_path_factory
):
    make(roots.path, "pvc-1", DELETE)
    programs = tmp_path_factory.mktemp("bin")
    (programs / "rm").write_text("#!/bin/sh\nexec sleep 60\n")
    (programs / "rm").chmod(0o755)
    call.enter(call.Call("1", "DeleteVolume", deadline_s=clock.SystemClock().monotonic_s() + 1.0))
    with monkeypatch.context() as slow:
        slow.setenv("PATH", f"{programs}:/usr/bin:/bin")
        with pytest.raises(errors.DeadlineExceeded):
            await remover.remove("pvc-1", PLACE)
        was_removing = remover.is_removing("pvc-1")
        (job,) = remover._jobs.values()
        await remover.close()
        await asyncio.wait({job}, timeout=5)
    call.enter(call.Call("2", "DeleteVolume"))
    await removal.Remover(roots, clock.SystemClock(), fake_kubernetes.silent_recorder()).remove(
        "pvc-1", PLACE
    )

    assert was_removing
    assert job.done()
    assert names(roots.path) == []


async def test_what_cannot_be_deleted_is_told_in_the_words_of_rm(
    roots, remover, monkeypatch, tmp_path
):
    programs = tmp_path / "programs"
    programs.mkdir()
    make(roots.path, "pvc-1", DELETE)
    (programs / "rm").write_text("#!/bin/sh\necho 'rm: file: not today' >&2\nexit 1\n")
    (programs / "rm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")

    with pytest.raises(errors.Internal, match="cannot all be deleted: rm: file: not today"):
        await remover.remove("pvc-1", PLACE)

    assert tree.read_record(roots.path, "pvc-1") == DELETE
    assert tree.is_going(roots.path, "pvc-1")


async def test_volumes_of_one_name_on_two_servers_are_two(roots, remover):
    other = server.Place(host="other.test", base=PLACE.base)

    await asyncio.gather(remover.remove("pvc-1", PLACE), remover.remove("pvc-1", other))

    assert roots.opened_times == 2

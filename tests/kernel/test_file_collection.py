"""Which files of LoopDevice volumes a collection removes, on a real file system."""

import contextlib
import os
import pathlib
import threading
from collections.abc import Iterator

import pytest

from core import errors
from core import settings as core_settings
from csi.lvm import collection, model, params, settings
from csi.lvm.stores import file_sweep, loop_files
from host import marks
from tests.support.machine import run

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for notes on files and loop devices"),
]
MIB = 1 << 20
NOW_S = 2_000_000_000


class Files:
    """A node's files, and what the cluster names."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        config = settings.read(
            core_settings.Reader({"LOCAL_SPARSE_TEMPLATE_FILEDIR": str(directory)})
        )
        self.store = loop_files.LoopFiles(config)
        self.sweep = file_sweep.FileSweep(self.store)

    def make(self, name: str, *, ephemeral: bool = False) -> pathlib.Path:
        self.store.create(
            model.VolumeWish(
                name=name,
                volume_id=name,
                required_bytes=16 * MIB,
                limit_bytes=0,
                parameters=params.Parameters(volume_type=params.VolumeType.LOOP_DEVICE),
                ephemeral=ephemeral,
            )
        )
        return self.directory / f"{name}.img"

    def collect(
        self, *named: str, inline: tuple[str, ...] = (), retained: tuple[str, ...] = ()
    ) -> None:
        """One pass, an hour after the last one."""
        told = collection.Named(
            volumes=frozenset(named), inline=frozenset(inline), retained=frozenset(retained)
        )
        for each in self.sweep.candidates():
            fate = collection.fate(each, told, now_s=NOW_S, wait_s=0.0)
            with contextlib.suppress(errors.Busy):
                self.sweep.carry_out(each, fate)

    def left(self) -> set[str]:
        return {path.name for path in self.directory.iterdir()}


@pytest.fixture
def files(tmp_path: pathlib.Path) -> Files:
    directory = tmp_path / "files"
    directory.mkdir()
    return Files(directory)


@contextlib.contextmanager
def mounted(file: pathlib.Path, at: pathlib.Path) -> Iterator[None]:
    run("mkfs.ext4", "-q", file)
    at.mkdir()
    run("mount", "-o", "loop", file, at)
    try:
        yield
    finally:
        run("umount", at)


def test_what_nobody_names_goes_at_the_second_pass_and_nothing_else(
    files: Files, tmp_path: pathlib.Path
) -> None:
    for name in ("pvc-named", "pvc-leaked", "pvc-used"):
        files.make(name)
    for name in ("csi-pod", "csi-gone"):
        files.make(name, ephemeral=True)
    files.make("pvc-half").rename(files.directory / "pvc-half.img-making")
    for name in ("theirs.img", "ext4.img", "theirs.img-making", ".todogc"):
        (files.directory / name).write_bytes(b"of somebody else")
    (files.directory / "link.img").symlink_to(files.directory / "pvc-named.img")
    kept = files.left() - {"pvc-leaked.img", "csi-gone.img", "pvc-half.img-making"}

    with mounted(files.directory / "pvc-used.img", tmp_path / "mounted"):
        files.collect("pvc-named", inline=("csi-pod",))
        assert kept < files.left()
        files.collect("pvc-named", inline=("csi-pod",))

    assert files.left() == kept


def test_a_file_that_is_named_or_staged_in_between_loses_its_note(files: Files) -> None:
    named, staged = files.make("pvc-1"), files.make("pvc-2")
    files.collect()
    assert marks.read(named, loop_files.STALE)

    try:
        files.store.open("pvc-2")
    finally:
        files.store.release("pvc-2")
    files.collect("pvc-1")

    assert [marks.read(named, loop_files.STALE), files.left()] == ["", {"pvc-1.img", "pvc-2.img"}]
    assert marks.read(staged, loop_files.STALE)  # it is looked at anew


def test_a_file_whose_volume_was_retained_stays(files: Files) -> None:
    file = files.make("pvc-1")
    files.collect("pvc-1", retained=("pvc-1",))
    for _ in range(3):
        files.collect()
    assert files.left() == {"pvc-1.img"}

    marks.remove(file, file_sweep.RETAINED)
    for _ in range(2):
        files.collect()

    assert files.left() == set()


def test_a_file_that_was_made_anew_since_is_not_what_was_seen(files: Files) -> None:
    files.make("pvc-1")
    files.collect()
    (seen,) = files.sweep.candidates()
    files.store.delete("pvc-1")
    files.make("pvc-1")

    files.sweep.carry_out(seen, collection.Fate.REMOVE)

    assert "pvc-1.img" in files.left()


def test_a_record_that_cannot_be_understood_keeps_its_file_and_holds_up_no_other(
    files: Files,
) -> None:
    marks.write(files.make("pvc-1"), "csi-local", "{")
    files.make("pvc-2")

    for _ in range(2):
        files.collect()

    assert files.left() == {"pvc-1.img"}


def test_a_file_that_is_staged_while_it_goes_is_either_kept_or_gone(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver of the older name stages it meanwhile, which shares no lock with this one."""
    files.make("pvc-1")
    files.collect()
    other = Files(files.directory)
    asked = threading.Event()
    attached: list[model.Opened] = []
    delete = files.store.delete

    def stage() -> None:
        asked.set()
        with contextlib.suppress(errors.Precondition):
            attached.append(other.store.open("pvc-1"))

    stager = threading.Thread(target=stage)

    def delete_meanwhile(name: str) -> bool:
        stager.start()
        assert asked.wait(20)
        stager.join(0.2)  # it must not get on; if it does, it is waited for
        return delete(name)

    monkeypatch.setattr(files.store, "delete", delete_meanwhile)

    files.collect()
    stager.join()

    assert (files.left(), attached) == (set(), [])

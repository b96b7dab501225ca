"""Directories of volumes that two replicas of the controller make at once."""

import pathlib
from collections.abc import Callable

import pytest

from csi.nas import layout, tree

RECORD = layout.Record(archive=False, capacity_bytes=1 << 30)
NAME = "pvc-1"


@pytest.fixture
def new(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / layout.new_name(NAME)


def require_made(base: pathlib.Path, new: pathlib.Path) -> None:
    assert (base / NAME).stat().st_mode & 0o777 == 0o777
    assert not new.exists()
    assert tree.read_record(base, NAME) == RECORD


def around(
    monkeypatch: pytest.MonkeyPatch,
    new: pathlib.Path,
    *,
    before: Callable[[], object] = lambda: None,
    after: Callable[[], object] = lambda: None,
) -> None:
    """What another replica does *before* and *after* we make the new directory."""
    real = tree._ensure_dir

    def ensure_dir(path: pathlib.Path, mode: int) -> None:
        if path == new:
            before()
        real(path, mode)
        if path == new:
            after()

    monkeypatch.setattr(tree, "_ensure_dir", ensure_dir)


def test_another_replica_may_rename_the_new_directory_as_soon_as_it_is_there(
    tmp_path: pathlib.Path, new: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around(monkeypatch, new, after=lambda: new.rename(tmp_path / NAME))

    tree.make(tmp_path, NAME, RECORD)

    require_made(tmp_path, new)


def test_a_new_directory_that_goes_while_it_is_looked_at_is_no_fault(
    tmp_path: pathlib.Path, new: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tree._is_directory

    def is_directory(path: pathlib.Path) -> bool:
        if path == new:
            new.chmod(0o777)
            new.rename(tmp_path / NAME)
        return real(path)

    tree._make_record(tmp_path, NAME, RECORD, "")
    new.mkdir()
    monkeypatch.setattr(tree, "_is_directory", is_directory)

    tree.make(tmp_path, NAME, RECORD)

    require_made(tmp_path, new)


def test_the_directory_of_a_faster_replica_is_not_replaced(
    tmp_path: pathlib.Path, new: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def faster() -> None:
        (tmp_path / NAME).mkdir()
        (tmp_path / NAME).chmod(0o777)
        seen.append((tmp_path / NAME).stat().st_ino)

    around(monkeypatch, new, before=faster)

    tree.make(tmp_path, NAME, RECORD)

    require_made(tmp_path, new)
    assert seen == [(tmp_path / NAME).stat().st_ino], "pods may have mounted that one"

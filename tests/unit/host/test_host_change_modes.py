"""Modes of a tree in which others exchange what is there."""

import os
import pathlib
import stat

import pytest

from host import change_modes


def mode_of(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def top(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "top"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def outside(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "outside"
    (path / "inner").mkdir(parents=True, mode=0o700)
    path.chmod(0o700)
    (path / "inner/file").touch(mode=0o600)
    return path


def test_all_is_changed_whatever_it_is_but_nothing_behind_a_link(
    top: pathlib.Path, outside: pathlib.Path
) -> None:
    (top / "a/b").mkdir(parents=True)
    (top / "a/b/file").touch(mode=0o600)
    os.mkfifo(top / "a/pipe", mode=0o600)
    (top / "closed").mkdir(mode=0o000)
    (top / "link").symlink_to(outside)
    (top / "a/dangling").symlink_to("nothing")
    (top / "shared").mkdir()
    (top / "shared").chmod(0o2700)

    assert change_modes.main(["0751", str(top)]) == 0

    changed = ["", "a", "a/b", "a/b/file", "a/pipe", "closed"]
    assert {name: mode_of(top / name) for name in changed} == dict.fromkeys(changed, 0o751)
    assert mode_of(top / "shared") == 0o2751, "as chmod(1), which keeps a directory's bits"
    assert mode_of(outside) == 0o700


@pytest.mark.parametrize("kind", ["file", "directory"])
@pytest.mark.parametrize("when", ["before it is held", "while it is held"])
def test_who_exchanges_an_entry_for_a_link_leads_it_nowhere(
    top: pathlib.Path,
    outside: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    when: str,
) -> None:
    victim = top / "victim"
    victim.touch() if kind == "file" else victim.mkdir()
    real = os.open

    def exchanging(path: str, flags: int, *, dir_fd: int | None = None) -> int:
        def exchange() -> None:
            victim.rename(top.parent / "away")
            victim.symlink_to(outside / "inner" / ("file" if kind == "file" else ""))

        if path != "victim":
            return real(path, flags, dir_fd=dir_fd)
        if when == "before it is held":
            exchange()
            return real(path, flags, dir_fd=dir_fd)
        held = real(path, flags, dir_fd=dir_fd)
        exchange()
        return held

    monkeypatch.setattr(os, "open", exchanging)
    walk = change_modes.Walk(0o777)
    walk.change(str(top))

    assert walk.failed == 0
    assert mode_of(outside / "inner") == 0o700
    assert mode_of(outside / "inner/file") == 0o600
    held = when == "while it is held"
    assert (mode_of(top.parent / "away") == 0o777) is held


def test_what_is_deleted_meanwhile_is_no_failure(
    top: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (top / name).touch(mode=0o600)
    real = os.open

    def deleting(path: str, flags: int, *, dir_fd: int | None = None) -> int:
        if path == "a":
            (top / "a").unlink()
        return real(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", deleting)

    assert change_modes.main(["0640", str(top)]) == 0
    assert mode_of(top / "b") == 0o640


def test_a_tree_that_is_too_deep_is_changed_as_far_as_that_goes_and_told(
    top: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(change_modes, "_DEPTH_MAX", 3)
    (top / "a/b/c/d").mkdir(parents=True)
    (top / "z").touch(mode=0o600)

    assert change_modes.main(["0770", str(top)]) == 1

    assert mode_of(top / "a/b/c") == 0o770
    assert mode_of(top / "z") == 0o770
    said = capsys.readouterr().err
    assert said == f"{top}/a/b/c: lies below 3 directories (1 could not be changed)\n"


def test_a_directory_that_is_not_there_is_told(
    top: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert change_modes.main(["0770", str(top / "missing")]) == 1
    assert capsys.readouterr().err == f"{top}/missing: No such file or directory\n"

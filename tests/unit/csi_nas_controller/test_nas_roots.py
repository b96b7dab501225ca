"""Base directories: what is tried when a mount is refused. mount.nfs is a program of ours here."""

import errno
import os
import pathlib
import socket
from collections.abc import Iterator

import pytest

from core import errors
from csi.nas import roots, server
from host import files, nfs

PROGRAM = """#!/bin/sh
echo "$*" >>'{log}'
grep -q . '{answers}' || exit 0
head -n1 '{answers}' >&2
sed -i 1d '{answers}'
exit 32
"""
DENIED = "mount.nfs: access denied by server while mounting"
REFUSED = "mount.nfs: Connection refused"


class Mounts:
    """What mount.nfs was asked, and what it answers: an error a line, then success.

    It mounts nothing: what is done in a mount happens in its empty directory.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self.log, self.answers = directory / "log", directory / "answers"
        self.log.touch()
        program = directory / "mount.nfs"
        program.write_text(PROGRAM.format(log=self.log, answers=self.answers))
        program.chmod(0o755)

    def answer(self, *said: str) -> None:
        self.answers.write_text("".join(f"{each}\n" for each in said))

    @property
    def asked(self) -> list[tuple[str, str]]:
        """(source, version) of each call."""
        words = [line.split() for line in self.log.read_text().splitlines()]
        return [(each[0], each[-1].split(",")[0]) for each in words]


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def mounting(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Mounts:
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return Mounts(programs)


@pytest.fixture
def made(tmp_path: pathlib.Path, listening: socket.socket) -> roots.Roots:
    return roots.Roots(tmp_path / "work", port=listening.getsockname()[1])


PLACE = server.Place(host="127.0.0.1", base="/a/b")


def test_a_base_that_nas_denies_is_made_through_the_root(
    mounting: Mounts, made: roots.Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories: list[str] = []
    monkeypatch.setattr(
        files, "ensure_dirs_below", lambda root, below, mode: directories.append(str(below))
    )
    mounting.answer(DENIED)

    with made.opened(PLACE, create=True):
        pass

    assert directories == ["a/b"]
    assert [source for source, _ in mounting.asked] == [
        "127.0.0.1:/a/b",
        "127.0.0.1:/",
        "127.0.0.1:/a/b",
    ]


def test_who_only_looks_is_told_that_a_denied_base_is_missing_and_makes_none(
    mounting: Mounts, made: roots.Roots
) -> None:
    mounting.answer(DENIED)

    with pytest.raises(nfs.NoSuchDirectory, match="does not exist"), made.opened(PLACE):
        pass

    assert [source for source, _ in mounting.asked] == ["127.0.0.1:/a/b", "127.0.0.1:/"]


def test_a_denied_base_of_a_denied_root_is_not_called_missing(
    mounting: Mounts, made: roots.Roots
) -> None:
    mounting.answer(DENIED, DENIED)

    with pytest.raises(nfs.AccessDenied), made.opened(PLACE):
        pass


def test_a_server_without_the_helpers_of_version_3_is_mounted_with_4(
    mounting: Mounts, made: roots.Roots
) -> None:
    mounting.answer(REFUSED)

    with made.opened(PLACE):
        pass

    assert [version for _, version in mounting.asked] == ["vers=3", "vers=4.0"]


def test_a_server_that_is_gone_is_told_before_anything_is_mounted(
    mounting: Mounts, made: roots.Roots, listening: socket.socket
) -> None:
    listening.close()

    with pytest.raises(nfs.NoAnswer, match="does not answer on TCP port"), made.opened(PLACE):
        pass

    assert mounting.asked == []


def test_a_server_that_goes_away_meanwhile_is_unavailable(
    mounting: Mounts, made: roots.Roots
) -> None:
    with pytest.raises(errors.Unavailable, match="went away"), made.opened(PLACE):
        raise OSError(5, "Input/output error")


def test_what_a_killed_process_left_is_removed_and_nothing_else(
    made: roots.Roots, tmp_path: pathlib.Path
) -> None:
    for name in ("root-old", "loop-image"):
        (tmp_path / "work" / name).mkdir(parents=True)

    made.clean_up(made.leftovers())

    assert [path.name for path in (tmp_path / "work").iterdir()] == ["loop-image"]


def test_those_who_need_a_base_at_once_share_one_mount(mounting: Mounts, made: roots.Roots) -> None:
    with made.opened(PLACE) as first:
        with made.opened(PLACE) as second:
            assert second == first
        assert first.exists(), "the first one still works in it"
    with made.opened(PLACE) as third:
        assert third != first

    assert mounting.asked == [("127.0.0.1:/a/b", "vers=3")] * 2
    assert made.leftovers() == []


def test_a_mount_that_failed_its_user_is_not_given_to_the_next_one(
    mounting: Mounts, made: roots.Roots
) -> None:
    with made.opened(PLACE) as first:
        with pytest.raises(errors.Unavailable), made.opened(PLACE):
            raise TimeoutError(110, "Connection timed out")
        with made.opened(PLACE) as second:
            assert second != first

    assert made.leftovers() == []


def test_a_refused_mount_is_everybodys_own(mounting: Mounts, made: roots.Roots) -> None:
    mounting.answer(DENIED, *[DENIED] * 3)
    for _ in range(2):
        with pytest.raises(errors.Error), made.opened(server.Place(host="127.0.0.1", base="/")):
            pass
    assert made.leftovers() == []


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        (errno.EACCES, errors.Precondition, "no_root_squash"),
        (errno.EPERM, errors.Precondition, "no_root_squash"),
        (errno.EROFS, errors.Precondition, "rw"),
        (errno.ENOSPC, errors.Exhausted, "no room"),
        (errno.EDQUOT, errors.Exhausted, "no room"),
    ],
)
def test_what_a_server_does_not_let_us_do_is_told_with_what_to_do(
    made: roots.Roots, mounting: Mounts, number: int, kind: type[errors.Error], hint: str
) -> None:
    with pytest.raises(kind, match=hint) as caught, made.opened(PLACE):
        raise OSError(number, os.strerror(number))

    assert str(PLACE) in str(caught.value)
    assert os.strerror(number) in str(caught.value)


def test_of_several_ways_in_the_first_that_answers_is_taken(made: roots.Roots) -> None:
    # Nobody listens at 127.0.0.2: the socket of `listening` is of 127.0.0.1 alone.
    closed = server.Place(host="127.0.0.2", base="/")
    another = server.Place(host="127.0.0.3", base="/")

    assert made.choose([closed, PLACE, another]) == PLACE
    assert made.choose([another, closed]) == another


def test_a_server_at_another_port_is_asked_and_mounted_there_and_so_is_its_root(
    mounting: Mounts,
    tmp_path: pathlib.Path,
    listening: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "ensure_dirs_below", lambda *_, **__: None)
    port = listening.getsockname()[1]
    at_usual_port = roots.Roots(tmp_path / "work", port=1)
    mounting.answer(DENIED)

    with at_usual_port.opened(PLACE, create=True, port=port):
        pass
    with pytest.raises(nfs.NoAnswer, match="port 1 "), at_usual_port.opened(PLACE):
        pass

    calls = mounting.log.read_text().splitlines()
    assert [source for source, _ in mounting.asked] == [
        *("127.0.0.1:/a/b", "127.0.0.1:/", "127.0.0.1:/a/b"),
    ]
    assert all(line.endswith(f",port={port}") for line in calls)

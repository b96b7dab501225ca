"""Directories for mounts, made where others can write too."""

import os
import pathlib

import pytest

from core import errors
from host import files


def test_directories_are_made_with_their_parents_and_those_there_stay(
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / "a").mkdir(mode=0o700)

    for _ in range(2):
        files.ensure_dirs_below(tmp_path, pathlib.PurePosixPath("a/b/c"), mode=0o755)

    assert (tmp_path / "a/b/c").is_dir()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("there", ["link", "file"])
def test_a_link_or_file_on_the_way_is_refused_and_not_followed(
    tmp_path: pathlib.Path, there: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root/file").write_text("")

    with pytest.raises(errors.Precondition, match=f"'{there}' of {there}/made"):
        files.ensure_dirs_below(
            tmp_path / "root", pathlib.PurePosixPath(f"{there}/made"), mode=0o755
        )

    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_CREAT | os.O_TRUNC])
def test_only_a_regular_file_is_opened_among_what_others_put_there(
    tmp_path: pathlib.Path, flags: int
) -> None:
    target = tmp_path / "target"
    target.write_text("content")
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()

    for name in ("link", "dangling", "pipe", "directory"):
        with (
            pytest.raises(errors.Precondition, match=f"{name} is not a regular file"),
            files.opened_plain(tmp_path / name, flags),
        ):
            pass
    with files.opened_plain(target, flags) as fd:
        blocking = os.get_blocking(fd)

    assert blocking
    assert not (tmp_path / "nothing").exists()
    assert target.read_text() == ("" if flags & os.O_TRUNC else "content")

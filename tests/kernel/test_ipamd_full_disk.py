"""The state database on a disk without room."""

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from core import errors
from ipamd import store

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount"),
]


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def fill(disk: pathlib.Path) -> pathlib.Path:
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    assert os.statvfs(disk).f_bavail == 0
    return filler


def test_a_database_that_was_closed_is_opened_without_room_and_written_once_there_is_some(
    disk: pathlib.Path,
) -> None:
    first = store.Store(disk / "ipamd.db")
    first.put_fact("a", "before")
    first.close()
    filler = fill(disk)

    opened = store.Store(disk / "ipamd.db")
    assert opened.load().facts == {"a": "before"}
    with pytest.raises(errors.Unavailable, match="full"):
        opened.put_fact("a", "while")

    filler.unlink()
    opened.put_fact("a", "after")
    opened.close()
    again = store.Store(disk / "ipamd.db")
    assert again.load().facts == {"a": "after"}
    again.close()


def test_a_new_database_without_room_is_refused_and_says_what_to_look_at(
    disk: pathlib.Path,
) -> None:
    fill(disk)

    with pytest.raises(store.StoreUnusable, match="is the disk full or gone"):
        store.Store(disk / "ipamd.db")

"""Credential files: spec/csi-driver.md G 46."""

import pathlib

import pytest

from core import errors
from csi.mounter import credentials

OLD = {"AccessKeyId": "a", "AccessKeySecret": "b", "SecurityToken": "c", "Expiration": "d"}
NEW = {**OLD, "SecurityToken": "c2"}


def test_g46_an_unchanged_token_is_not_written(tmp_path: pathlib.Path) -> None:
    assert credentials.ensure_files(tmp_path, credentials.Token(OLD))
    before = (tmp_path / "token").readlink()

    assert not credentials.ensure_files(tmp_path, credentials.Token(OLD))
    assert (tmp_path / "token").readlink() == before


def test_g46_a_changed_token_is_swapped_and_the_old_files_go(tmp_path: pathlib.Path) -> None:
    credentials.ensure_files(tmp_path, credentials.Token(OLD))

    assert credentials.ensure_files(tmp_path, credentials.Token(NEW))
    assert (tmp_path / "token" / "SecurityToken").read_text() == "c2"
    assert len(list(tmp_path.iterdir())) == 2  # the link and the directory it names


@pytest.mark.parametrize("missing", credentials.TOKEN_KEYS)
def test_g46_a_partial_token_is_refused(missing: str) -> None:
    with pytest.raises(errors.InvalidField, match=missing):
        credentials.parse_secrets("ossfs", {k: v for k, v in OLD.items() if k != missing})


def test_g46_a_real_directory_in_place_of_the_link_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "token").mkdir()

    with pytest.raises(errors.Precondition):
        credentials.ensure_files(tmp_path, credentials.Token(OLD))


def test_a_fixed_key_is_a_private_file_that_is_replaced(tmp_path: pathlib.Path) -> None:
    inside = tmp_path / "v"
    for content in ("b:AK:SK", "b:AK:SK2"):
        key = credentials.parse_secrets("s3fs", {"passwd-s3fs": content})
        assert key is not None
        assert content not in repr(key)
        assert credentials.ensure_files(inside, key)

    assert [path.name for path in inside.iterdir()] == ["passwd-s3fs"]
    assert (inside / "passwd-s3fs").stat().st_mode & 0o777 == 0o600
    assert inside.stat().st_mode & 0o777 == 0o700
    credentials.remove_files(inside)
    assert not inside.exists()

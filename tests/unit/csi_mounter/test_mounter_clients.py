"""Command lines of the FUSE clients."""

import pathlib

import pytest

from core import errors
from csi.fuse_type import FuseType
from csi.mounter import clients, credentials

TARGET = pathlib.Path("/t")
KEYS = pathlib.Path("/k")
TOKEN = credentials.Token({})


def plan(fuse_type: FuseType, credential: credentials.Credential | None) -> list[str]:
    return clients.plan_argv(
        fuse_type, "b:/p", TARGET, ["ro"], credential=credential, directory=KEYS
    )


def test_each_client_gets_files_and_no_secret() -> None:
    key = credentials.FixedKey("passwd-s3fs", "b:AK:SK")

    assert plan(FuseType.S3FS, key) == [
        *("s3fs", "b:/p", "/t", "-f", "-o", "ro", "-o", "passwd_file=/k/passwd-s3fs")
    ]
    assert plan(FuseType.OSSFS, TOKEN)[-3:] == [
        *("passwd_file=/k/token", "-o", "use_session_token")
    ]
    assert plan(FuseType.OSSFS2, None) == ["ossfs2", "mount", "/t", "-f", "--ro"]
    assert "--oss_sts_multi_conf_ak_file=/k/token/AccessKeyId" in plan(FuseType.OSSFS2, TOKEN)


def test_s3fs_asks_for_its_token() -> None:
    argv = plan(FuseType.S3FS, TOKEN)

    assert argv[-2:] == ["-o", "ecs"]
    assert clients.asks_for_tokens("s3fs", credentials.kind_of(TOKEN))
    assert not clients.asks_for_tokens("s3fs", credentials.kind_of(None))
    assert not clients.asks_for_tokens("ossfs", credentials.kind_of(TOKEN))


@pytest.mark.parametrize("fuse_type", FuseType)
@pytest.mark.parametrize(
    "option",
    [
        "a,passwd_file=/x", "a b", "a\n", "", "-f", "passwd_file=/etc/x", "PASSWD_FILE=/x",
        "credential_process=x", "credential-process=x", "flagfile=/x", "fuse_device_fd=3",
    ],
)  # fmt: skip
def test_an_option_that_is_not_the_callers_is_refused(fuse_type: FuseType, option: str) -> None:
    with pytest.raises(errors.InvalidField):
        clients.check_options(fuse_type, [option])


def test_no_value_brings_a_second_option_along() -> None:
    for option in ("uid=1,passwd_file=/x", "uid=1\\054passwd_file=/x", "uid=1 -o x"):
        with pytest.raises(errors.InvalidField, match="not a single word"):
            clients.check_options(FuseType.S3FS, [option])
    clients.check_options(FuseType.OSSFS2, ["oss_bucket_prefix=a dir, or two/"])


def test_a_client_that_is_not_enabled_is_refused() -> None:
    with pytest.raises(errors.InvalidField, match="s3fs"):
        clients.parse_fuse_type("ossfs", [FuseType.S3FS])

"""Command lines of the FUSE clients. Pure. Source: spec/csi-driver.md 5.4.

No secret is ever in one: only the paths of files.
"""

import os
import pathlib
from collections.abc import Sequence

from core import errors
from csi.fuse_type import FuseType
from csi.mounter import credentials

_RESERVED = frozenset(
    {
        "passwd_file", "use_session_token", "f", "d", "s", "c", "ecs", "ibm_iam_auth", "credlib",
        "credlib_opts", "profile", "ahbe_conf", "secret_store_dir", "logfile",
        "oss_access_key_id", "oss_access_key_secret", "oss_sts_multi_conf_ak_file",
        "oss_sts_multi_conf_sk_file", "oss_sts_multi_conf_token_file", "credential_process", "conf",
        "flagfile", "fromenv", "tryfromenv", "fd", "fuse_device_fd", "fuse_device_id",
    }
)  # fmt: skip
"""The mounter decides these itself, or they name files or programs to the client."""


def parse_fuse_type(text: str, enabled: Sequence[FuseType]) -> FuseType:
    """The client called *text*. Raises InvalidField unless it is one of *enabled*."""
    for fuse_type in enabled:
        if fuse_type.value == text:
            return fuse_type
    allowed = ", ".join(enabled)
    raise errors.InvalidField("fstype", "is not served here", value=text, allowed=allowed)


def check_options(fuse_type: FuseType, options: Sequence[str]) -> None:
    """Raise InvalidField for an option that is not one word, or that is not the caller's."""
    for option in options:
        name, _, value = option.partition("=")
        # libfuse splits at commas, and reads escapes; ossfs2 takes each as an argument of its own.
        text = name if fuse_type is FuseType.OSSFS2 else name + value
        odd = not option.isprintable() or not set(text).isdisjoint(", \\")
        # The value is not shown: a key may have been put there by mistake.
        if not name or name.startswith("-") or odd:
            raise errors.InvalidField("options", "has one that is not a single word", value=name)
        # gflags takes "-" for "_".
        if name.lower().replace("-", "_") in _RESERVED:
            raise errors.InvalidField("options", "has one the mounter decides", value=name)


def plan_argv(
    fuse_type: FuseType,
    source: str,
    target: pathlib.Path,
    options: Sequence[str],
    *,
    credential: credentials.Credential | None,
    directory: pathlib.Path,
) -> list[str]:
    """The foreground command that mounts *source* at *target*.

    directory: where the volume's credential files are. s3fs asks csi.mounter.token_server for
    tokens. Raises InvalidField.
    """
    check_options(fuse_type, options)
    if source.startswith("-") or not source.isprintable():
        raise errors.InvalidField("source", "is not a bucket and path", value=source)
    path = None if credential is None else credentials.location(directory, credential)
    if fuse_type is FuseType.OSSFS2:
        return _ossfs2(target, options, path, token=isinstance(credential, credentials.Token))
    is_token = isinstance(credential, credentials.Token)
    words = list(options)
    if is_token and fuse_type is FuseType.S3FS:
        words.append("ecs")
    elif path is not None:
        words.append(f"passwd_file={path}")
        words += ["use_session_token"] if is_token else []
    mount = [fuse_type.value, source, os.fspath(target), "-f"]
    return [*mount, *(part for word in words for part in ("-o", word))]


def asks_for_tokens(fs_type: str, kind: credentials.Kind) -> bool:
    """Whether a client with that *kind* of credential gets its tokens from our server."""
    return fs_type == FuseType.S3FS and kind is credentials.Kind.TOKEN


def _ossfs2(
    target: pathlib.Path, options: Sequence[str], path: pathlib.Path | None, *, token: bool
) -> list[str]:
    # `-f` is what the reference gives every client (spec 1.11); not tried: no ossfs2 was at hand.
    argv = ["ossfs2", "mount", os.fspath(target), "-f"]
    words = list(options)
    if path is not None and token:
        files = (("ak", "AccessKeyId"), ("sk", "AccessKeySecret"), ("token", "SecurityToken"))
        words += [f"oss_sts_multi_conf_{short}_file={path / name}" for short, name in files]
    elif path is not None:
        argv += ["-c", os.fspath(path)]
    return [*argv, *(f"--{word}" for word in words)]

"""`otherOpts` and mount flags: a user's options for the client, one each. Pure."""

import re
import shlex
from collections.abc import Iterable, Sequence

from core import errors

_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(=[A-Za-z0-9_.:+~@%-]*)?")
"""No value has a slash: it would name a file of the node. None has a backslash: libfuse reads
`\\054` as the comma that begins another option."""
RESERVED = frozenset(
    {
        # Where it is and who asks: attributes and secrets say so.
        "url", "passwd_file", "use_session_token", "ram_role", "iam_role", "ecs", "public_bucket",
        "rrsa_endpoint", "assume_role_arn", "assume_role_external_id", "profile", "ibm_iam_auth",
        "oss_endpoint", "oss_bucket", "oss_bucket_prefix", "oss_access_key_id",
        "oss_access_key_secret", "oss_sts_multi_conf_ak_file", "oss_sts_multi_conf_sk_file",
        "oss_sts_multi_conf_token_file", "conf", "config", "c", "agentic_bucket",
        "auto_create_bucket", "hdfs_client_options", "oss_hdfs_client_options",
        # Programs, and files of the node that a client would read or write.
        "credlib", "credlib_opts", "credential_process", "secret_store_dir", "ahbe_conf", "logfile",
        "log_dir", "use_cache", "tmpdir", "temp_dir", "disk_data_cache_dir", "runtime_state_dir",
        "mime", "fsname", "subtype", "bucket", "servicepath", "flagfile", "fromenv", "tryfromenv",
        "use_sse", "ssl_client_cert", "proxy", "http_proxy", "bind_ips", "proxy_cred_file", "host",
        "accesskeyid", "secretaccesskey", "load_sse_c", "set_check_cache_sigusr1", "modules",
        "subdir", "instance_name", "enable_admin_server", "enable_test_signal_handler",
        # Of mount(8) and of libfuse's talk with the kernel, not of a client.
        "dev", "suid", "exec", "remount", "bind", "user", "users", "owner", "f", "d", "s", "h",
        "fd", "rootmode", "user_id", "group_id", "fuse_device_fd", "fuse_device_id", "blkdev",
        "auto_unmount", "clone_fd",
    }
)  # fmt: skip
"""What a user may not set: it would show other data, other credentials or the node's own files.

Sources: `s3fs --help` (1.90), src/options.h of ossfs 2, gflags, spec/csi-driver.md 5.4.
"""
_TELLING = frozenset(
    {
        "cred", "creds", "credential", "credentials", "passwd", "password", "secret", "token",
        "key", "role", "arn", "sts", "auth", "profile", "process", "command", "cmd", "exec",
        "program", "script", "lib", "plugin", "file", "files", "dir", "path", "conf", "config",
        "env", "url", "uri", "host", "endpoint", "bucket", "prefix", "proxy", "ip", "ips", "port",
        "socket", "server", "fd",
    }
)  # fmt: skip
"""Words in the names of options that clients may get after this was written."""
_HARMLESS = frozenset(
    {
        "use_path_request_style", "check_cache_dir_exist", "notsup_compat_dir", "endpoint",
        "dir_mode", "file_mode", "allow_rename_dir", "rename_dir_limit", "rename_dir_concurrency",
        "allow_mark_dir_stale_recursively", "prefetch_concurrency_per_file", "use_auth_cache",
        "min_reserved_buffer_size_per_file", "log_file_max_size", "log_file_max_count",
        "random_write_max_file_size", "temp_dir_free_bytes", "temp_dir_free_percent",
        "direct_read_local_file_cache_size_mb", "fd_page_size", "metrics_port",
    }
)  # fmt: skip
"""Known ones that have such a word and do no harm."""


def parse(text: str, field: str = "otherOpts") -> tuple[str, ...]:
    """Options of `-o a -o b,c -ouid=1000`, in order. field: for errors. Raises InvalidField."""
    try:
        words = shlex.split(text)
    except ValueError as e:
        raise errors.InvalidField(field, f"has {e}", value=text) from e
    found: list[str] = []
    expected = False
    for word in words:
        if expected:
            found += word.split(",")
            expected = False
        elif word == "-o":
            expected = True
        elif word.startswith("-o"):
            found += word[2:].split(",")
        else:
            raise errors.InvalidField(
                field, "has a word without -o", value=word, allowed="-o option, or -ooption"
            )
    if expected:
        raise errors.InvalidField(field, "ends with -o", value=text)
    return check(field, [option for option in found if option])


def check(field: str, options: Iterable[str]) -> tuple[str, ...]:
    """*options*, each of which a user may set. Raises InvalidField, naming the option only."""
    told = tuple(option.strip() for option in options)
    for option in told:
        name = option.partition("=")[0]
        # First what cannot be mended by another value: a path, an address.
        if is_reserved(name):
            raise errors.InvalidField(
                field, "has an option that is not a user's to set; see docs/reference/oss.md",
                value=name,
            )  # fmt: skip
        if not _OPTION.fullmatch(option):
            raise errors.InvalidField(
                field,
                "has something that is not one option",
                value=name,
                allowed="name or name=value, of letters, digits and _.:+~@%-",
            )
    return told


def is_reserved(name: str) -> bool:
    """Whether option *name* is not a user's to set. gflags takes "-" for "_"."""
    plain = name.lower().replace("-", "_")
    if plain in RESERVED:
        return True
    return plain not in _HARMLESS and not _TELLING.isdisjoint(plain.split("_"))


def merge(generated: Sequence[str], *wanted: Iterable[str]) -> tuple[str, ...]:
    """All options; a later one wins over an earlier one of the same name."""
    found: dict[str, str] = {}
    for option in (*generated, *(each for group in wanted for each in group)):
        name = option.partition("=")[0]
        found.pop(name, None)
        found[name] = option
    return tuple(found.values())

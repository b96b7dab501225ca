"""`otherOpts` and mount flags: a user's options for the client, one each. Pure."""

import re
import shlex
from collections.abc import Iterable, Sequence

from core import errors

_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(=[^,\s\x00-\x1f\x7f]*)?")
RESERVED = frozenset(
    {
        # Where it is and who asks: attributes and secrets say so.
        "url", "passwd_file", "use_session_token", "ram_role", "iam_role", "ecs", "public_bucket",
        "rrsa_endpoint", "assume_role_arn", "assume_role_external_id", "profile", "ibm_iam_auth",
        "oss_endpoint", "oss_bucket", "oss_bucket_prefix", "oss_access_key_id",
        "oss_access_key_secret", "oss_sts_multi_conf_ak_file", "oss_sts_multi_conf_sk_file",
        "oss_sts_multi_conf_token_file", "conf", "config", "c",
        # Programs, and files of the node that a client would read or write.
        "credlib", "credlib_opts", "secret_store_dir", "ahbe_conf", "logfile", "log_dir",
        "use_cache", "tmpdir", "mime", "fsname", "subtype", "bucket", "servicepath",
        "use_sse", "ssl_client_cert", "proxy", "proxy_cred_file", "host", "accesskeyid",
        "secretaccesskey", "load_sse_c", "set_check_cache_sigusr1", "modules", "subdir",
        # Of mount(8), not of a client.
        "dev", "suid", "exec", "remount", "bind", "user", "users", "owner", "f", "d", "s", "h",
    }
)  # fmt: skip
"""What a user may not set: it would show other data, other credentials or the node's own files."""


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
        if not _OPTION.fullmatch(option):
            raise errors.InvalidField(
                field,
                "has something that is not one option",
                value=name,
                allowed="name or name=value",
            )
        if name.lower() in RESERVED:
            raise errors.InvalidField(
                field, "has an option that is not a user's to set; see docs/reference/oss.md",
                value=name,
            )  # fmt: skip
    return told


def merge(generated: Sequence[str], *wanted: Iterable[str]) -> tuple[str, ...]:
    """All options; a later one wins over an earlier one of the same name."""
    found: dict[str, str] = {}
    for option in (*generated, *(each for group in wanted for each in group)):
        name = option.partition("=")[0]
        found.pop(name, None)
        found[name] = option
    return tuple(found.values())

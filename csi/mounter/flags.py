"""The command line of `csi-mounter`."""

import argparse
import ipaddress
import pathlib

from core import durations, help_text, version
from csi import fuse_type

SOCKET = "/run/fuse.ossfs/mounter.sock"
WORK_DIR = "/run/fuse.ossfs"
KEEP = "--keep"
_OF_THE_REFERENCE = ("--enable-nftables", "--cleanup-nas-mounts-on-exit")
_NOT_OURS = ("alinas",)
"""Offered by the existing mount proxy, and named in its manifests. Source: spec 1.11."""

_DESCRIPTION = """\
Mounts object storage with FUSE clients, one process for each volume, for csi-plugin. Watches them,
starts dead and hung ones again, and leaves them alone when it is restarted itself.
"""

_EPILOG = """\
example:
  csi-mounter --driver=ossfs,s3fs
Then ask it:
  printf '{"header":{"method":"status"}}\\n' | socat - UNIX:/run/fuse.ossfs/mounter.sock
TIME is a number with a unit: 500ms, 30s, 5m.

exit status: 0 ended by a signal; 1 failed; 2 wrong usage.
See docs/reference/csi-mounter.md.
"""


def parser() -> argparse.ArgumentParser:
    """The parser; the values are of the types that `csi.mounter.app` wants."""
    p = argparse.ArgumentParser(
        prog="csi-mounter",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=help_text.HelpFormatter,
        allow_abbrev=False,
    )
    p.add_argument("--version", action="version", version=f"csi-mounter {version.VERSION}")
    _add_what(p)
    _add_times(p)
    _add_process(p)
    _add_log(p)
    return p


def _add_what(p: argparse.ArgumentParser) -> None:
    """What is mounted, and where."""
    p.add_argument(
        "--socket", type=_absolute, default=SOCKET, metavar="PATH", help=f"default {SOCKET}"
    )
    p.add_argument(
        "--driver",
        type=_fuse_types,
        default="ossfs,ossfs2,s3fs",
        metavar="NAMES",
        help="clients to offer (default ossfs,ossfs2,s3fs); alinas is left out",
    )
    p.add_argument(
        "--work-dir",
        type=_absolute,
        default=WORK_DIR,
        metavar="DIR",
        help=f"for records, logs and credentials; must be a tmpfs (default {WORK_DIR})",
    )
    p.add_argument(
        "--allow-target",
        type=_absolute,
        action="append",
        default=[],
        metavar="DIR",
        help="mount below DIR as well; the work directory and /var/lib/kubelet are allowed",
    )


def _add_times(p: argparse.ArgumentParser) -> None:
    """How long it waits for clients."""
    p.add_argument(
        "--timeout",
        type=_duration,
        default="30s",
        metavar="TIME",
        help="until a new mount must answer (default 30s)",
    )
    p.add_argument(
        "--probe-interval",
        type=_duration,
        default="10s",
        metavar="TIME",
        help="how often a mount is asked whether it lives (default 10s)",
    )
    p.add_argument(
        "--probe-timeout",
        type=_duration,
        default="5s",
        metavar="TIME",
        help="how long it may take to answer; twice in a row too long = hung (default 5s)",
    )


def _add_process(p: argparse.ArgumentParser) -> None:
    """How the program itself lives and ends."""
    p.add_argument(
        "--metrics-address",
        type=_address,
        metavar="HOST:PORT",
        help="serve /healthz and /metrics here (default: nowhere)",
    )
    p.add_argument(
        "--unmount-on-exit",
        action="store_true",
        help="end all clients on SIGTERM; without it they go on, and the next csi-mounter adopts "
        "them",
    )
    p.add_argument(
        KEEP,
        action="store_true",
        help="be the first process of a container: start csi-mounter, and again when it dies",
    )
    for flag in _OF_THE_REFERENCE:
        p.add_argument(
            flag, nargs="?", metavar="BOOL", help="of the existing mount proxy, for NAS; no effect"
        )


def _add_log(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "-v", "--v", dest="v", type=int, default=2, metavar="N", help="4 and more = debug"
    )
    p.add_argument("--logging-format", choices=("text", "json"), default="text")


def _absolute(text: str) -> pathlib.Path:
    path = pathlib.Path(text)
    if not path.is_absolute() or ".." in path.parts or path == pathlib.Path("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is not an absolute path without ..")
    return path


def _fuse_types(text: str) -> tuple[fuse_type.FuseType, ...]:
    words = [word.strip() for word in text.split(",")]
    try:
        return tuple(fuse_type.FuseType(word) for word in words if word not in _NOT_OURS)
    except ValueError as e:
        allowed = ", ".join(fuse_type.FuseType)
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {allowed}") from e


def _duration(text: str) -> float:
    try:
        seconds = durations.parse_s(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 30s") from e
    if seconds <= 0:
        raise argparse.ArgumentTypeError("a duration above 0 is needed")
    return seconds


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    try:
        ipaddress.ip_address(host.strip("[]"))
        return host.strip("[]"), int(port)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"{text!r} is not IP:PORT") from e

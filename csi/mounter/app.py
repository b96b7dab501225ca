"""The command `csi-mounter` (`python -m csi.mounter`)."""

import argparse
import asyncio
import contextlib
import ipaddress
import os
import pathlib
import sys
from collections.abc import Sequence

import structlog

from core import durations, errors, http_status, lifecycle, logs, metrics, version
from csi import fuse_type
from csi.mounter import keeper, mounter, server, volume

log = structlog.get_logger()

SOCKET = "/run/fuse.ossfs/mounter.sock"
WORK_DIR = "/run/fuse.ossfs"
READY = "csi-mounter ready"
_EXIT_USAGE = 2
_KEEP = "--keep"
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
See docs/reference/csi-mounter.md.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run; the exit status: 0 stopped, 1 failed, 2 wrong usage."""
    given = sys.argv[1:] if argv is None else list(argv)
    options = parser().parse_args(given)
    if options.keep:
        return keeper.run([word for word in given if word != _KEEP])
    logs.configure(json=options.logging_format == "json", verbosity=options.v)
    if os.geteuid() != 0:
        sys.stderr.write("csi-mounter: mounting needs root; run as root\n")
        return _EXIT_USAGE
    os.chdir("/")  # keep no file system busy
    try:
        asyncio.run(lifecycle.run_until_signal(lambda stack: _start(options, stack)))
    except (errors.Error, OSError) as e:
        sys.stderr.write(f"csi-mounter: {e}\n")
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="csi-mounter",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    p.add_argument("--version", action="version", version=f"csi-mounter {version.VERSION}")
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
    _add_times(p)
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
        _KEEP,
        action="store_true",
        help="be the first process of a container: start csi-mounter, and again when it dies",
    )
    for flag in _OF_THE_REFERENCE:
        p.add_argument(
            flag, nargs="?", metavar="BOOL", help="of the existing mount proxy, for NAS; no effect"
        )
    p.add_argument(
        "-v", "--v", dest="v", type=int, default=2, metavar="N", help="4 and more = debug"
    )
    p.add_argument("--logging-format", choices=("text", "json"), default="text")
    return p


def _add_times(p: argparse.ArgumentParser) -> None:
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


async def _start(options: argparse.Namespace, stack: contextlib.AsyncExitStack) -> None:
    measured = metrics.Metrics()
    settings = mounter.Settings(
        enabled=options.driver,
        work_dir=options.work_dir,
        roots=(options.work_dir, pathlib.Path("/var/lib/kubelet"), *options.allow_target),
        limits=volume.Limits(
            mount_s=options.timeout,
            probe_interval_s=options.probe_interval,
            probe_timeout_s=options.probe_timeout,
        ),
    )
    served = mounter.Mounter(settings, measured)
    front = server.Server(served, options.socket)
    front.claim()
    await served.adopt()
    stack.push_async_callback(served.close, unmount=options.unmount_on_exit)
    await front.start()
    stack.push_async_callback(front.stop)
    if options.metrics_address is not None:
        status = http_status.HttpStatus({"/healthz": _healthy, "/metrics": _exposed(measured)})
        port = await status.start(*options.metrics_address)
        stack.push_async_callback(status.stop)
        log.info("serving metrics", port=port)
    log.info(READY, socket=str(options.socket))


async def _healthy() -> http_status.Answer:
    return http_status.Answer(body=b"ok\n")


def _exposed(measured: metrics.Metrics) -> http_status.Route:
    async def expose() -> http_status.Answer:
        return http_status.Answer(
            content_type="text/plain; version=0.0.4; charset=utf-8", body=measured.exposition()
        )

    return expose


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

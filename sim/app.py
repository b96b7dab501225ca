"""The command `cloudsim` (`python -m sim`): serve, clean, enter, world, oidc-token."""

import argparse
import asyncio
import contextlib
import importlib
import logging
import os
import pathlib
import signal
import sys
import time
from collections.abc import Sequence
from typing import TextIO

import structlog

from sim import actions, hardware_app, hardware_control, network_app, server, sts
from sim import cloud as cloud_module
from sim import store as store_module
from sim import world as world_module
from sim.hardware import api as hardware_api

_EXIT_USAGE = 2
# Modules that register actions when they are imported; sts is imported above.
_PRODUCTS = ("sim.ecs", "sim.vpc", "sim.vpc_routes", "sim.nas", "sim.eflo", "sim.oss")


class UsageError(Exception):
    """The command line cannot be followed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 done, 1 failed, 2 wrong usage or world file."""
    options = _parser().parse_args(argv)
    _configure_logs(options.log_level if "log_level" in options else "info", sys.stderr)
    try:
        command: int = options.run(options)
    except (UsageError, world_module.WorldError) as e:
        print(f"cloudsim: {e}", file=sys.stderr)  # noqa: T201 - a command's message
        return _EXIT_USAGE
    except (OSError, store_module.StoreError, hardware_api.HardwareError) as e:
        print(f"cloudsim: {e}", file=sys.stderr)  # noqa: T201 - a command's message
        return 1
    return command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cloudsim",
        description="A local Alibaba Cloud: ECS, VPC, NAS, OSS, STS and metadata on one port.",
        epilog="Point a client at it with ECS_ENDPOINT=127.0.0.1:18080, STS_ENDPOINT the same, "
        "ALICLOUD_CLIENT_SCHEME=HTTP, ALIBABA_CLOUD_ACCESS_KEY_ID=LTAIsimulated, "
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET=simulated-secret, REGION_ID=cn-hangzhou and "
        "IMDS_ENDPOINT=http://127.0.0.1:18080. Exit status: 0 done, 1 failed, 2 wrong usage or "
        "world file. See docs/reference/simulator.md.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="run the cloud until SIGTERM or SIGINT"))
    clean = commands.add_parser(
        "clean", help="free the block devices, links, namespaces and exports of a stopped cloud"
    )
    _add_state_dir(clean)
    clean.add_argument(
        "--netns-prefix",
        default="",
        metavar="NAME",
        help="whose namespaces to remove (default: those of the state directory)",
    )
    clean.set_defaults(run=_clean)
    enter = commands.add_parser("enter", help="run a command in the network of an instance")
    network_app.add_enter(enter)
    enter.set_defaults(run=_enter)
    world = commands.add_parser("world", help="print the default world as YAML")
    world.set_defaults(run=_world)
    token = commands.add_parser(
        "oidc-token", help="print a service account token that AssumeRoleWithOIDC accepts"
    )
    token.add_argument("--world", type=pathlib.Path, metavar="FILE", help="world file")
    token.add_argument("--provider", default="ack-rrsa-sim", help="name of the OIDC provider")
    token.add_argument("--subject", default="system:serviceaccount:kube-system:csi-admin")
    token.add_argument("--lifetime-s", type=int, default=3600, metavar="SECONDS")
    token.set_defaults(run=_oidc_token)
    return parser


def _add_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--listen",
        type=_address,
        default=("127.0.0.1", 18080),
        metavar="HOST:PORT",
        help="where to serve everything (default 127.0.0.1:18080; port 0 = any free port)",
    )
    _add_state_dir(serve)
    serve.add_argument(
        "--world",
        type=pathlib.Path,
        metavar="FILE",
        help="YAML file whose sections replace those of the default world",
    )
    serve.add_argument(
        "--hardware",
        type=hardware_app.parse_kinds,
        default="none",
        metavar="KINDS",
        help="what is real (root), a list such as disks,files: disks: attached disks are loop "
        "devices of this machine; network: instances are network namespaces, interfaces real ones "
        "on a fabric; files: file systems are directories, exported over NFS where the kernel can; "
        "linux: all of it; none: records only (default)",
    )
    serve.add_argument(
        "--netns-prefix",
        default=network_app.PREFIX,
        metavar="NAME",
        help=f"names of the namespaces begin with it (default {network_app.PREFIX})",
    )
    serve.add_argument(
        "--imds-address",
        type=_address,
        metavar="HOST:PORT",
        help="serve the metadata service here too, such as 100.100.100.200:80; the address must "
        "exist on this machine",
    )
    serve.add_argument(
        "--oss-address",
        type=_address,
        metavar="HOST:PORT",
        help="serve nothing but object storage here, also unsigned requests with the bucket in "
        "their path; --listen serves signed ones, and those whose host is BUCKET.localhost",
    )
    serve.add_argument(
        "--time-scale",
        type=float,
        default=1.0,
        metavar="F",
        help="multiply every latency by F (default 1; 0 = no waiting)",
    )
    serve.add_argument(
        "--release-on-exit",
        action="store_true",
        help="free block devices and links on SIGTERM; without it they stay for the next start",
    )
    serve.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    serve.set_defaults(run=_serve)


def _add_state_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state-dir",
        type=pathlib.Path,
        required=True,
        metavar="DIR",
        help="directory of the state; made when absent",
    )
    parser.add_argument(
        "--by-id-dir",
        type=pathlib.Path,
        default=pathlib.Path("/dev/disk/by-id"),
        metavar="DIR",
        help="where links virtio-<serial> to attached disks appear (default /dev/disk/by-id)",
    )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _serve(options: argparse.Namespace) -> int:
    if options.time_scale < 0:
        raise UsageError(f"--time-scale must not be negative, is {options.time_scale}")
    world = world_module.load(options.world)
    if options.hardware and os.geteuid() != 0:
        raise UsageError("--hardware needs root; run as root or use --hardware none")
    parts = hardware_app.make(options)
    for module in _PRODUCTS:
        importlib.import_module(module)
    with contextlib.closing(parts):
        cloud = cloud_module.Cloud(
            state_dir=options.state_dir,
            world=world,
            hardware=parts.disks,
            network=parts.network,
            files=parts.files,
            time_scale=options.time_scale,
            settlers=actions.settlers(),
            seeders=actions.seeders(),
        )
        with contextlib.closing(cloud):
            if parts.files is not None:
                parts.files.wait()
            asyncio.run(_run(cloud, options, parts))
            if options.release_on_exit:
                parts.release()
    return 0


async def _run(
    cloud: cloud_module.Cloud, options: argparse.Namespace, parts: hardware_app.Parts
) -> None:
    """Serve until a signal asks to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    fabric = parts.network
    running = server.Server(cloud, hardware_control.routes(parts.described()))
    watcher: asyncio.Task[None] | None = None
    host, port = options.listen
    try:
        real_port = await running.start(
            host, port, imds_address=options.imds_address, oss_address=options.oss_address
        )
        if fabric is not None:
            await running.serve_instances(network_app.listen(fabric))
            watcher = asyncio.create_task(network_app.watch(fabric), name="network watcher")
        shown = f"[{host}]" if ":" in host else host
        _print(f"cloudsim ready http://{shown}:{real_port}")
        await stop.wait()
    finally:
        if watcher is not None:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
        await running.stop()


def _clean(options: argparse.Namespace) -> int:
    """Free the hardware of a state directory whose server does not run."""
    if not options.state_dir.is_dir():
        raise UsageError(f"there is no state directory {options.state_dir}")
    store_module.Store(options.state_dir).close()  # fails while a server uses it
    hardware_app.clean(options.state_dir, options.by_id_dir, options.netns_prefix)
    return 0


def _enter(options: argparse.Namespace) -> int:
    try:
        network_app.enter(options.netns_prefix, options.node, options.command)
    except LookupError as e:
        raise UsageError(f"{e}; is a cloud with --hardware network up?") from e


def _world(_: argparse.Namespace) -> int:
    _print(world_module.DEFAULT_FILE.read_text(encoding="utf-8").rstrip("\n"))
    return 0


def _oidc_token(options: argparse.Namespace) -> int:
    world = world_module.load(options.world)
    providers = [row for row in world.oidc_providers if row.provider_name == options.provider]
    if not providers:
        raise UsageError(f"the world has no OIDC provider {options.provider}")
    now_s = time.time()
    _print(
        sts.make_oidc_token(
            issuer=providers[0].issuer,
            subject=options.subject,
            audience=providers[0].client_ids[0],
            issued_s=now_s,
            expires_s=now_s + options.lifetime_s,
        )
    )
    return 0


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the command's result


def _configure_logs(level: str, stream: TextIO) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )

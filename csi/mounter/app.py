"""What `csi-mounter` is made of: starts, serves, ends."""

import argparse
import asyncio
import contextlib
import os
import pathlib
import sys

import structlog

from core import errors, http_status, lifecycle, logs, metrics
from csi.mounter import client_process, mounter, server, volume

log = structlog.get_logger()

READY = "csi-mounter ready"
_EXIT_USAGE = 2


def run(options: argparse.Namespace) -> int:
    """Serve until a signal, as `csi.mounter.flags` says; the exit status."""
    logs.configure(json=options.logging_format == "json", verbosity=options.v)
    if os.geteuid() != 0:
        sys.stderr.write("csi-mounter: mounting needs root; run as root\n")
        return _EXIT_USAGE
    os.chdir("/")  # keep no file system busy
    client_process.keep_descriptors()
    try:
        asyncio.run(lifecycle.run_until_signal(lambda stack: _start(options, stack)))
    except (errors.Error, OSError) as e:
        sys.stderr.write(f"csi-mounter: {e}\n")
        return 1
    return 0


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
        port = await status.start(*options.metrics_address, setting="--metrics-address")
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

"""One volume: its client is started, watched, and started again for as long as it is wanted."""

import asyncio
import contextlib
import dataclasses
import enum
import pathlib
import signal
import time
from collections.abc import Mapping
from typing import Any

import structlog

from core import errors, metrics
from csi.mounter import client_process, fuse_mount, probes, records

log = structlog.get_logger()

_BACKOFF_MIN_S, _BACKOFF_MAX_S = 1.0, 60.0
_KILL_GRACE_S = 2.0
_END_GRACE_S = 20.0
"""For a client whose mount is gone, to finish what it does."""
_SILENT_PROBES = 2
_LOOK_S = 0.05


class State(enum.StrEnum):
    """Where a volume is."""

    MOUNTING = "mounting"
    MOUNTED = "mounted"
    HEALING = "healing"
    FAILED = "failed"


class Reason(enum.StrEnum):
    """Why a client was started again."""

    ENDED = "ended"
    SILENT = "silent"
    UNMOUNTED = "unmounted"


EVENTS: Mapping[Reason, str] = {
    Reason.ENDED: "FuseClientEnded",
    Reason.SILENT: "FuseClientSilent",
    Reason.UNMOUNTED: "FuseMountRemoved",
}
"""Reasons in the form that Kubernetes events have."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds. mount_s: until a new mount answers. probe_*: how a mount is looked at."""

    mount_s: float = 30.0
    probe_interval_s: float = 10.0
    probe_timeout_s: float = 5.0


@dataclasses.dataclass(slots=True, kw_only=True)
class Health:
    """What is told of a volume.

    reason: the last trouble in words; event: the same as an event of Kubernetes has it. "" = none.
    """

    state: State = State.MOUNTING
    restarts: int = 0
    since_s: float = dataclasses.field(default_factory=time.time)
    reason: str = ""
    event: str = ""


class Volume:
    """Supervises the client of *record*.

    work_dir: below which all is the mounter's. probing: asks the client whether it lives.
    environment: for the client, beside the common one. restarts: counted there, by cause.
    """

    def __init__(
        self,
        record: records.Record,
        place: records.Place,
        limits: Limits,
        *,
        work_dir: pathlib.Path,
        probing: probes.Probes,
        environment: Mapping[str, str],
        restarts: metrics.Counter,
    ) -> None:
        self.record = record
        self.place = place
        self.health = Health()
        self._limits = limits
        self._work_dir = work_dir
        self._probes = probing
        self._environment = environment
        self._restarts = restarts
        self._client: client_process.ClientProcess | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._mounted = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Process number of its client."""
        client = self._client
        return client.pid if client is not None and client.is_alive else None

    def described(self) -> dict[str, Any]:
        """Its row in the answer of `status`."""
        return {
            "volumeID": self.record.volume_id,
            "target": str(self.record.target),
            "fstype": self.record.fs_type,
            "state": str(self.health.state),
            "pid": self.pid,
            "restarts": self.health.restarts,
            "since_s": self.health.since_s,
            "reason": self.health.reason,
            "event": self.health.event,
        }

    async def mount(self) -> None:
        """Start the client and return once its mount answers. Raises Error with its last words."""
        try:
            await self._bring_up()
        except BaseException:
            await self._tear_down()
            raise
        self._watch()

    async def adopt(self, pid: int | None, *, lost: bool) -> None:
        """Take over what an earlier mounter left. pid: of its client, None = it has ended.

        lost: the client cannot go on with us, and is started again.
        """
        if pid is not None:
            self._client = client_process.adopt(pid, self.record.argv)
        if self._client is not None and lost:
            self._client.send(signal.SIGKILL)
        if self._client is not None:
            log.info("adopted", volume_id=self.record.volume_id, pid=pid)
            # One that is unwanted was mounted, and may still write what it was given.
            if fuse_mount.mounted(self.record.target) is not None or not self.record.wanted:
                self._is_mounted()
        if self.record.wanted:
            self._watch()

    async def wait_mounted(self, timeout_s: float) -> None:
        """Return when it is mounted. Raises Unavailable with the reason why it is not."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._mounted.wait()
        except TimeoutError as e:
            raise errors.Unavailable(
                f"the client of {self.record.source} is down and being started again: "
                f"{self.health.reason or 'not ready yet'}"
            ) from e

    async def unmount(self) -> None:
        """Remove the mount and end the client. Raises Busy, and supervises on then."""
        await self._stop_watching()
        if not self._mounted.is_set():  # nobody can have written to it
            await self._tear_down()
            return
        try:
            await fuse_mount.unmount(self.record.target, self._probes)
        except BaseException:
            self._watch()
            raise
        if self._client is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_GRACE_S):
                    await self._client.ended()
            await self._client.end(grace_s=_KILL_GRACE_S)

    async def leave(self) -> None:
        """Stop watching; client and mount go on."""
        await self._stop_watching()
        if self._client is not None:
            self._client.forget()

    def _watch(self) -> None:
        name = f"volume {self.record.volume_id}"
        self._watcher = asyncio.create_task(self._supervise(), name=name)

    async def _stop_watching(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None

    async def _supervise(self) -> None:
        wait_s = _BACKOFF_MIN_S
        while True:
            began_s = time.monotonic()
            try:
                self._is_ill(*await self._illness())
            except Exception:
                log.exception("watching failed; it goes on", **self._about())
                await asyncio.sleep(_BACKOFF_MIN_S)
                continue
            # Started again at once, unless it dies again and again.
            if time.monotonic() - began_s >= _BACKOFF_MAX_S:
                wait_s = _BACKOFF_MIN_S
            elif self.health.restarts > 1:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _BACKOFF_MAX_S)
            while not await self._is_healed():
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _BACKOFF_MAX_S)

    async def _is_healed(self) -> bool:
        """Whether the client could be started again."""
        try:
            await self._tear_down()
            await fuse_mount.make_target(self.record.target, self._work_dir)
            await self._bring_up()
        except errors.Error as e:
            self.health.state, self.health.reason = State.FAILED, str(e)
            log.warning("client cannot be started", **self._about())
            return False
        except Exception:
            log.exception("supervision failed; it goes on", **self._about())
            return False
        log.info("healed", **self._about())
        return True

    async def _illness(self) -> tuple[Reason, str]:
        """Return when the volume is not well, and why."""
        silent = 0
        while True:
            client = self._client
            if client is None or not client.is_alive:
                words = client_process.last_words(self.place.log)
                return Reason.ENDED, f"the client has ended{f': {words}' if words else ''}"
            there = fuse_mount.mounted(self.record.target)
            if there is None:
                if self._mounted.is_set():
                    return Reason.UNMOUNTED, "somebody unmounted it"
                try:
                    await self._becomes_ready(client)
                except errors.Error as e:
                    return Reason.ENDED, str(e)
                self._is_mounted()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.probe_interval_s):
                    await client.ended()
                continue
            limit_s = self._limits.probe_timeout_s
            if await self._probes.answers(self.record.target, timeout_s=limit_s):
                silent = 0
            elif client.is_alive:
                silent += 1
            if silent >= _SILENT_PROBES:
                return Reason.SILENT, (
                    f"the client did not answer {silent} times within {limit_s:g} s"
                )
            client_process.trim(self.place.log)

    async def _bring_up(self) -> None:
        """Start the client, and wait until its mount answers."""
        self._client = client_process.start(self.record.argv, self.place.log, self._environment)
        await self._becomes_ready(self._client)
        self._is_mounted()

    async def _becomes_ready(self, client: client_process.ClientProcess) -> None:
        """Return when the mount is there and answers. Raises Error when it does not in time."""
        ended = asyncio.ensure_future(client.ended())
        ready = asyncio.ensure_future(self._ready())
        try:
            done, _ = await asyncio.wait(
                {ended, ready},
                timeout=self._limits.mount_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for task in (ended, ready):
                task.cancel()
        if ready in done:
            return
        said = client_process.last_words(self.place.log)
        if ended in done:
            raise errors.Precondition(
                f"{self.record.argv[0]} cannot mount {self.record.source}: "
                f"{said or 'it ended without a word'}"
            )
        raise errors.Unavailable(
            f"{self.record.argv[0]} did not mount {self.record.source} within "
            f"{self._limits.mount_s:g} s{f': {said}' if said else ''}"
        )

    async def _ready(self) -> None:
        while True:
            there = await fuse_mount.appears(self.record.target)
            if await fuse_mount.is_ready(self.record.target, there):
                return
            await asyncio.sleep(_LOOK_S)

    async def _tear_down(self) -> None:
        """Kill the client and remove its mount, whatever their state."""
        self._mounted.clear()
        if self._client is not None:
            await self._client.end(grace_s=0)
            self._client = None
        await fuse_mount.discard(self.record.target)

    def _is_mounted(self) -> None:
        self.health.state, self.health.since_s = State.MOUNTED, time.time()
        self._mounted.set()

    def _is_ill(self, cause: Reason, why: str) -> None:
        self.health.state, self.health.since_s, self.health.reason = State.HEALING, time.time(), why
        self.health.event = EVENTS[cause]
        self.health.restarts += 1
        self._restarts.inc(str(cause))
        log.warning("client is ill; starting it again", **self._about())

    def _about(self) -> dict[str, Any]:
        return {
            "volume_id": self.record.volume_id,
            "target": str(self.record.target),
            "cause": self.health.event,
            "reason": self.health.reason,
            "restarts": self.health.restarts,
        }

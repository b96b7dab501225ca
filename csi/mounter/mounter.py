"""The volumes of this node: what requests do to them, and what a restart finds."""

import asyncio
import dataclasses
import pathlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from core import errors, metrics, single_flight
from csi import fuse_type
from csi.mounter import (
    client_process,
    clients,
    credentials,
    fuse_mount,
    orphans,
    probes,
    protocol,
    records,
    state_dir,
    token_server,
)
from csi.mounter import volume as volume_module

log = structlog.get_logger()

_STATE_DIR = ".mounter"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line decides. roots: below which targets may be."""

    enabled: Sequence[fuse_type.FuseType]
    work_dir: pathlib.Path
    roots: Sequence[pathlib.Path]
    limits: volume_module.Limits


class Mounter:
    """Mounts and unmounts volumes, by target."""

    def __init__(self, settings: Settings, measured: metrics.Metrics) -> None:
        self._settings = settings
        self._root = settings.work_dir / _STATE_DIR
        self._volumes: dict[pathlib.Path, volume_module.Volume] = {}
        self._flights: single_flight.SingleFlight[None] = single_flight.SingleFlight("request")
        self._asked: dict[pathlib.Path, protocol.Mount] = {}
        self._finishing: set[asyncio.Task[None]] = set()
        self._claim = -1
        self._tokens = token_server.TokenServer(self._root)
        self._probes = probes.Probes()
        measured.gauges("csi_mounter_volumes", "volumes by state", ("state",), self._count_states)
        self._restarts = measured.counter(
            "csi_mounter_restarts_total", "clients that were started again, by cause", ("cause",)
        )
        self._mount_seconds = measured.histogram(
            "csi_mounter_mount_seconds",
            "from a mount request to a mount that answers",
            ("fstype", "outcome"),
        )

    async def adopt(self) -> None:
        """Take over what an earlier mounter left: go on, start again, or clean away."""
        # What is mounted below is open to every user who can get there (allow_other).
        work_dir = self._settings.work_dir
        work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._claim = state_dir.claim(work_dir)
        await asyncio.to_thread(state_dir.ensure, self._root)
        left = list(records.load_all(self._root))
        living = client_process.find([record.argv for record in left])
        for record in left:
            made = await self._volume(record)
            await made.adopt(living.get(record.argv), lost=await self._is_lost(record))
            self._volumes[record.target] = made
            if not record.wanted:
                finishing = asyncio.create_task(self._finish(made), name=f"finish {record.target}")
                self._finishing.add(finishing)
                finishing.add_done_callback(self._finishing.discard)
        limit_s = self._settings.limits.probe_timeout_s
        await orphans.clean(work_dir, self._volumes, self._probes, limit_s)

    async def mount(self, want: protocol.Mount) -> None:
        """Bring *want* about; once for all who ask for it at the same time. Raises Error."""
        fs_type = clients.parse_fuse_type(want.fs_type, self._settings.enabled)
        protocol.check_target(want.target, self._settings.roots)
        clients.check_options(fs_type, want.options)
        credential = credentials.parse_secrets(fs_type, want.secrets)
        loop = asyncio.get_running_loop()
        began_s, outcome = loop.time(), "failed"
        try:
            await self._turn(want, lambda: self._mount(want, fs_type, credential))
            outcome = "mounted"
        finally:
            self._mount_seconds.observe(loop.time() - began_s, str(fs_type), outcome)

    async def unmount(self, target: pathlib.Path) -> bool:
        """Remove the mount at *target*; False when it is not ours. Raises Busy."""
        found = self._volumes.get(target)
        if found is None:
            return False
        await self._flights.run(f"unmount {target}", lambda: self._remove(found))
        return True

    def describe(self) -> list[dict[str, Any]]:
        """Every volume, as `status` tells it."""
        return [row.described() for row in self._volumes.values()]

    async def close(self, *, unmount: bool) -> None:
        """Stop. unmount: end the clients as well; else they go on without us."""
        self._flights.close()
        for finishing in self._finishing:
            finishing.cancel()
        await self._tokens.stop()
        for found in list(self._volumes.values()):
            if unmount:
                try:
                    await self._remove(found)
                except errors.Error as e:
                    log.warning("not unmounted", target=str(found.record.target), error=str(e))
            else:
                await found.leave()
        self._probes.close()
        if not self._volumes:
            await asyncio.to_thread(state_dir.release, self._root)

    async def _turn(self, want: protocol.Mount, work: Callable[[], Awaitable[None]]) -> None:
        """Run *work*. Who asks for the same target in other words waits, and then has a turn."""
        key = f"mount {want.target}"
        while self._asked.setdefault(want.target, want) != want:
            await self._flights.join(key)
            await asyncio.sleep(0)

        async def take_turn() -> None:
            try:
                await work()
            finally:
                del self._asked[want.target]

        await self._flights.run(key, take_turn)

    async def _finish(self, found: volume_module.Volume) -> None:
        """An unmount that an earlier mounter began."""
        try:
            await self._flights.run(f"unmount {found.record.target}", lambda: self._remove(found))
        except errors.Error as e:
            log.warning("unmount cannot be finished", target=str(found.record.target), error=str(e))

    async def _mount(
        self,
        want: protocol.Mount,
        fs_type: fuse_type.FuseType,
        credential: credentials.Credential | None,
    ) -> None:
        place = records.Place(self._root, want.target)
        argv = clients.plan_argv(
            fs_type,
            want.source,
            want.target,
            want.options,
            credential=credential,
            directory=place.credentials,
        )
        record = records.Record(
            volume_id=want.volume_id,
            source=want.source,
            target=want.target,
            fs_type=str(fs_type),
            options=want.options,
            argv=tuple(argv),
            credential=credentials.kind_of(credential),
        )
        found = self._volumes.get(want.target)
        if found is not None:
            await self._again(found, record, credential)
            return
        await self._clear(want.target)
        place.make()
        try:
            if credential is not None:
                credentials.ensure_files(place.credentials, credential)
            made = await self._volume(record)
            place.save(record)
            self._volumes[want.target] = made
            await made.mount()
        except BaseException:
            self._volumes.pop(want.target, None)
            self._tokens.withdraw(place.credentials)
            place.remove()
            raise
        log.info("mounted", volume_id=want.volume_id, source=want.source, target=str(want.target))

    async def _again(
        self,
        found: volume_module.Volume,
        record: records.Record,
        credential: credentials.Credential | None,
    ) -> None:
        """The same request again: newer credentials, and wait for a client that is being healed."""
        if not found.record.wanted:
            raise errors.Busy(f"{record.target} is being unmounted")
        if not found.record.same_mount(record):
            raise errors.Exists(
                f"{record.target} is mounted with another source, other options or another kind of "
                "credential; unmount it first"
            )
        if credential is not None and credentials.ensure_files(found.place.credentials, credential):
            log.info("credentials replaced", volume_id=record.volume_id)
        await found.wait_mounted(self._settings.limits.mount_s)

    async def _clear(self, target: pathlib.Path) -> None:
        """Make room at *target*. Raises Exists for a mount that lives and is not ours."""
        if fuse_mount.mounted(target) is None:
            await fuse_mount.make_target(target, self._settings.work_dir)
            return
        limit_s = self._settings.limits.probe_timeout_s
        if await self._probes.answers(target, timeout_s=limit_s):
            if not await orphans.is_one(target, self._settings.work_dir):
                raise errors.Exists(f"something else is mounted at {target}; unmount it first")
            log.warning("replacing a mount whose mounter is gone", target=str(target))
        else:
            log.warning("removing a dead mount", target=str(target))
        await fuse_mount.discard(target)

    async def _remove(self, found: volume_module.Volume) -> None:
        """Unmount; a mounter that is killed meanwhile finishes it at its next start."""
        target = found.record.target
        if self._volumes.get(target) is not found:
            return
        wanted = dataclasses.replace(found.record, wanted=True)
        found.record = dataclasses.replace(wanted, wanted=False)
        found.place.save(found.record)
        try:
            await found.unmount()
        except errors.Error:
            found.record = wanted
            found.place.save(wanted)
            raise
        self._volumes.pop(target, None)  # a mount that failed meanwhile was taken out already
        self._tokens.withdraw(found.place.credentials)
        found.place.remove()
        if not self._volumes:
            self._probes.close()
        log.info("unmounted", volume_id=wanted.volume_id, target=str(target))

    async def _volume(self, record: records.Record) -> volume_module.Volume:
        place = records.Place(self._root, record.target)
        environment: Mapping[str, str] = {}
        if clients.asks_for_tokens(record.fs_type, record.credential):
            await self._tokens.start()
            path = self._tokens.offer(
                place.credentials, credentials.location(place.credentials, credentials.Token({}))
            )
            environment = self._tokens.environment(path, record.options)
        return volume_module.Volume(
            record,
            place,
            self._settings.limits,
            work_dir=self._settings.work_dir,
            probing=self._probes,
            environment=environment,
            restarts=self._restarts,
        )

    async def _is_lost(self, record: records.Record) -> bool:
        """Whether a living client cannot get tokens any more, and must be started again."""
        wants = clients.asks_for_tokens(record.fs_type, record.credential)
        return wants and not await self._tokens.start()

    def _count_states(self) -> dict[tuple[str, ...], float]:
        counts: dict[tuple[str, ...], float] = {(str(state),): 0.0 for state in volume_module.State}
        for row in self._volumes.values():
            counts[str(row.health.state),] += 1
        return counts

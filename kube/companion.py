"""The API server, through one companion process (`kube.agent`) that lives as long as we do.

For a daemon that must stay small and yet watches pods and posts many events: the library and its
connection cost about as much as all that the daemon does, and a child for every call
(`kube.child`) 0.2 s of processor each.
"""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import pathlib
import sys
from collections.abc import Collection
from typing import Any

import structlog

from core import call, clock, errors
from kube import api, child, connection, node_seen, pod_cache, settings

log = structlog.get_logger()

_CODE = pathlib.Path(__file__).parents[1]
_LINE_MAX = 4 * 1024 * 1024
_START_S = 5.0
"""For the next companion to be started; a call then waits in its input until it reads."""
_TIMEOUT_S = connection.TIMEOUT_S * 2
"""For a call: it may wait for others of ours first."""
_BACKOFF_FIRST_S = 1.0
_BACKOFF_MAX_S = 30.0
_LIVED_S = 60.0
"""A companion that lived so long did not fail at its start."""


class Companion:
    """One API server. node_name: whose pods are watched, "" = none.

    annotations: keys of pods that are kept. labels: keys of the Node that are. manager: who
    changes objects.
    """

    def __init__(
        self,
        config: settings.KubeSettings,
        *,
        manager: str,
        annotations: Collection[str],
        labels: Collection[str] = (),
        time: clock.Clock,
    ) -> None:
        self.pods = pod_cache.PodCache()
        self.node = node_seen.NodeSeen()
        self._greeting = {
            "settings": dataclasses.asdict(config),
            "manager": manager,
            "node": config.node_name,
            "annotations": sorted(annotations),
            "labels": sorted(labels),
        }
        self._clock = time
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the companion, None while there is none."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the companion, again whenever it ends."""
        self._task = asyncio.create_task(self._live(), name="kubernetes companion")

    async def read(self, kind: api.Kind, name: str, namespace: str = "") -> api.Object | None:
        """As `api.Api.read`."""
        call.doing(f"reading {kind} {name}")
        wanted = {"kind": kind.value, "name": name, "namespace": namespace}
        found: api.Object | None = await self._ask({"read": wanted})
        return found

    async def post_event(self, namespace: str, event: api.Object) -> None:
        """As `api.Api.post_event`."""
        await self._ask({"event": {"namespace": namespace, "object": event}})

    async def patch(
        self,
        kind: api.Kind,
        name: str,
        patch: api.Object,
        *,
        namespace: str = "",
        status: bool = False,
    ) -> None:
        """As `api.Api.patch`."""
        told = {"kind": kind.value, "name": name, "patch": patch}
        await self._ask({"patch": {**told, "namespace": namespace, "status": status}})

    async def close(self) -> None:
        """End the companion."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _ask(self, asked: dict[str, Any]) -> Any:
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        number = next(self._ids)
        try:
            async with asyncio.timeout(_START_S):
                await self._up.wait()
            self._waiting[number] = answer
            self._send({"id": number, **asked})
            async with asyncio.timeout(_TIMEOUT_S):
                return child.result(await answer)
        except TimeoutError as e:
            raise errors.Unavailable("the Kubernetes API could not be asked in time") from e
        finally:
            self._waiting.pop(number, None)

    def _send(self, told: dict[str, Any]) -> None:
        if self._process is None or self._process.stdin is None:
            raise _Ended
        self._process.stdin.write(json.dumps(told).encode() + b"\n")

    async def _live(self) -> None:
        backoff_s = _BACKOFF_FIRST_S
        while True:
            started_s = self._clock.monotonic_s()
            try:
                why = await self._run()
            except (OSError, ValueError) as e:
                why = f"{type(e).__name__}: {e}"
            log.warning("kubernetes companion ended; starting another", why=why, after_s=backoff_s)
            await self._clock.sleep(backoff_s)
            lived = self._clock.monotonic_s() - started_s > _LIVED_S
            backoff_s = _BACKOFF_FIRST_S if lived else min(backoff_s * 2, _BACKOFF_MAX_S)

    async def _run(self) -> str:
        """One life of the companion; why it ended."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kube.agent"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=_CODE,
            limit=_LINE_MAX,
            start_new_session=True,  # what a terminal sends to us is not for it
        )
        self._process = process
        try:
            self._send(self._greeting)
            self._up.set()
            assert process.stdout is not None  # noqa: S101  # it is a pipe
            while line := await process.stdout.readline():
                self._take(json.loads(line))
            return f"exit status {await process.wait()}"
        finally:
            self._up.clear()
            self._process = None
            self.pods.away("the companion process ended")
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(_Ended())
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())

    def _take(self, told: dict[str, Any]) -> None:
        if "id" in told:
            waiting = self._waiting.get(told["id"])
            if waiting is not None and not waiting.done():
                waiting.set_result(told)
        elif "node" in told:
            self.node.take(told["node"])
        else:
            was, before = self.pods.is_live, self.pods.why_away
            self.pods.take(told)
            if self.pods.is_live and not was:
                log.info("pods of this node are watched", pods=len(self.pods))
            elif not self.pods.is_live and (was or before != self.pods.why_away):
                log.warning("pods of this node are not watched", error=self.pods.why_away)


class _Ended(errors.Unavailable):
    """The companion ended before it answered."""

    def __init__(self) -> None:
        super().__init__("the process that asks the Kubernetes API ended; another one starts")

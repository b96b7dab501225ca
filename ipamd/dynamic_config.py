"""The node's own part of the configuration: a ConfigMap that its label `terway-config` names.

Its key `eni_conf` is merged onto the file's. A daemon starts with what the node had last, so that
it needs no API server, then compares, and starts anew when the node's part has become another.
Source: spec/terway.md 1.6, "Dynamic per-node config".
"""

import asyncio
import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence

import structlog

from core import clock, errors
from ipamd import eni_conf, events
from kube import api, node_seen

log = structlog.get_logger()

LABEL = "terway-config"
_KEY = "eni_conf"
_FILE = "dynamic-config.json"
_ASK_AGAIN_S = 1.0
_LOOK_AGAIN_S = 30.0
"""A ConfigMap that is not there, or is wrong, is looked at again: nothing tells of its change."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dynamic:
    """name: of the ConfigMap, "" = the node has none. text: JSON to merge; may hold a key."""

    name: str = ""
    text: str = dataclasses.field(default="", repr=False)


NONE = Dynamic()


class Remembered:
    """What the node's part was last; in the state directory, for root alone."""

    def __init__(self, state_dir: pathlib.Path) -> None:
        self._path = state_dir / _FILE

    def read(self) -> Dynamic | None:
        """None when it was never known, or the file is none of ours."""
        try:
            return Dynamic(**json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, dynamic: Dynamic) -> None:
        """Keep it. Raises Unavailable when the disk is full or gone."""
        fresh = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps(dataclasses.asdict(dynamic)))
            fresh.replace(self._path)
        except OSError as e:
            raise errors.Unavailable(f"{self._path} cannot be written: {e.strerror}") from e


async def read(kubernetes: api.Api, name: str, namespace: str) -> Dynamic:
    """The ConfigMap *name*, "" = none. Raises NotFound, and what the API server answers."""
    if not name:
        return NONE
    found = await kubernetes.read(api.Kind.CONFIG_MAP, name, namespace)
    text = ((found or {}).get("data") or {}).get(_KEY)
    if text is None:
        what = f"no ConfigMap {namespace}/{name}" if found is None else f"no key {_KEY} in it"
        raise errors.NotFound(f"the node's label {LABEL} names {name}, and there is {what}")
    return Dynamic(name=name, text=str(text))


async def ask(
    kubernetes: api.Api, node_name: str, namespace: str, time: clock.Clock, *, wait_s: float
) -> Dynamic | None:
    """The node's part for a first start; None when it cannot be known within *wait_s* seconds.

    Waits for the API server: interfaces that are made in wrong networks would stay.
    """
    until_s = time.monotonic_s() + wait_s
    while True:
        try:
            node = await kubernetes.read(api.Kind.NODE, node_name)
            if node is not None:
                labels = (node.get("metadata") or {}).get("labels") or {}
                return await read(kubernetes, labels.get(LABEL, ""), namespace)
            why = f"there is no Node {node_name} yet"
        except errors.Error as e:
            why = str(e)
        if time.monotonic_s() >= until_s:
            log.warning("starting without the node's own configuration", label=LABEL, why=why)
            return None
        await time.sleep(_ASK_AGAIN_S)


Judge = Callable[[Dynamic], tuple[eni_conf.EniConf, Sequence[str]]]
"""What the settings are with the node's part, and what is wrong with it."""


class Follower:
    """in_use: what this process runs with, and conf, what it made of it."""

    def __init__(
        self,
        kubernetes: api.Api,
        seen: node_seen.NodeSeen,
        remembered: Remembered,
        judge: Judge,
        *,
        tell: events.Events,
        time: clock.Clock,
        namespace: str,
        in_use: Dynamic,
        conf: eni_conf.EniConf,
    ) -> None:
        self._kubernetes = kubernetes
        self._seen = seen
        self._remembered = remembered
        self._judge = judge
        self._tell = tell
        self._clock = time
        self._namespace = namespace
        self._in_use = in_use
        self._conf = conf
        self._told = ""

    async def run(self) -> None:
        """Return when this process runs with other settings than the node's; those are remembered.

        A part that is not there or is wrong changes nothing; the Node is told.
        """
        while True:
            self._seen.changed.clear()
            try:
                if await self._differs():
                    return
            except errors.Error as e:
                self._complain(e)
                await self._changed_or_later()
                continue
            except Exception:
                # The node goes on with what is in effect: no reason to end the daemon.
                log.exception("the node's own configuration cannot be judged")
                await self._changed_or_later()
                continue
            await self._seen.changed.wait()

    async def _differs(self) -> bool:
        if not self._seen.uid:
            return False
        wanted = await read(self._kubernetes, self._seen.labels.get(LABEL, ""), self._namespace)
        conf, faults = self._judge(wanted)
        if faults:
            raise errors.Invalid(f"ConfigMap {self._namespace}/{wanted.name}: {'; '.join(faults)}")
        self._told = ""
        if wanted != self._in_use or self._remembered.read() is None:
            self._remembered.write(wanted)
            self._in_use = wanted
        return conf != self._conf

    async def _changed_or_later(self) -> None:
        later = asyncio.ensure_future(self._clock.sleep(_LOOK_AGAIN_S))
        changed = asyncio.ensure_future(self._seen.changed.wait())
        try:
            await asyncio.wait({later, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            later.cancel()
            changed.cancel()

    def _complain(self, e: errors.Error) -> None:
        """Once for each complaint; an API server that is away has its own line in the log."""
        if str(e) == self._told:
            return
        self._told = str(e)
        if isinstance(e, errors.NotFound | errors.Invalid | errors.Denied):
            self._tell.node(events.Reason.CONFIG_ERROR, f"{e}; what was in effect stays so")
        else:
            log.info("the node's own configuration is not known", error=str(e))

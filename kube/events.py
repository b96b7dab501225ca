"""Events on Kubernetes objects, where an operator looks first (`kubectl describe`).

An event never holds up or fails what it tells of: it is posted beside it, and one that cannot be
posted is in the log only.
"""

import asyncio
import contextlib
import dataclasses
import datetime
import threading
from collections.abc import Mapping

import structlog

from core import clock, errors
from kube import api

log = structlog.get_logger()

_AGAIN_S = 600.0
"""The same event is not posted or logged again for so long; retries would fill the list."""
_REMEMBERED_MAX = 1000
_POSTING_MAX = 20
"""Events at a time; more are in the log only."""
_MESSAGE_MAX = 1024
"""Characters. Source: Kubernetes API, validation of Event.note."""
_DEFAULT_NAMESPACE = "default"
"""Where events of objects without a namespace are. Source: client-go, tools/record."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The object an event is about. namespace: "" for kinds that have none. uid: "" = unknown."""

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""
    api_version: str = "v1"


_POD = "csi.storage.k8s.io/pod."


def pod(volume_context: Mapping[str, str]) -> Target | None:
    """The pod that a NodePublishVolume is for, as `podInfoOnMount` tells; None = not told."""
    name = volume_context.get(f"{_POD}name", "")
    namespace = volume_context.get(f"{_POD}namespace", "")
    if not name or not namespace:
        return None
    uid = volume_context.get(f"{_POD}uid", "")
    return Target(kind="Pod", name=name, namespace=namespace, uid=uid)


def claim(parameters: Mapping[str, str]) -> Target | None:
    """The claim that a CreateVolume is for; None = not told.

    The external-provisioner tells it with --extra-create-metadata.
    """
    name = parameters.get("csi.storage.k8s.io/pvc/name", "")
    namespace = parameters.get("csi.storage.k8s.io/pvc/namespace", "")
    if not name or not namespace:
        return None
    return Target(kind="PersistentVolumeClaim", name=name, namespace=namespace)


def volume(name: str) -> Target:
    """A PersistentVolume."""
    return Target(kind="PersistentVolume", name=name)


_Key = tuple[Target, str, str]


class _Recent:
    """Events that were told a moment ago. Of any thread."""

    def __init__(self, time: clock.Clock) -> None:
        self._clock = time
        self._lock = threading.Lock()
        self._told: dict[_Key, float] = {}

    def add(self, key: _Key) -> bool:
        """Whether it was not told within the last `_AGAIN_S`; it counts as told from now on."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            fresh = {known: at_s for known, at_s in self._told.items() if now_s - at_s < _AGAIN_S}
            is_new = key not in fresh
            if is_new and len(fresh) < _REMEMBERED_MAX:
                fresh[key] = now_s
            self._told = fresh
            return is_new

    def remove(self, key: _Key) -> None:
        """It was not told after all."""
        with self._lock:
            self._told.pop(key, None)


class Recorder:
    """Posts events of one program; may be called from any thread once `start` was.

    component: its name, such as the driver's. host: the node, "" = none in particular.
    at_once: events being posted; more are in the log only. logs: whether they are in the log.
    """

    def __init__(
        self,
        kubernetes: api.Api,
        *,
        component: str,
        host: str,
        time: clock.Clock,
        at_once: int = _POSTING_MAX,
        logs: bool = True,
    ) -> None:
        self._kubernetes = kubernetes
        self._component = component
        self._host = host
        self._clock = time
        self._at_once = at_once
        self._logs = logs
        self._logged = _Recent(time)
        self._posted = _Recent(time)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Post from this event loop. What is told before is in the log only."""
        self._loop = asyncio.get_running_loop()

    def warn(self, target: Target | None, reason: str, message: str) -> None:
        """Tell of something that an operator should see to. None = nobody to tell it to."""
        self._record(target, "Warning", reason, message)

    def warn_node(self, reason: str, message: str) -> None:
        """Tell of something on the node that this process runs on."""
        self._record(self._node(), "Warning", reason, message)

    def note_node(self, reason: str, message: str) -> None:
        """As `warn_node`, of something that is as it should be."""
        self._record(self._node(), "Normal", reason, message)

    def note(self, target: Target | None, reason: str, message: str) -> None:
        """Tell of something that is as it should be."""
        self._record(target, "Normal", reason, message)

    async def close(self) -> None:
        """Give up what is not posted yet."""
        self._loop = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _node(self) -> Target | None:
        # kubelet's own events have the node's name for its uid; `kubectl describe node` asks so.
        return Target(kind="Node", name=self._host, uid=self._host) if self._host else None

    def _record(self, target: Target | None, kind: str, reason: str, message: str) -> None:
        # Of one without an object, who knows what it is about: it may be another each time.
        if self._logs and (target is None or self._logged.add((target, reason, message))):
            log.info("event", reason=reason, message=message, about=target and target.name)
        if target is not None and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                self._loop.call_soon_threadsafe(self._begin, target, kind, reason, message)

    def _begin(self, target: Target, kind: str, reason: str, message: str) -> None:
        """Post it beside everything else, unless it was posted a moment ago."""
        if self._loop is None:  # closed since it was told
            return
        if not self._posted.add((target, reason, message)):
            return
        if len(self._tasks) >= self._at_once:
            log.warning("event not posted: too many at once", reason=reason)
            return
        task = asyncio.create_task(
            self._post(target, kind, reason, message), name=f"event {reason}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(self, target: Target, kind: str, reason: str, message: str) -> None:
        namespace = target.namespace or _DEFAULT_NAMESPACE
        try:
            event = describe(
                await self._identified(target),
                kind=kind,
                reason=reason,
                message=message,
                component=self._component,
                host=self._host,
                now=self._clock.now(),
            )
            await self._kubernetes.post_event(namespace, event)
        except api.NotConfigured:
            return
        except errors.Error as e:
            log.warning("event cannot be posted", reason=reason, error=str(e))
            self._posted.remove((target, reason, message))  # so the next one is tried

    async def _identified(self, target: Target) -> Target:
        """*target* with its uid, by which `kubectl describe` looks for events."""
        if target.uid or target.kind not in _IDENTIFIED:
            return target
        found = await self._kubernetes.read(api.Kind(target.kind), target.name, target.namespace)
        uid = ((found or {}).get("metadata") or {}).get("uid") or ""
        return dataclasses.replace(target, uid=uid)


_IDENTIFIED = (api.Kind.PERSISTENT_VOLUME, api.Kind.PERSISTENT_VOLUME_CLAIM)


def describe(
    target: Target,
    *,
    kind: str,
    reason: str,
    message: str,
    component: str,
    host: str,
    now: datetime.datetime,
) -> api.Object:
    """The Event object. Pure."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    about = {
        "kind": target.kind,
        "name": target.name,
        "namespace": target.namespace,
        "uid": target.uid,
        "apiVersion": target.api_version,
    }
    return {
        "metadata": {
            # As client-go names them: unique, and told apart by when.
            "name": f"{target.name[:200]}.{int(now.timestamp() * 1e6):x}",
            "namespace": target.namespace or _DEFAULT_NAMESPACE,
        },
        "involvedObject": {key: value for key, value in about.items() if value},
        "type": kind,
        "reason": reason,
        "message": message[:_MESSAGE_MAX],
        "source": {"component": component, **({"host": host} if host else {})},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
        "reportingComponent": component,
        "reportingInstance": host or component,
    }

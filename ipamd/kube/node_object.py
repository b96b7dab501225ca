"""This node's object: where it tells of its machine, and where the pool's state is shown on it.

Source: spec/terway.md 5.1, 5.2.
"""

import datetime
from collections.abc import Mapping

import structlog

from cloud import metadata
from core import clock, errors
from ipamd import events
from ipamd.model import AddressState
from ipamd.pool import pool
from kube import api, node_seen, nodes

log = structlog.get_logger()

Key = metadata.Key

CONDITION = "SufficientIP"
_ENOUGH, _SHORT = "SufficientIP", "InsufficientIP"
_CAPACITY = "k8s.aliyun.com/max-available-ip"
_LOOK_S = 5.0
_AGAIN_S = 600.0
"""A condition that nobody renews looks forgotten. Also after a failure of the API server."""


class NodeProvider:
    """The Node as a source of metadata, for machines whose metadata service is closed."""

    name = "Node object"
    keys = frozenset({Key.REGION_ID, Key.ZONE_ID, Key.INSTANCE_ID, Key.INSTANCE_TYPE})

    def __init__(self, kubernetes: api.Api, node_name: str) -> None:
        self._kubernetes = kubernetes
        self._node_name = node_name
        self._facts: Mapping[Key, str] | None = None

    async def read(self, key: Key, known: Mapping[Key, str]) -> str | None:  # noqa: ARG002
        """Value of *key*. The object is read once: what it tells of its machine does not change."""
        if self._facts is None:
            found = await self._kubernetes.read(api.Kind.NODE, self._node_name)
            if found is None:
                raise errors.NotFound(f"there is no Node {self._node_name}; see NODE_NAME")
            facts = nodes.parse(found)
            self._facts = {
                Key.REGION_ID: facts.region_id,
                Key.ZONE_ID: facts.zone_id,
                Key.INSTANCE_ID: facts.instance_id,
                Key.INSTANCE_TYPE: facts.instance_type,
            }
        return self._facts.get(key) or None


def judge(addresses: pool.Pool) -> str | None:
    """Why the next pod would get no address, "" when it would; None between the two.

    Pure. Between: nothing is free now and something will be, so what was said before stands.
    """
    state, targets = addresses.state, addresses.targets
    if state.free():
        return ""
    total = sum(len(eni.addresses) for eni in state.enis.values())
    if total < targets.capacity and not addresses.growth_blocked:
        return None if addresses.waiting else ""
    if state.count(AddressState.COOLING):
        return None
    return addresses.growth_blocked or (
        f"all {total} of {targets.capacity} addresses of this node are in use"
    )


class NodeStatus:
    """Shows on the Node whether it has addresses, and how many it can have.

    seen: which Node there is: one that is made anew has nothing of what was shown on the old one.
    """

    def __init__(
        self,
        kubernetes: api.Api,
        node_name: str,
        addresses: pool.Pool,
        tell: events.Events,
        time: clock.Clock,
        *,
        seen: node_seen.NodeSeen,
    ) -> None:
        self._seen = seen
        self._shown_on = ""
        self._kubernetes = kubernetes
        self._node_name = node_name
        self._pool = addresses
        self._tell = tell
        self._clock = time
        self._why: str | None = None
        self._since: datetime.datetime | None = None
        self._shown_at_s = 0.0

    async def run(self) -> None:
        """Until cancelled. A failure is tried again at the next look."""
        while True:
            try:
                await self.look()
            except errors.Error as e:
                log.info("the Node object is not up to date", error=str(e))
                await self._clock.sleep(_LOOK_S * 5)
            except Exception:
                # What is shown serves people; pods need the daemon, which would end with it.
                log.exception("the Node object cannot be kept up to date")
                await self._clock.sleep(_LOOK_S * 5)
            await self._clock.sleep(_LOOK_S)

    async def look(self) -> None:
        """Compare, and show what changed. Raises what the API server answers."""
        if self._seen.is_known and not self._seen.uid:
            return  # there is no Node to show it on
        self._forget_another()
        why = judge(self._pool)
        if why is None:
            why = self._why or ""
        now_s = self._clock.monotonic_s()
        flips = self._why is None or bool(why) != bool(self._why)
        if not flips and now_s < self._shown_at_s + _AGAIN_S:
            return
        if flips:
            self._note(why)
        if self._since is None:
            self._since = await self._read_since(short=bool(why))
            capacity = str(self._pool.targets.capacity)
            patch = {"metadata": {"annotations": {_CAPACITY: capacity}}}
            await self._kubernetes.patch(api.Kind.NODE, self._node_name, patch)
        conditions = {"conditions": [self._condition(why)]}
        await self._kubernetes.patch(
            api.Kind.NODE, self._node_name, {"status": conditions}, status=True
        )
        self._shown_at_s = now_s

    def _forget_another(self) -> None:
        """What was shown on a Node that is gone is not on the one that came after it."""
        if self._shown_on not in ("", self._seen.uid):
            self._since, self._shown_at_s = None, -_AGAIN_S
        self._shown_on = self._seen.uid or self._shown_on

    def _note(self, why: str) -> None:
        """Tell of the change at once, also when the API server cannot be told now."""
        if why:
            self._tell.node(events.Reason.ALLOC_IP_FAILED, f"no address for new pods: {why}")
        elif self._why:
            text = "there are addresses for new pods again"
            self._tell.node(events.Reason.ALLOC_IP_SUCCEED, text, warning=False)
        if self._why is not None:
            self._since = self._clock.now()
        self._why, self._shown_at_s = why, -_AGAIN_S

    async def _read_since(self, *, short: bool) -> datetime.datetime:
        """When the condition began to be as it is: before us, if it was shown by an earlier run."""
        found = await self._kubernetes.read(api.Kind.NODE, self._node_name) or {}
        for each in (found.get("status") or {}).get("conditions") or ():
            if each.get("type") == CONDITION and each.get("status") == _status(short=short):
                try:
                    since = datetime.datetime.fromisoformat(each["lastTransitionTime"])
                    # Not one of a clock that was ahead.
                    return min(since, self._clock.now())
                except (KeyError, TypeError, ValueError):
                    break
        return self._clock.now()

    def _condition(self, why: str) -> Mapping[str, str]:
        assert self._since is not None  # noqa: S101  # `look` has set it
        return {
            "type": CONDITION,
            "status": _status(short=bool(why)),
            "reason": _SHORT if why else _ENOUGH,
            "message": why or "pods can get addresses",
            "lastHeartbeatTime": _stamp(self._clock.now()),
            "lastTransitionTime": _stamp(self._since),
        }


def _status(*, short: bool) -> str:
    return "False" if short else "True"


def _stamp(when: datetime.datetime) -> str:
    return when.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

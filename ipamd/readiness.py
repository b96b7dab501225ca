"""Whether ADDs can be served now: what STATUS, health and the CNI configuration stand on."""

import asyncio
import enum

import structlog

from core import errors
from ipamd.cni import cni_error
from ipamd.model import AddressState
from ipamd.pool import pool

log = structlog.get_logger()


_HELD = (
    AddressState.WARM,
    AddressState.LEASED,
    AddressState.COOLING,
    AddressState.RESERVED,
)
"""Addresses of a node that runs pods, or can run one in a moment.

Those that are kept, too: on a node that is NotReady their pods could not come back.
"""


class Phase(enum.StrEnum):
    """Where the daemon is in its life."""

    STARTING = "starting"
    RECOVERED = "recovered"  # knows its leases; does what was left undone
    PRIMING = "priming"  # serves, but has no conflist yet
    READY = "ready"
    DRAINING = "draining"


class Readiness:
    """Phase of the daemon, and why it is not ready.

    waits_for: what keeps it from starting, "" = nothing that is known yet. broken: which part ended
    by a fault, so that only a new start helps; "" = none.
    """

    def __init__(self, addresses: pool.Pool) -> None:
        self._pool = addresses
        self.phase = Phase.STARTING
        self.waits_for = ""
        self.broken = ""

    def wait_for(self, why: str) -> None:
        """Note what keeps the daemon from starting."""
        self.waits_for = why

    def note_end(self, task: "asyncio.Task[None]") -> None:
        """A background task ended; unless it was cancelled, or is done, it is broken."""
        if not task.cancelled() and task.exception() is not None:
            self.broken = f"{task.get_name()}: {task.exception()!r}"
            log.critical("background task ended", task=task.get_name(), error=self.broken)

    def require_serving(self) -> None:
        """Raise Unavailable when no ADD may start now."""
        if self.phase is Phase.DRAINING:
            raise errors.Unavailable("ipamd is stopping; the next one will answer")
        self.require_recovered()
        if self.phase is Phase.RECOVERED:
            raise errors.Unavailable("ipamd is starting; retry")

    def require_recovered(self) -> None:
        """Raise Unavailable while the leases of earlier runs are not known."""
        if self.phase is Phase.STARTING:
            why = f": {self.waits_for}" if self.waits_for else ""
            raise errors.Unavailable(f"ipamd is starting{why}; retry")

    def require_addresses(self) -> None:
        """Raise what STATUS answers when this node cannot run pods.

        A node that is full can: containerd takes a refusal for a network that is not ready, which
        makes the node NotReady, and after five minutes all of its pods are evicted. That the next
        pod gets no address is told by the condition `SufficientIP`, and by the ADD.
        """
        try:
            self.require_serving()
        except errors.Unavailable as e:
            raise cni_error.CniError(cni_error.NOT_AVAILABLE, "not available", str(e)) from e
        why = self.shortage()
        if why and not any(self._pool.state.count(each) for each in _HELD):
            raise cni_error.CniError(cni_error.NOT_AVAILABLE, "no address is free", why)

    def shortage(self) -> str:
        """Why an ADD would fail or wait now, "" when it would not."""
        state = self._pool.state
        if state.free():
            return ""
        total = state.total()
        if total < self._pool.targets.capacity and not self._pool.growth_blocked:
            return ""
        return self._pool.growth_blocked or f"none of the {total} addresses of this node is free"

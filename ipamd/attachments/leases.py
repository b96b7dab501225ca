"""Every lease of the node, in memory: who has what, and one command at a time on each."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

from core import keyed_lock
from ipamd import model
from ipamd.attachments import link_names
from ipamd.cni import cni_config


class Leases(dict[model.AttachmentKey, model.Lease]):
    """Leases by key. One event loop; what is here was stored before, by whoever put it here."""

    def __init__(self) -> None:
        super().__init__()
        self._locks = keyed_lock.KeyedLock()
        self._names: dict[model.AttachmentKey, tuple[str, model.Pod]] = {}
        """Names of links on the node that ADDs under way have chosen."""

    def hold(self, key: model.AttachmentKey) -> AbstractContextManager[None]:
        """Nobody else works on *key* for the length of the block. Raises Busy."""
        return self._locks.hold(str(key))

    def is_busy(self, key: str) -> bool:
        """Whether a command on *key* is under way."""
        return self._locks.is_held(key)

    @contextlib.contextmanager
    def naming(
        self, asked: cni_config.Attachment, *, names_tried: int = link_names.TRIES
    ) -> Iterator[str]:
        """For an ADD that holds its key: the name of the node's end, which is no other pod's.

        A known attachment's stays. Raises LinkTaken.
        """
        known = self.get(asked.key)
        if known is not None:
            host_ifname = known.host_ifname
        else:
            leased = ((lease.host_ifname, lease.pod) for lease in self.values())
            taken = (*leased, *self._names.values())
            host_ifname = link_names.choose(asked, taken, tries=names_tried)
        self._names[asked.key] = (host_ifname, asked.pod)
        try:
            yield host_ifname
        finally:
            del self._names[asked.key]

    def kept_of(self, lease: model.Lease) -> model.Kept | None:
        """How the address waits when *lease* ends.

        Not for a pod that has another one already: a new sandbox.
        """
        kept = lease.kept
        if kept is None:
            return None
        others = (each for each in self.values() if each.key != lease.key)
        return None if any(each.holder == kept.holder for each in others) else kept

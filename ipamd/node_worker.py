"""This machine, off the event loop: kernel and state database on one thread, metadata on others.

One thread for the kernel, because more only wait for one another on the kernel's RTNL lock, and
because that thread enters namespaces (measured, spec/performance.md C). The database shares it, so
that an ADD changes threads once.
"""

import asyncio
import concurrent.futures
import contextlib
import ipaddress
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from cloud import imds as cloud_imds
from cloud import imds_network
from core import executor
from ipamd import counters, model, store
from ipamd.datapath import kernel
from ipamd.datapath import model as datapath_model

T = TypeVar("T")

Addresses = tuple[ipaddress.IPv4Address, ...]


class NodeWorker:
    """Opens database and kernel in its own thread, at `open` and `connect`.

    read_link_macs: called in that thread, too.
    """

    def __init__(
        self,
        *,
        open_store: Callable[[], store.Store],
        open_kernel: Callable[[ipaddress.IPv4Address], kernel.Kernel],
        read_link_macs: Callable[[], frozenset[str]],
        imds: cloud_imds.Imds,
        counted: counters.Counters,
    ) -> None:
        self._thread = executor.BoundedExecutor("datapath", 1)
        self._imds_threads = executor.BoundedExecutor("imds", 4)
        self._open_store = open_store
        self._open_kernel = open_kernel
        self._read_link_macs = read_link_macs
        self._imds = imds
        self._counted = counted
        self._store: store.Store | None = None
        self._opened: kernel.Kernel | None = None

    async def open(self) -> tuple[model.StoredState, bool]:
        """What is stored, and whether a damaged database was put aside."""
        return await self._thread.run(self._open)

    async def connect(self, node_ip: ipaddress.IPv4Address) -> None:
        """Be ready to program the kernel of the node with this address; again changes nothing."""
        await self._thread.run(self._connect, node_ip)

    async def close(self) -> None:
        """Close database and sockets; pods keep their network."""
        await self._thread.run(self._close)
        self._thread.close()
        self._imds_threads.close()

    async def wire(self, lease: model.Lease, wiring: datapath_model.Wiring) -> datapath_model.Wired:
        """Store the lease, then make the interface."""

        def work() -> datapath_model.Wired:
            with self._timed("setup"):
                self._db.put_lease(lease)
                return self._kernel.datapath.wire(wiring)

        return await self._thread.run(work)

    async def put_lease(self, lease: model.Lease) -> None:
        """Store a lease whose interface somebody else makes."""
        await self._thread.run(lambda: self._db.put_lease(lease))

    async def unwire(self, unwiring: datapath_model.Unwiring) -> None:
        """Take the interface away; returns when it is gone from both namespaces."""
        removed = await self._thread.run(lambda: self._unwire(unwiring))
        await asyncio.wrap_future(removed)

    async def end_lease(
        self,
        key: model.AttachmentKey,
        ipv4: ipaddress.IPv4Address | None,
        released_at: float,
        *,
        keep: bool = False,
    ) -> None:
        """Forget the lease in the database. keep: the address waits for the pod's successor."""
        await self._thread.run(lambda: self._db.end_lease(key, ipv4, released_at, keep=keep))

    async def begin_anew(self) -> None:
        """Forget all that is stored."""
        await self._thread.run(self._db.begin_anew)

    async def read_link_macs(self) -> frozenset[str]:
        """MACs of the node's links, in lower case; `connect` need not have been called."""
        return await self._thread.run(self._read_link_macs)

    async def put_fact(self, name: str, value: str) -> None:
        """Remember something about this node."""
        await self._thread.run(lambda: self._db.put_fact(name, value))

    async def try_database(self) -> None:
        """Raise Unavailable when nothing can be stored now."""
        await self.put_fact("written", "")

    async def put_enis(self, enis: tuple[model.EniRecord, ...]) -> None:
        """Store the interfaces as they are."""
        await self._thread.run(lambda: self._db.put_enis(enis))

    async def check(self, wiring: datapath_model.Wiring) -> list[datapath_model.Difference]:
        """What differs from what ADD made."""
        return await self._thread.run(lambda: self._kernel.datapath.check(wiring))

    async def repair_node(self, wiring: datapath_model.Wiring) -> list[datapath_model.Difference]:
        """Mend the node's half of an interface; what was mended."""
        return await self._thread.run(lambda: self._kernel.datapath.repair_node(wiring))

    async def is_end_of(
        self, host_ifname: str, netns_path: pathlib.Path | None, ifname: str
    ) -> bool:
        """Whether the link is the node's end of the pod's interface, or is gone."""
        return await self._thread.run(
            lambda: self._kernel.host.is_end_of(host_ifname, netns_path, ifname)
        )

    async def read_host_state(self) -> datapath_model.HostState:
        """Links, rules and routes of the node."""
        return await self._thread.run(self._kernel.host.read)

    async def remove_stale(
        self,
        *,
        rules: Sequence[datapath_model.HostRule],
        links: Sequence[datapath_model.HostLink],
    ) -> None:
        """Remove what belongs to nobody."""
        await self._thread.run(lambda: self._kernel.host.remove(rules=rules, links=links))

    async def prepare_eni(self, eni: model.PoolEni) -> datapath_model.EniLink | None:
        """Make the interface ready for pods; None while the kernel does not have it."""
        wanted = datapath_model.Eni(mac=eni.mac, gateway=eni.gateway)
        return await self._thread.run(lambda: self._kernel.datapath.prepare_eni(wanted))

    async def read_primary_mac(self) -> str:
        """MAC of the primary interface."""
        return await self._read_imds("mac", imds_network.read_primary_mac)

    async def read_macs(self) -> tuple[str, ...]:
        """MACs of all attached interfaces."""
        return await self._read_imds("macs", imds_network.read_macs)

    async def read_interface(self, mac: str) -> imds_network.Interface | None:
        """What the metadata service tells of an interface."""
        return await self._read_imds("interface", imds_network.read_interface, mac)

    async def read_addresses(self, mac: str) -> Addresses:
        """Addresses of an interface, as the metadata service tells."""
        return await self._read_imds("private-ipv4s", imds_network.read_addresses, mac)

    @property
    def _db(self) -> store.Store:
        assert self._store is not None, "open() comes first"  # noqa: S101
        return self._store

    @property
    def _kernel(self) -> kernel.Kernel:
        assert self._opened is not None, "connect() comes first"  # noqa: S101
        return self._opened

    def _open(self) -> tuple[model.StoredState, bool]:
        self._store = self._open_store()
        return self._store.load(), self._store.rebuilt

    def _connect(self, node_ip: ipaddress.IPv4Address) -> None:
        if self._opened is None:
            self._opened = self._open_kernel(node_ip)

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.host.close()
        if self._store is not None:
            self._store.close()

    def _unwire(self, unwiring: datapath_model.Unwiring) -> "concurrent.futures.Future[None]":
        with self._timed("teardown"):
            return self._kernel.datapath.unwire(unwiring)

    @contextlib.contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        started_s = time.monotonic()
        try:
            yield
        finally:
            self._counted.datapath.observe(time.monotonic() - started_s, operation)

    async def _read_imds(self, what: str, read: Callable[..., T], *words: str) -> T:
        started_s, failed = time.monotonic(), "true"
        try:
            found = await self._imds_threads.run(read, self._imds, *words)
            failed = "false"
            return found
        finally:
            elapsed_ms = (time.monotonic() - started_s) * 1000
            self._counted.metadata.observe(elapsed_ms, what, failed)

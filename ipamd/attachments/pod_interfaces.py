"""The kernel's half of a lease: made, compared and mended as the lease and its ENI say."""

import pathlib

from core import errors
from ipamd import model, node_worker
from ipamd.attachments import attachment_checks
from ipamd.datapath import model as datapath_model
from ipamd.pool import pool


def unwiring(lease: model.Lease, netns_path: pathlib.Path | None) -> datapath_model.Unwiring:
    """What the kernel must not hold any more once *lease* ends. Pure."""
    return datapath_model.Unwiring(
        alias=lease.alias,
        netns_path=netns_path,
        ifname=lease.key.ifname,
        host_ifname=lease.host_ifname,
        addresses=(lease.ipv4,),
    )


class PodInterfaces:
    """Finds the ENI of each lease in the pool; changes neither leases nor addresses."""

    def __init__(self, addresses: pool.Pool, worker: node_worker.NodeWorker) -> None:
        self._pool = addresses
        self._worker = worker

    def wiring(self, lease: model.Lease) -> datapath_model.Wiring:
        """What the kernel must hold for *lease*. Raises Unavailable while its interface is gone."""
        found = self._pool.state.find(lease.key)
        eni = found[0] if found is not None else self._pool.state.enis.get(lease.eni_id)
        if eni is None or eni.link is None:
            raise errors.Unavailable(
                f"interface {lease.eni_id}, which {lease.ipv4} belongs to, is not on this node"
            )
        return datapath_model.Wiring(
            alias=lease.alias,
            netns_path=pathlib.Path(lease.netns),
            ifname=lease.key.ifname,
            host_ifname=lease.host_ifname,
            ipv4=lease.ipv4,
            gateway=eni.gateway,
            eni=eni.link,
            mtu=lease.mtu,
            bandwidth=lease.bandwidth,
        )

    async def make(self, lease: model.Lease) -> datapath_model.Wired:
        """Store the lease, then make its interface; the same again for the same one.

        Raises what the datapath tells; Internal for what it did not mean to.
        """
        try:
            return await self._worker.wire(lease, self.wiring(lease))
        except datapath_model.EniGone:
            self._pool.lose_link(lease.key)
            raise
        except errors.Error:
            raise
        except Exception as e:
            raise errors.Internal(f"{type(e).__name__}: {e}") from e

    async def remove(self, lease: model.Lease, netns_path: pathlib.Path | None) -> None:
        """Take the interface away; returns when it is gone. netns_path: where it is, if known."""
        await self._worker.unwire(unwiring(lease, netns_path))

    async def differences(self, lease: model.Lease) -> list[datapath_model.Difference]:
        """What is not as ADD made it: in the kernel, and whether the cloud has the address."""
        found = await self._worker.check(self.wiring(lease))
        place = self._pool.state.find(lease.key)
        if place is not None and place[1].state is model.AddressState.MISSING:
            found = [*found, attachment_checks.taken_away(lease)]
        return found

    async def repair(self, lease: model.Lease) -> list[datapath_model.Difference]:
        """Mend the node's half of the interface; what was mended."""
        return await self._worker.repair_node(self.wiring(lease))

"""Pool and attachments as plain data, for the introspection API and the HTTP pages."""

import time
from typing import Any

from ipamd import model
from ipamd.attachments import leases
from ipamd.model import AddressState
from ipamd.pool import pool


def pool_view(addresses: pool.Pool, held: leases.Leases) -> dict[str, Any]:
    """Fields of `ipamd.v1.GetPoolReply`."""
    state, targets, now_s = addresses.state, addresses.targets, time.time()
    return {
        "enis": [
            {
                "eni_id": eni.eni_id,
                "mac": eni.mac,
                "vswitch_id": eni.vswitch_id,
                "state": eni.state.value,
                "ifname": eni.link.ifname if eni.link else "",
                "addresses": [
                    {
                        "ip": str(address.ipv4),
                        "state": address.state.value,
                        "pod": _owner(held, address.key) or _waited_for(address),
                        "state_age_s": max(0.0, round(now_s - address.since_s, 1)),
                    }
                    for address in eni.addresses.values()
                ],
            }
            for eni in state.enis.values()
        ],
        "total": sum(len(eni.addresses) for eni in state.enis.values()),
        "warm": state.count(AddressState.WARM),
        "cooling": state.count(AddressState.COOLING),
        "leased": state.count(AddressState.LEASED) + state.count(AddressState.MISSING),
        "capacity": targets.capacity,
        "min_free": targets.min_free,
        "max_free": targets.max_free,
        "waiting": addresses.waiting,
        "growth_blocked": addresses.growth_blocked,
    }


def _owner(held: leases.Leases, key: model.AttachmentKey | None) -> str:
    """The pod an address belongs to, or its attachment where the pod is not known."""
    if key is None:
        return ""
    lease = held.get(key)
    return str(lease.pod if lease else "") or str(key)


def _waited_for(address: model.Address) -> str:
    """The pod whose successor a reserved address is kept for, "" for other addresses."""
    if address.kept is None:
        return ""
    return f"{address.kept.holder.namespace}/{address.kept.holder.name}"


def attachment_views(
    held: leases.Leases, *, namespace: str = "", name: str = ""
) -> list[dict[str, Any]]:
    """Fields of `ipamd.v1.Attachment`; of one pod when *name* is given."""
    now_s = time.time()
    return [
        {
            "network": lease.key.network,
            "container_id": lease.key.container_id,
            "ifname": lease.key.ifname,
            "pod_namespace": lease.pod.namespace,
            "pod_name": lease.pod.name,
            "netns": lease.netns,
            "ipv4": str(lease.ipv4),
            "eni_id": lease.eni_id,
            "host_ifname": lease.host_ifname,
            "age_s": max(0.0, round(now_s - lease.created_at, 1)),
        }
        for lease in held.values()
        if not name or (lease.pod.name == name and lease.pod.namespace in (namespace, ""))
    ]

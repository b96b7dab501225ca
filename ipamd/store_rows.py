"""The tables of the database, and what a row of each says. Pure, but for a word in the log."""

import dataclasses
import ipaddress
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import structlog

from ipamd import model
from ipamd.datapath import model as datapath_model

log = structlog.get_logger()

T = TypeVar("T")

SCHEMA = """
CREATE TABLE leases (
    network TEXT NOT NULL, container_id TEXT NOT NULL, ifname TEXT NOT NULL,
    ipv4 TEXT NOT NULL UNIQUE, eni_id TEXT NOT NULL, host_ifname TEXT NOT NULL,
    created_at REAL NOT NULL, pod_namespace TEXT NOT NULL, pod_name TEXT NOT NULL,
    pod_uid TEXT NOT NULL, netns TEXT NOT NULL, mtu INTEGER NOT NULL, bandwidth TEXT NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (network, container_id, ifname)
) WITHOUT ROWID;
CREATE TABLE cooling (ipv4 TEXT PRIMARY KEY, released_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE enis (
    eni_id TEXT PRIMARY KEY, mac TEXT NOT NULL, vswitch_id TEXT NOT NULL, gateway TEXT NOT NULL,
    primary_ipv4 TEXT NOT NULL, created_at REAL NOT NULL, addresses TEXT NOT NULL,
    cidr_block TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
ADDED = """
CREATE TABLE IF NOT EXISTS kept (
    ipv4 TEXT PRIMARY KEY, pod_namespace TEXT NOT NULL, pod_name TEXT NOT NULL,
    ifname TEXT NOT NULL, keep_s REAL NOT NULL, released_at REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unlearned (
    network TEXT NOT NULL, container_id TEXT NOT NULL, ifname TEXT NOT NULL,
    PRIMARY KEY (network, container_id, ifname)
) WITHOUT ROWID;
"""
"""kept: addresses kept for a pod's successor; released_at: NULL while the pod has it. unlearned:
leases whose pods are still to be looked up. An older ipamd does without: it knows nothing of these
tables, and neither reads nor breaks what is in them."""
READ_COOLING = "SELECT ipv4, released_at FROM cooling"
READ_KEPT = "SELECT ipv4, pod_namespace, pod_name, ifname, keep_s, released_at FROM kept"
READ_ENIS = (
    "SELECT eni_id, mac, vswitch_id, gateway, primary_ipv4, created_at, addresses, cidr_block "
    "FROM enis"
)
PUT_ENI = "INSERT INTO enis VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
TABLES = ("leases", "cooling", "enis", "facts", "kept", "unlearned")


def readable(table: str, rows: Iterable[Any], parse: Callable[[Any], T]) -> list[T]:
    """What *rows* say.

    One of another version, or a torn one, must not keep ipamd from starting: who uses an address
    the kernel tells, too.
    """
    found = []
    for row in rows:
        try:
            found.append(parse(row))
        except (ValueError, TypeError, KeyError, AttributeError) as e:
            log.error("stored row makes no sense; passed over", table=table, row=row, error=str(e))  # noqa: TRY400
    return found


def cooling(row: tuple[str, float]) -> tuple[ipaddress.IPv4Address, float]:
    """A row of `READ_COOLING`: an address, and when it was released."""
    return ipaddress.IPv4Address(row[0]), float(row[1])


def kept(
    row: tuple[str, str, str, str, float, float | None],
) -> tuple[ipaddress.IPv4Address, model.Kept, float | None]:
    """A row of `READ_KEPT`; the last value: when it was released, None while the pod has it."""
    ipv4, namespace, name, ifname, keep_s, released_at = row
    holder = model.Holder(namespace=namespace, name=name, ifname=ifname)
    return ipaddress.IPv4Address(ipv4), model.Kept(holder=holder, keep_s=keep_s), released_at


_LEASE_COLUMNS = (
    "network",
    "container_id",
    "ifname",
    "ipv4",
    "eni_id",
    "host_ifname",
    "created_at",
    "pod_namespace",
    "pod_name",
    "pod_uid",
    "netns",
    "mtu",
    "bandwidth",
    "owner",
)


READ_LEASES = f"SELECT {', '.join(_LEASE_COLUMNS)} FROM leases"  # noqa: S608  # our own words
PUT_LEASE = (
    f"INSERT OR REPLACE INTO leases ({', '.join(_LEASE_COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(_LEASE_COLUMNS))})"
)


def lease_row(lease: model.Lease) -> tuple[object, ...]:
    """For `PUT_LEASE`."""
    return (
        *dataclasses.astuple(lease.key),
        str(lease.ipv4),
        lease.eni_id,
        lease.host_ifname,
        lease.created_at,
        lease.pod.namespace,
        lease.pod.name,
        lease.pod.uid,
        lease.netns,
        lease.mtu,
        json.dumps(dataclasses.asdict(lease.bandwidth)),
        lease.owner.value,
    )


def lease(row: tuple[str, ...]) -> model.Lease:
    """A row of `READ_LEASES`."""
    told = dict(zip(_LEASE_COLUMNS, row, strict=True))
    return model.Lease(
        key=model.AttachmentKey(
            network=told["network"], container_id=told["container_id"], ifname=told["ifname"]
        ),
        ipv4=ipaddress.IPv4Address(told["ipv4"]),
        eni_id=told["eni_id"],
        host_ifname=told["host_ifname"],
        created_at=float(told["created_at"]),
        pod=model.Pod(namespace=told["pod_namespace"], name=told["pod_name"], uid=told["pod_uid"]),
        netns=told["netns"],
        mtu=int(told["mtu"]),
        bandwidth=datapath_model.Bandwidth(**json.loads(told["bandwidth"])),
        owner=model.Owner(told["owner"]),
    )


def eni_row(eni: model.EniRecord) -> tuple[object, ...]:
    """For `PUT_ENI`."""
    return (
        eni.eni_id,
        eni.mac,
        eni.vswitch_id,
        str(eni.gateway),
        str(eni.primary),
        eni.created_at,
        json.dumps([str(each) for each in eni.addresses]),
        "" if eni.cidr_block is None else str(eni.cidr_block),
    )


def eni(row: tuple[str, ...]) -> model.EniRecord:
    """A row of `READ_ENIS`."""
    eni_id, mac, vswitch_id, gateway, primary, created_at, addresses, cidr_block = row
    return model.EniRecord(
        eni_id=eni_id,
        mac=mac,
        vswitch_id=vswitch_id,
        gateway=ipaddress.IPv4Address(gateway),
        primary=ipaddress.IPv4Address(primary),
        created_at=float(created_at),
        addresses=tuple(ipaddress.IPv4Address(each) for each in json.loads(addresses)),
        cidr_block=ipaddress.IPv4Network(cidr_block) if cidr_block else None,
    )

"""What must survive a restart: leases, interfaces as last seen, and cool-downs. SQLite, one thread.

WAL mode with `synchronous=NORMAL`: a killed process loses nothing. A power loss may lose the last
transactions; the pods are gone then too, and the rest is rebuilt from kernel, metadata and cloud.
A damaged file is put aside and rebuilt the same way; one of a newer version is refused.
"""

import contextlib
import dataclasses
import ipaddress
import json
import pathlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import structlog

from core import errors
from ipamd import model
from ipamd.datapath import model as datapath_model

log = structlog.get_logger()

T = TypeVar("T")

SCHEMA_VERSION = 1
_BUSY_S = 5.0
_SCHEMA = """
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
_ADDED = """
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
_TABLES = ("leases", "cooling", "enis", "facts", "kept", "unlearned")
_DAMAGED = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""SQLITE_ERROR: a table or column is missing. Others, such as SQLITE_BUSY, tell of no damage."""
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
_KEY_IS = "network = ? AND container_id = ? AND ifname = ?"


class StoreTooNew(errors.Precondition):
    """The file was written by a newer version."""

    def __init__(self, path: pathlib.Path, version: int) -> None:
        super().__init__(
            f"{path} was written by a newer ipamd (schema {version}, this one knows "
            f"{SCHEMA_VERSION}); run that version, or move the file away: leases are then rebuilt "
            "from the kernel"
        )


class StoreUnusable(errors.Precondition):
    """The file cannot be opened, though nothing says that it is damaged."""

    def __init__(self, path: pathlib.Path, why: sqlite3.DatabaseError) -> None:
        advice = "is the disk full or gone?" if _lacks_room(why) else "who else has it open?"
        super().__init__(f"state database {path} cannot be used: {why}; {advice}")


class Store:
    """Opened in the thread that uses it. Raises StoreTooNew, StoreUnusable."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self.rebuilt = False
        """Whether a damaged file was put aside: kernel and cloud tell what there is then."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as e:
            self._db = self._open_without_room() if _lacks_room(e) else self._begin_anew(e)

    def close(self) -> None:
        """Write everything into the main file."""
        self._db.close()

    def load(self) -> model.StoredState:
        """All that is stored, but for rows that make no sense. Raises StoreUnusable."""
        try:
            return self._load()
        except sqlite3.DatabaseError as e:
            self._db.close()
            self._db = self._begin_anew(e)
            return self._load()

    def _load(self) -> model.StoredState:
        leases = _readable("leases", self._db.execute(_READ_LEASES), _lease)
        kept = self._load_kept()
        keeping: dict[tuple[ipaddress.IPv4Address, model.Holder | None], float] = {
            (ipv4, each.holder): each.keep_s for ipv4, each, at in kept if at is None
        }
        unlearned = set(self._db.execute("SELECT network, container_id, ifname FROM unlearned"))
        enis = self._db.execute(
            "SELECT eni_id, mac, vswitch_id, gateway, primary_ipv4, created_at, addresses, "
            "cidr_block FROM enis"
        )
        cooling = _readable(
            "cooling", self._db.execute("SELECT ipv4, released_at FROM cooling"), _cooling
        )
        return model.StoredState(
            leases=tuple(
                dataclasses.replace(
                    lease,
                    keep_s=keeping.get((lease.ipv4, lease.holder), 0.0),
                    learned=dataclasses.astuple(lease.key) not in unlearned,
                )
                for lease in leases
            ),
            enis=tuple(_readable("enis", enis, _eni)),
            released_at=dict(cooling),
            facts=dict(self._db.execute("SELECT name, value FROM facts")),
            kept={ipv4: (each, at) for ipv4, each, at in kept if at is not None},
        )

    def put_lease(self, lease: model.Lease) -> None:
        """Store a lease before anything of it is made in the kernel."""
        with self._transaction():
            self._db.execute(_PUT_LEASE, _lease_row(lease))
            self._db.execute("DELETE FROM cooling WHERE ipv4 = ?", (str(lease.ipv4),))
            self._db.execute("DELETE FROM kept WHERE ipv4 = ?", (str(lease.ipv4),))
            self._db.execute(
                f"DELETE FROM unlearned WHERE {_KEY_IS}"  # noqa: S608  # our own words
                if lease.learned
                else "INSERT OR REPLACE INTO unlearned VALUES (?, ?, ?)",
                dataclasses.astuple(lease.key),
            )
            if lease.keep_s and lease.holder is not None:
                self._db.execute(
                    "INSERT INTO kept VALUES (?, ?, ?, ?, ?, NULL)",
                    (str(lease.ipv4), *dataclasses.astuple(lease.holder), lease.keep_s),
                )

    def end_lease(
        self,
        key: model.AttachmentKey,
        ipv4: ipaddress.IPv4Address | None,
        released_at: float,
        *,
        keep: bool = False,
    ) -> None:
        """Forget a lease once nothing of it is in the kernel; begin its cool-down.

        keep: the address waits for the pod's successor, as `Lease.keep_s` said.
        """
        with self._transaction():
            for table in ("leases", "unlearned"):
                self._db.execute(
                    f"DELETE FROM {table} WHERE {_KEY_IS}",  # noqa: S608  # our own words
                    dataclasses.astuple(key),
                )
            if ipv4 is not None:
                self._db.execute(
                    "INSERT OR REPLACE INTO cooling VALUES (?, ?)", (str(ipv4), released_at)
                )
                self._db.execute(
                    "UPDATE kept SET released_at = ? WHERE ipv4 = ?"
                    if keep
                    else "DELETE FROM kept WHERE ? IS NOT NULL AND ipv4 = ?",
                    (released_at, str(ipv4)),
                )

    def begin_anew(self) -> None:
        """Forget everything: it is of another machine."""
        with self._transaction():
            for table in _TABLES:
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608  # our own words

    def put_fact(self, name: str, value: str) -> None:
        """Remember something about this node under *name*."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def put_enis(self, enis: tuple[model.EniRecord, ...]) -> None:
        """Replace what is stored of interfaces; forget cool-downs of addresses that are gone."""
        with self._transaction():
            self._db.execute("DELETE FROM enis")
            self._db.executemany(
                "INSERT INTO enis VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(_eni_row, enis)
            )
            known = {str(ipv4) for eni in enis for ipv4 in eni.addresses}
            stored = [row[0] for row in self._db.execute("SELECT ipv4 FROM cooling")]
            self._db.executemany(
                "DELETE FROM cooling WHERE ipv4 = ?", [(t,) for t in stored if t not in known]
            )
            stored = [
                row[0]
                for row in self._db.execute("SELECT ipv4 FROM kept WHERE released_at IS NOT NULL")
            ]
            self._db.executemany(
                "DELETE FROM kept WHERE ipv4 = ?", [(t,) for t in stored if t not in known]
            )

    def _load_kept(self) -> list[tuple[ipaddress.IPv4Address, model.Kept, float | None]]:
        rows = self._db.execute(
            "SELECT ipv4, pod_namespace, pod_name, ifname, keep_s, released_at FROM kept"
        )
        return _readable("kept", rows, _kept)

    def _open_without_room(self) -> sqlite3.Connection:
        """For a full disk, on which DELs must go on: they free it. Raises StoreUnusable.

        What processes share of the file needs room, so nobody else can look into it meanwhile.
        """
        try:
            db = self._open(alone=True)
        except sqlite3.DatabaseError as e:
            return self._begin_anew(e)
        log.warning("state database is opened for ipamd alone: no room", path=str(self._path))
        return db

    def _open(self, *, alone: bool = False) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        try:
            self._path.chmod(0o600)
            if alone:
                db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            version: int = db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StoreTooNew(self._path, version)  # noqa: TRY301
            if version == 0:
                db.executescript(
                    f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
            elif db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("quick_check found damage")  # noqa: TRY301
            db.executescript(_ADDED)
        except BaseException:
            db.close()
            raise
        return db

    def _begin_anew(self, why: sqlite3.DatabaseError) -> sqlite3.Connection:
        """Put a damaged file aside. Raises StoreUnusable when it may be in order."""
        code = getattr(why, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if code & 0xFF not in _DAMAGED:
            raise StoreUnusable(self._path, why) from why
        aside = self._put_aside()
        log.error(
            "state database is damaged; put aside, state is rebuilt from kernel and cloud",
            path=str(self._path),
            aside=str(aside),
            error=str(why),
        )
        self.rebuilt = True
        return self._open()

    def _put_aside(self) -> pathlib.Path:
        aside = self._path.with_name(f"{self._path.name}.damaged-{int(time.time())}")
        self._path.rename(aside)
        for ending in ("-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
        return aside

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing. Raises Unavailable when the disk is full or gone."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as e:
            raise errors.Unavailable(f"state database {self._path} cannot be written: {e}") from e


def _lacks_room(why: sqlite3.DatabaseError) -> bool:
    return getattr(why, "sqlite_errorcode", 0) & 0xFF in _NO_ROOM


def _readable(table: str, rows: Iterable[Any], parse: Callable[[Any], T]) -> list[T]:
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


def _cooling(row: tuple[str, float]) -> tuple[ipaddress.IPv4Address, float]:
    return ipaddress.IPv4Address(row[0]), float(row[1])


def _kept(
    row: tuple[str, str, str, str, float, float | None],
) -> tuple[ipaddress.IPv4Address, model.Kept, float | None]:
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


_READ_LEASES = f"SELECT {', '.join(_LEASE_COLUMNS)} FROM leases"  # noqa: S608  # our own words
_PUT_LEASE = (
    f"INSERT OR REPLACE INTO leases ({', '.join(_LEASE_COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(_LEASE_COLUMNS))})"
)


def _lease_row(lease: model.Lease) -> tuple[object, ...]:
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


def _lease(row: tuple[str, ...]) -> model.Lease:
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


def _eni_row(eni: model.EniRecord) -> tuple[object, ...]:
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


def _eni(row: tuple[str, ...]) -> model.EniRecord:
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

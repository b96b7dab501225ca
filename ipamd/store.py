"""What must survive a restart: leases, interfaces as last seen, and cool-downs. SQLite, one thread.

WAL mode with `synchronous=NORMAL`: a killed process loses nothing. A power loss may lose the last
transactions; the pods are gone then too, and the rest is rebuilt from kernel, metadata and cloud.
A damaged file is put aside and rebuilt the same way; one of a newer version is refused.
"""

import contextlib
import dataclasses
import ipaddress
import pathlib
import sqlite3
import time
from collections.abc import Iterator

import structlog

from core import errors
from ipamd import model, store_rows

log = structlog.get_logger()

SCHEMA_VERSION = 1
_BUSY_S = 5.0
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
        leases = store_rows.readable(
            "leases", self._db.execute(store_rows.READ_LEASES), store_rows.lease
        )
        kept = self._load_kept()
        keeping: dict[tuple[ipaddress.IPv4Address, model.Holder | None], float] = {
            (ipv4, each.holder): each.keep_s for ipv4, each, at in kept if at is None
        }
        unlearned = set(self._db.execute("SELECT network, container_id, ifname FROM unlearned"))
        enis = self._db.execute(store_rows.READ_ENIS)
        cooling = self._db.execute(store_rows.READ_COOLING)
        return model.StoredState(
            leases=tuple(
                dataclasses.replace(
                    lease,
                    keep_s=keeping.get((lease.ipv4, lease.holder), 0.0),
                    learned=dataclasses.astuple(lease.key) not in unlearned,
                )
                for lease in leases
            ),
            enis=tuple(store_rows.readable("enis", enis, store_rows.eni)),
            released_at=dict(store_rows.readable("cooling", cooling, store_rows.cooling)),
            facts=dict(self._db.execute("SELECT name, value FROM facts")),
            kept={ipv4: (each, at) for ipv4, each, at in kept if at is not None},
        )

    def put_lease(self, lease: model.Lease) -> None:
        """Store a lease before anything of it is made in the kernel."""
        with self._transaction():
            self._db.execute(store_rows.PUT_LEASE, store_rows.lease_row(lease))
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
            for table in store_rows.TABLES:
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608  # our own words

    def put_fact(self, name: str, value: str) -> None:
        """Remember something about this node under *name*."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def put_enis(self, enis: tuple[model.EniRecord, ...]) -> None:
        """Replace what is stored of interfaces; forget cool-downs of addresses that are gone."""
        with self._transaction():
            self._db.execute("DELETE FROM enis")
            self._db.executemany(store_rows.PUT_ENI, map(store_rows.eni_row, enis))
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
        rows = self._db.execute(store_rows.READ_KEPT)
        return store_rows.readable("kept", rows, store_rows.kept)

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
                    f"BEGIN; {store_rows.SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
            elif db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("quick_check found damage")  # noqa: TRY301
            db.executescript(store_rows.ADDED)
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

"""All state of the simulator: JSON rows by (kind, id), in memory and in SQLite.

Reads come from memory. Writes go to both, inside a transaction: committed before an answer leaves,
or undone together. SQLite runs in WAL mode with synchronous=NORMAL, so a killed process loses
nothing that was answered. A power loss may lose the last answers; then delete the state directory.

Not here: what the kinds mean.
"""

import contextlib
import json
import pathlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any

SCHEMA_VERSION = 1
FILE_NAME = "cloud.sqlite3"
_LOCK_WAIT_S = 1.0

Row = Mapping[str, Any]
# (kind, id, row before, row after); None stands for absent.
Change = tuple[str, str, Row | None, Row | None]


class StoreError(Exception):
    """The state directory cannot be used; the message says how to recover."""


class Store:
    """Write-through cache over one SQLite file; one process, one thread.

    Rows that are handed out are read-only by agreement: put a changed copy instead.
    on_commit: called with the changes of each committed transaction, in order.
    """

    def __init__(
        self,
        state_dir: pathlib.Path,
        *,
        on_commit: Callable[[list[Change]], None] = lambda _: None,
    ) -> None:
        self._path = state_dir / FILE_NAME
        self._on_commit = on_commit
        self._rows: dict[str, dict[str, Row]] = {}
        self._indexes: dict[str, dict[str, dict[Any, dict[str, None]]]] = {}
        self._changes: list[Change] = []
        self._open = False
        self.generation = 0
        """Counts committed changes; equal numbers mean that nothing has happened."""
        state_dir.mkdir(parents=True, exist_ok=True)
        self._db = _open_database(self._path)
        for kind, row_id, body in self._db.execute("SELECT kind, id, body FROM row ORDER BY n"):
            self._rows.setdefault(kind, {})[row_id] = json.loads(body)

    def close(self) -> None:
        """Close the file; everything is already in it."""
        self._db.close()

    @contextlib.contextmanager
    def transaction(self, *, news: bool = True) -> Iterator[None]:
        """Group writes: all are committed when the block ends, all undone when it raises.

        Transactions do not nest. news: False for bookkeeping that leaves `generation` alone.
        """
        if self._open:
            raise StoreError("a transaction is already open")
        self._open = True
        try:
            yield
        except BaseException:
            self._undo()
            raise
        finally:
            self._open = False
        self._commit(news=news)

    def get(self, kind: str, row_id: str) -> Row | None:
        """The row, or None when absent."""
        return self._rows.get(kind, {}).get(row_id)

    def all(self, kind: str) -> list[Row]:
        """All rows of *kind*, oldest first."""
        return list(self._rows.get(kind, {}).values())

    def items(self, kind: str) -> list[tuple[str, Row]]:
        """(id, row) of all rows of *kind*, oldest first."""
        return list(self._rows.get(kind, {}).items())

    def by(self, kind: str, field: str, value: str | float | None) -> list[Row]:
        """Rows whose top-level *field* equals *value*, oldest write first.

        The first use builds an index that is kept from then on.
        """
        fields = self._indexes.setdefault(kind, {})
        if field not in fields:
            fields[field] = {}
            for row_id, row in self._rows.get(kind, {}).items():
                fields[field].setdefault(row.get(field), {})[row_id] = None
        rows = self._rows.get(kind, {})
        return [rows[row_id] for row_id in fields[field].get(value, {})]

    def count(self, kind: str) -> int:
        """Number of rows of *kind*."""
        return len(self._rows.get(kind, {}))

    def kinds(self) -> list[str]:
        """Kinds that have rows, sorted."""
        return sorted(kind for kind, rows in self._rows.items() if rows)

    def put(self, kind: str, row_id: str, row: Row) -> None:
        """Add or replace a row. The store keeps its own copy."""
        self._require_transaction()
        body = json.dumps(row, separators=(",", ":"))
        self._db.execute(
            "INSERT INTO row (kind, id, body) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (kind, row_id, body),
        )
        self._replace(kind, row_id, json.loads(body))

    def delete(self, kind: str, row_id: str) -> None:
        """Remove a row; absent is fine."""
        self._require_transaction()
        if self.get(kind, row_id) is None:
            return
        self._db.execute("DELETE FROM row WHERE kind = ? AND id = ?", (kind, row_id))
        self._replace(kind, row_id, None)

    def clear(self) -> None:
        """Remove everything."""
        for kind in self.kinds():
            for row_id in list(self._rows[kind]):
                self.delete(kind, row_id)

    def _require_transaction(self) -> None:
        if not self._open:
            raise StoreError("writes need a transaction")

    def _replace(self, kind: str, row_id: str, new: Row | None) -> None:
        old = self._set(kind, row_id, new)
        self._changes.append((kind, row_id, old, new))

    def _set(self, kind: str, row_id: str, new: Row | None) -> Row | None:
        rows = self._rows.setdefault(kind, {})
        old = rows.get(row_id)
        if new is None:
            rows.pop(row_id, None)
        else:
            rows[row_id] = new
        for field, ids in self._indexes.get(kind, {}).items():
            if old is not None:
                ids[old.get(field)].pop(row_id, None)
            if new is not None:
                ids.setdefault(new.get(field), {})[row_id] = None
        return old

    def _undo(self) -> None:
        self._db.rollback()
        for kind, row_id, old, _ in reversed(self._changes):
            self._set(kind, row_id, old)
        self._changes.clear()

    def _commit(self, *, news: bool) -> None:
        if not self._changes:
            return
        self._db.commit()
        if news:
            self.generation += len(self._changes)
        changes, self._changes = self._changes, []
        self._on_commit(changes)


def _open_database(path: pathlib.Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_LOCK_WAIT_S)
    try:
        _prepare(db, path)
    except sqlite3.OperationalError as e:
        db.close()
        raise StoreError(
            f"{path} cannot be opened ({e}); another cloudsim may be using this state directory"
        ) from e
    except sqlite3.DatabaseError as e:
        db.close()
        raise StoreError(f"{path} is damaged ({e}); delete the state directory") from e
    except StoreError:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: pathlib.Path) -> None:
    # One server per state directory: the lock is held until the process ends. The mode must be set
    # before WAL, else a reader in another process could share the file.
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        db.execute(
            "CREATE TABLE row (n INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL,"
            " body TEXT NOT NULL, UNIQUE (kind, id))"
        )
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.commit()
    elif version != SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {version}, this program reads {SCHEMA_VERSION}; "
            "use the program that wrote it, or delete the state directory"
        )

"""Eventual consistency: what Describe actions see while the simulator lags behind itself."""

from collections import deque
from collections.abc import Callable

from sim import store as store_module
from sim.store import Change, Row


class View:
    """The store's rows as they were `lag_s` simulated seconds ago.

    With lag 0 it is the store itself. History is kept only while a lag is set, so rows from before
    that moment count as old. now_s: the simulated clock.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._history: deque[tuple[float, Change]] = deque()
        self._store: store_module.Store | None = None
        self.lag_s = 0.0

    def bind(self, store: store_module.Store) -> None:
        """Read from *store* from now on."""
        self._store = store

    def reset(self) -> None:
        """No lag, no history."""
        self.lag_s = 0.0
        self._history.clear()

    def record(self, changes: list[Change]) -> None:
        """Take note of a committed transaction; the store calls it."""
        if self.lag_s > 0:
            now_s = self._now_s()
            self._history.extend((now_s, change) for change in changes)
        self._forget()

    def get(self, kind: str, row_id: str) -> Row | None:
        """The row as readers see it now, or None."""
        for then_kind, then_id, old, _ in self._unseen():
            if (then_kind, then_id) == (kind, row_id):
                return old
        return self._rows().get(kind, row_id)

    def all(self, kind: str) -> list[Row]:
        """All rows of *kind* as readers see them now, oldest first."""
        unseen: dict[str, Row | None] = {}
        for then_kind, row_id, old, _ in self._unseen():
            if then_kind == kind:
                unseen.setdefault(row_id, old)
        if not unseen:
            return self._rows().all(kind)
        rows = {row_id: row for row_id, row in self._rows().items(kind) if row_id not in unseen}
        rows.update({row_id: old for row_id, old in unseen.items() if old is not None})
        return list(rows.values())

    def by(self, kind: str, field: str, value: str | float | None) -> list[Row]:
        """Rows whose *field* equals *value*, as readers see them now."""
        if not self._unseen():
            return self._rows().by(kind, field, value)
        return [row for row in self.all(kind) if row.get(field) == value]

    def _rows(self) -> store_module.Store:
        if self._store is None:
            raise store_module.StoreError("the view has no store yet")
        return self._store

    def _unseen(self) -> list[Change]:
        """Changes that readers do not see yet, oldest first."""
        if not self._history or self.lag_s <= 0:
            return []
        since_s = self._now_s() - self.lag_s
        return [change for at_s, change in self._history if at_s > since_s]

    def _forget(self) -> None:
        since_s = self._now_s() - self.lag_s
        while self._history and self._history[0][0] <= since_s:
            self._history.popleft()

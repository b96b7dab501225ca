"""Remembers signature nonces for as long as their dates are acceptable, also across restarts."""

from sim import signature, store

_KIND = "nonce"
# A date may lie 15 min in the future and is then good for 30 min.
_KEEP_S = 2 * signature.WINDOW_S
_PRUNE_EVERY_S = 60.0


class Nonces:
    """Nonces by access key. Times are the machine's epoch seconds."""

    def __init__(self, rows: store.Store) -> None:
        self._store = rows
        self._next_prune_s = 0.0

    def use(self, access_key_id: str, nonce: str, now_s: float) -> bool:
        """Take note of *nonce*; False when it has been used. Commits at once."""
        row_id = f"{access_key_id}/{nonce}"
        if self._store.get(_KIND, row_id) is not None:
            return False
        with self._store.transaction(news=False):
            self._prune(now_s)
            self._store.put(_KIND, row_id, {"at_s": now_s})
        return True

    def _prune(self, now_s: float) -> None:
        if now_s < self._next_prune_s:
            return
        self._next_prune_s = now_s + _PRUNE_EVERY_S
        for row_id, row in self._store.items(_KIND):
            if row["at_s"] + _KEEP_S >= now_s:
                break
            self._store.delete(_KIND, row_id)

"""A try-lock per key."""

import contextlib
from collections.abc import Iterator

from core import errors


class KeyedLock:
    """Try-lock per key: a second holder gets Busy at once instead of waiting.

    One event loop only; `hold` has no await, so check and insert are atomic.
    """

    def __init__(self) -> None:
        self._held: set[str] = set()

    def is_held(self, key: str) -> bool:
        """Whether somebody holds *key* now."""
        return key in self._held

    @contextlib.contextmanager
    def hold(self, *keys: str) -> Iterator[None]:
        """Hold all *keys* for the body. Raises Busy, holding nothing, when one of them is held."""
        for key in keys:
            if key in self._held:
                raise errors.Busy(
                    f"an operation on {key} is already running; retry when it has ended"
                )
        self._held.update(keys)
        try:
            yield
        finally:
            self._held.difference_update(keys)

"""How full a bucket is, for volumes that are a whole one: OSS counts it, and tells who may ask.

A client's statfs is a fiction. NodeGetVolumeStats brings no secrets, so the bucket is asked when a
publish does, in the background: what nobody waits for must hold nobody up. OSS counts about once
an hour.
"""

import dataclasses
import json
import threading
import time
from collections.abc import Callable

import structlog

from core import errors
from csi.oss.node import bucket_question, node_requests

log = structlog.get_logger()

_ASK_AGAIN_S = 3600.0
LATER_S = 2.0
"""After a publish: pods that start need the node's processors more."""
_LIMIT = 1 << 60
"""A bucket has no limit; GetCapacity says the same."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BucketUsage:
    """What a bucket holds, in the words of a file system."""

    used_bytes: int
    used_inodes: int
    total_bytes: int = _LIMIT
    total_inodes: int = _LIMIT

    @property
    def available_bytes(self) -> int:
        """Bytes that may be written."""
        return self.total_bytes - self.used_bytes

    @property
    def free_inodes(self) -> int:
        """Objects that may be made."""
        return self.total_inodes - self.used_inodes


Ask = Callable[[node_requests.Publishing], BucketUsage]


def ask_bucket(want: node_requests.Publishing) -> BucketUsage:
    """The bucket's count. Blocking; raises Error."""
    told = bucket_question.ask("usage", want)
    try:
        if not told["error"]:
            return BucketUsage(
                used_bytes=int(told["stored_bytes"]), used_inodes=int(told["objects"])
            )
    except (KeyError, ValueError) as e:
        raise errors.Internal(f"the answer {json.dumps(told)} is not understood") from e
    raise errors.Unavailable(told["error"])


class Usages:
    """The counts, by volume; each at most once an hour, one at a time.

    delay_s: how long a count waits; a volume that has gone by then is not asked for.
    """

    def __init__(
        self,
        ask: Ask = ask_bucket,
        now_s: Callable[[], float] = time.monotonic,
        *,
        delay_s: float = 0.0,
    ) -> None:
        self._ask = ask
        self._now_s = now_s
        self._delay_s = delay_s
        self._asked_s: dict[str, float] = {}
        self._found: dict[str, BucketUsage] = {}
        self._turn = threading.Lock()

    def refresh(self, want: node_requests.Publishing) -> None:
        """Ask for *want*'s bucket, unless that is known, or somebody asks for another one now."""
        asked_s = self._asked_s.get(want.volume_id)
        if want.volume.path != "/" or want.credential is None:
            return
        if asked_s is not None and self._now_s() - asked_s < _ASK_AGAIN_S:
            return
        if not self._turn.acquire(blocking=False):
            return  # the next publish asks
        self._asked_s[want.volume_id] = self._now_s()
        threading.Thread(
            target=self._refresh, args=(want,), name="usage of a bucket", daemon=True
        ).start()

    def find(self, volume_id: str) -> BucketUsage | None:
        """What was counted last; None when it is not known."""
        return self._found.get(volume_id)

    def forget(self, volume_id: str) -> None:
        """The volume is gone."""
        self._asked_s.pop(volume_id, None)
        self._found.pop(volume_id, None)

    def _refresh(self, want: node_requests.Publishing) -> None:
        time.sleep(self._delay_s)
        try:
            if want.volume_id not in self._asked_s:
                return
            found = self._ask(want)
            if want.volume_id in self._asked_s:
                self._found[want.volume_id] = found
        except Exception as e:  # noqa: BLE001 - nobody waits for it
            log.info("a bucket's usage is not known", volume_id=want.volume_id, error=str(e))
        finally:
            self._turn.release()

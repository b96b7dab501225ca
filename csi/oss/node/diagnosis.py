"""Why a mount failed, told by asking the bucket itself: a few at a time, and not for ever.

Each question is a process of about 50 MiB, so forty publishes that fail together must not ask
together. Nor may they keep the threads that publish other volumes.
"""

from collections.abc import Callable

import structlog

from core import call, errors, executor
from csi.oss.node import bucket_question, node_requests
from csi.oss.volume_context import AuthType

log = structlog.get_logger()

AT_ONCE = 2
_WAIT_S = 30.0
"""For an answer, turn included; one takes at most 9.5 s. kubelet publishes, and asks, again."""
_SPARE_S = 0.5
"""Of the call's own time, to answer it with the client's words."""


class Diagnoses:
    """Asks AT_ONCE buckets at a time."""

    def __init__(self) -> None:
        self._pool = executor.BoundedExecutor("oss-diagnosis", AT_ONCE)

    async def find(self, wanted: Callable[[], node_requests.Publishing]) -> str:
        """What keeps a volume from its bucket; "" = nothing found, or no time to ask.

        wanted: tells what was to be published, with the key of its client, when its turn comes.
        Raises what *wanted* raises.
        """
        limit_s = min(_WAIT_S, call.remaining_s(_WAIT_S) - _SPARE_S)
        try:
            return await self._pool.run_within(max(0.0, limit_s), _examine, wanted)
        except errors.DeadlineExceeded:
            log.info("no time to ask the bucket why it cannot be mounted")
            return ""

    def close(self) -> None:
        """Ask nothing more."""
        self._pool.close()


def _examine(wanted: Callable[[], node_requests.Publishing]) -> str:
    return examine(wanted())


def examine(want: node_requests.Publishing) -> str:
    """What keeps *want* from its bucket, asked with its own credentials; "" = nothing found."""
    if want.credential is None and want.volume.auth is not AuthType.PUBLIC:
        return ""
    try:
        return str(bucket_question.ask("access", want)["error"])
    except (errors.Error, KeyError) as e:
        log.warning("the bucket could not be asked", error=str(e))
        return ""

"""Usage and health of a volume whose server may not answer."""

from collections.abc import Awaitable

from core import errors
from csi import volume_stats
from csi._pb import csi_pb2
from host import nfs

LOOK_LIMIT_S = 10.0
"""How long a server may take to tell."""
ANSWER_LIMIT_S = 25.0
"""Of the whole answer, with the time that the call waits for a thread."""


async def read(usage: Awaitable[nfs.Usage], *, well: str) -> csi_pb2.NodeGetVolumeStatsResponse:
    """NodeGetVolumeStats of a volume with *usage*. well: what is told of a live one.

    A dead one is an answer and no error: its usage is not known, but kubelet must be told of it.
    """
    try:
        found = await usage
    except (nfs.DeadMount, errors.DeadlineExceeded) as e:
        return volume_stats.response(volume_stats.Condition(abnormal=True, message=str(e)))
    return volume_stats.response(volume_stats.Condition(abnormal=False, message=well), usage=found)

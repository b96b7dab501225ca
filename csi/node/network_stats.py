"""Usage and health of a volume whose server may not answer."""

import pathlib

from core import errors
from csi import volume_stats
from csi._pb import csi_pb2
from csi.node import servers
from host import nfs

_STATFS_LIMIT_S = 10.0
_ANSWER_LIMIT_S = 25.0
"""Of the whole answer, with the time that the call waits for a thread."""


async def read(
    pools: servers.Servers, server: str, path: pathlib.Path, *, well: str
) -> csi_pb2.NodeGetVolumeStatsResponse:
    """NodeGetVolumeStats of what *server* has mounted at *path*. well: what is told of a live one.

    A dead one is an answer and no error: its usage is not known, but kubelet must be told of it.
    """
    try:
        found = await pools.readers(server).run_within(
            _ANSWER_LIMIT_S, nfs.usage, path, timeout_s=_STATFS_LIMIT_S
        )
    except (nfs.DeadMount, errors.DeadlineExceeded) as e:
        return volume_stats.response(volume_stats.Condition(abnormal=True, message=str(e)))
    return volume_stats.response(volume_stats.Condition(abnormal=False, message=well), usage=found)

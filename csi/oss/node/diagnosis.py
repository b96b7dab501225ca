"""Why a mount failed, told by asking the bucket itself. Blocking."""

import structlog

from core import errors
from csi.oss.node import bucket_question, node_requests
from csi.oss.volume_context import AuthType

log = structlog.get_logger()


def examine(want: node_requests.Publishing) -> str:
    """What keeps *want* from its bucket, asked with its own credentials; "" = nothing found."""
    if want.credential is None and want.volume.auth is not AuthType.PUBLIC:
        return ""
    try:
        return str(bucket_question.ask("access", want)["error"])
    except (errors.Error, KeyError) as e:
        log.warning("the bucket could not be asked", error=str(e))
        return ""

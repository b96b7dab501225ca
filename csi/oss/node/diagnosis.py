"""Why a mount failed, told by asking the bucket itself. Blocking."""

import json

import structlog

from core import errors
from csi.oss import credentials
from csi.oss.node import node_requests
from csi.oss.volume_context import AuthType
from host import own_program, run

log = structlog.get_logger()

_PROBE = "csi.oss.node.access_probe"
_TIMEOUT_S = 9.5


def examine(want: node_requests.Publishing) -> str:
    """What keeps *want* from its bucket, asked with its own credentials; "" = nothing found."""
    credential, volume = want.credential, want.volume
    if credential is None and volume.auth is not AuthType.PUBLIC:
        return ""
    credential = credential or credentials.Credential(key_id="", secret="")
    asked = {
        "url": volume.url,
        "region": volume.region,
        "bucket": volume.bucket,
        "prefix": f"{volume.path.strip('/')}/" if volume.path != "/" else "",
        "key_id": credential.key_id,
        "secret": credential.secret,
        "token": credential.token,
    }
    try:
        told = own_program.ask(_PROBE, timeout_s=_TIMEOUT_S, stdin=json.dumps(asked).encode())
        return str(json.loads(told)["error"])
    except run.CommandTimeout:
        return f"{volume.url} does not answer within {_TIMEOUT_S:g} s"
    except (errors.Error, ValueError, KeyError) as e:
        log.warning("the bucket could not be asked", error=str(e))
        return ""

"""What is asked of a bucket itself, by `csi.oss.node.access_probe`. Blocking."""

import json
from typing import Any

from core import errors
from csi.oss import credentials
from csi.oss.node import node_requests
from host import own_program, run

_PROBE = "csi.oss.node.access_probe"
_TIMEOUT_S = 9.5


def ask(what: str, want: node_requests.Publishing) -> dict[str, Any]:
    """Its answer to *what*, with the credential of *want*, or as nobody. Raises as `host.run.run`.

    An endpoint that does not answer is an `error` of the answer.
    """
    volume = want.volume
    key = want.credential or credentials.Credential(key_id="", secret="")
    asked = {
        "what": what,
        "url": volume.url,
        "region": volume.region,
        "bucket": volume.bucket,
        "prefix": f"{volume.path.strip('/')}/" if volume.path != "/" else "",
        "key_id": key.key_id,
        "secret": key.secret,
        "token": key.token,
    }
    try:
        told = own_program.ask(_PROBE, timeout_s=_TIMEOUT_S, stdin=json.dumps(asked).encode())
    except run.CommandTimeout:
        return {"error": f"{volume.url} does not answer within {_TIMEOUT_S:g} s"}
    try:
        return dict(json.loads(told))
    except ValueError as e:
        raise errors.Internal(f"{_PROBE} answered {told[:200]!r}") from e

"""Errors as CNI has them: a code, a message, details. The one table from our kinds to codes.

Source: CNI specification 1.1.0, section "Error"; spec/conformance.md c.2.
"""

import json

from core import errors
from ipamd.datapath import model as datapath_model

INCOMPATIBLE_VERSION = 1
UNSUPPORTED_FIELD = 2
UNKNOWN_CONTAINER = 3
INVALID_ENVIRONMENT = 4
IO_FAILURE = 5
DECODING_FAILURE = 6
INVALID_CONFIG = 7
INVALID_NETNS = 8
TRY_AGAIN_LATER = 11
NOT_AVAILABLE = 50
CHECK_FAILED = 101
"""Ours: the network of a container is not as ADD made it."""
INTERNAL = 999

_CODES = {
    errors.Kind.INVALID: INVALID_CONFIG,
    errors.Kind.NOT_FOUND: UNKNOWN_CONTAINER,
    errors.Kind.INTERNAL: INTERNAL,
    errors.Kind.UNSUPPORTED: UNSUPPORTED_FIELD,
}


class CniError(errors.Error):
    """A command that was refused."""

    kind = errors.Kind.INVALID

    def __init__(self, code: int, msg: str, details: str = "") -> None:
        super().__init__(f"{msg}: {details}" if details else msg)
        self.code = code
        self.msg = msg
        self.details = details


def from_error(error: errors.Error, doing: str) -> CniError:
    """*error* as CNI tells it. Whatever may pass by itself is "try again later"."""
    if isinstance(error, CniError):
        return error
    if isinstance(error, datapath_model.NetnsGone):
        return CniError(INVALID_NETNS, str(error))
    return CniError(_CODES.get(error.kind, TRY_AGAIN_LATER), f"failed to {doing}", str(error))


def to_json(error: CniError, cni_version: str) -> bytes:
    """What the executable prints."""
    told = {"cniVersion": cni_version, "code": error.code, "msg": error.msg}
    if error.details:
        told["details"] = error.details
    return json.dumps(told).encode() + b"\n"

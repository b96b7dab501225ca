"""Clients of a running simulator's object storage."""

import dataclasses
import gc
import http.client
import urllib.parse
import warnings
from collections.abc import Callable, Mapping

import oss2
import pytest

from tests.sim.conftest import KEY_ID, SECRET, Sim

REGION = "cn-hangzhou"
# One for all: oss2 never closes its own, and warnings are errors here.
SESSION = oss2.Session()


def bucket(
    sim: Sim,
    name: str = "simulated-bucket",
    *,
    auth: oss2.auth.AuthBase | None = None,
    region: str = REGION,
) -> oss2.Bucket:
    """oss2's client of a bucket, which signs with V4 unless *auth* says otherwise."""
    auth = auth or oss2.AuthV4(KEY_ID, SECRET)
    return oss2.Bucket(auth, f"http://{sim.endpoint}", name, region=region, session=SESSION)


def service(sim: Sim) -> oss2.Service:
    return oss2.Service(
        oss2.AuthV4(KEY_ID, SECRET), f"http://{sim.endpoint}", region=REGION, session=SESSION
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refusal:
    """What a ServerError of oss2 says. details: elements of the body."""

    status: int
    code: str
    ec: str
    details: Mapping[str, str]


def refusal(call: Callable[[], object]) -> Refusal:
    """How *call* is refused."""
    with warnings.catch_warnings():
        # oss2 reads an error's body, but not to its end, and so its connection stays open until the
        # collector finds it: here, and not in somebody else's test.
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(oss2.exceptions.ServerError) as found:
            call()
        error = found.value
        told = Refusal(
            status=error.status, code=error.code, ec=error.ec, details=dict(error.details)
        )
        del found, error
        gc.collect()
    return told


def refused(call: Callable[[], object]) -> tuple[int, str]:
    """Status and code of a refusal."""
    told = refusal(call)
    return told.status, told.code


def fetch(
    url: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> tuple[int, Mapping[str, str], bytes]:
    """(status, headers in lower case, body) of a request that nobody signs or changes."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body or None, headers=dict(headers or {}))
        reply = connection.getresponse()
        told = {name.lower(): value for name, value in reply.getheaders()}
        return reply.status, told, reply.read()
    finally:
        connection.close()

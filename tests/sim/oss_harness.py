"""Clients of a running simulator's object storage."""

import http.client
import urllib.parse
from collections.abc import Mapping

import oss2

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

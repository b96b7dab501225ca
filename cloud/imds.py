"""The instance metadata service, with the standard library only: every node process uses it.

Source: spec/cloud-api.md 7; spec/csi-driver.md 1.7.
"""

import contextlib
import dataclasses
import http.client
import socket
import threading
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

from core import errors

DEFAULT_ENDPOINT = "http://100.100.100.200"
_TOKEN_TTL_S = 63
_TOKEN_SPARE_S = 8.0
_TOTAL_S = 10.0
_ATTEMPT_S = 3.0
_RETRY_S = 1.0
_OK = 200
_UNAUTHORIZED = 401
_NOT_FOUND = 404
_TOO_MANY = 429
_SERVER_ERROR = 500
_NO_TOKENS = (403, 404, 405)
"""Answers to the request for a token that mean: this service knows version 1 only."""


class MetadataUnavailable(errors.Unavailable):
    """The metadata service does not answer."""

    def __init__(self, endpoint: str, why: str) -> None:
        super().__init__(
            f"the metadata service {endpoint} does not answer ({why}); on a machine that is no ECS "
            "instance set REGION_ID and ALIBABA_CLOUD_NO_ECS_METADATA=true, and give csi-plugin "
            "--nodeid"
        )


@dataclasses.dataclass(slots=True)
class _Token:
    text: str = ""
    valid_until_s: float = 0.0


class Imds:
    """Reads paths below `/latest/`. Blocking; callers use an executor. Safe in several threads.

    allow_v1: whether to ask without a token when the service gives none.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        *,
        allow_v1: bool = True,
        total_s: float = _TOTAL_S,
        retry_s: float = _RETRY_S,
    ) -> None:
        parts = urllib.parse.urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
        self.endpoint = f"http://{parts.netloc}"
        self._netloc = parts.netloc
        self._allow_v1 = allow_v1
        self._total_s = total_s
        self._retry_s = retry_s
        self._token = _Token()
        self._lock = threading.Lock()

    def read(self, path: str) -> str | None:
        """Text at `/latest/<path>`, None when there is no such thing.

        Tries again for 10 s on 401 (with a new token), 429, 5xx and lost connections.
        Raises MetadataUnavailable.
        """
        give_up_s = time.monotonic() + self._total_s
        while True:
            try:
                status, body = self._request("GET", path, self._token_header())
                if status == _OK:
                    return body
                if status == _NOT_FOUND:
                    return None
                why = f"HTTP {status} for {path}"
                if status == _UNAUTHORIZED:
                    self._forget_token()
                elif status != _TOO_MANY and status < _SERVER_ERROR:
                    raise MetadataUnavailable(self.endpoint, why)
            except (OSError, http.client.HTTPException) as e:
                why = str(e) or type(e).__name__
            if time.monotonic() + self._retry_s >= give_up_s:
                raise MetadataUnavailable(self.endpoint, why)
            time.sleep(self._retry_s)

    def _token_header(self) -> Mapping[str, str]:
        with self._lock:
            if time.monotonic() >= self._token.valid_until_s:
                self._token = self._new_token()
            text = self._token.text
        return {"X-aliyun-ecs-metadata-token": text} if text else {}

    def _new_token(self) -> _Token:
        status, body = self._request(
            "PUT", "api/token", {"X-aliyun-ecs-metadata-token-ttl-seconds": str(_TOKEN_TTL_S)}
        )
        if status == _OK:
            return _Token(body, time.monotonic() + _TOKEN_TTL_S - _TOKEN_SPARE_S)
        if status in _NO_TOKENS and self._allow_v1:
            return _Token("", time.monotonic() + _TOKEN_TTL_S)
        raise OSError(f"HTTP {status} for a token")

    def _forget_token(self) -> None:
        with self._lock:
            self._token = _Token()

    def _request(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self._netloc, timeout=_ATTEMPT_S)
        with contextlib.closing(connection):
            connection.sock = _connect(connection.host, connection.port)
            connection.request(method, f"/latest/{path}", headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")


def _connect(host: str, port: int) -> socket.socket:
    """Text would be encoded as IDNA, which loads half a MiB of tables; bytes are taken as well."""
    name: Any = host.encode()
    return socket.create_connection((name, port), _ATTEMPT_S)

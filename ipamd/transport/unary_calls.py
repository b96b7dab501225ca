"""gRPC of unary calls between HTTP/2 and the handlers. No sockets here.

Source: gRPC over HTTP/2 (doc/PROTOCOL-HTTP2.md).
"""

import time
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

import grpc
import structlog
from google.protobuf.message import DecodeError

from core import grpc_server
from ipamd.transport import hpack, http2

log = structlog.get_logger()

_UNITS_S = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_TIMEOUT_DIGITS = 8
_PREFIX_BYTES = 5
_HEADERS = b"\x88" + hpack.encode([(b"content-type", b"application/grpc")])
_OK = hpack.encode([(b"grpc-status", b"0")])


class Refused(Exception):  # an answer
    """The call ends with a status that is not OK."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Details(NamedTuple):
    method: str
    invocation_metadata: tuple[()] = ()


class _Context:
    """What handlers and the interceptor use of a gRPC context."""

    def __init__(self, timeout_s: float | None) -> None:
        self._end_s = None if timeout_s is None else time.monotonic() + timeout_s

    def time_remaining(self) -> float | None:
        """Seconds until the caller gives up, None = never."""
        return None if self._end_s is None else max(0.0, self._end_s - time.monotonic())

    async def abort(self, code: grpc.StatusCode, message: str = "") -> NoReturn:
        """End the call."""
        raise Refused(code, message)

    def set_code(self, code: grpc.StatusCode) -> None:
        """Generated methods say so that they are none, and raise NotImplementedError then."""

    def set_details(self, details: str) -> None:
        """As `set_code`."""


class UnaryCalls:
    """A server as the generated `add_…_to_server` functions want one; unary methods only."""

    def __init__(self, interceptor: grpc_server.ServeInterceptor) -> None:
        self._interceptor = interceptor
        self._services: list[Any] = []
        self._methods: dict[bytes, Any] = {}

    def add_generic_rpc_handlers(self, services: Iterable[Any]) -> None:
        """Serve these too."""
        self._services += services

    def add_registered_method_handlers(self, service: str, methods: Any) -> None:
        """The same handlers again, which only gRPC's own server uses."""

    def _find(self, path: bytes) -> Any:
        """The handler of a method; None when there is none, or it streams."""
        found = self._methods.get(path)
        if found is None:
            details = _Details(path.decode(errors="replace"))
            handlers = (service.service(details) for service in self._services)
            found = next((each for each in handlers if each is not None and each.unary_unary), None)
            if found is not None:
                self._methods[path] = found
        return found

    async def answer(self, request: http2.Request) -> tuple[bytes, bytes, bytes]:
        """(headers, body, trailers) of the answer."""
        try:
            return _HEADERS, await self._reply(request), _OK
        except Refused as e:
            refused = e
        except Exception:
            log.exception("unhandled error")
            refused = Refused(grpc.StatusCode.INTERNAL, "internal error; see ipamd's log")
        told = [
            (b"grpc-status", b"%d" % refused.code.value[0]),
            (b"grpc-message", _percent_encoded(refused.message)),
        ]
        return b"", b"", _HEADERS + hpack.encode(told)

    async def _reply(self, request: http2.Request) -> bytes:
        path = request.headers.get(b":path", b"")
        handler = self._find(path)
        if handler is None:
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, f"there is no method {path.decode()}")
        try:
            message = handler.request_deserializer(_message(request.body))
        except DecodeError as e:
            raise Refused(grpc.StatusCode.INTERNAL, "the request cannot be decoded") from e
        context = _Context(_timeout_s(request.headers.get(b"grpc-timeout")))
        method = path.rpartition(b"/")[2].decode()
        reply = await self._interceptor.serve(method, handler.unary_unary, message, context)
        body = handler.response_serializer(reply)
        return b"\0" + len(body).to_bytes(4, "big") + bytes(body)


def _message(body: bytes) -> bytes:
    """The one message of a request. Raises Refused."""
    if body[:1] == b"\1":
        raise Refused(grpc.StatusCode.UNIMPLEMENTED, "compressed requests are not taken")
    if len(body) < _PREFIX_BYTES or len(body) - _PREFIX_BYTES != int.from_bytes(body[1:5], "big"):
        raise Refused(grpc.StatusCode.INTERNAL, "the request is not exactly one message")
    return body[_PREFIX_BYTES:]


def _timeout_s(text: bytes | None) -> float | None:
    """Seconds of `grpc-timeout`. Raises Refused."""
    if text is None:
        return None
    digits, unit = text[:-1], _UNITS_S.get(text[-1:])
    if unit is None or not digits.isdigit() or len(digits) > _TIMEOUT_DIGITS:
        raise Refused(grpc.StatusCode.INTERNAL, "grpc-timeout is none")
    return int(digits) * unit


def _percent_encoded(text: str) -> bytes:
    plain = range(0x20, 0x7F)
    return b"".join(
        bytes((byte,)) if byte in plain and byte != ord("%") else b"%%%02X" % byte
        for byte in text.encode()
    )

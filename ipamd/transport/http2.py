"""The server's side of one HTTP/2 connection, as far as unary gRPC calls need it. No sockets here.

Bytes in, whole requests out, answers in, bytes out. Left out: priorities and pushes.
Source: RFC 9113.
"""

import dataclasses
from collections.abc import Iterator

from ipamd.transport import hpack
from ipamd.transport.http2_frames import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    MAX_WINDOW,
    NO_ERROR,
    PING,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    START_FRAME,
    START_WINDOW,
    WINDOW_UPDATE,
    Broken,
    Frames,
    frame,
    setting,
    unpadded,
)

MAX_STREAMS = 128
MAX_HEADERS_BYTES = 1 << 16
MAX_BODY_BYTES = 16 << 20
_WINDOW = 1 << 20
_OF_CONNECTION = frozenset((SETTINGS, PING, GOAWAY))
_OF_STREAM = frozenset((DATA, HEADERS, PRIORITY, RST_STREAM, CONTINUATION))
_GREETING = frame(
    SETTINGS, 0, 0, setting(3, MAX_STREAMS) + setting(4, _WINDOW) + setting(6, MAX_HEADERS_BYTES)
) + frame(WINDOW_UPDATE, 0, 0, (_WINDOW - START_WINDOW).to_bytes(4, "big"))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A whole request."""

    stream: int
    headers: dict[bytes, bytes]
    body: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """The peer no longer wants the answer on *stream*."""

    stream: int


Event = Request | Cancelled


@dataclasses.dataclass(slots=True)
class _Stream:
    window: int
    headers: dict[bytes, bytes] = dataclasses.field(default_factory=dict)
    body: bytearray = dataclasses.field(default_factory=bytearray)
    unacknowledged: int = 0
    whole: bool = False
    unsent: bytes = b""
    trailers: bytes = b""


class Connection:
    """State of one connection. After Broken it is of no more use but for `take_output`."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._out = [_GREETING]
        self._settled = False
        self._decoder = hpack.Decoder()
        self._streams: dict[int, _Stream] = {}
        self._last = 0
        self._window = START_WINDOW
        self._initial_window = START_WINDOW
        self._max_frame = START_FRAME
        self._unacknowledged = 0
        self._block: tuple[int, int, bytes] | None = None  # headers to be continued
        self._going_away = False

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return not self._streams

    def take_output(self) -> bytes:
        """What is to be sent now."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def receive(self, data: bytes) -> Iterator[Event]:
        """What *data* completes. Raises Broken."""
        try:
            for kind, flags, stream, payload in self._frames.split(data):
                yield from self._on_frame(kind, flags, stream, payload)
        except hpack.Malformed as e:
            self._leave(COMPRESSION_ERROR)
            raise Broken(COMPRESSION_ERROR, str(e)) from e
        except Broken as e:
            self._leave(e.code)
            raise

    def respond(self, stream: int, headers: bytes, body: bytes, trailers: bytes) -> None:
        """Answer a request. headers, trailers: blocks. Without a body only trailers are sent.

        A stream that was cancelled is left alone.
        """
        known = self._streams.get(stream)
        if known is None:
            return
        if headers:
            self._out.append(frame(HEADERS, END_HEADERS, stream, headers))
        known.unsent, known.trailers = body, trailers
        self._pump(stream, known)

    def go_away(self) -> None:
        """Take no further requests."""
        if not self._going_away:
            self._leave(NO_ERROR)

    # -- frames

    def _on_frame(  # noqa: C901, PLR0912  # one branch for each type of frame
        self, kind: int, flags: int, stream: int, payload: bytes
    ) -> Iterator[Event]:
        if not self._settled and (kind != SETTINGS or flags & ACK):
            raise Broken(PROTOCOL_ERROR, "SETTINGS do not come first")
        if (self._block is not None) != (kind == CONTINUATION):
            raise Broken(PROTOCOL_ERROR, "headers that are not continued")
        if kind in (_OF_CONNECTION if stream else _OF_STREAM):
            raise Broken(PROTOCOL_ERROR, f"a frame of type {kind} for stream {stream}")
        if kind == HEADERS:
            yield from self._on_headers(stream, flags, payload)
        elif kind == CONTINUATION:
            yield from self._on_continuation(stream, flags, payload)
        elif kind == DATA:
            yield from self._on_data(stream, flags, payload)
        elif kind == RST_STREAM:
            self._number(payload, 4)
            self._known(stream)
            if self._streams.pop(stream, None) is not None:
                yield Cancelled(stream=stream)
        elif kind == SETTINGS:
            self._on_settings(flags, payload)
        elif kind == PING:
            self._number(payload, 8)
            if not flags & ACK:
                self._out.append(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            self._on_window_update(stream, payload)
        elif kind == PUSH_PROMISE:
            raise Broken(PROTOCOL_ERROR, "a push from a client")
        # GOAWAY: the peer hangs up in its own time. PRIORITY and the unknown are ignored.

    def _on_headers(self, stream: int, flags: int, payload: bytes) -> Iterator[Event]:
        payload = unpadded(flags, payload)
        if flags & HAS_PRIORITY:
            if len(payload) < 5:  # dependency and weight
                raise Broken(FRAME_SIZE_ERROR, "HEADERS cut short")
            payload = payload[5:]
        yield from self._on_block(stream, flags, payload)

    def _on_continuation(self, stream: int, flags: int, payload: bytes) -> Iterator[Event]:
        assert self._block is not None  # noqa: S101  # _on_frame looked
        begun, begun_flags, block = self._block
        if stream != begun:
            raise Broken(PROTOCOL_ERROR, "a continuation of another stream")
        self._block = None
        yield from self._on_block(
            stream, begun_flags & ~END_HEADERS | flags & END_HEADERS, block + payload
        )

    def _on_block(self, stream: int, flags: int, block: bytes) -> Iterator[Event]:
        if len(block) > MAX_HEADERS_BYTES:
            raise Broken(ENHANCE_YOUR_CALM, f"more than {MAX_HEADERS_BYTES} bytes of headers")
        if not flags & END_HEADERS:
            self._block = stream, flags, block
            return
        fields = self._decoder.decode(block)  # always: later blocks refer to it
        known = self._streams.get(stream)
        if known is not None:  # trailers, which gRPC requests have not; nothing in them counts
            if known.whole or not flags & END_STREAM:
                raise Broken(PROTOCOL_ERROR, "headers amid a request")
        elif stream <= self._last:
            return  # of a request that was reset meanwhile
        elif not stream % 2:
            raise Broken(PROTOCOL_ERROR, f"stream {stream} is not a client's")
        else:
            if not self._going_away:
                self._last = stream
            if self._going_away or len(self._streams) >= MAX_STREAMS:
                self._reset(stream, REFUSED_STREAM)
                return
            known = self._streams[stream] = _Stream(window=self._initial_window, headers=fields)
        if flags & END_STREAM:
            yield self._complete(stream, known)

    def _on_data(self, stream: int, flags: int, payload: bytes) -> Iterator[Event]:
        self._unacknowledged += len(payload)
        if self._unacknowledged >= _WINDOW // 2:
            self._grow(0, self._unacknowledged)
            self._unacknowledged = 0
        self._known(stream)
        known = self._streams.get(stream)
        if known is None:
            return  # it was reset meanwhile
        if known.whole:
            raise Broken(PROTOCOL_ERROR, "data after the end of a request")
        known.body += unpadded(flags, payload)
        if len(known.body) > MAX_BODY_BYTES:
            del self._streams[stream]
            self._reset(stream, ENHANCE_YOUR_CALM)
            return
        if flags & END_STREAM:
            yield self._complete(stream, known)
            return
        known.unacknowledged += len(payload)
        if known.unacknowledged >= _WINDOW // 2:
            self._grow(stream, known.unacknowledged)
            known.unacknowledged = 0

    def _complete(self, stream: int, known: _Stream) -> Request:
        known.whole = True
        body, known.body = bytes(known.body), bytearray()
        return Request(stream=stream, headers=known.headers, body=body)

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if len(payload) % 6 or (flags & ACK and payload):
            raise Broken(FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        self._settled = True
        if flags & ACK:
            return
        for at in range(0, len(payload), 6):
            name = int.from_bytes(payload[at : at + 2], "big")
            value = int.from_bytes(payload[at + 2 : at + 6], "big")
            if name == 4:  # INITIAL_WINDOW_SIZE
                if value > MAX_WINDOW:
                    raise Broken(FLOW_CONTROL_ERROR, f"a window of {value} bytes")
                for known in self._streams.values():
                    known.window += value - self._initial_window
                self._initial_window = value
            elif name == 5:  # MAX_FRAME_SIZE
                if not START_FRAME <= value < 1 << 24:
                    raise Broken(PROTOCOL_ERROR, f"frames of {value} bytes")
                self._max_frame = value
        self._out.append(frame(SETTINGS, ACK, 0, b""))
        self._pump_all()

    def _on_window_update(self, stream: int, payload: bytes) -> None:
        grown = self._number(payload, 4) & MAX_WINDOW
        if not grown:
            raise Broken(PROTOCOL_ERROR, "a window that grows by nothing")
        if stream:
            self._known(stream)
            known = self._streams.get(stream)
            if known is None:
                return
            known.window += grown
            if known.window > MAX_WINDOW:
                raise Broken(FLOW_CONTROL_ERROR, "a window that is too big")
            self._pump(stream, known)
            return
        self._window += grown
        if self._window > MAX_WINDOW:
            raise Broken(FLOW_CONTROL_ERROR, "a window that is too big")
        self._pump_all()

    # -- sending

    def _pump_all(self) -> None:
        for stream, known in list(self._streams.items()):
            self._pump(stream, known)

    def _pump(self, stream: int, known: _Stream) -> None:
        """Send what the peer's windows take of an answer; its trailers end it."""
        if not known.trailers:
            return  # no answer yet
        while known.unsent:
            size = min(len(known.unsent), self._max_frame, self._window, known.window)
            if size <= 0:
                return
            part, known.unsent = known.unsent[:size], known.unsent[size:]
            self._out.append(frame(DATA, 0, stream, part))
            self._window -= size
            known.window -= size
        self._out.append(frame(HEADERS, END_HEADERS | END_STREAM, stream, known.trailers))
        del self._streams[stream]

    def _grow(self, stream: int, size: int) -> None:
        self._out.append(frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big")))

    def _reset(self, stream: int, code: int) -> None:
        self._out.append(frame(RST_STREAM, 0, stream, code.to_bytes(4, "big")))

    def _leave(self, code: int) -> None:
        self._going_away = True
        told = self._last.to_bytes(4, "big") + code.to_bytes(4, "big")
        self._out.append(frame(GOAWAY, 0, 0, told))

    def _known(self, stream: int) -> None:
        if stream > self._last and not self._going_away:
            raise Broken(PROTOCOL_ERROR, f"stream {stream} was never opened")

    @staticmethod
    def _number(payload: bytes, size: int) -> int:
        if len(payload) != size:
            raise Broken(FRAME_SIZE_ERROR, "a frame of a wrong size")
        return int.from_bytes(payload, "big")

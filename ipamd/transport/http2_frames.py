"""HTTP/2 frames: their names, their bytes, and how a stream of bytes falls into them.

Source: RFC 9113, sections 4 and 6.
"""

from collections.abc import Iterator

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR = 0, 1, 3, 6
REFUSED_STREAM, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 7, 9, 11
START_WINDOW, START_FRAME = 65535, 16384
MAX_WINDOW = (1 << 31) - 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD_BYTES = 9


class Broken(Exception):  # what a peer did
    """The peer broke a rule of HTTP/2: send `take_output`, then hang up."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + payload


def setting(name: int, value: int) -> bytes:
    """One entry of a SETTINGS frame."""
    return name.to_bytes(2, "big") + value.to_bytes(4, "big")


def unpadded(flags: int, payload: bytes) -> bytes:
    """*payload* without its padding. Raises Broken."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Broken(PROTOCOL_ERROR, "padding larger than its frame")
    return payload[1 : len(payload) - payload[0]]


class Frames:
    """What a client sends, in frames of at most 16 KiB, after the preface."""

    def __init__(self) -> None:
        self._in = bytearray()
        self._greeted = False

    def split(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        """(type, flags, stream, payload) of each frame that *data* completes. Raises Broken."""
        self._in += data
        if not self._greeted:
            if not PREFACE.startswith(self._in[: len(PREFACE)]):
                raise Broken(PROTOCOL_ERROR, "not HTTP/2 without TLS")
            if len(self._in) < len(PREFACE):
                return
            del self._in[: len(PREFACE)]
            self._greeted = True
        while len(self._in) >= _HEAD_BYTES:
            size = int.from_bytes(self._in[:3], "big")
            if size > START_FRAME:
                raise Broken(FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            if len(self._in) < _HEAD_BYTES + size:
                return
            kind, flags = self._in[3], self._in[4]
            stream = int.from_bytes(self._in[5:_HEAD_BYTES], "big") & MAX_WINDOW
            payload = bytes(self._in[_HEAD_BYTES : _HEAD_BYTES + size])
            del self._in[: _HEAD_BYTES + size]
            yield kind, flags, stream, payload

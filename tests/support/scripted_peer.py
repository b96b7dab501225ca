"""A peer that plays bytes to whoever calls it over HTTP/2: right ones, and every kind of wrong."""

import contextlib
import pathlib
import socket
import threading
from collections.abc import Iterator

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH = 0, 1, 3, 4, 5
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 6, 7, 8, 9
END_STREAM, END_HEADERS, PADDED, PRIORITY = 0x1, 0x4, 0x8, 0x20


def frame(kind: int, flags: int = 0, stream: int = 1, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + payload


def scripts(reply: bytes) -> dict[str, tuple[bytes, bool]]:
    """Name → (what the peer says, whether *reply* must come out of it)."""
    body = b"\0" + len(reply).to_bytes(4, "big") + reply
    ok, trailers = b"\x88\x5f\x10application/grpc", b"\x00\x0bgrpc-status\x010"
    start = frame(SETTINGS, stream=0)
    head = frame(HEADERS, END_HEADERS, payload=ok)
    data = frame(DATA, payload=body)
    end = frame(HEADERS, END_HEADERS | END_STREAM, payload=trailers)
    whole = start + head + data + end
    in_pieces = (
        frame(HEADERS, payload=ok[:4])
        + frame(CONTINUATION, payload=ok[4:9])
        + frame(CONTINUATION, END_HEADERS, payload=ok[9:])
    )
    padded = frame(HEADERS, END_HEADERS | PADDED, payload=b"\3" + ok + bytes(3))
    padded += frame(DATA, PADDED, payload=b"\5" + body + bytes(5))
    prioritised = frame(HEADERS, END_HEADERS | PRIORITY, payload=bytes(5) + ok)
    good = {
        "plain": whole,
        "a ping first": start + frame(PING, stream=0, payload=b"12345678") + head + data + end,
        "going away after us": start
        + frame(GOAWAY, stream=0, payload=b"\0\0\0\1" + bytes(4))
        + head
        + data
        + end,
        "headers in pieces": start + in_pieces + data + end,
        "padding": start + padded + end,
        "priority": start + prioritised + data + end,
        "an unknown frame": start + frame(0x2A, 0xFF, 7, b"zz") + head + data + end,
        "a byte of data a frame": start
        + head
        + b"".join(frame(DATA, payload=bytes((each,))) for each in body)
        + end,
    }
    bad = {
        "nothing": b"",
        "going away before us": start + frame(GOAWAY, stream=0, payload=bytes(8)),
        "refused": start + frame(RST_STREAM, payload=b"\0\0\0\7"),
        "reset in the middle": start + head + frame(RST_STREAM, payload=b"\0\0\0\2"),
        "broken headers": start + frame(HEADERS, payload=ok[:4]) + data,
        "wrong padding": start + head + frame(DATA, PADDED, payload=b"\xff" + body),
        "end after headers": start + head,
        "end inside a frame": whole[:-4],
        "an older HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "HTTP 503": start + frame(HEADERS, END_HEADERS | END_STREAM, payload=b"\x08\x03503"),
        "compressed": start + head + frame(DATA, payload=b"\1" + body[1:]) + end,
        "a message cut short": start + head + frame(DATA, payload=body[:-2]) + end,
        "no message": start + head + end,
        "no status": start + head + frame(DATA, END_STREAM, payload=body),
        "two messages": start + head + data + data + end,
        "a push": start + frame(PUSH, END_HEADERS, payload=b"\0\0\0\2" + ok),
        "a frame too large": b"\xff\xff\xff\0\0\0\0\0\1",
        "wrong settings": frame(SETTINGS, stream=0, payload=b"abc"),
        "garbage": bytes(range(256)),
    }
    return {
        **{name: (text, True) for name, text in good.items()},
        **{name: (text, False) for name, text in bad.items()},
    }


@contextlib.contextmanager
def playing(path: pathlib.Path, script: bytes, *, bytewise: bool) -> Iterator[None]:
    """A peer on the socket *path* for one call."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    thread = threading.Thread(target=_play, args=(listener, script, bytewise))
    thread.start()
    try:
        yield
    finally:
        thread.join()
        listener.close()
        path.unlink()


def _play(listener: socket.socket, script: bytes, bytewise: bool) -> None:
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):
        connection.recv(65536)
        for part in [script[n : n + 1] for n in range(len(script))] if bytewise else [script]:
            connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(5)
        while connection.recv(65536):
            pass

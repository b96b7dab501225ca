import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipamd.transport import hpack, http2
from ipamd.transport.http2_frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Broken,
    frame,
    setting,
)

START = PREFACE + frame(SETTINGS, 0, 0, b"")
BLOCK = hpack.encode([(b":path", b"/s/M")])
HEAD = frame(HEADERS, END_HEADERS, 1, BLOCK)
WHOLE = START + HEAD + frame(DATA, END_STREAM, 1, b"body")
OPEN = START + HEAD


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def frames(data):
    """(type, flags, stream, payload) of what a server sent."""
    found = []
    while data:
        size = int.from_bytes(data[:3], "big")
        found.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
        data = data[9 + size :]
    return found


def events(data, connection=None):
    return list((connection or http2.Connection()).receive(data))


REQUEST = http2.Request(stream=1, headers={b":path": b"/s/M"}, body=b"body")


@pytest.mark.parametrize(
    "said",
    [
        WHOLE,
        START + frame(0x2A, 0xFF, 7, b"zz") + HEAD + frame(DATA, END_STREAM, 1, b"body"),
        START
        + frame(
            HEADERS, END_HEADERS | PADDED | HAS_PRIORITY, 1, b"\2" + bytes(5) + BLOCK + bytes(2)
        )
        + frame(DATA, END_STREAM | PADDED, 1, b"\3body" + bytes(3)),
        START
        + frame(HEADERS, 0, 1, BLOCK[:3])
        + frame(CONTINUATION, 0, 1, BLOCK[3:5])
        + frame(CONTINUATION, END_HEADERS, 1, BLOCK[5:])
        + frame(DATA, 0, 1, b"bo")
        + frame(PING, 0, 0, b"12345678")
        + frame(PRIORITY, 0, 1, bytes(5))
        + frame(DATA, END_STREAM, 1, b"dy"),
        OPEN + frame(DATA, 0, 1, b"body") + frame(HEADERS, END_HEADERS | END_STREAM, 1, BLOCK),
    ],
    ids=["plain", "an unknown frame", "padding", "in pieces", "trailers"],
)
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_a_request_is_told_once_it_is_whole(said, step):
    connection = http2.Connection()
    told = [
        event
        for at in range(0, len(said), step)
        for event in connection.receive(said[at : at + step])
    ]

    assert told == [REQUEST]


def test_what_is_to_be_acknowledged_is():
    connection = http2.Connection()
    events(WHOLE + frame(PING, 0, 0, b"12345678"), connection)

    assert frames(connection.take_output())[-2:] == [
        (SETTINGS, ACK, 0, b""),
        (PING, ACK, 0, b"12345678"),
    ]


def test_an_answer_waits_for_the_windows_of_the_peer():
    connection = http2.Connection()
    small = PREFACE + frame(SETTINGS, 0, 0, setting(4, 10))
    events(small + HEAD + frame(DATA, END_STREAM, 1, b""), connection)
    connection.take_output()

    connection.respond(1, b"h", b"x" * 25, b"t")
    assert [f[3] for f in frames(connection.take_output())] == [b"h", b"x" * 10]
    events(frame(WINDOW_UPDATE, 0, 1, number(10)), connection)
    assert [f[3] for f in frames(connection.take_output())] == [b"x" * 10]
    assert not connection.idle
    events(frame(SETTINGS, 0, 0, setting(4, 15)), connection)
    assert [f[3] for f in frames(connection.take_output())] == [b"", b"x" * 5, b"t"]
    assert connection.idle


def test_a_big_request_is_given_room_for_more():
    connection = http2.Connection()
    events(OPEN, connection)
    connection.take_output()
    for _ in range(64):
        events(frame(DATA, 0, 1, bytes(16384)), connection)

    grown = [f for f in frames(connection.take_output()) if f[0] == WINDOW_UPDATE]
    for stream in (0, 1):
        assert sum(int.from_bytes(f[3], "big") for f in grown if f[2] == stream) == 1 << 20


def test_a_request_that_is_reset_is_told_and_not_answered():
    connection = http2.Connection()
    told = events(WHOLE + frame(RST_STREAM, 0, 1, number(8)), connection)
    connection.take_output()
    connection.respond(1, b"h", b"b", b"t")

    assert told == [REQUEST, http2.Cancelled(stream=1)]
    assert connection.take_output() == b""


def test_too_many_requests_at_once_and_too_big_ones_are_reset():
    connection = http2.Connection()
    said = START + b"".join(
        frame(HEADERS, END_HEADERS, 2 * n + 1, BLOCK) for n in range(http2.MAX_STREAMS + 1)
    )
    events(said, connection)
    assert frames(connection.take_output())[-1] == (
        RST_STREAM,
        0,
        2 * http2.MAX_STREAMS + 1,
        number(7),
    )

    part = frame(DATA, 0, 1, bytes(16384))
    for _ in range(http2.MAX_BODY_BYTES // 16384 + 1):
        events(part, connection)
    assert (RST_STREAM, 0, 1, number(11)) in frames(connection.take_output())


def test_going_away_finishes_what_was_begun_and_refuses_the_rest():
    connection = http2.Connection()
    events(OPEN, connection)
    connection.take_output()
    connection.go_away()
    assert frames(connection.take_output()) == [(GOAWAY, 0, 0, number(1) + number(0))]

    assert events(frame(HEADERS, END_HEADERS | END_STREAM, 3, BLOCK), connection) == []
    assert frames(connection.take_output()) == [(RST_STREAM, 0, 3, number(7))]
    assert events(frame(DATA, END_STREAM, 1, b"body"), connection) == [REQUEST]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"GET / HTTP/1.1\r\n", 1),
        (PREFACE + HEAD, 1),
        (START + frame(HEADERS, END_HEADERS, 0, BLOCK), 1),
        (START + frame(HEADERS, END_HEADERS, 2, BLOCK), 1),
        (START + frame(DATA, 0, 1, b""), 1),
        (START + frame(CONTINUATION, 0, 1, b""), 1),
        (START + frame(HEADERS, 0, 1, BLOCK) + frame(DATA, 0, 1, b""), 1),
        (START + frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, 0, 3, b""), 1),
        (START + frame(HEADERS, END_HEADERS, 1, b"\x80"), 9),
        (START + frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff"), 1),
        (START + frame(HEADERS, END_HEADERS | HAS_PRIORITY, 1, b"\0"), 6),
        (WHOLE + frame(DATA, 0, 1, b""), 1),
        (OPEN + HEAD, 1),
        (START + frame(PUSH_PROMISE, 0, 1, b""), 1),
        (START + frame(PING, 0, 0, b"1"), 6),
        (START + frame(PING, 0, 1, b"12345678"), 1),
        (START + frame(SETTINGS, 0, 0, b"1"), 6),
        (START + frame(SETTINGS, 0, 0, setting(4, 1 << 31)), 3),
        (START + frame(SETTINGS, 0, 0, setting(5, 1)), 1),
        (START + frame(WINDOW_UPDATE, 0, 0, number(0)), 1),
        (START + frame(WINDOW_UPDATE, 0, 0, number((1 << 31) - 1)), 3),
        (OPEN + frame(WINDOW_UPDATE, 0, 1, number((1 << 31) - 1)), 3),
        (START + frame(WINDOW_UPDATE, 0, 5, number(1)), 1),
        (START + b"\xff\xff\xff" + bytes(6), 6),
        (START + frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, 0, 1, bytes(16384)) * 5, 11),
    ],
)
def test_whoever_breaks_the_rules_is_told_which_and_left(said, code):
    connection = http2.Connection()
    with pytest.raises(Broken) as caught:
        events(said, connection)

    kind, _, _, payload = frames(connection.take_output())[-1]
    assert (kind, payload[4:8]) == (GOAWAY, number(code))
    assert caught.value.code == code


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10), st.integers(0, 255), st.integers(0, 5), st.binary(max_size=20)
        )
    )
)
def test_no_frames_make_anything_but_events_or_a_broken_connection(said):
    connection = http2.Connection()
    events(START, connection)
    with contextlib.suppress(Broken):
        for each in said:
            for event in connection.receive(frame(*each)):
                if isinstance(event, http2.Request):
                    connection.respond(event.stream, b"h", b"body", b"t")
    frames(connection.take_output())

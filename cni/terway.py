"""The `terway` CNI executable: environment and stdin to ipamd in one gRPC call, answer to stdout.

A CNI executable is started for each command, so start-up is what it costs. Hence one file, which
imports `posix` and `_socket` only, speaks just enough HTTP/2 for one unary call, knows no JSON, and
works on bytes throughout. That is also why it is longer than files here should be. It must run
where the interpreter has finished only its core initialisation (cni/static/main.c): no codecs
besides UTF-8, no io, no importlib, no `sys.stdout`.

Sources: CNI specification 1.1.0, RFC 9113 (HTTP/2), RFC 7541 (HPACK), gRPC over HTTP/2,
proto/ipamd.proto. Why it is so: docs/explanation/cni-executable.md.
"""

import posix

VERSION = b"0.1.0"  # equals core.version.VERSION; a test compares
SUPPORTED = (b"0.3.0", b"0.3.1", b"0.4.0", b"1.0.0", b"1.1.0")
DEFAULT_SOCKET = b"/var/run/eni/cni.socket"
DEFAULT_SPOOL = b"/var/lib/cni/terway/pending-del"
MAX_STDIN_BYTES = 1 << 20
UNSURE_VERSION = b"1.0.0"
"""What an error says when the configuration's cniVersion is not known."""

INVALID_ENVIRONMENT, IO_FAILURE, DECODING_FAILURE, INVALID_NETNS = 4, 5, 6, 8
TRY_AGAIN_LATER, NOT_AVAILABLE, INTERNAL = 11, 50, 999

METHODS = {
    b"ADD": (b"Add", 110, (b"CNI_CONTAINERID", b"CNI_NETNS", b"CNI_IFNAME")),
    b"DEL": (b"Del", 30, (b"CNI_CONTAINERID", b"CNI_IFNAME")),
    b"CHECK": (b"Check", 110, (b"CNI_CONTAINERID", b"CNI_NETNS", b"CNI_IFNAME")),
    b"GC": (b"Gc", 110, ()),
    b"STATUS": (b"Status", 5, ()),
}
"""By command: method, seconds until we give up, variables that must be there.

Runtimes give 120 s; the daemon ends 1 s before us and says why. A DEL takes milliseconds and can be
queued, so a daemon that hangs need not hold up the end of a pod. containerd asks STATUS every 5 s.
"""
VARIABLES = (b"CNI_CONTAINERID", b"CNI_NETNS", b"CNI_IFNAME", b"CNI_ARGS", b"CNI_PATH")
"""In the order of CniRequest's fields 1 to 5."""

LETTERS_DIGITS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class RefusedError(Exception):
    """A CNI error: the command ends with it on stdout."""

    def __init__(self, code: int, msg: bytes, details: bytes = b"") -> None:
        self.code = code
        self.msg = msg
        self.details = details


class CallError(Exception):
    """The gRPC call failed with *status*, ours or the daemon's."""

    CANCELLED, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 1, 4, 12, 13, 14

    def __init__(self, status: int, why: bytes) -> None:
        self.status = status
        self.why = why

    @property
    def unanswered(self) -> bool:
        """Whether the daemon did not answer, so that whoever answers next may be asked again."""
        return self.status in (self.CANCELLED, self.DEADLINE_EXCEEDED, self.UNAVAILABLE)


# -- protobuf: the two messages of proto/ipamd.proto


def varint(number: int) -> bytes:
    """Base-128 varint of *number* >= 0."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode_request(environment: dict[bytes, bytes], config: bytes) -> bytes:
    """The CniRequest of one invocation. Fields 1 to 7 are all length-delimited."""
    values = [environment.get(name, b"") for name in VARIABLES]
    fields = enumerate([*values, config, VERSION], 1)
    return b"".join(varint(n << 3 | 2) + varint(len(v)) + v for n, v in fields if v)


def decode_reply(message: bytes) -> tuple[int, bytes]:
    """(exit_status, stdout) of a CniReply; unknown fields are skipped. Raises CallError."""
    exit_status, stdout, at = 0, b"", 0
    while at < len(message):
        key, at = read_varint(message, at)
        wire_type = key & 7
        if wire_type == 0:
            number, at = read_varint(message, at)
            if key >> 3 == 1:
                exit_status = number
            continue
        if wire_type == 2:
            size, at = read_varint(message, at)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise CallError(CallError.INTERNAL, b"the reply is not protobuf")
        value, at = message[at : at + size], at + size
        if key == 2 << 3 | 2:
            stdout = value
    if at > len(message):
        raise CallError(CallError.INTERNAL, b"the reply is cut off")
    return exit_status, stdout


def read_varint(message: bytes, at: int) -> tuple[int, int]:
    """The varint at *at*, and where it ends. Raises CallError."""
    number = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    raise CallError(CallError.INTERNAL, b"the reply is not protobuf")


# -- HPACK. Our SETTINGS allow no dynamic table, so there is only the static one, of which we need
# few entries. Others may come, and are passed over as nameless.

STATIC_STATUS = (b"200", b"204", b"206", b"304", b"400", b"404", b"500")  # entries 8 to 14
STATIC_NAMES = dict.fromkeys(range(8, 15), b":status") | {31: b"content-type"}
STATIC_LAST = 61

HUFFMAN = {
    5: b"012aceiost",
    6: b" %-./3456789=A_bdfghlmnpru",
    7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: b"&*,;XZ",
    10: b'!"()?',
    11: b"'+|",
    12: b"#>",
    13: b"\0$@[]~",
    14: b"^}",
    15: b"<`{",
    19: b"\\\xc3\xd0",
    20: b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2",
    21: b"\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6",
    22: b"\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4"
    b"\xc6\xe4\xe8\xe9",
    23: b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4"
    b"\xb6\xb7\xbc\xbf\xc5\xe7\xef",
    24: b"\t\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed",
    25: b"\xc7\xcf\xea\xeb",
    26: b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff",
    27: b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe",
    28: b"\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b"
    b"\x1c\x1d\x1e\x1f\x7f\xdc\xf9",
    30: b"\n\r\x16",
}
"""Bytes by length of their code in bits. The code is canonical: within a length codes follow the
order of the bytes, and a longer code starts where the shorter ones end. RFC 7541, Appendix B."""


def bad_headers() -> CallError:
    """What malformed HPACK is."""
    return CallError(CallError.INTERNAL, b"malformed headers")


def decode_headers(block: bytes) -> dict[bytes, bytes]:
    """Header fields of *block*; the last of one name counts. Raises CallError."""
    fields: dict[bytes, bytes] = {}
    at = 0
    while at < len(block):
        first = block[at]
        if first & 0x80:  # indexed
            index, at = read_integer(block, at, 7)
            if not 0 < index <= STATIC_LAST:
                raise bad_headers()
            if index in STATIC_NAMES and index != 31:
                fields[b":status"] = STATIC_STATUS[index - 8]
            continue
        if first & 0xE0 == 0x20:  # a new size of the dynamic table
            size, at = read_integer(block, at, 5)
            if size:
                raise bad_headers()
            continue
        # A literal. "With indexing" (0x40) adds to a table of size 0, which changes nothing.
        index, at = read_integer(block, at, 6 if first & 0x40 else 4)
        if index > STATIC_LAST:
            raise bad_headers()
        if index:
            name = STATIC_NAMES.get(index, b"")
        else:
            name, at = read_text(block, at)
        value, at = read_text(block, at)
        fields[name] = value
    return fields


def read_integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """The integer with a prefix of *bits* bits at *at*, and where it ends. RFC 7541, 5.1."""
    number = block[at] & (1 << bits) - 1 if at < len(block) else 0
    at += 1
    if number == (1 << bits) - 1:
        shift = 0
        while True:
            if at >= len(block) or shift > 28:
                raise bad_headers()
            byte = block[at]
            at += 1
            number += (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
    return number, at


def read_text(block: bytes, at: int) -> tuple[bytes, int]:
    """The string at *at*, Huffman-coded or not, and where it ends. RFC 7541, 5.2."""
    if at >= len(block):
        raise bad_headers()
    coded = block[at] & 0x80
    size, at = read_integer(block, at, 7)
    end = at + size
    if end > len(block):
        raise bad_headers()
    raw = block[at:end]
    return (decode_huffman(raw) if coded else raw), end


def decode_huffman(coded: bytes) -> bytes:
    """Raises CallError when *coded* does not end as RFC 7541, 5.2 wants."""
    table: dict[tuple[int, int], int] = {}
    code = before = 0
    for bits, symbols in HUFFMAN.items():
        code <<= bits - before
        before = bits
        for symbol in symbols:
            table[bits, code] = symbol
            code += 1
    out = bytearray()
    code = bits = 0
    for byte in coded:
        for shift in range(7, -1, -1):
            code = code << 1 | byte >> shift & 1
            bits += 1
            if (bits, code) in table:
                out.append(table[bits, code])
                code = bits = 0
    if bits > 7 or code != (1 << bits) - 1:
        raise bad_headers()
    return bytes(out)


def percent_decode(text: bytes) -> bytes:
    """`grpc-message` as it was meant; what is not an escape stays."""
    first, *rest = text.split(b"%")
    out = [first]
    for part in rest:
        try:
            out.append(bytes((int(part[:2], 16),)) + part[2:] if len(part) > 1 else b"%" + part)
        except ValueError:
            out.append(b"%" + part)
    return b"".join(out)


# -- HTTP/2

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20
STREAM = 1
START_WINDOW, START_FRAME = 65535, 16384
OUR_WINDOW = 1 << 20
MAX_WINDOW = (1 << 31) - 1
MAX_HEADERS_BYTES = 1 << 16
MAX_REPLY_BYTES = 16 << 20
OF_RESET = {7: 14, 8: 1, 11: 8, 12: 7}
"""gRPC status by error code of RST_STREAM; others are INTERNAL. Source: gRPC over HTTP/2."""
OF_HTTP = {b"400": 13, b"401": 16, b"403": 7, b"404": 12, b"429": 14, b"502": 14, b"503": 14}
OF_HTTP[b"504"] = 14
"""gRPC status by HTTP status; others are UNKNOWN. Source: gRPC, http-grpc-status-mapping."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One HTTP/2 frame."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + payload


def setting(name: int, value: int) -> bytes:
    """One entry of a SETTINGS frame."""
    return name.to_bytes(2, "big") + value.to_bytes(4, "big")


# No dynamic header table, no pushes, and a window that takes most replies whole.
GREETING = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + frame(SETTINGS, 0, 0, setting(1, 0) + setting(2, 0) + setting(4, OUR_WINDOW))
    + frame(WINDOW_UPDATE, 0, 0, (OUR_WINDOW - START_WINDOW).to_bytes(4, "big"))
)


def encode_headers(method: bytes, timeout_ms: int) -> bytes:
    """The request's header block: static entries, and literals that are not to be indexed."""
    literals = (
        (b":path", b"/ipamd.v1.Cni/" + method),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"grpc-timeout", b"%dm" % timeout_ms),
        (b"user-agent", b"terway-cni/" + VERSION),
    )
    block = b"\x83\x86"  # :method POST, :scheme http
    for name, value in literals:
        block += b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value
    return block


class Deadline:
    """An instant, *timeout_s* seconds from now. times(2) is monotonic and costs no import."""

    def __init__(self, timeout_s: float) -> None:
        self._end = posix.times()[4] + timeout_s

    def remaining_s(self) -> float:
        """Raises CallError when nothing remains."""
        left = self._end - posix.times()[4]
        if left <= 0:
            raise CallError(CallError.DEADLINE_EXCEEDED, b"no answer in time")
        return left


class Wire:
    """A connection of which each wait ends at one deadline.

    Waits are bounded by SO_RCVTIMEO and SO_SNDTIMEO, not by a non-blocking socket: there a connect
    fails at once when the server's backlog is full, as it is when many pods start together.
    """

    def __init__(self, path: bytes, deadline: Deadline) -> None:
        import _socket  # noqa: PLC0415  # VERSION and bad input need none

        self._s = _socket
        self._deadline = deadline
        self._sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self._writable = True
        self.buffer = bytearray()
        self.unsent = b""
        self._bound(_socket.SO_SNDTIMEO)
        try:
            self._sock.connect(path)
        except BlockingIOError:
            raise CallError(CallError.DEADLINE_EXCEEDED, b"its backlog stays full") from None
        except OSError as e:
            raise CallError(CallError.UNAVAILABLE, reason(e)) from None

    def _bound(self, option: int) -> None:
        """Let the next wait end at the deadline. struct timeval, 64 bits, as on all we ship for."""
        left_us = int(self._deadline.remaining_s() * 1_000_000)
        seconds, rest_us = divmod(left_us, 1_000_000)  # 0, 0 would mean "no bound"
        timeval = seconds.to_bytes(8, "little") + (rest_us or 1).to_bytes(8, "little")
        self._sock.setsockopt(self._s.SOL_SOCKET, option, timeval)

    def _send(self) -> None:
        """Send `unsent`. A peer that no longer reads may have answered: `receive` will see that."""
        data, self.unsent = self.unsent, b""
        while data and self._writable:
            self._bound(self._s.SO_SNDTIMEO)
            try:
                data = data[self._sock.send(data, self._s.MSG_NOSIGNAL) :]
            except BlockingIOError:
                continue  # the deadline passed, and _bound says so
            except OSError:
                self._writable = False

    def receive(self) -> None:
        """Send `unsent`, wait for bytes and append them to `buffer`. Raises CallError."""
        self._send()
        self._bound(self._s.SO_RCVTIMEO)
        try:
            got = self._sock.recv(65536)
        except BlockingIOError:
            self._deadline.remaining_s()
            return
        except OSError as e:
            raise CallError(CallError.UNAVAILABLE, reason(e)) from None
        if not got:
            raise CallError(CallError.UNAVAILABLE, b"it hung up before it answered")
        self.buffer += got

    def take(self, size: int) -> bytes:
        """The next *size* bytes."""
        while len(self.buffer) < size:
            self.receive()
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken


def reason(error: OSError) -> bytes:
    """What the kernel says."""
    return (error.strerror or str(error)).encode()


class Call:
    """One unary call on a fresh connection: stream 1, and what is known of both directions."""

    def __init__(self, wire: Wire, method: bytes, message: bytes, timeout_ms: int) -> None:
        self._wire = wire
        self._unsent = b"\0" + len(message).to_bytes(4, "big") + message
        headers = encode_headers(method, timeout_ms)
        wire.unsent = GREETING + frame(HEADERS, END_HEADERS, STREAM, headers)
        self._windows = [START_WINDOW, START_WINDOW]  # the peer's: of the connection, of the stream
        self._initial_window = START_WINDOW
        self._max_frame = START_FRAME
        self._unacknowledged = 0
        self._block: bytes | None = None  # headers that a CONTINUATION will go on with
        self._block_flags = 0
        self._headers: dict[bytes, bytes] | None = None
        self._trailers: dict[bytes, bytes] | None = None
        self._body = bytearray()
        self._ended = False

    def run(self) -> bytes:
        """Send the message and return the reply. Raises CallError."""
        self._fill()
        while True:
            if self._ended:
                return self._reply()
            head = self._wire.take(9)
            size = int.from_bytes(head[:3], "big")
            if size > START_FRAME:
                raise broken(b"an oversized frame")
            stream = int.from_bytes(head[5:], "big") & MAX_WINDOW
            self._on_frame(head[3], head[4], stream, self._wire.take(size))

    def _fill(self) -> None:
        """Queue as much of the message as the peer's windows take."""
        while self._unsent:
            size = min(len(self._unsent), self._max_frame, *self._windows)
            if size <= 0:
                return
            part, self._unsent = self._unsent[:size], self._unsent[size:]
            self._wire.unsent += frame(DATA, 0 if self._unsent else END_STREAM, STREAM, part)
            self._windows = [window - size for window in self._windows]

    def _on_frame(  # noqa: C901, PLR0912  # one branch for each type of frame
        self, kind: int, flags: int, stream: int, payload: bytes
    ) -> None:
        if (self._block is not None) != (kind == CONTINUATION):
            raise broken(b"headers that are not continued")
        if kind in (DATA, HEADERS, CONTINUATION, RST_STREAM):
            if stream != STREAM:
                raise broken(b"a frame of a stream that is not ours")
            if kind == DATA:
                self._on_data(flags, payload)
            elif kind == HEADERS:
                self._on_headers(flags, payload)
            elif kind == CONTINUATION:
                self._on_block(flags, (self._block or b"") + payload)
            else:
                code = number_of(payload, 4)
                told = b"it reset the call with HTTP/2 error %d" % code
                raise CallError(OF_RESET.get(code, CallError.INTERNAL), told)
        elif kind == SETTINGS:
            self._on_settings(flags, payload)
        elif kind == PING:
            if len(payload) != 8:
                raise broken(b"a PING of a wrong size")
            if not flags & ACK:
                self._wire.unsent += frame(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE:
            self._on_window_update(stream, payload)
        elif kind == GOAWAY:
            if len(payload) < 8:
                raise broken(b"a GOAWAY of a wrong size")
            if int.from_bytes(payload[:4], "big") & MAX_WINDOW < STREAM:
                raise CallError(CallError.UNAVAILABLE, b"it is going away and took no call")
        elif kind == PUSH_PROMISE:
            raise broken(b"a push, which we did not allow")
        # PRIORITY and what we do not know are ignored, as RFC 9113 wants.

    def _on_data(self, flags: int, payload: bytes) -> None:
        if self._headers is None:
            raise broken(b"data before headers")
        self._unacknowledged += len(payload)
        self._body += unpadded(flags, payload)
        if len(self._body) > MAX_REPLY_BYTES:
            raise broken(b"a reply of more than %d bytes" % MAX_REPLY_BYTES)
        self._ended = bool(flags & END_STREAM)
        if self._unacknowledged >= OUR_WINDOW // 2 and not self._ended:
            grown = self._unacknowledged.to_bytes(4, "big")
            self._wire.unsent += frame(WINDOW_UPDATE, 0, 0, grown) + frame(
                WINDOW_UPDATE, 0, STREAM, grown
            )
            self._unacknowledged = 0

    def _on_headers(self, flags: int, payload: bytes) -> None:
        payload = unpadded(flags, payload)
        if flags & HAS_PRIORITY:
            if len(payload) < 5:
                raise broken(b"a HEADERS frame of a wrong size")
            payload = payload[5:]
        self._block_flags = flags
        self._on_block(flags, payload)

    def _on_block(self, flags: int, block: bytes) -> None:
        if len(block) > MAX_HEADERS_BYTES:
            raise broken(b"oversized headers")
        if not flags & END_HEADERS:
            self._block = block
            return
        self._block = None
        fields = decode_headers(block)
        self._ended = bool(self._block_flags & END_STREAM)
        if self._headers is None:
            if len(fields.get(b":status", b"")) != 3:
                raise broken(b"headers without a status")
            if not fields[b":status"].startswith(b"1") or self._ended:  # 1xx: the real ones follow
                self._headers = self._trailers = fields
        elif self._ended:
            self._trailers = fields
        else:
            raise broken(b"headers amid the reply")

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if len(payload) % 6:
            raise broken(b"SETTINGS of a wrong size")
        if flags & ACK:
            return
        for at in range(0, len(payload), 6):
            name = int.from_bytes(payload[at : at + 2], "big")
            value = int.from_bytes(payload[at + 2 : at + 6], "big")
            if name == 4:
                if value > MAX_WINDOW:
                    raise broken(b"an oversized window")
                self._windows[1] += value - self._initial_window
                self._initial_window = value
            elif name == 5:
                if not START_FRAME <= value < 1 << 24:
                    raise broken(b"a frame size out of range")
                self._max_frame = value
        self._wire.unsent += frame(SETTINGS, ACK, 0, b"")
        self._fill()

    def _on_window_update(self, stream: int, payload: bytes) -> None:
        if stream > STREAM:
            return
        self._windows[stream] += number_of(payload, 4) & MAX_WINDOW
        if self._windows[stream] > MAX_WINDOW:
            raise broken(b"an oversized window")
        self._fill()

    def _reply(self) -> bytes:
        """The message, or CallError for what the peer told instead."""
        headers, trailers = self._headers or {}, self._trailers or {}
        http = headers.get(b":status", b"")
        if http != b"200":
            raise CallError(OF_HTTP.get(http, 2), b"it answered with HTTP status " + http)
        if not headers.get(b"content-type", b"").startswith(b"application/grpc"):
            raise CallError(2, b"it does not speak gRPC")
        told = trailers.get(b"grpc-status", b"")
        if not told.isdigit():
            raise broken(b"no grpc-status")
        if int(told):
            raise CallError(int(told), percent_decode(trailers.get(b"grpc-message", b"")))
        body = bytes(self._body)
        if body[:1] == b"\1":
            raise broken(b"a compressed reply")
        if len(body) < 5 or len(body) - 5 != int.from_bytes(body[1:5], "big"):
            raise broken(b"not exactly one message")
        return body[5:]


def broken(what: bytes) -> CallError:
    """The peer broke a rule of HTTP/2 or gRPC."""
    return CallError(CallError.INTERNAL, b"it sent " + what)


def number_of(payload: bytes, size: int) -> int:
    """The payload of a frame that is one number of *size* bytes."""
    if len(payload) != size:
        raise broken(b"a frame of a wrong size")
    return int.from_bytes(payload, "big")


def unpadded(flags: int, payload: bytes) -> bytes:
    """*payload* without its padding."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise broken(b"padding larger than its frame")
    return payload[1 : len(payload) - payload[0]]


# -- what is queued when no daemon answers


def pending_path(environment: dict[bytes, bytes]) -> bytes:
    """Where the DEL of this attachment is queued. `:` is in neither part, so names are unique."""
    name = environment[b"CNI_CONTAINERID"] + b":" + environment[b"CNI_IFNAME"] + b".del"
    return (environment.get(b"TERWAY_SPOOL") or DEFAULT_SPOOL) + b"/" + name


def queue_del(path: bytes, message: bytes) -> None:
    """Write *message* to *path* at once or not at all. Raises OSError.

    Not synced: after a power loss there is no pod left whose address could be held.
    """
    spool = path[: path.rindex(b"/")]
    make_directory(spool, 0o700)
    temporary = spool + b"/.%d.tmp" % posix.getpid()
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_NOFOLLOW | posix.O_CLOEXEC
    fd = posix.open(temporary, flags, 0o600)
    try:
        write_all(fd, message)
        posix.rename(temporary, path)
    except OSError:
        posix.unlink(temporary)
        raise
    finally:
        posix.close(fd)


def make_directory(path: bytes, mode: int) -> None:
    """Make *path* and what is missing above it."""
    try:
        posix.mkdir(path, mode)
    except FileExistsError:
        pass
    except FileNotFoundError:
        above = path.rstrip(b"/").rpartition(b"/")[0]
        if not above:
            raise
        make_directory(above, 0o755)
        try:  # noqa: SIM105  # contextlib is an import
            posix.mkdir(path, mode)
        except FileExistsError:  # another DEL made it
            pass


def forget_del(path: bytes) -> None:
    """An ADD of the same attachment came: a DEL from before it must not end it."""
    try:  # noqa: SIM105  # contextlib is an import
        posix.unlink(path)
    except OSError:
        pass


# -- CNI


def check_environment(command: bytes, environment: dict[bytes, bytes]) -> None:
    """Raises RefusedError naming each variable that is missing or invalid; empty is missing."""
    if command not in METHODS:
        raise RefusedError(INVALID_ENVIRONMENT, b"unknown CNI_COMMAND: " + command)
    required = METHODS[command][2]
    missing = [name for name in required if not environment.get(name)]
    if missing:
        raise RefusedError(
            INVALID_ENVIRONMENT, b"required env variables missing", b", ".join(missing)
        )
    for name in VARIABLES:
        value = environment.get(name, b"")
        if not is_utf8(value) or (name in required and not is_valid(name, value)):
            raise RefusedError(INVALID_ENVIRONMENT, b"invalid " + name, quote(value))


def is_valid(name: bytes, value: bytes) -> bool:
    """Whether skel of the reference plug-ins takes *value*. Source: containernetworking/cni."""
    if name == b"CNI_CONTAINERID":
        return value[:1].isalnum() and not value.translate(None, LETTERS_DIGITS + b"_.-")
    if name == b"CNI_IFNAME":
        forbidden = b"/: \t\n\v\f\r"
        return len(value) < 16 and value not in (b".", b"..") and not {*value} & {*forbidden}
    return True


def is_utf8(value: bytes) -> bool:
    """Whether protobuf takes *value* as a string."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def check_netns(path: bytes) -> None:
    """Raises RefusedError when *path* is our own network namespace: ADD would change the node's."""
    try:
        theirs, ours = posix.stat(path), posix.stat(b"/proc/self/ns/net")
    except OSError:
        return  # whether it exists is the daemon's to say
    if (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino):
        raise RefusedError(
            INVALID_NETNS, b"CNI_NETNS is the node's own network namespace", quote(path)
        )


def read_stdin() -> bytes:
    """The network configuration, unread. Raises RefusedError."""
    parts, size = [], 0
    while size <= MAX_STDIN_BYTES:
        try:
            part = posix.read(0, 65536)
        except OSError as e:
            raise RefusedError(IO_FAILURE, b"standard input cannot be read", reason(e)) from None
        if not part:
            break
        parts.append(part)
        size += len(part)
    if size > MAX_STDIN_BYTES:
        told = b"at most %d bytes are taken" % MAX_STDIN_BYTES
        raise RefusedError(DECODING_FAILURE, b"the network configuration is too big", told)
    if not size:
        told = b"it is expected on standard input"
        raise RefusedError(DECODING_FAILURE, b"the network configuration is empty", told)
    return b"".join(parts)


def version_of(config: bytes) -> bytes:
    """Top-level cniVersion of *config*, found without decoding it; 1.0.0 when there is doubt."""
    depth = at = 0
    while at < len(config):
        byte = config[at : at + 1]
        at += 1
        if byte in b"{[":
            depth += 1
        elif byte in b"}]":
            depth -= 1
        elif byte == b'"':
            end = end_of_string(config, at)
            name, at = config[at:end], end + 1
            rest = config[at : at + 64].lstrip()
            if depth == 1 and name == b"cniVersion" and rest[:1] == b":":
                value = rest[1:].lstrip().split(b'"', 2)
                good = len(value) == 3 and not value[0] and value[1] in SUPPORTED
                return value[1] if good else UNSURE_VERSION
    return UNSURE_VERSION


def end_of_string(config: bytes, at: int) -> int:
    """Index of the quote that ends the JSON string whose first character is at *at*."""
    while True:
        quote_at = config.find(b'"', at)
        if quote_at < 0:
            return len(config)
        escape_at = config.find(b"\\", at, quote_at)
        if escape_at < 0:
            return quote_at
        at = escape_at + 2


def perform(command: bytes, environment: dict[bytes, bytes], config: bytes) -> tuple[int, bytes]:
    """Exit status and stdout as the daemon has them, or as they are without it."""
    method, timeout_s, _ = METHODS[command]
    socket_path = environment.get(b"TERWAY_SOCKET") or DEFAULT_SOCKET
    message = encode_request(environment, config)
    try:
        deadline = Deadline(timeout_s)
        wire = Wire(socket_path, deadline)
        if command == b"ADD":
            forget_del(pending_path(environment))
        reply = Call(wire, method, message, int(deadline.remaining_s() * 1000)).run()
        exit_status, stdout = decode_reply(reply)
    except CallError as e:
        if command == b"DEL" and e.unanswered:
            return do_later(environment, message, socket_path, e)
        raise refusal(command, socket_path, e) from None
    return min(exit_status, 1), stdout


def do_later(
    environment: dict[bytes, bytes], message: bytes, socket_path: bytes, error: CallError
) -> tuple[int, bytes]:
    """Queue the DEL for the daemon; success, since it holds the address until it has done it."""
    path = pending_path(environment)
    try:
        queue_del(path, message)
    except OSError as e:
        refused = refusal(b"DEL", socket_path, error)
        refused.details += b"; and the DEL cannot be queued as " + path + b": " + reason(e)
        raise refused from None
    log(b"no answer on %s (%s): DEL queued as %s" % (socket_path, error.why, path))
    return 0, b""


def refusal(command: bytes, socket_path: bytes, error: CallError) -> RefusedError:
    """What a failed call is to the runtime: all may pass by itself or by mending the daemon."""
    code = NOT_AVAILABLE if command == b"STATUS" else TRY_AGAIN_LATER
    if error.unanswered:
        msg = b"ipamd does not answer on " + socket_path
        advice = b"is the DaemonSet terway-eniip running on this node? Look at its pod and its log"
    elif error.status == CallError.UNIMPLEMENTED:
        msg = b"the daemon on " + socket_path + b" does not know us"
        advice = b"is it ipamd, of this version or newer?"
    else:
        msg = b"ipamd could not take the call on " + socket_path
        advice = b"look at its log"
    return RefusedError(code, msg, b"%s (gRPC status %d); %s" % (error.why, error.status, advice))


def quote(text: bytes) -> bytes:
    """*text* as a JSON string, whatever is in it."""
    out = ['"']
    for char in text.decode("utf-8", "replace"):
        if char in '"\\':
            out.append("\\" + char)
        elif char < " " or char == "\x7f":
            out.append(f"\\u{ord(char):04x}")
        else:
            out.append(char)
    out.append('"')
    return "".join(out).encode()


def error_json(error: RefusedError, cni_version: bytes) -> bytes:
    """A CNI error as it is printed."""
    pairs = [
        (b"cniVersion", quote(cni_version)),
        (b"code", b"%d" % error.code),
        (b"msg", quote(error.msg)),
        (b"details", quote(error.details)),
    ]
    return b"{%s}\n" % b", ".join(quote(name) + b": " + value for name, value in pairs)


def answer(environment: dict[bytes, bytes]) -> tuple[int, bytes]:
    """Exit status and stdout of this invocation."""
    command = environment.get(b"CNI_COMMAND", b"")
    if not command:
        log(b"CNI plug-in terway %s: wires pods on Alibaba Cloud through ipamd" % VERSION)
        log(b"CNI versions: " + b", ".join(SUPPORTED) + b"; a container runtime sets CNI_COMMAND")
        return 0, b""
    if command == b"VERSION":
        versions = b", ".join(map(quote, SUPPORTED))
        return 0, b'{"cniVersion": "1.1.0", "supportedVersions": [%s]}\n' % versions
    config = b""
    try:
        check_environment(command, environment)
        config = read_stdin()
        if command == b"ADD":
            check_netns(environment[b"CNI_NETNS"])
        return perform(command, environment, config)
    except RefusedError as e:
        return 1, error_json(e, version_of(config))


def log(line: bytes) -> None:
    """A line for people on stderr; nobody may listen."""
    try:  # noqa: SIM105  # contextlib is an import
        write_all(2, line + b"\n")
    except OSError:
        pass


def write_all(fd: int, data: bytes) -> None:
    """Raises OSError."""
    while data:
        data = data[posix.write(fd, data) :]


def claim_standard_files() -> None:
    """Open what the caller closed of 0, 1, 2, so that our socket never becomes stdout."""
    for fd in (0, 1, 2):
        try:
            posix.fstat(fd)
        except OSError:
            posix.open(b"/dev/null", posix.O_RDWR)


def main() -> None:
    """Run, print, exit. Never a traceback, and never more than one JSON object on stdout."""
    exit_status, stdout = 1, b""
    try:
        claim_standard_files()
        exit_status, stdout = answer(posix.environ)
    except BaseException as e:  # noqa: BLE001  # whatever it is, the runtime reads stdout
        told = type(e).__name__.encode()
        stdout = error_json(
            RefusedError(INTERNAL, b"unexpected error in the executable", told), UNSURE_VERSION
        )
        log(b"terway: unexpected " + told)
    try:
        write_all(1, stdout)
    except OSError as e:
        exit_status = 1
        log(b"terway: standard output cannot be written: " + reason(e))
    posix._exit(exit_status)  # noqa: SLF001  # its name; saves 1 ms of clearing up


if __name__ == "__main__":
    main()

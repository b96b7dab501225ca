"""Header fields of requests and answers: HPACK as a server needs it. Pure.

Clients may use everything of RFC 7541 until they have seen our SETTINGS, so all of it is decoded.
What we say ourselves is said literally. The executable has its own, smaller one: it is one file.
"""

import collections
from collections.abc import Iterator

TABLE_BYTES = 4096
"""Of the dynamic table, as every peer assumes at first."""
_ENTRY_BYTES = 32
_Field = tuple[bytes, bytes]
STATIC: tuple[_Field, ...] = tuple(
    (line.partition(b" ")[0], line.partition(b" ")[2])
    for line in b"""\
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate""".splitlines()
)
"""RFC 7541, Appendix A; entry 1 is the first."""
_HUFFMAN = {
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


class Malformed(Exception):  # what a peer sent
    """A header block that is none."""


class Decoder:
    """The receiving side of one connection: blocks depend on those before them."""

    def __init__(self) -> None:
        self._table: collections.deque[_Field] = collections.deque()
        self._bytes = 0
        self._limit = TABLE_BYTES

    def decode(self, block: bytes) -> dict[bytes, bytes]:
        """The fields of *block*; the last of one name counts. Raises Malformed."""
        fields: dict[bytes, bytes] = {}
        at = 0
        while at < len(block):
            first = block[at]
            if first & 0x80:
                index, at = _read_integer(block, at, 7)
                name, value = self._entry(index)
            elif first & 0xE0 == 0x20:
                size, at = _read_integer(block, at, 5)
                self._resize(size)
                continue
            else:
                index, at = _read_integer(block, at, 6 if first & 0x40 else 4)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, at = _read_text(block, at)
                value, at = _read_text(block, at)
                if first & 0x40:
                    self._remember((name, value))
            fields[name] = value
        return fields

    def _entry(self, index: int) -> _Field:
        if 0 < index <= len(STATIC):
            return STATIC[index - 1]
        if not 0 < index <= len(STATIC) + len(self._table):
            raise Malformed(f"header {index} was never told")
        return self._table[index - len(STATIC) - 1]

    def _remember(self, field: _Field) -> None:
        self._table.appendleft(field)
        self._bytes += _size(field)
        self._evict()

    def _resize(self, size: int) -> None:
        if size > TABLE_BYTES:
            raise Malformed(f"a header table of {size} bytes; at most {TABLE_BYTES} are allowed")
        self._limit = size
        self._evict()

    def _evict(self) -> None:
        while self._bytes > self._limit:
            self._bytes -= _size(self._table.pop())


def encode(fields: list[_Field]) -> bytes:
    """A block that says *fields*, and that nothing of them is to be remembered."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(text: bytes) -> bytes:
    size = len(text)
    if size < 0x7F:
        return bytes((size,)) + text
    size -= 0x7F
    coded = bytearray(b"\x7f")
    while size > 0x7F:  # seven bits a byte
        coded.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(coded) + bytes((size,)) + text


def _size(field: _Field) -> int:
    return len(field[0]) + len(field[1]) + _ENTRY_BYTES


def _read_integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """The integer with a prefix of *bits* bits at *at*, and where it ends. RFC 7541, 5.1."""
    most = (1 << bits) - 1
    if at >= len(block):
        raise Malformed("headers cut short")
    number = block[at] & most
    at += 1
    if number < most:
        return number, at
    for shift in range(0, 35, 7):
        if at >= len(block):
            raise Malformed("headers cut short")
        number += (block[at] & 0x7F) << shift
        at += 1
        if block[at - 1] < 0x80:  # its last byte
            return number, at
    raise Malformed("an oversized number in headers")


def _read_text(block: bytes, at: int) -> tuple[bytes, int]:
    """The string at *at*, Huffman-coded or not, and where it ends. RFC 7541, 5.2."""
    if at >= len(block):
        raise Malformed("headers cut short")
    coded = block[at] & 0x80
    size, at = _read_integer(block, at, 7)
    end = at + size
    if end > len(block):
        raise Malformed("headers cut short")
    raw = block[at:end]
    return (_decode_huffman(raw) if coded else raw), end


def _codes() -> Iterator[tuple[tuple[int, int], int]]:
    """((length in bits, code), byte) of every byte."""
    code = before = 0
    for bits, symbols in _HUFFMAN.items():
        code <<= bits - before
        before = bits
        for symbol in symbols:
            yield (bits, code), symbol
            code += 1


_SYMBOLS = dict(_codes())


def _decode_huffman(coded: bytes) -> bytes:
    out = bytearray()
    code = bits = 0
    for byte in coded:
        for shift in range(7, -1, -1):
            code = code << 1 | byte >> shift & 1
            bits += 1
            symbol = _SYMBOLS.get((bits, code))
            if symbol is not None:
                out.append(symbol)
                code = bits = 0
    if bits > 7 or code != (1 << bits) - 1:  # padding is ones, less than a byte
        raise Malformed("Huffman coding that ends wrongly")
    return bytes(out)

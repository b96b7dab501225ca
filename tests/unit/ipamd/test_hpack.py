import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipamd.transport import hpack

REQUEST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]


def test_the_static_table_is_the_one_of_the_rfc():
    assert len(hpack.STATIC) == 61
    assert hpack.STATIC[0] == (b":authority", b"")
    assert hpack.STATIC[7] == (b":status", b"200")
    assert hpack.STATIC[15] == (b"accept-encoding", b"gzip, deflate")
    assert hpack.STATIC[30] == (b"content-type", b"")
    assert hpack.STATIC[60] == (b"www-authenticate", b"")


@pytest.mark.parametrize(
    "blocks",
    [
        (
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ),
        (
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ),
    ],
    ids=["RFC 7541 C.3", "C.4, Huffman-coded"],
)
def test_the_examples_of_the_rfc_are_decoded(blocks):
    decoder = hpack.Decoder()
    first, second, third = (decoder.decode(bytes.fromhex(block)) for block in blocks)

    assert first == {**dict(REQUEST), b":authority": b"www.example.com"}
    assert second == {**first, b"cache-control": b"no-cache"}
    assert third == {
        b":method": b"GET",
        b":scheme": b"https",
        b":path": b"/index.html",
        b":authority": b"www.example.com",
        b"custom-key": b"custom-value",
    }


def test_a_table_made_smaller_forgets():
    decoder = hpack.Decoder()
    decoder.decode(b"\x40\x01a\x01b")
    assert decoder.decode(b"\xbe") == {b"a": b"b"}
    decoder.decode(b"\x20")

    with pytest.raises(hpack.Malformed, match="never told"):
        decoder.decode(b"\xbe")


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",
        b"\xff\x80\x80\x80\x80\x80\x80",
        b"\x00",
        b"\x00\x05a",
        b"\x3f\xff\xff\x7f",
        b"\x00\x81\x00\x00",
    ],
    ids=["index 0", "endless number", "no name", "short name", "big table", "bad padding"],
)
def test_what_is_no_header_block_is_refused(block):
    with pytest.raises(hpack.Malformed):
        hpack.Decoder().decode(block)


@given(st.dictionaries(st.binary(max_size=300), st.binary(max_size=300), max_size=5))
def test_what_is_encoded_is_decoded_again(fields):
    assert hpack.Decoder().decode(hpack.encode(list(fields.items()))) == fields


@given(st.binary(max_size=60))
def test_no_bytes_make_anything_but_fields_or_a_refusal(block):
    with contextlib.suppress(hpack.Malformed):
        hpack.Decoder().decode(block)

"""What other people's clients of object storage send: Alibaba's, MinIO's and AWS's for Go.

Everything is signed by hand here, so that the very bytes are tested.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from sim.oss import chunks, errors
from tests.sim.conftest import KEY_ID, SECRET, Sim
from tests.sim.oss_harness import bucket, fetch

PATH = "/simulated-bucket/k"
SCOPE = "20261129/cn-hangzhou/s3/aws4_request"
SEAL = chunks.Seal(secret=SECRET, scope=SCOPE, date="20261129T000000Z", seed="a" * 64)


def chain(first: str, scope: str, text: str) -> str:
    key = first.encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def in_chunks(seal: chunks.Seal, pieces: list[bytes]) -> bytes:
    """A body; the empty chunk at its end is added."""
    before, body = seal.seed, b""
    for piece in [*pieces, b""]:
        head = ("AWS4-HMAC-SHA256-PAYLOAD", seal.date, seal.scope, before, sha256(b""))
        before = chain("AWS4" + seal.secret, seal.scope, "\n".join((*head, sha256(piece))))
        body += f"{len(piece):x};chunk-signature={before}\r\n".encode() + piece + b"\r\n"
    return body


def put_in_chunks(
    sim: Sim, pieces: list[bytes], *, spoil: bytes = b"", **more: str
) -> tuple[int, Mapping[str, str], bytes]:
    """Put an object as MinIO's client does. spoil: bytes of the body that are put in capitals."""
    date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date[:8]}/cn-hangzhou/s3/aws4_request"
    length = str(sum(map(len, pieces)))
    headers = {
        "host": sim.endpoint,
        "x-amz-content-sha256": chunks.SIGNED,
        "x-amz-date": date,
        "x-amz-decoded-content-length": length,
    } | {name.replace("_", "-"): value for name, value in more.items()}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    asked = "\n".join(("PUT", PATH, "", lines, names, headers["x-amz-content-sha256"]))
    text = "\n".join(("AWS4-HMAC-SHA256", date, scope, sha256(asked.encode())))
    seed = chain("AWS4" + SECRET, scope, text)
    claim = f"Credential={KEY_ID}/{scope}, SignedHeaders={names}, Signature={seed}"
    headers["Authorization"] = f"AWS4-HMAC-SHA256 {claim}"
    seal = chunks.Seal(secret=SECRET, scope=scope, date=date, seed=seed)
    body = in_chunks(seal, pieces)
    if spoil:
        body = body.replace(spoil, spoil.upper())
    return fetch(f"http://{sim.endpoint}{PATH}", "PUT", headers, body)


def test_an_upload_in_signed_chunks(sim: Sim) -> None:
    status, _, body = put_in_chunks(sim, [b"one ", b"two"], content_encoding="aws-chunked,gzip")

    assert status == 200, body
    found = bucket(sim).get_object("k", headers={"Accept-Encoding": "identity"})
    assert found.headers["Content-Encoding"] == "gzip"
    assert found.content_length == 7
    assert put_in_chunks(sim, [])[0] == 200
    assert bucket(sim).head_object("k").content_length == 0


def test_a_chunk_that_is_not_what_was_signed(sim: Sim) -> None:
    status, _, body = put_in_chunks(sim, [b"one ", b"two"], spoil=b"two")

    assert (status, b"<Code>SignatureDoesNotMatch</Code>" in body) == (403, True)
    assert not bucket(sim).object_exists("k")


def test_chunks_that_are_shorter_than_was_said(sim: Sim) -> None:
    status, _, body = put_in_chunks(sim, [b"one"], x_amz_decoded_content_length="4")

    assert (status, b"<Code>IncompleteBody</Code>" in body) == (400, True)
    assert not bucket(sim).object_exists("k")


@pytest.mark.parametrize(
    "payload",
    ["STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"],
)
def test_chunks_of_another_kind_are_refused_as_oss_documents_it(sim: Sim, payload: str) -> None:
    status, headers, body = put_in_chunks(
        sim, [b"one"], x_amz_content_sha256=payload, content_encoding="aws-chunked"
    )

    assert status == 400
    assert headers["x-oss-ec"] == "0017-00000804"
    assert b"<Code>InvalidArgument</Code>" in body
    assert b"<ArgumentName>Content-Encoding</ArgumentName>" in body


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_chunks_are_read_however_they_arrive(size: int) -> None:
    pieces = [b"a" * 300, b"\r\n" * 10, b"b"]
    body = in_chunks(SEAL, pieces)
    decoder = chunks.Decoder(SEAL)

    found = b"".join(decoder.feed(body[at : at + size]) for at in range(0, len(body), size))

    decoder.end()
    assert found == b"".join(pieces)


@pytest.mark.parametrize(
    "spoilt",
    [
        in_chunks(SEAL, [b"one"])[:-2],
        in_chunks(SEAL, [b"one"]) + b"x",
        b"3;chunk-signature=short\r\none\r\n",
        b"-" * 500,
        in_chunks(SEAL, [b"one"]).replace(b"one\r\n", b"onex\r\n"),
    ],
    ids=["no end", "more", "no signature", "no line", "longer"],
)
def test_what_is_not_made_of_chunks(spoilt: bytes) -> None:
    decoder = chunks.Decoder(SEAL)

    def read() -> None:
        decoder.feed(spoilt)
        decoder.end()

    with pytest.raises(errors.OssError, match="IncompleteBody"):
        read()


def test_v4_signs_the_date_where_there_is_no_date_of_its_own(sim: Sim) -> None:
    """As Alibaba's older SDK for Go does."""
    date = datetime.now(UTC)
    told = date.strftime("%a, %d %b %Y %H:%M:%S GMT")
    scope = f"{date:%Y%m%d}/cn-hangzhou/oss/aliyun_v4_request"
    unsigned = "UNSIGNED-PAYLOAD"
    asked = f"GET\n/simulated-bucket/\nacl\nx-oss-content-sha256:{unsigned}\n\n\n{unsigned}"
    text = "\n".join(("OSS4-HMAC-SHA256", told, scope, sha256(asked.encode())))
    headers = {
        "Date": told,
        "x-oss-content-sha256": unsigned,
        "Authorization": f"OSS4-HMAC-SHA256 Credential={KEY_ID}/{scope},"
        f"Signature={chain('aliyun_v4' + SECRET, scope, text)}",
    }

    status, _, body = fetch(
        f"http://{sim.endpoint}/simulated-bucket/?acl", "GET", {**headers, "Host": sim.endpoint}
    )

    assert status == 200, body


def test_a_plus_in_a_copys_source_is_a_space(sim: Sim) -> None:
    """As Alibaba's older SDK for Go sends it."""
    ours = bucket(sim)
    ours.put_object("a b+c", b"x")

    source = {"x-oss-copy-source": "/simulated-bucket/a+b%2Bc"}
    status, _, body = fetch(ours.sign_url("PUT", "copy", 60, headers=source), "PUT", source)

    assert status == 200, body
    assert ours.get_object("copy").read() == b"x"

"""The body of an OSS request: an object's bytes go to a blob as they come, XML is kept."""

import base64
import binascii
import hashlib

from aiohttp import web

from sim.oss import blobs, calls, chunks, errors, rules, signature, wire

_XML_BODY_MAX = 2 * 1024 * 1024
_DECODED_LENGTH = "x-amz-decoded-content-length"


async def read(
    http: web.Request, operation: calls.Operation, call: calls.Call, seal: chunks.Seal | None
) -> None:
    """Read and check what was sent, into *call*. Raises OssError, ConnectionError.

    seal: of a body in signed chunks, None = it is sent as it is.
    """
    length = http.content_length
    most = rules.OBJECT_BYTES_MAX if operation.takes_bytes else _XML_BODY_MAX
    if operation.takes_bytes and not _tells_length(http, seal):
        raise errors.OssError(
            "MissingContentLength", 411, "You must provide the Content-Length HTTP header."
        )
    if length is not None and seal is None and length > most:
        raise _too_large(length, most)
    decoder = chunks.Decoder(seal) if seal is not None else None
    digests = _Digests()
    kept: list[bytes] = []
    writer = call.blobs.new() if operation.takes_bytes else None
    call.written = writer
    sent = size = 0
    async for piece in http.content.iter_chunked(blobs.CHUNK_BYTES):
        sent += len(piece)
        meant = decoder.feed(piece) if decoder is not None else piece
        size += len(meant)
        if size > most:
            raise _too_large(size, most)
        if writer is not None:
            writer.write(meant)
        else:
            digests.update(meant)
            kept.append(meant)
    if length is not None and sent != length:
        raise ConnectionError("the request ended early")
    if decoder is not None:
        decoder.end()
        _check_length(http, size)
    call.body = b"".join(kept)
    md5, sha256 = (
        (writer.md5, writer.sha256) if writer is not None else (digests.md5, digests.sha256)
    )
    _check_digests(call.ask, md5, sha256)


def _tells_length(http: web.Request, seal: chunks.Seal | None) -> bool:
    if seal is not None:
        return _DECODED_LENGTH in http.headers
    return http.content_length is not None or "chunked" in http.headers.get("Transfer-Encoding", "")


def _check_length(http: web.Request, size: int) -> None:
    """Raise OssError unless signed chunks hold as much as was announced."""
    told = http.headers.get(_DECODED_LENGTH, str(size))
    if told != str(size):
        raise errors.OssError(
            "IncompleteBody",
            400,
            "The request body is not as long as x-amz-decoded-content-length says.",
            more={"Announced": told, "Received": str(size)},
        )


class _Digests:
    """Of a body that is kept in memory."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()

    def update(self, chunk: bytes) -> None:
        self._md5.update(chunk)
        self._sha256.update(chunk)

    @property
    def md5(self) -> bytes:
        return self._md5.digest()

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


def _check_digests(ask: wire.OssRequest, md5: bytes, sha256: str) -> None:
    """Raise OssError unless the body is what its headers say."""
    given = ask.header("content-md5")
    if given:
        try:
            wanted = base64.b64decode(given, validate=True)
        except binascii.Error:
            wanted = b""
        if wanted != md5:
            raise errors.OssError(
                "InvalidDigest",
                400,
                "The Content-MD5 you specified was invalid.",
                more={"Content-MD5": given},
            )
    told = ask.header("x-amz-content-sha256")
    if told not in ("", signature.UNSIGNED, chunks.SIGNED, sha256):
        raise errors.OssError(
            "XAmzContentSHA256Mismatch",
            400,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            more={"ClientComputedContentSHA256": told, "S3ComputedContentSHA256": sha256},
        )


def _too_large(size: int, most: int) -> errors.OssError:
    return errors.OssError(
        "EntityTooLarge",
        400,
        "Your proposed upload exceeds the maximum allowed size.",
        more={"MaxSizeAllowed": str(most), "ProposedSize": str(size)},
    )

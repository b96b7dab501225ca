"""The body of an OSS request: an object's bytes go to a blob as they come, XML is kept."""

import base64
import binascii
import hashlib

from aiohttp import web

from sim.oss import blobs, calls, errors, rules, signature, wire

_XML_BODY_MAX = 2 * 1024 * 1024


async def read(http: web.Request, operation: calls.Operation, call: calls.Call) -> None:
    """Read and check what was sent, into *call*. Raises OssError, ConnectionError."""
    length = http.content_length
    most = rules.OBJECT_BYTES_MAX if operation.takes_bytes else _XML_BODY_MAX
    if (
        operation.takes_bytes
        and length is None
        and "chunked" not in http.headers.get("Transfer-Encoding", "")
    ):
        raise errors.OssError(
            "MissingContentLength", 411, "You must provide the Content-Length HTTP header."
        )
    if length is not None and length > most:
        raise _too_large(length, most)
    digests = _Digests()
    chunks: list[bytes] = []
    writer = call.blobs.new() if operation.takes_bytes else None
    call.written = writer
    size = 0
    async for chunk in http.content.iter_chunked(blobs.CHUNK_BYTES):
        size += len(chunk)
        if size > most:
            raise _too_large(size, most)
        if writer is not None:
            writer.write(chunk)
        else:
            digests.update(chunk)
            chunks.append(chunk)
    if length is not None and size != length:
        raise ConnectionError("the request ended early")
    call.body = b"".join(chunks)
    md5, sha256 = (
        (writer.md5, writer.sha256) if writer is not None else (digests.md5, digests.sha256)
    )
    _check_digests(call.ask, md5, sha256)


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
    if told not in ("", signature.UNSIGNED, sha256):
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

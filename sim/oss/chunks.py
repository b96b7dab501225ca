"""Bodies in chunks that are signed one by one, as S3 clients send them over plain HTTP. Pure.

Of S3's ways, OSS takes this one alone (0017-00000804 of its error pages). Source of the format:
S3's page "Signature calculations: transferring payload in multiple chunks".
"""

import dataclasses
import hashlib
import hmac
import re

from sim.oss import errors, signature

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
"""Value of x-amz-content-sha256 that announces such a body."""
_HEAD = re.compile(rb"([0-9a-fA-F]{1,8});chunk-signature=([0-9a-f]{64})")
_LONGEST_HEAD = 128
_END = b"\r\n"
_NOTHING = hashlib.sha256().hexdigest()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What chunks are signed with. date: text of x-amz-date; seed: signature of the headers."""

    secret: str
    scope: str
    date: str
    seed: str


class Decoder:
    """Takes such a body piece by piece and gives back what was meant.

    Bytes are given out before their chunk's signature is seen: whoever keeps them throws them away
    when a later call raises.
    """

    def __init__(self, seal: Seal) -> None:
        self._seal = seal
        self._before = seal.seed
        self._head = b""
        self._claimed = ""
        self._left = -1
        self._digest = hashlib.sha256()
        self._is_last = False
        self._is_over = False

    def feed(self, data: bytes) -> bytes:
        """The bytes that were meant by *data*. Raises OssError."""
        found = []
        while data:
            if self._is_over:
                raise _malformed()
            if self._left > 0:
                found.append(data[: self._left])
                self._digest.update(found[-1])
                self._left -= len(found[-1])
                data = data[len(found[-1]) :]
            else:
                data = self._feed_line(data)
        return b"".join(found)

    def end(self) -> None:
        """Nothing follows. Raises OssError when the last chunk has not come."""
        if not self._is_over:
            raise _malformed()

    def _feed_line(self, data: bytes) -> bytes:
        """Take a line, or a part of one; what comes after it."""
        line, end, rest = (self._head + data).partition(_END)
        if not end:
            self._head = line
            if len(line) > _LONGEST_HEAD:
                raise _malformed()
            return b""
        self._head = b""
        if self._left < 0:
            self._begin(line)
        elif line:
            raise _malformed()
        else:
            self._finish()
        return rest

    def _begin(self, line: bytes) -> None:
        match = _HEAD.fullmatch(line)
        if match is None:
            raise _malformed()
        self._left = int(match[1], 16)
        self._is_last = self._left == 0
        self._claimed = match[2].decode()
        self._digest = hashlib.sha256()

    def _finish(self) -> None:
        """A chunk is whole: check its signature."""
        seal = self._seal
        head = ("AWS4-HMAC-SHA256-PAYLOAD", seal.date, seal.scope, self._before, _NOTHING)
        string = "\n".join((*head, self._digest.hexdigest()))
        if not hmac.compare_digest(
            signature.s3_sign(seal.secret, seal.scope, string), self._claimed
        ):
            raise errors.OssError(
                "SignatureDoesNotMatch", 403, "The signature of a chunk does not match its bytes."
            )
        self._before = self._claimed
        self._left = -1
        self._is_over = self._is_last


def require_known(payload: str, content_encoding: str) -> None:
    """Raise OssError for a body in chunks of another kind.

    payload: the value of x-amz-content-sha256. Source: the page of EC 0017-00000804.
    """
    in_chunks = "aws-chunked" in content_encoding or payload.startswith("STREAMING-")
    if in_chunks and payload != SIGNED:
        raise errors.invalid_argument(
            "aws-chunked encoding is not supported with the specified x-amz-content-sha256 value.",
            name="Content-Encoding",
            value="aws-chunked",
            ec="0017-00000804",
        )


def _malformed() -> errors.OssError:
    return errors.OssError(
        "IncompleteBody",
        400,
        "The body is not made of whole chunks, the last of them empty, each with its signature.",
    )

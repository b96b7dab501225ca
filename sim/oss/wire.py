"""One OSS request as it came over the wire: whose bucket, which object, which dialect. Pure."""

import dataclasses
import enum
import functools
import re
import urllib.parse
from collections.abc import Sequence

from sim.oss import errors

Pairs = Sequence[tuple[str, str]]
_VIRTUAL_HOST = re.compile(r"(?P<bucket>[a-z0-9-]{3,63})\.(?P<rest>(s3\.)?oss-.+|localhost)")
_OSS_DOMAIN = re.compile(r"(s3\.)?oss-[a-z0-9-]+\.aliyuncs\.com")
_SIGNERS = ("OSS ", "OSS4-HMAC-SHA256", "AWS4-HMAC-SHA256", "AWS ")
_SIGNED_QUERY = frozenset(
    {"OSSAccessKeyId", "x-oss-signature", "x-oss-signature-version", "X-Amz-Algorithm"}
)


class Dialect(enum.Enum):
    """Whose header names and XML a client wants. value: prefix of its own headers."""

    OSS = "x-oss-"
    S3 = "x-amz-"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OssRequest:
    """A request.

    host: without the port. path: decoded, as in the request line. bucket, key: "" = none.
    query: decoded, in order; a name without "=" has value "". headers: names in lower case.
    """

    method: str
    host: str
    path: str
    bucket: str
    key: str
    query: Pairs
    headers: Pairs

    @functools.cached_property
    def values(self) -> dict[str, str]:
        """The query as a mapping; the first of a name wins."""
        return dict(reversed(self.query))

    @functools.cached_property
    def _header(self) -> dict[str, str]:
        return dict(reversed(self.headers))

    def header(self, name: str, default: str = "") -> str:
        """First value of header *name*, in lower case."""
        return self._header.get(name, default)

    @property
    def dialect(self) -> Dialect:
        """S3 for those who sign as S3 clients do or send its headers."""
        is_s3 = (
            self.header("authorization").startswith("AWS")
            or "X-Amz-Algorithm" in self.values
            or any(name.startswith(Dialect.S3.value) for name, _ in self.headers)
        )
        return Dialect.S3 if is_s3 else Dialect.OSS

    def own(self, name: str, default: str = "") -> str:
        """Value of the dialect's own header, such as `copy-source`."""
        return self.header(self.dialect.value + name, default)

    @property
    def resource(self) -> str:
        """`/bucket/key`, `/bucket/` or `/`, whichever way the bucket was named."""
        return f"/{self.bucket}/{self.key}" if self.bucket else "/"


def is_oss(headers: Pairs, target: str) -> bool:
    """Whether a request is one for OSS and not for another product on the same port."""
    for name, value in headers:
        if name.lower() == "authorization" and value.startswith(_SIGNERS):
            return True
        if name.lower() == "host" and _named_host(value):
            return True
    query = target.partition("?")[2]
    return any(part.partition("=")[0] in _SIGNED_QUERY for part in query.split("&"))


def parse(*, method: str, target: str, headers: Pairs) -> OssRequest:
    """A request from its parts. Raises OssError for a name that is no UTF-8 or misplaced."""
    raw_path, _, raw_query = target.partition("?")
    lower = [(name.lower(), value.strip()) for name, value in headers]
    host = next((value for name, value in lower if name == "host"), "").rpartition("]")[2]
    host = host.split(":")[0].lower()
    try:
        path = urllib.parse.unquote(raw_path, errors="strict")
        query = urllib.parse.parse_qsl(raw_query, keep_blank_values=True, errors="strict")
    except ValueError as e:
        raise errors.OssError("InvalidURI", 400, f"Couldn't parse the specified URI: {e}.") from e
    for name, value in lower:
        if not value.isascii() and any("\udc80" <= letter <= "\udcff" for letter in value):
            raise errors.invalid_argument("A header is not UTF-8.", name=name)
    virtual = _VIRTUAL_HOST.fullmatch(host)
    if virtual:
        bucket, key = virtual["bucket"], path[1:]
    else:
        bucket, _, key = path[1:].partition("/")
        if bucket and _OSS_DOMAIN.fullmatch(host):
            raise errors.OssError(
                "SecondLevelDomainForbidden",
                403,
                "The bucket you are attempting to access must be addressed using OSS third level "
                "domain.",
            )
    return OssRequest(
        method=method, host=host, path=path, bucket=bucket, key=key, query=query, headers=lower
    )


def _named_host(host: str) -> bool:
    name = host.split(":", maxsplit=1)[0].lower()
    return bool(_VIRTUAL_HOST.fullmatch(name) or _OSS_DOMAIN.fullmatch(name))

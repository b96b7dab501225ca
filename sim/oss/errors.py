"""The one error an OSS operation raises, and the XML it becomes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sim.oss import xml

if TYPE_CHECKING:
    from xml.etree import ElementTree


class OssError(Exception):
    """A refusal. code: e.g. "NoSuchKey"; ec: OSS's number of the reason, "" = none is documented.

    more: further elements of the body, such as Endpoint. Source: the error pages of OSS.
    """

    def __init__(
        self,
        code: str,
        http_status: int,
        message: str,
        *,
        ec: str = "",
        more: Mapping[str, xml.Content] | None = None,
    ) -> None:
        super().__init__(f"{http_status} {code}: {message}")
        self.code = code
        self.http_status = http_status
        self.message = message
        self.ec = ec
        self.more = dict(more or {})

    def body(self, *, request_id: str, host: str) -> bytes:
        """The XML error body."""
        rows: list[xml.Item] = [
            ("Code", self.code),
            ("Message", self.message),
            ("RequestId", request_id),
            ("HostId", host),
            *self.more.items(),
        ]
        if self.ec:
            rows.append(("EC", self.ec))
        return xml.document("Error", rows)


def access_denied(message: str, *, ec: str = "", **more: xml.Content) -> OssError:
    """403 AccessDenied."""
    return OssError("AccessDenied", 403, message, ec=ec, more=more)


def invalid_argument(message: str, *, name: str = "", value: str = "", ec: str = "") -> OssError:
    """400 InvalidArgument, with the argument's name and value where there is one."""
    more: dict[str, xml.Content] = {}
    if name:
        more = {"ArgumentName": name, "ArgumentValue": value}
    return OssError("InvalidArgument", 400, message, ec=ec, more=more)


def no_such_bucket(name: str) -> OssError:
    """404 NoSuchBucket."""
    return OssError(
        "NoSuchBucket",
        404,
        "The specified bucket does not exist.",
        ec="0015-00000101",
        more={"BucketName": name},
    )


def no_such_key(key: str) -> OssError:
    """404 NoSuchKey."""
    return OssError(
        "NoSuchKey",
        404,
        "The specified key does not exist.",
        ec="0026-00000001",
        more={"Key": key},
    )


def no_such_upload(upload_id: str) -> OssError:
    """404 NoSuchUpload."""
    return OssError(
        "NoSuchUpload",
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have "
        "been aborted or completed.",
        ec="0042-00000002",
        more={"UploadId": upload_id},
    )


def malformed_xml() -> OssError:
    """400 MalformedXML."""
    return OssError(
        "MalformedXML",
        400,
        "The XML you provided was not well-formed or did not validate against our published "
        "schema.",
    )


def not_implemented(what: str) -> OssError:
    """501: real OSS has it, this cloud does not."""
    return OssError("NotImplemented", 501, f"This simulated OSS has no {what}.")


def parsed(body: bytes) -> "ElementTree.Element":
    """The root of an XML body. Raises OssError MalformedXML."""
    try:
        return xml.parse(body)
    except xml.NotXml as e:
        raise malformed_xml() from e

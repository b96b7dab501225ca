"""What must have been signed, and with which key: OSS V1, OSS V4 and AWS SigV4. Pure.

Source: spec/cloud-api.md 5, and the signature pages of OSS and S3.
"""

import base64
import hashlib
import hmac
import urllib.parse
from collections.abc import Iterable

from sim.oss import wire

UNSIGNED = "UNSIGNED-PAYLOAD"
V4_PRODUCT = "oss"
V4_END = "aliyun_v4_request"
S3_PRODUCT = "s3"
S3_END = "aws4_request"

_SUBRESOURCES = frozenset(
    {
        "accessMonitor", "accessPoint", "accessPointPolicy", "acl", "append", "archiveDirectRead",
        "asyncFetch", "bucketArchiveDirectRead", "bucketInfo", "callback", "callback-var",
        "callbackVar", "cloudboxes", "cname", "comp", "continuation-token", "cors",
        "dataRedundancyTransition", "delete", "encryption", "endTime", "group", "httpsConfig",
        "inventories", "inventory", "inventoryId", "lifecycle", "link", "live", "location",
        "logging", "metaQuery", "objectInfo", "objectMeta", "overwriteConfig", "partNumber",
        "policy", "policyStatus", "position", "processConfiguration", "publicAccessBlock", "qos",
        "qosInfo", "qosRequester", "redundancyTransition", "referer", "regionList", "replication",
        "replicationLocation", "replicationProgress", "requestPayment", "requesterQosInfo",
        "resourceGroup", "resourcePool", "resourcePoolBuckets", "resourcePoolInfo",
        "response-cache-control", "response-content-disposition", "response-content-encoding",
        "response-content-language", "response-content-type", "response-expires", "restore",
        "security-token", "sequential", "startTime", "stat", "status", "style", "styleName",
        "symlink", "tagging", "transferAcceleration", "uploadId", "uploads",
        "userDefinedLogFieldsConfig", "versionId", "versioning", "versions", "vod", "website",
        "withHashContext", "worm", "wormExtend", "wormId", "x-oss-ac-forward-allow",
        "x-oss-ac-source-ip", "x-oss-ac-subnet-mask", "x-oss-ac-vpc-id", "x-oss-access-point-name",
        "x-oss-async-process", "x-oss-enable-md5", "x-oss-enable-sha1", "x-oss-enable-sha256",
        "x-oss-hash-ctx", "x-oss-md5-ctx", "x-oss-process", "x-oss-redundancy-transition-taskid",
        "x-oss-request-payer", "x-oss-target-redundancy-type", "x-oss-traffic-limit",
        "x-oss-write-get-object-response",
    }
)  # fmt: skip
"""Parameters that are part of what V1 signs; oss2 and ossfs have the same list."""


def v1_string(ask: wire.OssRequest, *, date: str) -> str:
    """String to sign of V1. date: the Date line, or Expires of a presigned URL."""
    own = sorted((name, value) for name, value in ask.headers if name.startswith("x-oss-"))
    named = sorted((name, value) for name, value in ask.query if name in _SUBRESOURCES)
    query = "&".join(f"{name}={value}" if value else name for name, value in named)
    return "\n".join(
        (
            ask.method,
            ask.header("content-md5"),
            ask.header("content-type"),
            date,
            "".join(f"{name}:{value}\n" for name, value in own)
            + ask.resource
            + (f"?{query}" if query else ""),
        )
    )


def v1_sign(secret: str, string: str) -> str:
    """Signature of V1."""
    return base64.b64encode(
        hmac.new(secret.encode(), string.encode(), hashlib.sha1).digest()
    ).decode()


def v4_string(
    ask: wire.OssRequest, *, date: str, scope: str, additional: Iterable[str], payload: str
) -> str:
    """String to sign of OSS V4. additional: further header names that were signed."""
    extra = sorted({name.lower() for name in additional})
    signed = sorted(
        (name, value)
        for name, value in ask.headers
        if name.startswith("x-oss-") or name in ("content-type", "content-md5") or name in extra
    )
    pairs = sorted(
        (_quote(name), _quote(value)) for name, value in ask.query if name != "x-oss-signature"
    )
    whole = "\n".join(
        (
            ask.method,
            urllib.parse.quote(ask.resource, safe="/-_.~"),
            "&".join(f"{name}={value}" if value else name for name, value in pairs),
            "".join(f"{name}:{value}\n" for name, value in signed),
            ";".join(extra),
            payload,
        )
    )
    return _hashed("OSS4-HMAC-SHA256", date, scope, whole)


def v4_sign(secret: str, scope: str, string: str) -> str:
    """Signature of OSS V4."""
    return _chained("aliyun_v4" + secret, scope, string)


def s3_string(
    ask: wire.OssRequest, *, date: str, scope: str, signed_headers: str, payload: str
) -> str:
    """String to sign of AWS SigV4."""
    pairs = sorted(
        (_quote(name), _quote(value)) for name, value in ask.query if name != "X-Amz-Signature"
    )
    lines = []
    for name in signed_headers.split(";"):
        values = (" ".join(value.split()) for key, value in ask.headers if key == name)
        lines.append(f"{name}:{','.join(values)}\n")
    whole = "\n".join(
        (
            ask.method,
            urllib.parse.quote(ask.path, safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            "".join(lines),
            signed_headers,
            payload,
        )
    )
    return _hashed("AWS4-HMAC-SHA256", date, scope, whole)


def s3_sign(secret: str, scope: str, string: str) -> str:
    """Signature of AWS SigV4."""
    return _chained("AWS4" + secret, scope, string)


def _quote(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")


def _hashed(algorithm: str, date: str, scope: str, canonical: str) -> str:
    return "\n".join((algorithm, date, scope, hashlib.sha256(canonical.encode()).hexdigest()))


def _chained(secret: str, scope: str, string: str) -> str:
    key = secret.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, string.encode(), hashlib.sha256).hexdigest()

"""The registry of OSS operations, and what each of them is given and gives back.

    @calls.operation("PutObject", "PUT", calls.Level.OBJECT, takes_bytes=True, changes=True)
    def put_object(call: calls.Call) -> calls.Answer: ...

Handlers are synchronous and run one at a time in one transaction, which is committed before the
answer leaves. Raising OssError undoes every write.
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence

from sim import cloud as cloud_module
from sim import identity, policy
from sim.oss import blobs as blobs_module
from sim.oss import errors, model, wire


class Level(enum.Enum):
    """What an operation is about."""

    SERVICE = "service"
    BUCKET = "bucket"
    OBJECT = "object"


class Access(enum.Enum):
    """What of an ACL lets others do it. NONE: no ACL does."""

    NONE = "none"
    READ = "read"
    WRITE = "write"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Bytes of a blob that are the body of an answer."""

    blob: str
    start: int
    length: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back. headers: without those that every answer has."""

    status: int = 200
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: bytes | Slice = b""
    content_type: str = "application/xml"


@dataclasses.dataclass(slots=True, kw_only=True)
class Call:
    """One request that passed signature and permission checks.

    body: of operations that do not take bytes. written: the bytes that were sent, of those that do;
    whoever handles the call finishes it. made, unused: blobs to remove when the call fails, or when
    it has been committed.
    """

    cloud: cloud_module.Cloud
    blobs: blobs_module.Blobs
    rows: model.Rows
    ask: wire.OssRequest
    principal: identity.Principal
    now_s: float
    body: bytes = b""
    written: blobs_module.Writer | None = None
    made: list[str] = dataclasses.field(default_factory=list)
    unused: list[str] = dataclasses.field(default_factory=list)

    def bucket(self) -> model.Bucket:
        """The bucket the request names. Raises OssError NoSuchBucket."""
        return find_bucket(self.rows, self.cloud, self.ask.bucket)

    def finish(self, writer: blobs_module.Writer) -> str:
        """Finish a blob of this call; its name."""
        self.made.append(writer.blob)
        writer.finish()
        return writer.blob

    def require(self, action: str, bucket: model.Bucket, key: str, access: Access) -> None:
        """Raise OssError AccessDenied unless the caller may do *action* there as well."""
        found = self.rows.object(bucket.name, key)
        require(self.principal, action, bucket=bucket, key=key, found=found, access=access)


Handler = Callable[[Call], Answer]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A registered operation.

    subresource: query parameter that selects it, "" = none. ram: its permission, such as
    `oss:GetObject`. access: which ACL opens it to everybody. takes_bytes: its body is an object's.
    changes: it writes.
    """

    name: str
    method: str
    level: Level
    subresource: str
    ram: str
    access: Access
    takes_bytes: bool
    changes: bool
    handler: Handler


_operations: dict[tuple[str, Level, str], Operation] = {}
_SUBRESOURCES = frozenset(
    {
        "accelerate", "accessMonitor", "accessPoint", "accessPointPolicy", "acl", "analytics",
        "append", "archiveDirectRead", "asyncFetch", "bucketInfo", "callback", "cname", "comp",
        "cors", "delete", "encryption", "httpsConfig", "img", "inventory", "legal-hold",
        "lifecycle", "live", "location", "logging", "metaQuery", "metrics", "notification",
        "object-lock", "objectInfo", "objectMeta", "ownershipControls", "partNumber", "policy",
        "policyStatus", "publicAccessBlock", "qosInfo", "redundancyTransition", "referer",
        "replication", "replicationLocation", "replicationProgress", "requestPayment",
        "resourceGroup", "restore", "retention", "select", "select-type", "stat", "status", "style",
        "symlink", "tagging", "torrent", "transferAcceleration", "uploadId", "uploads",
        "versioning", "versions", "vod", "website", "worm", "wormExtend", "wormId",
        "x-oss-async-process", "x-oss-process",
    }
)  # fmt: skip
"""Query parameters that make another operation of a request. Others only shape it."""


def operation(
    name: str,
    method: str,
    level: Level,
    subresource: str = "",
    *,
    ram: str = "",
    access: Access = Access.NONE,
    takes_bytes: bool = False,
    changes: bool = False,
) -> Callable[[Handler], Handler]:
    """Register the decorated function. ram: without `oss:`; the operation's name when left out."""

    def register(handler: Handler) -> Handler:
        _operations[method, level, subresource] = Operation(
            name=name,
            method=method,
            level=level,
            subresource=subresource,
            ram=f"oss:{ram or name}",
            access=access,
            takes_bytes=takes_bytes,
            changes=changes,
            handler=handler,
        )
        return handler

    return register


def names() -> list[str]:
    """All operations, sorted; for the documentation and its test."""
    return sorted({row.name for row in _operations.values()})


def find(ask: wire.OssRequest) -> Operation:
    """The operation a request is for. Raises OssError NotImplemented or MethodNotAllowed."""
    level = Level.OBJECT if ask.key else Level.BUCKET if ask.bucket else Level.SERVICE
    wanted = sorted(name for name in ask.values if name in _SUBRESOURCES)
    if "uploadId" in wanted and "partNumber" in wanted:
        wanted.remove("partNumber")
    elif wanted == ["partNumber"] and ask.method != "PUT":
        wanted = []  # part of an object, which this cloud does not tell apart
    name = wanted[0] if wanted else ""
    if len(wanted) > 1:
        raise errors.not_implemented(f"operation with {' and '.join(wanted)} together")
    copied = bool(ask.own("copy-source")) and ask.method == "PUT"
    found = _operations.get(("COPY" if copied else ask.method, level, name))
    if found is None and name:
        raise errors.not_implemented(f"{ask.method} of the {level.value}'s {name}")
    if found is None:
        raise errors.OssError(
            "MethodNotAllowed",
            405,
            "The specified method is not allowed against this resource.",
            more={"Method": ask.method, "ResourceType": level.value},
        )
    return found


def find_bucket(rows: model.Rows, cloud: cloud_module.Cloud, name: str) -> model.Bucket:
    """Bucket *name* of this region. Raises OssError NoSuchBucket, or AccessDenied elsewhere."""
    found = rows.bucket(name)
    if found is None:
        raise errors.no_such_bucket(name)
    if found.region_id != cloud.world.region_id:
        raise errors.access_denied(
            "The bucket you are attempting to access must be addressed using the specified "
            "endpoint. Please send all future requests to this endpoint.",
            ec="0003-00001403",
            Bucket=name,
            Endpoint=f"oss-{found.region_id}.aliyuncs.com",
        )
    return found


def require(
    principal: identity.Principal,
    action: str,
    *,
    bucket: model.Bucket | None,
    key: str = "",
    found: model.Object | None = None,
    access: Access = Access.NONE,
) -> None:
    """Raise OssError AccessDenied unless *principal* may do *action* (`oss:PutObject`).

    bucket: None = the service. found: the object as it is. An ACL opens to everybody what no
    policy denies.
    """
    is_open = bucket is not None and _is_open(bucket, found, access)
    if principal.kind is identity.PrincipalKind.ANONYMOUS:
        if is_open:
            return
        raise errors.access_denied(
            "You have no right to access this object because of bucket acl."
            if bucket
            else "Anonymous access is forbidden for this operation.",
            ec="0003-00000001" if bucket else "",
        )
    owned = "*" if bucket is None else f"{bucket.name}/{key}" if key else bucket.name
    resource = f"acs:oss:*:{principal.account_id}:{owned}"
    verdict = principal.judge(action, [resource])
    if verdict is policy.Verdict.ALLOWED:
        return
    if is_open and verdict is policy.Verdict.IMPLICIT_DENY:
        return
    raise errors.access_denied(
        "You have no right to access this object."
        if key
        else f"You do not have permission: {action}.",
        AccessDeniedDetail=_detail(principal, action, verdict),
    )


def _is_open(bucket: model.Bucket, found: model.Object | None, access: Access) -> bool:
    acl = bucket.acl
    if found is not None and found.acl != model.DEFAULT_ACL and access is Access.READ:
        acl = found.acl
    opened = {
        "private": (),
        "public-read": (Access.READ,),
        "public-read-write": (Access.READ, Access.WRITE),
    }
    return access in opened[acl]


def _detail(
    principal: identity.Principal, action: str, verdict: policy.Verdict
) -> Sequence[tuple[str, str]]:
    is_user = principal.kind is identity.PrincipalKind.USER
    return (
        ("PolicyType", "AccountLevelIdentityBasedPolicy"),
        ("AuthPrincipalOwnerId", principal.account_id),
        ("AuthPrincipalType", "SubUser" if is_user else "AssumedRoleUser"),
        ("AuthPrincipalDisplayName", principal.principal_id),
        ("NoPermissionType", str(verdict)),
        ("AuthAction", action),
    )

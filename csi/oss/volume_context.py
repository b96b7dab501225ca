"""Attributes of an OSS volume: from a PersistentVolume, or from a StorageClass. Pure.

Keys are trimmed and of any letter case. Source: spec/csi-driver.md 5.2; docs/reference/oss.md.
"""

import dataclasses
import enum
import re
from collections.abc import Mapping

from core import errors
from csi import values
from csi.fuse_type import FuseType
from csi.oss import endpoint, other_options

_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_ROLE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NEEDS_POD = "needs a FUSE pod, which this driver does not start"
REFUSED: Mapping[str, str] = {
    "secretProviderClass": _NEEDS_POD,
    "sandboxId": "is not offered",
    "sandboxCredProviderName": "is not offered",
}
"""Attributes of the reference that are refused when they are set, and why."""
KNOWN = frozenset(
    {
        "bucket", "url", "path", "otheropts", "akid", "aksecret", "authtype", "rolename", "ramrole",
        "rolearn", "oidcproviderarn", "assumerolearn", "externalid", "fusetype", "metricstop",
        "encrypted", "kmskeyid", "sigversion", "region", "direct", "runtimeclass", "overlay",
        "containernetworkfilesystem", "secretref", "agenticbucket", "bucketspace",
        "bucketspaceprefix",
    }
)  # fmt: skip
"""Attributes that are read, in lower case."""
IGNORED = ("usesharedpath", "dnspolicy", "serviceaccountname")
"""Attributes without an effect here: sharing is always on, and there is no FUSE pod."""


class AuthType(enum.StrEnum):
    """Where credentials come from. KEY: the secrets of the request."""

    KEY = ""
    STS = "sts"
    RRSA = "rrsa"
    PUBLIC = "public"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rrsa:
    """A role for the pod's service account. assume_role_arn: the next one of a chain, "" = none."""

    role_arn: str
    oidc_provider_arn: str
    role_name: str
    assume_role_arn: str
    external_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OssVolume:
    """What is to be mounted. path: begins with "/". region: "" = not told by attributes or url.

    sign_v1, sign_v4: what was asked for; neither = the client's default. options: of `otherOpts`,
    one each. agentic_bucket: in which the client makes its bucket, "" = none. key: (id, secret) in
    attributes, which is deprecated.
    """

    bucket: str
    url: str
    path: str
    fuse_type: FuseType
    options: tuple[str, ...]
    auth: AuthType
    role_name: str
    rrsa: Rrsa | None
    sse: str
    sign_v4: bool
    sign_v1: bool
    region: str
    metrics_top: str
    agentic_bucket: str = ""
    key: tuple[str, str] | None = dataclasses.field(default=None, repr=False)


def parse(context: Mapping[str, str], *, fs_type: str = "", over_vpc: bool = False) -> OssVolume:
    """The volume that *context* describes. fs_type: of the capability, "" = none.

    Raises InvalidField naming the attribute, Unsupported for what needs another runtime.
    """
    told = {key.strip().lower(): value.strip() for key, value in context.items()}
    _refuse(told)
    bucket = _bucket(told)
    if not _BUCKET.fullmatch(bucket):
        raise errors.InvalidField(
            "bucket", "is not a bucket's name", value=bucket,
            allowed="3 to 63 of a-z, 0-9 and -",
        )  # fmt: skip
    url = endpoint.normalise(_required(told, "url"), bucket=bucket, over_vpc=over_vpc)
    fuse_type = values.member(
        "fuseType", told.get("fusetype") or fs_type or FuseType.OSSFS, FuseType
    )
    if told.get("agenticbucket") and fuse_type is FuseType.S3FS:
        raise errors.InvalidField("agenticBucket", "is not offered by s3fs")
    auth = _auth(told, fuse_type)
    signature = told.get("sigversion", "").lower()
    if signature not in ("", "v1", "v4"):
        raise errors.InvalidField("sigVersion", "is not known", value=signature, allowed="v1 or v4")
    region = told.get("region", "") or endpoint.region_of(url)
    sign_v4 = signature == "v4" or (not signature and "region" in told and bool(told["region"]))
    return OssVolume(
        bucket=bucket,
        url=url,
        path=parse_path(told.get("path", "")),
        fuse_type=fuse_type,
        options=other_options.parse(told.get("otheropts", "")),
        auth=auth,
        role_name=_role_name(told, auth),
        rrsa=_rrsa(told, auth),
        sse=_sse(told, fuse_type),
        sign_v4=sign_v4,
        sign_v1=signature == "v1",
        region=region,
        metrics_top=_metrics_top(told),
        agentic_bucket=told.get("agenticbucket", ""),
        key=_key(told),
    )


def parse_path(text: str) -> str:
    """A path in a bucket, beginning with "/" and not ending with it. Raises InvalidField."""
    path = "/" + text.strip("/")
    if any(part in (".", "..") for part in path.split("/")) or "//" in path or ":" in path:
        raise errors.InvalidField(
            "path", "is not a path in a bucket", value=text, allowed="no empty part, '.', '..', ':'"
        )
    return path


def _refuse(told: Mapping[str, str]) -> None:
    for name, why in REFUSED.items():
        value = told.get(name.lower())
        if value:
            raise errors.InvalidField(name, why, value=value)
    runtime = told.get("runtimeclass", "") or "runc"
    if runtime != "runc":
        raise errors.Unsupported(f"runtimeClass {runtime!r} is not offered; allowed: runc")
    for name in ("direct", "overlay"):
        if values.boolean(name, told.get(name, "")):
            raise errors.Unsupported(f"{name} is for pods in virtual machines, not offered here")


def _bucket(told: Mapping[str, str]) -> str:
    """The bucket, or the bucket space; its prefix was made a name of before."""
    agentic, space = told.get("agenticbucket", ""), told.get("bucketspace", "")
    if not agentic:
        for name in ("bucketSpace", "bucketSpacePrefix"):
            if told.get(name.lower()):
                raise errors.InvalidField(name, "needs agenticBucket", value=told[name.lower()])
        return _required(told, "bucket")
    if told.get("bucket"):
        raise errors.InvalidField(
            "bucket", "and agenticBucket exclude each other", value=told["bucket"]
        )
    if not _BUCKET.fullmatch(agentic):
        raise errors.InvalidField("agenticBucket", "is not a bucket's name", value=agentic)
    if not space:
        raise errors.InvalidField(
            "bucketSpace", "or bucketSpacePrefix is required with agenticBucket"
        )
    return space


def _required(told: Mapping[str, str], name: str) -> str:
    if not told.get(name):
        raise errors.InvalidField(name, "is required")
    return told[name]


def _auth(told: Mapping[str, str], fuse_type: FuseType) -> AuthType:
    text = told.get("authtype", "").lower()
    if text in ("csi-secret-store", "agent-identity"):
        raise errors.InvalidField("authType", _NEEDS_POD, value=text)
    auth = values.member("authType", text, AuthType)
    if auth is AuthType.PUBLIC and fuse_type is FuseType.OSSFS2:
        raise errors.InvalidField(
            "authType", "is not offered by ossfs2", value=text, allowed="none, sts, rrsa"
        )
    return auth


def _role_name(told: Mapping[str, str], auth: AuthType) -> str:
    name = told.get("rolename", "") or told.get("ramrole", "")
    if name and not _ROLE.fullmatch(name):
        raise errors.InvalidField("roleName", "is not the name of a RAM role", value=name)
    if auth is AuthType.STS and not name:
        raise errors.InvalidField("roleName", "is required with authType sts")
    return name


def _rrsa(told: Mapping[str, str], auth: AuthType) -> Rrsa | None:
    role_arn, provider = told.get("rolearn", ""), told.get("oidcproviderarn", "")
    chained, external_id = told.get("assumerolearn", ""), told.get("externalid", "")
    if auth is not AuthType.RRSA:
        for name, value in (("assumeRoleArn", chained), ("externalId", external_id)):
            if value:
                raise errors.InvalidField(name, "needs authType rrsa", value=value)
        return None
    if bool(role_arn) != bool(provider):
        raise errors.InvalidField(
            "oidcProviderArn" if role_arn else "roleArn",
            "is required: roleArn and oidcProviderArn go together",
        )
    name = told.get("rolename", "") or told.get("ramrole", "")
    if not role_arn and not name:
        raise errors.InvalidField("roleName", "or roleArn is required with authType rrsa")
    if external_id and not chained:
        raise errors.InvalidField("externalId", "needs assumeRoleArn", value=external_id)
    return Rrsa(
        role_arn=role_arn,
        oidc_provider_arn=provider,
        role_name=name,
        assume_role_arn=chained,
        external_id=external_id,
    )


def _sse(told: Mapping[str, str], fuse_type: FuseType) -> str:
    """Value of the client's `use_sse`: "" none, "1" AES256, "kmsid" or "kmsid:KEY"."""
    kind, key_id = told.get("encrypted", "").lower(), told.get("kmskeyid", "")
    if kind and fuse_type is FuseType.OSSFS2:
        raise errors.InvalidField("encrypted", "is not offered by ossfs2", value=kind)
    if key_id and not _ROLE.fullmatch(key_id):
        raise errors.InvalidField("kmsKeyId", "is not the id of a key", value=key_id)
    match kind:
        case "":
            return ""
        case "aes256":
            return "1"
        case "kms":
            return f"kmsid:{key_id}" if key_id else "kmsid"
        case _:
            raise errors.InvalidField(
                "encrypted", "is not known", value=kind, allowed="aes256 or kms"
            )


def _metrics_top(told: Mapping[str, str]) -> str:
    text = told.get("metricstop", "")
    return str(values.integer("metricsTop", text, minimum=0, maximum=1000)) if text else ""


def _key(told: Mapping[str, str]) -> tuple[str, str] | None:
    key_id, secret = told.get("akid", ""), told.get("aksecret", "")
    return (key_id, secret) if key_id and secret else None

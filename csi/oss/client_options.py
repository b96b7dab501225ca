"""What each FUSE client is told, as a table. Pure. Source: spec/csi-driver.md 5.4."""

from collections.abc import Callable, Mapping, Sequence

from core import errors
from csi.fuse_type import FuseType
from csi.oss import endpoint, other_options
from csi.oss.volume_context import AuthType, OssVolume

_Row = tuple[Callable[[OssVolume], bool], Callable[[OssVolume], Sequence[str]]]

DEFAULTS: Mapping[FuseType, Sequence[str]] = {
    FuseType.OSSFS: ("allow_other", "listobjectsv2", "dbglevel=warn"),
    FuseType.OSSFS2: ("log_level=info", "log_dir=/dev/stdout"),
    FuseType.S3FS: ("allow_other", "listobjectsv2", "dbglevel=warn"),
}
"""What users and administrators may override."""
_ROLE_PATH = "/latest/meta-data/ram/security-credentials/"


def _always(_: OssVolume) -> bool:
    return True


_TABLE: Mapping[FuseType, Sequence[_Row]] = {
    FuseType.OSSFS: (
        (_always, lambda v: [f"url={v.url}"]),
        (
            lambda v: not endpoint.takes_virtual_hosts(v.url),
            lambda _: ["use_path_request_style"],
        ),
        (lambda v: v.sign_v4, lambda v: ["sigv4", f"region={v.region}"]),
        (
            lambda v: bool(v.agentic_bucket),
            lambda v: ["auto_create_bucket", f"agentic_bucket={v.agentic_bucket}"],
        ),
        (lambda v: v.sign_v1, lambda _: ["sigv1"]),
        (lambda v: bool(v.sse), lambda v: [f"use_sse={v.sse}"]),
        (lambda v: bool(v.metrics_top), lambda v: ["use_metrics", f"metrics_top={v.metrics_top}"]),
        (lambda v: v.auth is AuthType.PUBLIC, lambda _: ["public_bucket=1"]),
    ),
    FuseType.OSSFS2: (
        (
            _always,
            lambda v: [
                f"oss_endpoint={v.url}",
                f"oss_bucket={v.bucket}",
            ],
        ),
        (lambda v: v.path != "/", lambda v: [f"oss_bucket_prefix={v.path.strip('/')}/"]),
        (lambda v: v.sign_v4, lambda v: [f"oss_region={v.region}"]),
        (
            lambda v: bool(v.agentic_bucket),
            lambda v: ["auto_create_bucket=true", f"agentic_bucket={v.agentic_bucket}"],
        ),
        (
            lambda v: bool(v.metrics_top),
            lambda v: ["use_metrics=true", f"metrics_top={v.metrics_top}"],
        ),
    ),
    FuseType.S3FS: (
        (_always, lambda v: [f"url={v.url}"]),
        (lambda v: bool(v.region), lambda v: [f"endpoint={v.region}"]),
        (
            lambda v: not endpoint.takes_virtual_hosts(v.url),
            lambda _: ["use_path_request_style"],
        ),
        (lambda v: bool(v.sse), lambda v: [f"use_sse={v.sse}"]),
        (lambda v: v.auth is AuthType.PUBLIC, lambda _: ["public_bucket=1"]),
    ),
}
_ROLE: Mapping[FuseType, Callable[[str, str], str]] = {
    FuseType.OSSFS: lambda role, imds: f"ram_role={imds}{_ROLE_PATH}{role}",
    FuseType.OSSFS2: lambda role, _: f"ram_role={role}",
}
READ_ONLY: Mapping[FuseType, str] = {
    FuseType.OSSFS: "ro",
    FuseType.OSSFS2: "ro=true",
    FuseType.S3FS: "ro",
}


def plan(
    volume: OssVolume, *, read_only: bool, flags: Sequence[str], admin: Sequence[str], imds: str
) -> tuple[str, ...]:
    """Options of the client for *volume*, without its credentials.

    flags: mount options of the PersistentVolume, which ossfs2 does not take. admin: of the node's
    administrator. imds: URL of the metadata service. Raises InvalidField.
    """
    _require_region(volume)
    kind = volume.fuse_type
    fixed = [option for fits, make in _TABLE[kind] if fits(volume) for option in make(volume)]
    role = _ROLE.get(kind)
    if volume.auth is AuthType.STS and role is not None:
        fixed.append(role(volume.role_name, imds))
    if read_only:
        fixed.append(READ_ONLY[kind])
    more = () if kind is FuseType.OSSFS2 else flags
    return other_options.merge(DEFAULTS[kind], admin, more, volume.options, fixed)


def source(volume: OssVolume) -> str:
    """What is mounted, as the client's first argument."""
    return f"{volume.bucket}:{volume.path}" if volume.path != "/" else volume.bucket


def wants_read_only(volume: OssVolume, flags: Sequence[str]) -> bool:
    """Whether the volume's own options make it read-only."""
    return any(option in ("ro", "ro=true") for option in (*flags, *volume.options))


def _require_region(volume: OssVolume) -> None:
    if volume.sign_v4 and not volume.region:
        raise errors.InvalidField(
            "region", "is required for signature V4: neither url nor metadata tell it"
        )

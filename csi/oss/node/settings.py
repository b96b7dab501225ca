"""Settings of the node half. Source: spec/csi-driver.md 5.2, 5.4, appendix A."""

import dataclasses
import pathlib
from collections.abc import Mapping

from cloud import settings as cloud_settings
from core import errors, settings
from csi.fuse_type import FuseType
from csi.oss import credentials, other_options


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """kubelet_root: every target path lies below it. work_dir: global mounts are below it.

    socket: of csi-mounter. start_mounter: start one when nobody serves the socket.
    admin_options: of each client. fallback: key for volumes whose requests bring none.
    over_vpc: reach OSS inside the VPC. imds: URL of the metadata service.
    secret_namespace: where Secrets of `secretRef` are.
    """

    kubelet_root: pathlib.Path
    work_dir: pathlib.Path
    socket: pathlib.Path
    start_mounter: bool
    skip_global_mount: bool
    over_vpc: bool
    imds: str
    admin_options: Mapping[FuseType, tuple[str, ...]]
    fallback: credentials.Credential | None
    secret_namespace: str = "ack-csi-fuse"  # noqa: S105  # a name


def read_node(reader: settings.Reader) -> NodeSettings:
    """Effective settings; faults are left in *reader*. Where the cloud is, `cloud.settings` reads.

    `OSS_MOUNTER_SOCKET`, `OSS_WORK_DIR`, `OSS_START_MOUNTER` and `OSS_SECRET_NAMESPACE` are ours.
    """
    cloud = cloud_settings.read_cloud(reader)
    work_dir = reader.absolute("OSS_WORK_DIR", "/run/fuse.ossfs")
    return NodeSettings(
        kubelet_root=reader.absolute("KUBELET_ROOT_DIR", "/var/lib/kubelet"),
        work_dir=work_dir,
        socket=reader.absolute("OSS_MOUNTER_SOCKET", f"{work_dir}/mounter.sock"),
        start_mounter=reader.boolean("OSS_START_MOUNTER", default=True),
        skip_global_mount=reader.boolean("SKIP_GLOBAL_MOUNT", default=False)
        or reader.boolean("OSS_SKIP_GLOBAL_MOUNT", default=False),
        over_vpc=cloud.vpc_network,
        imds=cloud.imds_endpoint.rstrip("/"),
        admin_options={
            FuseType.OSSFS: _options(reader, "DEFAULT_OSSFS_OPTIONS"),
            FuseType.OSSFS2: _options(reader, "DEFAULT_OSSFS2_OPTIONS"),
            FuseType.S3FS: _options(reader, "DEFAULT_S3FS_OPTIONS"),
        },
        fallback=_fallback(cloud),
        secret_namespace=reader.text("OSS_SECRET_NAMESPACE", "ack-csi-fuse"),
    )


def _fallback(cloud: cloud_settings.CloudSettings) -> credentials.Credential | None:
    if not (cloud.access_key_id and cloud.access_key_secret):
        return None
    return credentials.Credential(key_id=cloud.access_key_id, secret=cloud.access_key_secret)


def _options(reader: settings.Reader, name: str) -> tuple[str, ...]:
    """Options between commas, or with -o in front."""
    text = reader.text(name).strip()
    try:
        if text.startswith("-o"):
            return other_options.parse(text, name)
        return other_options.check(name, [word for word in text.split(",") if word.strip()])
    except errors.InvalidField as e:
        reader.fault(str(e))
        return ()

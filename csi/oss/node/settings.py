"""Settings of the node half. Source: spec/csi-driver.md 5.2, 5.4, appendix A."""

import dataclasses
import pathlib
from collections.abc import Mapping

from core import errors, settings
from csi.oss import credentials, other_options
from csi.oss.volume_context import FuseType


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """kubelet_root: every target path lies below it. work_dir: global mounts are below it.

    socket: of csi-mounter. start_mounter: start one when nobody serves the socket.
    admin_options: of each client. fallback: key for volumes whose requests bring none.
    over_vpc: reach OSS inside the VPC. imds: URL of the metadata service.
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


def read_node(reader: settings.Reader) -> NodeSettings:
    """Effective settings; faults are left in *reader*.

    `OSS_MOUNTER_SOCKET`, `OSS_WORK_DIR` and `OSS_START_MOUNTER` are ours.
    """
    key_id = reader.text("ALIBABA_CLOUD_ACCESS_KEY_ID") or reader.text("ACCESS_KEY_ID")
    secret = reader.text("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret=True) or reader.text(
        "ACCESS_KEY_SECRET", secret=True
    )
    work_dir = reader.absolute("OSS_WORK_DIR", "/run/fuse.ossfs")
    return NodeSettings(
        kubelet_root=reader.absolute("KUBELET_ROOT_DIR", "/var/lib/kubelet"),
        work_dir=work_dir,
        socket=reader.absolute("OSS_MOUNTER_SOCKET", f"{work_dir}/mounter.sock"),
        start_mounter=reader.boolean("OSS_START_MOUNTER", default=True),
        skip_global_mount=reader.boolean("SKIP_GLOBAL_MOUNT", default=False)
        or reader.boolean("OSS_SKIP_GLOBAL_MOUNT", default=False),
        over_vpc=reader.choice("ALIBABA_CLOUD_NETWORK_TYPE", "public", ("vpc", "public")) == "vpc",
        imds=reader.text("IMDS_ENDPOINT", "http://100.100.100.200").rstrip("/"),
        admin_options={
            FuseType.OSSFS: _options(reader, "DEFAULT_OSSFS_OPTIONS"),
            FuseType.OSSFS2: _options(reader, "DEFAULT_OSSFS2_OPTIONS"),
            FuseType.S3FS: _options(reader, "DEFAULT_S3FS_OPTIONS"),
        },
        fallback=credentials.Credential(key_id=key_id, secret=secret)
        if key_id and secret
        else None,
    )


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

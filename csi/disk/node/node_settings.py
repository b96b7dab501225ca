"""Settings of the disk driver's node service; the controller's are in `csi.disk.settings`."""

import dataclasses
import os
import pathlib

from core import settings
from csi import node_options

DEVICE_WAIT_S = 10.0
"""How long a device may take to appear after its attach. Source: spec/csi-driver.md 2.13."""
DEVICE_POLL_S = 0.5
"""Source: spec/csi-driver.md 2.13."""
STATS_TIMEOUT_S = 10.0
"""statfs on a dead disk may never return; kubelet asks again a minute later."""
_MAX_VOLUMES_LIMIT = 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Everything the node service may be told from outside.

    kubelet_root: every path of a request must lie strictly below it.
    ack_kubelet_root: where ACK nodes keep kubelet's data on a data disk; mounts show twice there.
    max_volumes: 0 = work it out.
    private_topology_key: use the driver's own region key and leave out the standard zone key.
    default_fs_type: what an empty disk gets when the request names no file system.
    accept_partition: use a disk's only partition when it holds the file system.
    check_filesystem: run fsck before mounting.
    serve_stats: offer GET_VOLUME_STATS.
    by_id_dir, sysfs: where devices are looked up; changed only by tests and the local cloud.
    """

    kubelet_root: pathlib.Path
    ack_kubelet_root: pathlib.Path = pathlib.Path("/var/lib/container/kubelet")
    max_volumes: int = 0
    private_topology_key: bool = False
    default_fs_type: node_options.FsType = node_options.FsType.EXT4
    accept_partition: bool = True
    check_filesystem: bool = True
    serve_stats: bool = True
    by_id_dir: pathlib.Path = pathlib.Path("/dev/disk/by-id")
    sysfs: pathlib.Path = pathlib.Path("/sys")
    worker_threads: int = 8

    @property
    def real_kubelet_root(self) -> pathlib.Path:
        """Kubelet's directory without symbolic links, as the kernel's mount table names it."""
        return pathlib.Path(os.path.realpath(self.kubelet_root))


def read_node(reader: settings.Reader) -> NodeSettings:
    """Effective settings. Faults are left in *reader* for the caller to finish.

    Source of names and defaults: spec/csi-driver.md 2.2; `DISK_DEFAULT_FSTYPE`, `DISK_BY_ID_DIR`
    and `DISK_NODE_THREADS` are ours.
    """
    return NodeSettings(
        kubelet_root=reader.absolute("KUBELET_ROOT_DIR", "/var/lib/kubelet"),
        max_volumes=reader.integer("MAX_VOLUMES_PERNODE", 0, minimum=0, maximum=_MAX_VOLUMES_LIMIT),
        private_topology_key=reader.boolean("PRIVATE_TOPOLOGY_KEY", default=False),
        default_fs_type=node_options.FsType(
            reader.choice(
                "DISK_DEFAULT_FSTYPE", node_options.FsType.EXT4.value, tuple(node_options.FsType)
            )
        ),
        accept_partition=reader.boolean("DISK_PARTITION_ENABLE", default=True),
        check_filesystem=not reader.boolean("DISABLE_FS_CHECK", default=False),
        serve_stats=reader.boolean("DISK_METRIC_BY_PLUGIN", default=True),
        by_id_dir=reader.absolute("DISK_BY_ID_DIR", "/dev/disk/by-id"),
        worker_threads=reader.integer("DISK_NODE_THREADS", 8, minimum=1, maximum=64),
    )

"""Settings of the node half. Source: spec/csi-driver.md 4.2, appendix A."""

import dataclasses
import pathlib

from core import settings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """kubelet_root: every path of a request lies below it. work_dir: notes; of this driver alone.

    detach_delay_s: how long a volume that left the node stays staged, for the next pod.
    proxy_socket, connector_socket: of the programs that mount for us.
    """

    kubelet_root: pathlib.Path
    work_dir: pathlib.Path
    detach_delay_s: float = 0.0
    proxy_socket: pathlib.Path = pathlib.Path("/run/cnfs/alinas-mounter.sock")
    connector_socket: pathlib.Path = pathlib.Path("/run/csi-tool/connector/connector.sock")


def read_node(reader: settings.Reader, driver_name: str) -> NodeSettings:
    """Effective settings; faults are left in *reader*. The sockets' variables are those of NAS."""
    root = reader.absolute("KUBELET_ROOT_DIR", "/var/lib/kubelet")
    return NodeSettings(
        kubelet_root=root,
        work_dir=root / "csi-plugins" / driver_name / "node",
        detach_delay_s=reader.duration_s("BMCPFS_DETACH_DELAY", 0.0),
        proxy_socket=reader.absolute("NAS_MOUNT_PROXY_SOCKET", "/run/cnfs/alinas-mounter.sock"),
        connector_socket=reader.absolute(
            "NAS_CONNECTOR_SOCKET", "/run/csi-tool/connector/connector.sock"
        ),
    )

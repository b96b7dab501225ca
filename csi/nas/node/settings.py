"""Settings of the node half. Source: spec/csi-driver.md 3.7, appendix A."""

import dataclasses
import pathlib

from core import settings
from csi import values
from csi.nas import option_table

PORT_TIMEOUT_S = 10.0
MODE_WAIT_S = 1.0
"""How long a publish waits for a recursive change of modes. Source: spec/csi-driver.md 3.7."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """kubelet_root: every path of a request lies below it. check_port: ask the server first.

    work_dir: where roots of servers and images are mounted; of this driver alone.
    serve_stats: offer GET_VOLUME_STATS. losetup: serve volumes with mountType losetup.
    more_options: names of mount options that are allowed beyond the table.
    proxy_socket, connector_socket: of the programs that mount for other clients.
    driver_name: whose volumes kubelet's notes tell.
    """

    kubelet_root: pathlib.Path
    work_dir: pathlib.Path
    check_port: bool = True
    serve_stats: bool = True
    losetup: bool = True
    more_options: frozenset[str] = frozenset()
    proxy_socket: pathlib.Path = pathlib.Path("/run/cnfs/alinas-mounter.sock")
    connector_socket: pathlib.Path = pathlib.Path("/run/csi-tool/connector/connector.sock")
    driver_name: str = "nasplugin.csi.alibabacloud.com"


def read_node(reader: settings.Reader, driver_name: str) -> NodeSettings:
    """Effective settings; faults are left in *reader*.

    `NAS_ALLOW_MOUNT_OPTIONS`, `NAS_MOUNT_PROXY_SOCKET` and `NAS_CONNECTOR_SOCKET` are ours.
    """
    root = reader.absolute("KUBELET_ROOT_DIR", "/var/lib/kubelet")
    return NodeSettings(
        kubelet_root=root,
        work_dir=root / "csi-plugins" / driver_name / "node",
        driver_name=driver_name,
        check_port=reader.boolean("NAS_PORT_CHECK", default=True),
        serve_stats=reader.boolean("NAS_METRIC_BY_PLUGIN", default=True),
        losetup=reader.boolean("NAS_LOSETUP_ENABLE", default=True),
        more_options=_names(reader, "NAS_ALLOW_MOUNT_OPTIONS"),
        proxy_socket=reader.absolute("NAS_MOUNT_PROXY_SOCKET", "/run/cnfs/alinas-mounter.sock"),
        connector_socket=reader.absolute(
            "NAS_CONNECTOR_SOCKET", "/run/csi-tool/connector/connector.sock"
        ),
    )


def _names(reader: settings.Reader, name: str) -> frozenset[str]:
    """Names of options between commas."""
    told = values.words(reader.text(name))
    for word in told:
        if not option_table.is_name(word):
            reader.fault(f"{name}: {word!r} is not allowed; allowed: names of mount options")
    return frozenset(filter(option_table.is_name, told))

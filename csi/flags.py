"""The command line of `csi-plugin`."""

import argparse
from collections.abc import Mapping, Sequence

from core import help_text, version

_DESCRIPTION = """\
CSI driver for Alibaba Cloud. Serves the CSI services of one or more drivers, each on a unix socket
of its own, to kubelet and to the Kubernetes sidecars.
"""

_EPILOG = """\
environment (the full table is in docs/reference/flags.md):
  REGION_ID, ECS_ENDPOINT, STS_ENDPOINT, ALICLOUD_CLIENT_SCHEME, IMDS_ENDPOINT    where the cloud is
  ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, ...               who we are
  SERVICE_PORT (11270 controller, 11260 node; 0 = any free port, -1 = none)       health, metrics
  KUBELET_ROOT_DIR (/var/lib/kubelet)                                             where volumes go

examples:
  csi-plugin --driver=disk --endpoint=unix:///csi/csi.sock --run-node-service=false
      a controller
  csi-plugin --driver=disk --run-controller-service=false --nodeid=i-bp1example
      a node
  csi-plugin --driver=disk --print-settings
      show what would be used, do not run

exit status: 0 ended by a signal; 2 settings are wrong, each on a line of its own; 3 the status port
cannot be served. A driver that does not start does not end the process: it is tried again, and
/readyz tells why.
"""


def parser() -> argparse.ArgumentParser:
    """The parser; every flag that `csi.settings` reads has the reference's name."""
    p = argparse.ArgumentParser(
        prog="csi-plugin",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=help_text.HelpFormatter,
        allow_abbrev=False,
    )
    p.add_argument("--version", action="version", version=f"csi-plugin {version.VERSION}")
    p.add_argument(
        "--driver",
        metavar="NAMES",
        help="comma list of disk, nas, bmcpfs, cpfs, oss, local, lvm (default: disk)",
    )
    p.add_argument(
        "--endpoint",
        metavar="URL",
        help="unix socket to serve (default: $CSI_ENDPOINT or unix:///tmp/csi.sock); "
        "driverplugin.csi.alibabacloud.com-replace in it stands for the driver's name",
    )
    p.add_argument("--nodeid", metavar="ID", help="instance id (default: ask the metadata service)")
    for flag, text in (
        ("run-controller-service", "serve the Controller services (default: true)"),
        ("run-node-service", "serve the Node service (default: true)"),
        ("run-as-controller", "deprecated: same as --run-node-service=false"),
    ):
        p.add_argument(f"--{flag}", nargs="?", const="true", metavar="BOOL", help=text)
    p.add_argument(
        "--feature-gates",
        metavar="A=true,B=false",
        help="switch gates; docs/reference/flags.md has them",
    )
    p.add_argument(
        "-v",
        "--v",
        dest="v",
        metavar="N",
        help="log verbosity, 0 to 10 (default: 2); 4 and more = debug",
    )
    p.add_argument("--logging-format", metavar="FORMAT", help="text (default) or json")
    p.add_argument("--print-settings", action="store_true", help="print effective settings, exit")
    _add_kubernetes(p)
    return p


def _add_kubernetes(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--kubelet-registration-dir",
        metavar="DIR",
        help="kubelet's plugins_registry; empty = a registrar sidecar does it "
        "(default: $KUBELET_ROOT_DIR/plugins_registry when it exists)",
    )
    p.add_argument(
        "--kubelet-registration-path",
        metavar="PATH",
        help="csi.sock as kubelet sees it (default: as --endpoint says)",
    )
    p.add_argument(
        "--kubeconfig",
        metavar="FILE",
        help="of the Kubernetes API (default: $KUBECONFIG, or the pod's service account)",
    )
    p.add_argument("--master-url", metavar="URL", help="instead of the kubeconfig's server")
    for flag in ("kube-api-qps", "kube-api-burst", "rootdir"):
        p.add_argument(f"--{flag}", metavar="X", help="accepted for compatibility, not used yet")


def values(arguments: argparse.Namespace) -> Mapping[str, str | None]:
    """Flag name → text given, None = not given; for `core.settings.Reader`."""
    return {name.replace("_", "-"): value for name, value in vars(arguments).items()}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse *argv*; exits 2 with a message when it is wrong."""
    return parser().parse_args(argv)

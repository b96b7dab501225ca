"""Settings of the `ipamd` process: flags, and the files of the configuration directory.

Source of flags and defaults: spec/terway.md 1.2, 1.3.
"""

import argparse
import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from core import settings, version
from ipamd import dynamic_config, eni_conf
from ipamd.cni import conflist
from kube import settings as kube_settings

DAEMON_MODES = ("ENIMultiIP",)
_MTU_MIN, _MTU_MAX = 576, 65535
_CHECK_PERIOD_MAX_S = 3600
"""What is mended each round waits for it: a pod whose rules are lost has no network till then."""
_DRAIN_MAX_S = 3600
_EPILOG = """\
environment (docs/reference/flags.md has all of it):
  REGION_ID, ECS_ENDPOINT, VPC_ENDPOINT, IMDS_ENDPOINT     where the cloud is
  ALIBABA_CLOUD_ACCESS_KEY_ID, ..._SECRET                  who we are; else the instance's RAM role
  NODE_NAME, POD_NAMESPACE                                 which Node, and where its ConfigMaps are

exit status: 0 ended by a signal; 2 settings are wrong, each on a line of its own; 3 it must not
run: another ipamd does, or the database is of a newer version.
Then ask it: terway-cli doctor. Documentation: docs/reference/ipamd.md
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """socket: of the gRPC services. debug_socket: of the HTTP pages.

    cni_dir: where the runtime looks for configurations. keep_conflist: leave it when stopping.
    namespace: of our own pod. dynamic: the node's own part of *conf*.
    """

    socket: pathlib.Path
    debug_socket: pathlib.Path
    state_dir: pathlib.Path
    run_dir: pathlib.Path
    config_dir: pathlib.Path
    cni_dir: pathlib.Path
    pending_del_dir: pathlib.Path
    keep_conflist: bool
    json_logs: bool
    debug: bool
    mtu: int
    drain_timeout_s: int
    check_period_s: int
    kube: kube_settings.KubeSettings
    conf: eni_conf.EniConf
    namespace: str
    dynamic: dynamic_config.Dynamic
    warnings: tuple[str, ...]


def parse_flags(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="ipamd",
        description="Gives the pods of this node addresses of the VPC. Started by a DaemonSet; "
        "the CNI executable `terway` calls it over a unix socket.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--version", action="version", version=f"ipamd {version.VERSION}")
    add("--config", default="/etc/eni/eni_conf", help="main configuration, JSON (%(default)s)")
    add(
        "--dynamic-config",
        default="",
        help="a second file, merged onto the first as JSON merge patch (RFC 7396)",
    )
    add("--socket", default="/var/run/eni/eni.socket", help="gRPC socket (%(default)s)")
    add(
        "--readonly-listen",
        default="unix:///var/run/eni/eni_debug.socket",
        help="HTTP socket with metrics, health and introspection (%(default)s)",
    )
    add("--state-dir", default="/var/lib/cni/terway", help="database (%(default)s)")
    add("--run-dir", default="/var/run/eni", help="lock file (%(default)s)")
    add("--cni-dir", default="/etc/cni/net.d", help="CNI configurations (%(default)s)")
    add(
        "--keep-cni-config",
        action="store_true",
        help="leave the CNI configuration in place when stopping; the runtime then goes on to "
        "start pods, which wait for the next ipamd",
    )
    add("--daemon-mode", default="ENIMultiIP", help="allowed: ENIMultiIP (%(default)s)")
    add("--mtu", type=int, default=1500, help="of interfaces and pods (%(default)s)")
    add(
        "--check-period",
        type=int,
        default=60,
        help="seconds between comparisons with metadata and kernel (%(default)s)",
    )
    add("--drain-timeout", type=int, default=10, help="seconds for calls in progress (%(default)s)")
    add("--log-level", default="info", choices=("info", "debug"), help="(%(default)s)")
    add("--log-format", default="json", choices=("json", "text"), help="(%(default)s)")
    add(
        "--kubeconfig",
        default="",
        help="file that says where the Kubernetes API is; without it the pod's service account, "
        "and outside of a pod there is no Kubernetes API",
    )
    add("--print-settings", action="store_true", help="show the effective settings and exit")
    return parser.parse_args(argv)


def read(
    flags: argparse.Namespace,
    reader: settings.Reader,
    environ: Mapping[str, str],
    dynamic: dynamic_config.Dynamic = dynamic_config.NONE,
) -> ProcessSettings:
    """Effective settings; every fault is left in *reader*. dynamic: the node's own part."""
    kube = read_kube(flags, environ)
    conf, faults = read_conf(flags, dynamic)
    for fault in faults.faults:
        reader.fault(fault)
    if flags.daemon_mode not in DAEMON_MODES:
        reader.fault(f"--daemon-mode: {flags.daemon_mode!r} is not allowed; allowed: ENIMultiIP")
    _require(reader, "--mtu", flags.mtu, _MTU_MIN, _MTU_MAX)
    _require(reader, "--check-period", flags.check_period, 1, _CHECK_PERIOD_MAX_S)
    _require(reader, "--drain-timeout", flags.drain_timeout, 0, _DRAIN_MAX_S)
    listen = flags.readonly_listen
    if not listen.startswith("unix:///"):
        reader.fault(f"--readonly-listen: {listen!r} is not allowed; allowed: unix:///PATH")
    state_dir = pathlib.Path(flags.state_dir)
    return ProcessSettings(
        socket=pathlib.Path(flags.socket),
        debug_socket=pathlib.Path(listen.removeprefix("unix://")),
        state_dir=state_dir,
        run_dir=pathlib.Path(flags.run_dir),
        config_dir=pathlib.Path(flags.config).parent,
        cni_dir=pathlib.Path(flags.cni_dir),
        pending_del_dir=state_dir / "pending-del",
        keep_conflist=flags.keep_cni_config,
        json_logs=flags.log_format == "json",
        debug=flags.log_level == "debug",
        mtu=flags.mtu,
        drain_timeout_s=flags.drain_timeout,
        check_period_s=flags.check_period,
        kube=kube,
        conf=conf,
        namespace=environ.get("POD_NAMESPACE") or "kube-system",
        dynamic=dynamic,
        warnings=(
            *faults.warnings,
            *_kube_warnings(kube),
            *conflist.warnings(pathlib.Path(flags.config).parent),
        ),
    )


def _require(reader: settings.Reader, flag: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        reader.fault(f"{flag}: {value} is not allowed; allowed: {least} to {most}")


def read_kube(flags: argparse.Namespace, environ: Mapping[str, str]) -> kube_settings.KubeSettings:
    """Where the Kubernetes API is. NODE_NAME: of Terway's DaemonSet. Source: spec/terway.md 1.2."""
    named = environ.get("KUBE_NODE_NAME") or environ.get("NODE_NAME") or ""
    given = {"kubeconfig": flags.kubeconfig or None}
    reader = settings.Reader({**environ, "KUBE_NODE_NAME": named}, given)
    return kube_settings.read_kube(reader, environ)


def _kube_warnings(kube: kube_settings.KubeSettings) -> tuple[str, ...]:
    if not kube.is_configured or kube.node_name:
        return ()
    return ("NODE_NAME is not set: no pod annotations, no events and conditions of the node",)


def with_access_key(environ: Mapping[str, str], conf: eni_conf.EniConf) -> dict[str, str]:
    """*environ* with the keys of the file where the environment has none.

    The cloud package then reads them like every other source.
    """
    merged = dict(environ)
    if conf.access_key and not merged.get("ALIBABA_CLOUD_ACCESS_KEY_ID"):
        merged["ALIBABA_CLOUD_ACCESS_KEY_ID"] = conf.access_key
        merged["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = conf.access_secret
    if conf.credential_path and not merged.get("ALIBABA_CLOUD_ACK_ADDON_TOKEN_PATH"):
        merged["ALIBABA_CLOUD_ACK_ADDON_TOKEN_PATH"] = conf.credential_path
    return merged


def shown(process: ProcessSettings) -> str:
    """Effective settings as text, without secrets."""
    plain = dataclasses.asdict(process)
    plain["conf"] = eni_conf.shown(plain["conf"])
    plain["dynamic"] = process.dynamic.name
    return json.dumps(plain, indent=2, default=str)


def read_conf(
    flags: argparse.Namespace, dynamic: dynamic_config.Dynamic
) -> tuple[eni_conf.EniConf, eni_conf.Faults]:
    """What the files say with the node's own part."""
    faults = eni_conf.Faults()
    plain = _load(pathlib.Path(flags.config), faults)
    if flags.dynamic_config:
        plain = eni_conf.merge(plain, _load(pathlib.Path(flags.dynamic_config), faults))
    if dynamic.name:
        plain = eni_conf.merge(plain, eni_conf.load(dynamic.text, dynamic.name, faults))
    return eni_conf.parse(plain, faults), faults


def _load(path: pathlib.Path, faults: eni_conf.Faults) -> dict[str, Any]:
    try:
        text = path.read_text()
    except OSError as e:
        faults.faults.append(f"{path} cannot be read: {e.strerror}")
        return {}
    return eni_conf.load(text, str(path), faults)

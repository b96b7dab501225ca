"""Settings of the `csi-plugin` process: flags, and the environment they fall back to.

Each driver reads its own settings from the same reader; see `csi.disk.controller.settings`.
"""

import argparse
import dataclasses
import pathlib
import urllib.parse
from collections.abc import Mapping, Sequence

from core import errors, settings
from csi import driver

REPLACE = "driverplugin.csi.alibabacloud.com-replace"
"""In --endpoint this literal stands for the driver's full name. Source: reference main.go."""

_DEFAULT_PORT = {True: 11270, False: 11260}
"""By whether the controller runs. Source: reference main.go."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """Everything `csi.app` needs, checked.

    drivers: full names. endpoint: with `REPLACE` still in it.
    http_port: None = no HTTP server, 0 = a free port.
    registration_dir: kubelet's plugins_registry directory, None = do not register.
    registration_endpoint: csi.sock as kubelet sees it, "" = as we see it.
    drain_timeout_s: how long calls in progress may take after SIGTERM.
    """

    drivers: tuple[str, ...]
    endpoint: str
    roles: driver.Roles
    node_id: str
    feature_gates: Mapping[str, bool]
    verbosity: int
    json_logs: bool
    http_address: str
    http_port: int | None
    serve_metrics: bool
    registration_dir: pathlib.Path | None
    registration_endpoint: str
    drain_timeout_s: int


def read(arguments: argparse.Namespace, reader: settings.Reader) -> ProcessSettings:
    """Effective settings; faults are left in *reader* for the caller to finish."""
    roles = _roles(reader)
    port = reader.integer(
        "SERVICE_PORT", _DEFAULT_PORT[roles.controller], minimum=-1, maximum=65535
    )
    return ProcessSettings(
        drivers=_drivers(reader),
        endpoint=reader.text("CSI_ENDPOINT", "unix:///tmp/csi.sock", flag="endpoint"),
        roles=roles,
        node_id=reader.text("NODE_ID", "", flag="nodeid"),
        feature_gates=_feature_gates(reader),
        verbosity=reader.integer("", 2, minimum=0, maximum=10, flag="v"),
        json_logs=reader.choice("", "text", ("text", "json"), flag="logging-format") == "json",
        http_address=reader.text("SERVICE_ADDRESS", ""),
        http_port=None if port < 0 else port,
        serve_metrics=reader.boolean("ENABLE_METRIC", default=True),
        registration_dir=_registration_dir(reader, roles, arguments.kubelet_registration_dir),
        registration_endpoint=reader.text("", "", flag="kubelet-registration-path"),
        drain_timeout_s=reader.integer("DRAIN_TIMEOUT_SECONDS", 25, minimum=0, maximum=600),
    )


def socket_path(endpoint: str, driver_name: str) -> pathlib.Path:
    """Path of the unix socket of *driver_name*.

    A relative text after `unix://` gets a leading slash, as in the reference.
    Raises InvalidField for another scheme: a CSI socket is private to its node.
    """
    text = endpoint.replace(REPLACE, driver_name)
    scheme, separator, rest = text.partition(":")
    if not separator:
        scheme, rest = "unix", text
    if scheme != "unix" or not rest.strip("/"):
        raise errors.InvalidField(
            "--endpoint", "is not a unix socket", value=endpoint, allowed="unix:///path/csi.sock"
        )
    return pathlib.Path("/" + urllib.parse.unquote(rest).lstrip("/"))


def _roles(reader: settings.Reader) -> driver.Roles:
    """Controller and node; the deprecated ways of saying so still work, flags win."""
    service_type = reader.choice("SERVICE_TYPE", "", ("", "plugin", "provisioner"))
    only_controller = reader.boolean("", default=False, flag="run-as-controller")
    roles = driver.Roles(
        controller=reader.boolean(
            "", default=service_type != "plugin", flag="run-controller-service"
        ),
        node=reader.boolean(
            "",
            default=service_type != "provisioner" and not only_controller,
            flag="run-node-service",
        ),
    )
    if not (roles.controller or roles.node):
        reader.fault(
            "--run-controller-service and --run-node-service are both false: nothing to do"
        )
    return roles


def _drivers(reader: settings.Reader) -> tuple[str, ...]:
    raw = reader.text("", "disk", flag="driver")
    names = dict.fromkeys(driver.full_name(part.strip()) for part in raw.split(",") if part.strip())
    if not names:
        reader.fault("--driver: names no driver")
    return tuple(names)


def _feature_gates(reader: settings.Reader) -> Mapping[str, bool]:
    gates = driver.feature_gates()
    for part in _parts(reader.text("", "", flag="feature-gates")):
        gate, _, raw = part.partition("=")
        if gate not in gates or raw.lower() not in ("true", "false"):
            reader.fault(
                f"--feature-gates: {part!r} is not allowed; allowed: NAME=true or NAME=false "
                f"with NAME one of {', '.join(gates)}"
            )
            continue
        gates[gate] = raw.lower() == "true"
    return gates


def _parts(text: str) -> Sequence[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _registration_dir(
    reader: settings.Reader, roles: driver.Roles, given: str | None
) -> pathlib.Path | None:
    """The directory to register in: as given, or kubelet's own when it is there."""
    root = reader.text("KUBELET_ROOT_DIR", "/var/lib/kubelet")
    if not roles.node or given == "":
        return None
    if given is not None:
        return pathlib.Path(given)
    default = pathlib.Path(root) / "plugins_registry"
    return default if default.is_dir() else None

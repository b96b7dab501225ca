"""One CNI request: environment and network configuration, parsed at the edge.

Source: spec/conformance.md c.1-c.6, spec/terway.md 1.5. Keys of `runtimeConfig` are matched
whatever their case: containerd sends `IngressRate` where the specification says `ingressRate`.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from core import errors
from ipamd import model
from ipamd.cni import cni_error
from ipamd.datapath import model as datapath_model

VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
DEFAULT_MTU = 1500
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*")
_IFNAME_MAX = 15
_MTU_MIN, _MTU_MAX = 576, 65535
_BITS = 8
_UNSET_BURST = 0xFFFFFFFF
"""What containerd sends as burst when nobody asked for one. Source: spec/conformance.md c.5."""
_U32_MAX = 0xFFFFFFFF
_RATE_MAX = 10**15
"""1P, the most that Kubernetes takes in `kubernetes.io/ingress-bandwidth`. Source:
k8s.io/kubernetes, pkg/util/bandwidth/utils.go."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """What a result says about name resolution."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    domain: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """A network configuration. mtu: None = the daemon's. previous: prevResult as it came.

    valid: attachments the runtime still knows (GC); None when it does not say.
    """

    cni_version: str
    name: str
    mtu: int | None = None
    bandwidth: datapath_model.Bandwidth = datapath_model.UNLIMITED
    dns: Dns = Dns()
    previous: Mapping[str, Any] | None = None
    valid: frozenset[tuple[str, str]] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What a command is about. netns_path: None when the runtime has none any more."""

    key: model.AttachmentKey
    netns_path: pathlib.Path | None
    pod: model.Pod


def parse_config(raw: bytes) -> NetworkConfig:
    """Raises cni_error.CniError with the specification's codes."""
    plain = decode(raw)
    runtime = _object(plain, "runtimeConfig")
    return dataclasses.replace(
        _which(plain),
        mtu=_mtu(plain.get("mtu")),
        bandwidth=_bandwidth(_any_case(_object(runtime, "bandwidth", "runtimeConfig."))),
        dns=_dns(_object(plain, "dns"), _any_case(_object(runtime, "dns", "runtimeConfig."))),
        previous=_previous(plain),
        valid=_valid_attachments(plain),
    )


def parse_del(raw: bytes) -> NetworkConfig:
    """What a DEL needs: which network it is about.

    The rest is not looked at: an attachment whose ADD was refused for it, or whose configuration
    was changed since, must end all the same. Raises CniError.
    """
    return _which(decode(raw))


def parse_gc(raw: bytes) -> NetworkConfig:
    """What a GC needs, as for `parse_del`: which network, and what is still known of it."""
    plain = decode(raw)
    return dataclasses.replace(_which(plain), valid=_valid_attachments(plain))


def _which(plain: Mapping[str, Any]) -> NetworkConfig:
    """Version and name."""
    version = plain.get("cniVersion", "")
    if version not in VERSIONS:
        raise cni_error.CniError(
            cni_error.INCOMPATIBLE_VERSION,
            f"cniVersion {version!r} is not supported",
            f"supported: {', '.join(VERSIONS)}",
        )
    name = plain.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _invalid("name", name, "letters, digits, _ . - and a letter or digit first")
    return NetworkConfig(cni_version=version, name=name)


def decode(raw: bytes) -> dict[str, Any]:
    """The JSON object in *raw*. Raises CniError with code 6."""
    try:
        plain = json.loads(raw)
    except (ValueError, RecursionError) as e:
        raise cni_error.CniError(
            cni_error.DECODING_FAILURE, "the network configuration is not JSON", str(e)
        ) from e
    if not isinstance(plain, dict):
        raise cni_error.CniError(
            cni_error.DECODING_FAILURE, "the network configuration is not a JSON object"
        )
    return plain


def parse_attachment(
    config: NetworkConfig, *, container_id: str, ifname: str, netns: str, args: str
) -> Attachment:
    """Raises CniError with code 4 naming the variable."""
    if not _NAME.fullmatch(container_id):
        raise _invalid_variable("CNI_CONTAINERID", container_id)
    if not is_ifname(ifname):
        raise _invalid_variable("CNI_IFNAME", ifname)
    if netns and not netns.startswith("/"):
        raise _invalid_variable("CNI_NETNS", netns)
    words = parse_args(args)
    return Attachment(
        key=model.AttachmentKey(network=config.name, container_id=container_id, ifname=ifname),
        netns_path=pathlib.Path(netns) if netns else None,
        pod=model.Pod(
            namespace=words.get("K8S_POD_NAMESPACE", ""),
            name=words.get("K8S_POD_NAME", ""),
            uid=words.get("K8S_POD_UID", ""),
        ),
    )


def is_ifname(text: str) -> bool:
    """Whether the kernel and CNI accept *text* as a name of an interface.

    A % would be a number to choose for the kernel, and the name another one.
    """
    return (
        0 < len(text.encode()) <= _IFNAME_MAX
        and text not in (".", "..")
        and not re.search(r"[/:%\s\x00]", text)
    )


def parse_args(args: str) -> Mapping[str, str]:
    """`K=V;K=V` as a mapping. Raises CniError with code 4."""
    words: dict[str, str] = {}
    for part in args.split(";"):
        key, separator, value = part.partition("=")
        if part and not separator:
            raise _invalid_variable("CNI_ARGS", part)
        words[key] = value
    return words


def _mtu(value: Any) -> int | None:
    if value is None or value == 0:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and _MTU_MIN <= value <= _MTU_MAX:
        return value
    raise _invalid("mtu", value, f"a whole number from {_MTU_MIN} to {_MTU_MAX}")


def _bandwidth(told: Mapping[str, Any]) -> datapath_model.Bandwidth:
    """Bits as the runtime sends them, bytes as the kernel takes them; 0 = unlimited."""
    return datapath_model.Bandwidth(
        ingress_bytes_per_s=_bits(told, "ingressRate", _RATE_MAX) // _BITS,
        ingress_burst_bytes=_burst(told, "ingressBurst"),
        egress_bytes_per_s=_bits(told, "egressRate", _RATE_MAX) // _BITS,
        egress_burst_bytes=_burst(told, "egressBurst"),
    )


def _burst(told: Mapping[str, Any], key: str) -> int:
    bits = _bits(told, key, _U32_MAX * _BITS)
    return 0 if bits == _UNSET_BURST else bits // _BITS


def _bits(told: Mapping[str, Any], key: str, maximum: int) -> int:
    value = told.get(key.lower(), 0)
    if value is None:
        return 0
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= maximum:
        if 0 < value < _BITS:
            raise _invalid(f"runtimeConfig.bandwidth.{key}", value, "0 or at least 8 bits")
        return value
    raise _invalid(f"runtimeConfig.bandwidth.{key}", value, f"a whole number from 0 to {maximum}")


def _dns(config: Mapping[str, Any], runtime: Mapping[str, Any]) -> Dns:
    """The runtime's where it says something, else the configuration's."""
    return Dns(
        servers=_texts(runtime.get("servers")) or _texts(config.get("nameservers")),
        searches=_texts(runtime.get("searches")) or _texts(config.get("search")),
        options=_texts(runtime.get("options")) or _texts(config.get("options")),
        domain=str(config.get("domain") or ""),
    )


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise _invalid("dns", value, "lists of texts")


def _previous(plain: Mapping[str, Any]) -> Mapping[str, Any] | None:
    previous = plain.get("prevResult")
    if previous is None:
        return None
    if not isinstance(previous, dict):
        raise _invalid("prevResult", previous, "an object")
    for key in ("interfaces", "ips", "routes"):
        listed = previous.get(key) or []
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise _invalid(f"prevResult.{key}", listed, "a list of objects")
    return previous


def _valid_attachments(plain: Mapping[str, Any]) -> frozenset[tuple[str, str]] | None:
    """(container id, ifname) pairs; null and [] mean none, no key at all means "not said".

    Source: spec/conformance.md c.4.
    """
    for key in ("cni.dev/valid-attachments", "cni.dev/attachments"):
        if key in plain:
            listed = plain[key] or []
            if not isinstance(listed, list):
                raise _invalid(key, listed, "a list")
            return frozenset(_valid_attachment(key, each) for each in listed)
    return None


def _valid_attachment(key: str, each: Any) -> tuple[str, str]:
    if isinstance(each, dict):
        told = _any_case(each)
        container_id, ifname = told.get("containerid"), told.get("ifname")
        if isinstance(container_id, str) and isinstance(ifname, str):
            return container_id, ifname
    raise _invalid(key, each, "objects with containerID and ifname")


def _object(plain: Mapping[str, Any], key: str, prefix: str = "") -> Mapping[str, Any]:
    value = plain.get(key)
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise _invalid(prefix + key, value, "an object")


def _any_case(told: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key.lower(): value for key, value in told.items()}


def _invalid(key: str, value: Any, allowed: str) -> cni_error.CniError:
    return cni_error.CniError(
        cni_error.INVALID_CONFIG,
        str(errors.InvalidField(key, "is not allowed", value=value, allowed=allowed)),
    )


def _invalid_variable(name: str, value: str) -> cni_error.CniError:
    return cni_error.CniError(
        cni_error.INVALID_ENVIRONMENT, f"{name} {value[:128]!r} is not allowed"
    )

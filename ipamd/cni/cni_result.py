"""The result of an ADD: what is really configured, in the shape of the asked CNI version.

Source: spec/conformance.md c.3. Addresses and routes are as the datapath made them in the pod;
chained plug-ins see the host's end of the pair too.
"""

import json
from collections.abc import Mapping
from typing import Any

from ipamd.cni import cni_config
from ipamd.datapath import model as datapath_model

_WITH_IP_VERSION = ("0.3.0", "0.3.1", "0.4.0")
_WITH_MTU = ("1.1.0",)


def build(
    config: cni_config.NetworkConfig, wired: datapath_model.Wired, *, netns: str, mtu: int
) -> bytes:
    """What ADD prints: ours after everything of prevResult. netns: path, as it was asked for."""
    previous = config.previous or {}
    interfaces = list(previous.get("interfaces") or [])
    first = len(interfaces)
    interfaces += [
        {"name": wired.host.ifname, "mac": wired.host.mac},
        {"name": wired.pod.ifname, "mac": wired.pod.mac, "sandbox": netns},
    ]
    if config.cni_version in _WITH_MTU:
        for interface in interfaces[first:]:
            interface["mtu"] = mtu
    result: dict[str, Any] = {
        "cniVersion": config.cni_version,
        "interfaces": interfaces,
        "ips": [
            *(previous.get("ips") or []),
            *(_ip(config, each, first + 1) for each in wired.addresses),
        ],
        "routes": [
            *(previous.get("routes") or []),
            *({"dst": str(each.network), "gw": str(each.gateway)} for each in wired.routes),
        ],
    }
    dns = _dns(config.dns) or previous.get("dns")
    if dns:
        result["dns"] = dns
    return json.dumps(result).encode() + b"\n"


def _ip(
    config: cni_config.NetworkConfig, address: datapath_model.PodAddress, interface: int
) -> dict[str, Any]:
    """interface: index of the pod's end."""
    told = {
        "address": str(address.interface),
        "gateway": str(address.gateway),
        "interface": interface,
    }
    if config.cni_version in _WITH_IP_VERSION:
        return {"version": str(address.interface.version), **told}
    return told


def _dns(dns: cni_config.Dns) -> Mapping[str, Any]:
    told: dict[str, Any] = {
        "nameservers": list(dns.servers),
        "domain": dns.domain,
        "search": list(dns.searches),
        "options": list(dns.options),
    }
    return {key: value for key, value in told.items() if value}

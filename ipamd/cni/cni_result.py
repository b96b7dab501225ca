"""The result of an ADD: what is really configured, in the shape of the asked CNI version.

Source: spec/conformance.md c.3. The pod's address is a /32 and its gateway 169.254.1.1, so that is
what the result says; chained plug-ins see the host's end of the pair too.
"""

import json
from collections.abc import Mapping
from typing import Any

from ipamd.cni import cni_config
from ipamd.datapath import model as datapath_model

GATEWAY = "169.254.1.1"
_WITH_IP_VERSION = ("0.3.0", "0.3.1", "0.4.0")
_WITH_MTU = ("1.1.0",)


def build(
    config: cni_config.NetworkConfig,
    *,
    ipv4: str,
    ifname: str,
    netns: str,
    host_ifname: str,
    wired: datapath_model.Wired,
    mtu: int,
) -> bytes:
    """What ADD prints: ours after everything of prevResult."""
    previous = config.previous or {}
    interfaces = list(previous.get("interfaces") or [])
    first = len(interfaces)
    interfaces += [
        {"name": host_ifname, "mac": wired.host_mac},
        {"name": ifname, "mac": wired.pod_mac, "sandbox": netns},
    ]
    if config.cni_version in _WITH_MTU:
        for interface in interfaces[first:]:
            interface["mtu"] = mtu
    address: dict[str, Any] = {"address": f"{ipv4}/32", "gateway": GATEWAY, "interface": first + 1}
    if config.cni_version in _WITH_IP_VERSION:
        address = {"version": "4", **address}
    result: dict[str, Any] = {
        "cniVersion": config.cni_version,
        "interfaces": interfaces,
        "ips": [*(previous.get("ips") or []), address],
        "routes": [*(previous.get("routes") or []), {"dst": "0.0.0.0/0", "gw": GATEWAY}],
    }
    dns = _dns(config.dns) or previous.get("dns")
    if dns:
        result["dns"] = dns
    return json.dumps(result).encode() + b"\n"


def _dns(dns: cni_config.Dns) -> Mapping[str, Any]:
    told: dict[str, Any] = {
        "nameservers": list(dns.servers),
        "domain": dns.domain,
        "search": list(dns.searches),
        "options": list(dns.options),
    }
    return {key: value for key, value in told.items() if value}

"""What the VPC drops, as nftables text: the fixed part. Elements and groups' chains come later.

Every frame passes `netdev vpc` (one chain a port: the MAC), then `prerouting` (source and
destination), then, when another port has the destination, `forward` (security groups). Ports are
told by name and VPCs by number, so that an address more is one element more.
"""

import hashlib

TABLE = "inet vpc"
LINK_TABLE = "netdev vpc"
CLOUD_ADDRESS = "100.100.100.200"
"""Where instances find the metadata service; the API is served there as well."""
COUNTERS = ("spoofed", "unassigned", "security_group", "foreign_mac")

_SETS = {
    "sources": "type ifname . ipv4_addr",
    "sources6": "type ifname . ipv6_addr",
    "source_blocks": "type ifname . ipv4_addr; flags interval",
    "source_blocks6": "type ifname . ipv6_addr; flags interval",
    "unchecked": "type ifname",
    "gateways": "type ipv4_addr",
    "gateways6": "type ipv6_addr",
    "owned": "type mark . ipv4_addr",
    "owned6": "type mark . ipv6_addr",
    "owned_blocks": "type mark . ipv4_addr; flags interval",
    "owned_blocks6": "type mark . ipv6_addr; flags interval",
}
_MAPS = {
    "vpcs": "type ifname : mark",
    "egress": "type ifname : verdict",
    "ingress": "type ifname : verdict",
}
SETS = (*_SETS, *_MAPS)

# Neighbour discovery and DAD have link-local or no source, and end in this namespace. What else is
# sent to many has no place in a VPC and is no mistake either: it goes without being counted.
_CHAINS = f"""
  chain sources_checked {{
    iifname . ip saddr != @sources iifname . ip saddr != @source_blocks counter name spoofed drop
    iifname . ip6 saddr != @sources6 iifname . ip6 saddr != @source_blocks6 \
counter name spoofed drop
  }}
  chain destinations_checked {{
    ip daddr {CLOUD_ADDRESS} accept
    ip daddr @gateways accept
    ip6 daddr @gateways6 accept
    meta mark . ip daddr != @owned meta mark . ip daddr != @owned_blocks \
counter name unassigned drop
    meta mark . ip6 daddr != @owned6 meta mark . ip6 daddr != @owned_blocks6 \
counter name unassigned drop
  }}
  chain prerouting {{
    type filter hook prerouting priority -300;
    iifname "lo" accept
    icmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert }} accept
    meta pkttype {{ broadcast, multicast }} drop
    ip daddr {{ 224.0.0.0/4, 255.255.255.255 }} drop
    ip6 daddr {{ fe80::/10, ff00::/8 }} drop
    ip6 saddr fe80::/10 drop
    iifname != @unchecked jump sources_checked
    meta mark set iifname map @vpcs
    jump destinations_checked
  }}
  chain forward {{
    type filter hook forward priority 0;
    ct state established,related accept
    iifname vmap @egress
    oifname vmap @ingress
  }}
"""


def version() -> str:
    """Name of an empty chain that says which fixed part is loaded."""
    return f"base_{hashlib.sha256(_body().encode()).hexdigest()[:12]}"


def fixed() -> list[str]:
    """Commands that replace everything by the fixed part, in one transaction."""
    return [
        # "add" first, so that "delete" finds it.
        f"add table {TABLE}",
        f"delete table {TABLE}",
        f"add table {LINK_TABLE}",
        f"delete table {LINK_TABLE}",
        f"table {LINK_TABLE} {{ counter foreign_mac {{ }}; }}",
        f"table {TABLE} {{\n{_body()}\n  chain {version()} {{ }}\n}}",
    ]


def _body() -> str:
    lines = [f"  counter {name} {{ }}" for name in COUNTERS if name != "foreign_mac"]
    lines += [f"  set {name} {{ {what}; }}" for name, what in _SETS.items()]
    lines += [f"  map {name} {{ {what}; }}" for name, what in _MAPS.items()]
    return "\n".join(lines) + _CHAINS

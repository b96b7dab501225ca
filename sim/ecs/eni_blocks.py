"""Which addresses and prefixes of a vSwitch's block can be handed out, and in which order: pure."""

import functools
import ipaddress
import secrets
from collections.abc import Collection, Iterable, Mapping

_RESERVED_AT_END = 3
"""The gateway and the two last addresses of a block. Source: VPC documentation, "vSwitch"."""
_IPV4_PREFIX_LENGTH, _IPV6_PREFIX_LENGTH = 28, 80
"""Source: AssignPrivateIpAddresses, Ipv4Prefix; AssignIpv6Addresses, Ipv6Prefix."""
IPV4_PREFIX_SIZE = 16
_HOST_BITS = 64

Block = ipaddress.IPv4Network | ipaddress.IPv6Network


def gateway(cidr_block: str) -> str:
    """The VPC's router in a vSwitch: the third last address, in both families."""
    return str(ipaddress.ip_network(cidr_block)[-_RESERVED_AT_END])


def usable(cidr_block: str) -> list[str]:
    """IPv4 addresses of a vSwitch that can be handed out, in order."""
    return list(_usable(cidr_block))


def addresses(prefixes: Iterable[str]) -> set[str]:
    """All addresses of IPv4 prefixes."""
    return {str(ip) for each in prefixes for ip in ipaddress.IPv4Network(each)}


def choose(free: Collection[str], freed: Mapping[str, float], count: int) -> list[str]:
    """*count* of *free*: those never used first, then those that were freed longest ago."""
    ordered = sorted(free, key=lambda ip: (freed.get(ip, 0.0), ipaddress.IPv4Address(ip)))
    return ordered[:count]


def is_usable_ipv6(address: ipaddress.IPv6Address, cidr_block: str) -> bool:
    """Whether the address is in the block and not the first or one of the three last."""
    block = ipaddress.IPv6Network(cidr_block)
    return block[0] < address < block[-_RESERVED_AT_END]


def choose_ipv6(
    cidr_block: str, taken: Collection[str], prefixes: Iterable[str], count: int
) -> list[str]:
    """*count* addresses at random, none *taken* or inside one of *prefixes*.

    A block has 2^64 addresses, so one that is free is found soon.
    """
    start = int(ipaddress.IPv6Network(cidr_block).network_address)
    inside = {prefix_number(each) for each in prefixes}
    chosen: dict[str, None] = {}
    while len(chosen) < count:
        address = ipaddress.IPv6Address(start + secrets.randbits(_HOST_BITS))
        free = str(address) not in taken and prefix_number(str(address)) not in inside
        if free and is_usable_ipv6(address, cidr_block):
            chosen[str(address)] = None
    return list(chosen)


def parse_prefix(text: str) -> Block | None:
    """The block, None for what is no prefix: a /28 of IPv4 or a /80 of IPv6, aligned."""
    try:
        block = ipaddress.ip_network(text)
    except ValueError:
        return None
    return block if block.prefixlen == _length(block) else None


def prefix_number(text: str) -> int:
    """The number of the prefix that an address or a prefix is (in), counted from address 0."""
    block = ipaddress.ip_network(text)
    return int(block.network_address) >> (block.max_prefixlen - _length(block))


def free_prefixes(cidr_block: str, taken: Iterable[str]) -> list[str]:
    """Prefixes of a vSwitch that hold none of the addresses and prefixes *taken*, in order.

    The first and the last one hold reserved addresses, so they are never among them.
    """
    block = ipaddress.ip_network(cidr_block)
    length = _length(block)
    shift = block.max_prefixlen - length
    first = int(block.network_address) >> shift
    count = 2 ** (length - block.prefixlen) if length > block.prefixlen else 0
    used = {prefix_number(each) for each in taken}
    numbers = (n for n in range(first + 1, first + count - 1) if n not in used)
    make = ipaddress.IPv4Address if block.version == 4 else ipaddress.IPv6Address
    return [f"{make(n << shift)}/{length}" for n in numbers]


def choose_prefixes(free: Iterable[str], freed: Mapping[str, float], count: int) -> list[str]:
    """*count* of *free*: in order those never used, then those that were freed longest ago."""
    return sorted(free, key=lambda each: freed.get(each, 0.0))[:count]


# A vSwitch may have 65 thousand addresses, and is asked about at every call.
@functools.lru_cache(maxsize=64)
def _usable(cidr_block: str) -> tuple[str, ...]:
    block = ipaddress.IPv4Network(cidr_block)
    count = block.num_addresses - 1 - _RESERVED_AT_END
    return tuple(str(block[n]) for n in range(1, count + 1))


def _length(block: Block) -> int:
    return _IPV4_PREFIX_LENGTH if block.version == 4 else _IPV6_PREFIX_LENGTH

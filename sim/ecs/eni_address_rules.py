"""Addresses and prefixes as requests ask for them, and handing them out to an interface."""

import dataclasses

from sim import cloud as cloud_module
from sim import errors
from sim import params as params_module
from sim import world as world_module
from sim.ecs import eni_addresses, eni_model

_LIST_MAX = 10


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Addresses or prefixes of a request: those named, or so many. Both empty = none."""

    named: tuple[str, ...] = ()
    count: int = 0

    @property
    def total(self) -> int:
        """How many they are."""
        return len(self.named) + self.count


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What an interface gets, as in eni_model.Eni."""

    ips: tuple[str, ...] = ()
    ipv6s: tuple[str, ...] = ()
    ipv4_prefixes: tuple[str, ...] = ()
    ipv6_prefixes: tuple[str, ...] = ()

    def all(self) -> tuple[str, ...]:
        """Every address and prefix."""
        return (*self.ips, *self.ipv6s, *self.ipv4_prefixes, *self.ipv6_prefixes)


def ips(params: params_module.Params) -> Wanted:
    """Secondary IPv4 addresses."""
    return _wanted(params, "PrivateIpAddress", "SecondaryPrivateIpAddressCount", 49)


def ipv6s(params: params_module.Params) -> Wanted:
    """IPv6 addresses."""
    return _wanted(params, "Ipv6Address", "Ipv6AddressCount", 10)


def ipv4_prefixes(params: params_module.Params) -> Wanted:
    """Prefixes of 16 IPv4 addresses."""
    return _wanted(params, "Ipv4Prefix", "Ipv4PrefixCount", 10)


def ipv6_prefixes(params: params_module.Params) -> Wanted:
    """IPv6 prefixes, a /80 each."""
    return _wanted(params, "Ipv6Prefix", "Ipv6PrefixCount", 10)


def require_one_kind(first: Wanted, second: Wanted, names: str) -> None:
    """Addresses or prefixes, not both and not neither: 400 InvalidParameter, MissingParameter."""
    if not first.total and not second.total:
        raise errors.missing_parameter(names)
    if first.total and second.total:
        raise errors.invalid_parameter(names, "both", "addresses or prefixes in one call")


def hand_out_ipv4(
    cloud: cloud_module.Cloud,
    vswitch: world_module.VSwitch,
    *,
    addresses: Wanted,
    prefixes: Wanted,
) -> Given:
    """IPv4 addresses and prefixes that do not overlap; the codes are those of eni_addresses."""
    # Names first, then what may be anywhere, so that no choice takes what the request names.
    named = eni_addresses.ipv4(cloud, vswitch, named=addresses.named, count=0)
    blocks = eni_addresses.prefixes(
        cloud, vswitch, six=False, named=prefixes.named, count=prefixes.count, beside=named
    )
    found = eni_addresses.ipv4(cloud, vswitch, named=named, count=addresses.count, beside=blocks)
    return Given(ips=tuple(found), ipv4_prefixes=tuple(blocks))


def hand_out_ipv6(
    cloud: cloud_module.Cloud,
    vswitch: world_module.VSwitch,
    *,
    addresses: Wanted,
    prefixes: Wanted,
) -> Given:
    """IPv6 addresses and prefixes that do not overlap; the codes are those of eni_addresses."""
    if not addresses.total and not prefixes.total:
        return Given()
    named = eni_addresses.ipv6(cloud, vswitch, named=addresses.named, count=0)
    blocks = eni_addresses.prefixes(
        cloud, vswitch, six=True, named=prefixes.named, count=prefixes.count, beside=named
    )
    found = eni_addresses.ipv6(cloud, vswitch, named=named, count=addresses.count, beside=blocks)
    return Given(ipv6s=tuple(found), ipv6_prefixes=tuple(blocks))


def with_more(cloud: cloud_module.Cloud, eni: eni_model.Eni, given: Given) -> eni_model.Eni:
    """*eni* with what it is given, which is on its way while the world's latency lasts."""
    latency_s = cloud.latency("assign_private_ip")
    arriving = dict(eni.arriving)
    if latency_s > 0:
        arriving |= dict.fromkeys(given.all(), cloud.clock.now_s() + latency_s)
    return dataclasses.replace(
        eni,
        ips=(*eni.ips, *given.ips),
        ipv6s=(*eni.ipv6s, *given.ipv6s),
        ipv4_prefixes=(*eni.ipv4_prefixes, *given.ipv4_prefixes),
        ipv6_prefixes=(*eni.ipv6_prefixes, *given.ipv6_prefixes),
        arriving=arriving,
    )


def _wanted(params: params_module.Params, name: str, count_name: str, most: int) -> Wanted:
    """400 InvalidParameter for a bad count, for both, and for a list that is too long."""
    named = params.strings(name)
    count = params.integer(count_name, 0, 1, most) or 0
    if named and count:
        raise errors.invalid_parameter(f"{name}.N", named[0], f"absent beside {count_name}")
    if len(named) > _LIST_MAX:
        raise errors.invalid_parameter(f"{name}.N", str(len(named)), f"1 to {_LIST_MAX} of them")
    return Wanted(named=tuple(named), count=count)

"""Addresses and prefixes of vSwitches: what is free, and handing it out with the cloud's codes.

A call gets everything that it asks for or nothing. Nothing here writes but `forget`.
"""

import ipaddress
from collections.abc import Collection, Mapping, Sequence

from sim import cloud as cloud_module
from sim import errors
from sim import world as world_module
from sim.ecs import eni_blocks, eni_model

_FREED_KIND = "freed_ip"


def unused(
    cloud: cloud_module.Cloud, vswitch: world_module.VSwitch, *, beside: Collection[str] = ()
) -> list[str]:
    """IPv4 addresses of the vSwitch that nobody has, alone or in a prefix, whatever its limit.

    beside: addresses and prefixes that the same call gets.
    """
    ips, prefixes = _taken(cloud, vswitch, six=False)
    taken = {*ips, *beside, *eni_blocks.addresses([*prefixes, *_prefixes(beside)])}
    return [ip for ip in eni_blocks.usable(vswitch.cidr_block) if ip not in taken]


def free_count(
    cloud: cloud_module.Cloud, vswitch: world_module.VSwitch, *, beside: Collection[str] = ()
) -> int:
    """How many more addresses the vSwitch hands out: what is unused, as far as its limit goes."""
    return _limited(cloud, vswitch, len(unused(cloud, vswitch, beside=beside)), beside)


def ipv4(
    cloud: cloud_module.Cloud,
    vswitch: world_module.VSwitch,
    *,
    named: Sequence[str],
    count: int,
    beside: Collection[str] = (),
) -> list[str]:
    """The addresses *named* and *count* others, all different and free.

    400 QuotaExceeded.PrivateIpAddress (of the VPC), 403 InvalidVSwitchId.IpInvalid (not one of
    the block's), InvalidIp.IpAssigned (somebody has it, or named twice),
    InvalidVSwitchId.IpNotEnough.
    """
    if not named and not count:
        return []
    _require_vpc_room(cloud, vswitch.vpc_id, len(named) + count + _size(beside))
    free = set(unused(cloud, vswitch, beside=beside))
    allowed = set(eni_blocks.usable(vswitch.cidr_block)) if named else set()
    for n, ip in enumerate(named):
        if ip not in allowed:
            raise _invalid(ip, vswitch.cidr_block)
        if ip not in free or ip in named[:n]:
            raise _assigned(ip)
    left = _limited(cloud, vswitch, len(free), beside)
    if left < len(named) + count:
        raise _not_enough(vswitch, f"{len(named) + count} asked, {left} free")
    chosen = eni_blocks.choose(free - set(named), _freed(cloud, vswitch), count)
    return [*named, *chosen]


def ipv6(
    cloud: cloud_module.Cloud,
    vswitch: world_module.VSwitch,
    *,
    named: Sequence[str],
    count: int,
    beside: Collection[str] = (),
) -> list[str]:
    """The addresses *named* and *count* others at random, all different and free.

    403 InvalidVSwitch.Ipv6NotTurnOn, InvalidIp.Address (no address), InvalidVSwitchId.IpInvalid
    (not one of the block's), InvalidIp.IpRepeated, InvalidIp.IpAssigned.
    """
    require_ipv6(vswitch)
    ips, prefixes = _taken(cloud, vswitch, six=True)
    prefixes = [*prefixes, *_prefixes(beside)]
    numbers = {eni_blocks.prefix_number(each) for each in prefixes}
    wanted: list[str] = []
    for text in named:
        address = parse_ipv6(text)
        if not eni_blocks.is_usable_ipv6(address, vswitch.ipv6_cidr_block):
            raise _invalid(text, vswitch.ipv6_cidr_block)
        if str(address) in wanted:
            raise errors.ApiError(
                "InvalidIp.IpRepeated", 403, f"The specified IP {text} is repeated."
            )
        if str(address) in ips or eni_blocks.prefix_number(str(address)) in numbers:
            raise _assigned(text)
        wanted.append(str(address))
    taken = {*ips, *wanted}
    return [
        *wanted,
        *eni_blocks.choose_ipv6(vswitch.ipv6_cidr_block, taken, prefixes, count),
    ]


def prefixes(
    cloud: cloud_module.Cloud,
    vswitch: world_module.VSwitch,
    *,
    six: bool,
    named: Sequence[str],
    count: int,
    beside: Collection[str] = (),
) -> list[str]:
    """The prefixes *named* and *count* others, which hold no address that somebody has.

    400 InvalidParameter (no /28 or /80), QuotaExceeded.PrivateIpAddress; 403
    InvalidVSwitch.Ipv6NotTurnOn, InvalidVSwitchId.IpInvalid, InvalidIp.IpAssigned,
    InvalidVSwitchId.IpNotEnough.
    """
    if not named and not count:
        return []
    if six:
        require_ipv6(vswitch)
    cidr_block = vswitch.ipv6_cidr_block if six else vswitch.cidr_block
    possible = set(eni_blocks.free_prefixes(cidr_block, ()))
    ips, others = _taken(cloud, vswitch, six=six)
    free = eni_blocks.free_prefixes(cidr_block, [*ips, *others, *beside])
    unused_ones = set(free)
    for n, text in enumerate(named):
        block = eni_blocks.parse_prefix(text)
        if block is None:
            name, allowed = ("Ipv6Prefix.N", "/80") if six else ("Ipv4Prefix.N", "/28")
            raise errors.invalid_parameter(name, text, f"an aligned {allowed} block")
        if str(block) not in possible:
            raise _invalid(text, cidr_block)
        if str(block) not in unused_ones or text in named[:n]:
            raise _assigned(text)
    left = [each for each in free if each not in named]
    if len(left) < count:
        raise _not_enough(vswitch, f"{count} prefixes asked, {len(left)} free")
    chosen = eni_blocks.choose_prefixes(left, _freed(cloud, vswitch), count)
    made = [*(str(eni_blocks.parse_prefix(text)) for text in named), *chosen]
    if not six:
        _require_vpc_room(cloud, vswitch.vpc_id, _size(made))
        if free_count(cloud, vswitch, beside=beside) < _size(made):
            raise _not_enough(vswitch, f"{_size(made)} addresses asked")
    return made


def require_ipv6(vswitch: world_module.VSwitch) -> None:
    """403 InvalidVSwitch.Ipv6NotTurnOn."""
    if not vswitch.ipv6_cidr_block:
        raise errors.ApiError(
            "InvalidVSwitch.Ipv6NotTurnOn",
            403,
            f'The specified VSwitch "{vswitch.vswitch_id}" ipv6 function not turn on.',
        )


def parse_ipv6(text: str) -> ipaddress.IPv6Address:
    """The address; 403 InvalidIp.Address."""
    try:
        return ipaddress.IPv6Address(text)
    except ValueError as e:
        raise errors.ApiError(
            "InvalidIp.Address", 403, f"The specified IPv6 address {text} is invalid: {e}."
        ) from e


def forget(cloud: cloud_module.Cloud, vswitch_id: str, texts: Sequence[str]) -> None:
    """Note when addresses and prefixes became free: they are used again last."""
    for text in texts:
        row = {"vswitch_id": vswitch_id, "ip": text, "at_s": cloud.clock.now_s()}
        cloud.store.put(_FREED_KIND, f"{vswitch_id}/{text}", row)


def _limited(
    cloud: cloud_module.Cloud,
    vswitch: world_module.VSwitch,
    left: int,
    beside: Collection[str],
) -> int:
    if vswitch.available_limit < 0:
        return left
    ips, prefixes = _taken(cloud, vswitch, six=False)
    used = _size([*ips, *prefixes, *beside])
    return max(0, min(left, vswitch.available_limit - used))


def _taken(
    cloud: cloud_module.Cloud, vswitch: world_module.VSwitch, *, six: bool
) -> tuple[set[str], list[str]]:
    """Addresses and prefixes of one family that interfaces have."""
    rows = cloud.store.by(eni_model.KIND, "vswitch_id", vswitch.vswitch_id)
    enis = [eni_model.Eni.from_row(row) for row in rows]
    if six:
        return (
            {ip for eni in enis for ip in eni.ipv6s},
            [each for eni in enis for each in eni.ipv6_prefixes],
        )
    return (
        {ip for eni in enis for ip in eni.ips},
        [each for eni in enis for each in eni.ipv4_prefixes],
    )


def _freed(cloud: cloud_module.Cloud, vswitch: world_module.VSwitch) -> Mapping[str, float]:
    rows = cloud.store.by(_FREED_KIND, "vswitch_id", vswitch.vswitch_id)
    return {row["ip"]: row["at_s"] for row in rows}


def _prefixes(texts: Collection[str]) -> list[str]:
    return [text for text in texts if "/" in text]


def _size(texts: Collection[str]) -> int:
    """IPv4 addresses that these addresses and prefixes are."""
    return sum(eni_blocks.IPV4_PREFIX_SIZE if "/" in text else 1 for text in texts)


def _require_vpc_room(cloud: cloud_module.Cloud, vpc_id: str, more: int) -> None:
    limit = cloud.world.quotas.vpc_private_ips
    rows = cloud.store.by(eni_model.KIND, "vpc_id", vpc_id)
    enis = [eni_model.Eni.from_row(row) for row in rows]
    used = sum(_size([*eni.ips, *eni.ipv4_prefixes]) for eni in enis)
    if used + more > limit:
        raise errors.ApiError(
            "QuotaExceeded.PrivateIpAddress",
            400,
            f"The private IP addresses of VPC {vpc_id} exceed the quota {limit}.",
        )


def _invalid(text: str, cidr_block: str) -> errors.ApiError:
    return errors.ApiError(
        "InvalidVSwitchId.IpInvalid", 403, f"{text} cannot be used in {cidr_block}."
    )


def _assigned(text: str) -> errors.ApiError:
    return errors.ApiError("InvalidIp.IpAssigned", 403, f"The specified IP {text} is assigned.")


def _not_enough(vswitch: world_module.VSwitch, why: str) -> errors.ApiError:
    return errors.ApiError(
        "InvalidVSwitchId.IpNotEnough",
        403,
        f"The specified VSwitch {vswitch.vswitch_id} has not enough IpAddress: {why}.",
    )

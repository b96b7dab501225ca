"""What actions on interfaces require before they act; each refusal has the cloud's code.

Codes and statuses: spec/cloud-api.md 4.2, spec/terway.md 8.2. Nothing here writes.
"""

from collections.abc import Sequence

from sim import cloud as cloud_module
from sim import errors
from sim import params as params_module
from sim import world as world_module
from sim.ecs import eni_model, enis, instances
from sim.ecs.eni_model import Eni

_LIST_MAX = 10
_GROUPS_MAX = 10
_COUNT_MAX = 49
_REFUSED = (
    *("Ipv6AddressCount", "Ipv6PrefixCount", "Ipv4PrefixCount", "TrunkNetworkInstanceId"),
    *("Ipv6Address.1", "Ipv6Prefix.1", "Ipv4Prefix.1"),
)


def refuse_other_kinds(params: params_module.Params) -> None:
    """What this cloud does not have, told by name: 400 InvalidParameter."""
    for name in _REFUSED:
        if name in params:
            raise errors.invalid_parameter(name, params.text(name), "absent: IPv4 addresses only")
    params.choice("InstanceType", ("Secondary",))
    params.choice("NetworkInterfaceTrafficMode", ("Standard",))


def vswitch(cloud: cloud_module.Cloud, vswitch_id: str) -> world_module.VSwitch:
    """The vSwitch; 404 InvalidVSwitchId.NotFound."""
    found = cloud.world.vswitch(vswitch_id)
    if found is None:
        raise errors.ApiError(
            "InvalidVSwitchId.NotFound", 404, f"The specified VSwitch {vswitch_id} does not exist."
        )
    return found


def groups(
    cloud: cloud_module.Cloud, wanted: Sequence[str], vpc_id: str, *, joined_by: str = ""
) -> tuple[str, ...]:
    """Security groups for an interface of the VPC, each once.

    joined_by: the interface, which counts as a member of the groups it is in already.
    404 InvalidSecurityGroupId.NotFound, 403 InvalidOperation.VpcMismatch, 403
    SecurityGroupInstanceLimitExceed, 400 InvalidParameter above ten groups.
    """
    group_ids = tuple(dict.fromkeys(wanted))
    if len(group_ids) > _GROUPS_MAX:
        raise errors.invalid_parameter(
            "SecurityGroupIds.N", str(len(group_ids)), f"1 to {_GROUPS_MAX} groups"
        )
    known = {group.security_group_id: group for group in cloud.world.security_groups}
    others = [eni for eni in enis.every(cloud) if eni.eni_id != joined_by]
    limit = cloud.world.quotas.security_group_enis
    for group_id in group_ids:
        if group_id not in known:
            raise errors.ApiError(
                "InvalidSecurityGroupId.NotFound",
                404,
                f"The specified SecurityGroupId {group_id} does not exist.",
            )
        if known[group_id].vpc_id != vpc_id:
            raise errors.ApiError(
                "InvalidOperation.VpcMismatch",
                403,
                f"The security group {group_id} and the interface are in different VPCs.",
            )
        if sum(group_id in eni.security_group_ids for eni in others) >= limit:
            raise errors.ApiError(
                "SecurityGroupInstanceLimitExceed",
                403,
                f"The maximum number of instances in security group {group_id} is exceeded: "
                f"{limit}.",
            )
    return group_ids


def addresses(
    cloud: cloud_module.Cloud,
    source: world_module.VSwitch,
    *,
    named: Sequence[str],
    count: int,
) -> list[str]:
    """The addresses *named* and *count* others of the vSwitch, all different and free.

    400 QuotaExceeded.PrivateIpAddress (of the VPC), 403 InvalidVSwitchId.IpInvalid (not one of
    the block's), InvalidIp.IpAssigned (somebody has it, or named twice),
    InvalidVSwitchId.IpNotEnough.
    """
    _require_vpc_room(cloud, source.vpc_id, len(named) + count)
    free = set(enis.unused_ips(cloud, source))
    allowed = set(eni_model.usable(source.cidr_block))
    for n, ip in enumerate(named):
        if ip not in allowed:
            raise errors.ApiError(
                "InvalidVSwitchId.IpInvalid", 403, f"{ip} cannot be used in {source.cidr_block}."
            )
        if ip not in free or ip in named[:n]:
            raise errors.ApiError(
                "InvalidIp.IpAssigned", 403, f"The specified IP {ip} is assigned."
            )
    return enis.allot(cloud, source, count, named=named)


def names_or_count(params: params_module.Params) -> tuple[list[str], int]:
    """Secondary addresses as the request wants them: named, or so many, not both."""
    named = params.strings("PrivateIpAddress")
    count = params.integer("SecondaryPrivateIpAddressCount", 0, 1, _COUNT_MAX) or 0
    if named and count:
        raise errors.invalid_parameter(
            "PrivateIpAddress.N", named[0], "absent beside SecondaryPrivateIpAddressCount"
        )
    if len(named) > _LIST_MAX:
        raise errors.invalid_parameter(
            "PrivateIpAddress.N", str(len(named)), f"1 to {_LIST_MAX} addresses"
        )
    return named, count


def instance(cloud: cloud_module.Cloud, instance_id: str) -> instances.Instance:
    """The instance; 404 InvalidEcsId.NotFound, 400 InvalidOperation.InvalidEcsState."""
    try:
        found = instances.require(cloud, instance_id)
    except errors.ApiError as e:
        raise errors.ApiError(
            "InvalidEcsId.NotFound", 404, f"The specified instance {instance_id} does not exist."
        ) from e
    if found.state.status not in (instances.RUNNING, instances.STOPPED):
        raise errors.ApiError(
            "InvalidOperation.InvalidEcsState",
            400,
            f"The instance is {found.state.status}, expected Running or Stopped.",
        )
    return found


def require_status(eni: Eni, *expected: str) -> None:
    """400 InvalidOperation.InvalidEniState."""
    if eni.status not in expected:
        raise errors.ApiError(
            "InvalidOperation.InvalidEniState",
            400,
            f"The interface {eni.eni_id} is {eni.status}, expected {' or '.join(expected)}.",
        )


def require_neighbour(cloud: cloud_module.Cloud, eni: Eni, host: instances.Instance) -> None:
    """Interface and instance fit: 403 AvailabilityZoneMismatch, VpcMismatch."""
    declared = host.declared
    if eni.zone_id != declared.zone_id:
        raise errors.ApiError(
            "InvalidOperation.AvailabilityZoneMismatch",
            403,
            f"The interface is in {eni.zone_id}, the instance in {declared.zone_id}.",
        )
    home = cloud.world.vswitch(declared.vswitch_id)
    if home is None or eni.vpc_id != home.vpc_id:
        raise errors.ApiError(
            "InvalidOperation.VpcMismatch",
            403,
            f"The interface {eni.eni_id} and {host.instance_id} are in different VPCs.",
        )


def require_slot(cloud: cloud_module.Cloud, host: instances.Instance) -> None:
    """The instance type takes one more interface: 403 EniPerInstanceLimitExceeded."""
    limit = host.type.eni_quantity
    if len(enis.on_instance(cloud, host.instance_id)) >= limit:
        raise errors.ApiError(
            "EniPerInstanceLimitExceeded",
            403,
            f"The amount of eni on instance {host.instance_id} exceeds the limit {limit} of its "
            "type.",
        )


def require_ip_room(eni: Eni, host: instances.Instance, more: int) -> None:
    """The instance type takes *more* addresses: 403 InvalidOperation.Ipv4CountExceeded."""
    limit = host.type.eni_private_ip_quantity
    if len(eni.ips) + more > limit:
        raise errors.ApiError(
            "InvalidOperation.Ipv4CountExceeded",
            403,
            f"{eni.eni_id} would have {len(eni.ips) + more} addresses; the instance type allows "
            f"{limit}.",
        )


def _require_vpc_room(cloud: cloud_module.Cloud, vpc_id: str, more: int) -> None:
    limit = cloud.world.quotas.vpc_private_ips
    used = sum(len(eni.ips) for eni in enis.every(cloud) if eni.vpc_id == vpc_id)
    if used + more > limit:
        raise errors.ApiError(
            "QuotaExceeded.PrivateIpAddress",
            400,
            f"The private IP addresses of VPC {vpc_id} exceed the quota {limit}.",
        )

"""What actions on interfaces require before they act; each refusal has the cloud's code.

Codes and statuses: spec/cloud-api.md 4.2, spec/terway.md 8.2. Nothing here writes. Limits of
instance types: eni_limits.py; addresses: eni_address_rules.py.
"""

from collections.abc import Sequence

from sim import cloud as cloud_module
from sim import errors
from sim import world as world_module
from sim.ecs import enis, instances
from sim.ecs.eni_model import Eni

_GROUPS_MAX = 10


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

"""Trunk interfaces and their members: an interface reached through another, told by a VLAN id.

Nothing here writes.
"""

import dataclasses

from sim import cloud as cloud_module
from sim import errors
from sim.ecs import eni_limits, eni_model, eni_rules, enis, instances
from sim.ecs.eni_model import Eni

_VLAN_IDS = range(1, 4095)


def members(cloud: cloud_module.Cloud, trunk: Eni) -> list[Eni]:
    """Interfaces that are attached to *trunk*, coming and going ones included."""
    rows = cloud.store.by(eni_model.KIND, "trunk_eni_id", trunk.eni_id)
    return [Eni.from_row(row) for row in rows]


def as_member(cloud: cloud_module.Cloud, eni: Eni, host: instances.Instance, trunk_id: str) -> Eni:
    """*eni* as a member of the trunk, with the lowest VLAN id that is free there.

    404 InvalidEniId.NotFound; 403 InvalidOperation.InvalidEniType (no Secondary one, or the other
    no Trunk), EniPerInstanceLimitExceeded; 400 InvalidOperation.InvalidEniState (the trunk is not
    InUse on the instance); 500 InternalError with network hardware, which has no members.
    """
    trunk = enis.require(cloud, trunk_id)
    if eni.type != eni_model.SECONDARY:
        raise eni_limits.wrong_type(eni, "only Secondary interfaces become members")
    if trunk.type != eni_model.TRUNK:
        raise eni_limits.wrong_type(trunk, "members need a Trunk")
    eni_rules.require_status(trunk, eni_model.IN_USE)
    if trunk.instance_id != host.instance_id:
        raise errors.ApiError(
            "InvalidOperation.InvalidEniState",
            400,
            f"The trunk {trunk_id} is attached to {trunk.instance_id}, not to {host.instance_id}.",
        )
    eni_limits.require_member_slot(cloud, host)
    # The fabric would refuse the port at every later sync, for everybody.
    if cloud.network is not None:
        raise errors.ApiError(
            "InternalError",
            500,
            f"{eni.eni_id} cannot become a member of {trunk_id}: the simulator's network hardware "
            "has no member interfaces.",
        )
    used = {each.vlan_id for each in members(cloud, trunk)}
    vlan_id = next(n for n in _VLAN_IDS if n not in used)
    return dataclasses.replace(eni, type=eni_model.MEMBER, trunk_eni_id=trunk_id, vlan_id=vlan_id)


def require_detachable(cloud: cloud_module.Cloud, eni: Eni, trunk_id: str) -> None:
    """A trunk has no members left, a member is one of *trunk_id* ("" = of any).

    400 InvalidOperation.HasMemberEniAttached, InvalidOperation.InvalidEniState.
    """
    if members(cloud, eni):
        raise errors.ApiError(
            "InvalidOperation.HasMemberEniAttached",
            400,
            f"The trunk {eni.eni_id} has member interfaces attached.",
        )
    if trunk_id and trunk_id != eni.trunk_eni_id:
        raise errors.ApiError(
            "InvalidOperation.InvalidEniState",
            400,
            f"The interface {eni.eni_id} is not attached to the trunk {trunk_id}.",
        )

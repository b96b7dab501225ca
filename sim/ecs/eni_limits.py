"""What an instance's type allows of interfaces and their addresses. Nothing here writes.

Codes: spec/terway.md 8.2 and the error tables of the actions. Which code answers a type that
cannot take a trunk or an RDMA interface is not documented: InvalidOperation.InvalidEniType here.
"""

from sim import cloud as cloud_module
from sim import errors
from sim.ecs import eni_model, enis, instances
from sim.ecs.eni_model import Eni

_DETACHED_IPV6_MAX = 10
"""IPv6 addresses of an interface that is on no instance. Source: AssignIpv6Addresses."""


def require_slot(cloud: cloud_module.Cloud, host: instances.Instance) -> None:
    """The instance takes one more interface of its own: 403 EniPerInstanceLimitExceeded."""
    there = enis.on_instance(cloud, host.instance_id)
    limit = host.type.eni_quantity
    if sum(eni.type != eni_model.MEMBER for eni in there) >= limit:
        raise _too_many(host, limit)
    _require_total(host, len(there))


def require_member_slot(cloud: cloud_module.Cloud, host: instances.Instance) -> None:
    """The instance takes one more member interface: 403 EniPerInstanceLimitExceeded."""
    _require_total(host, len(enis.on_instance(cloud, host.instance_id)))


def require_kind(cloud: cloud_module.Cloud, eni: Eni, host: instances.Instance) -> None:
    """The type takes trunks, one an instance, and so many RDMA interfaces.

    403 InvalidOperation.InvalidEniType (the type has none), EniPerInstanceLimitExceeded.
    """
    there = enis.on_instance(cloud, host.instance_id)
    if eni.type == eni_model.TRUNK:
        if not host.type.eni_trunk_supported:
            raise wrong_type(eni, f"{host.type.instance_type_id} takes no trunk")
        if any(each.type == eni_model.TRUNK for each in there):
            raise _too_many(host, 1)
    if eni.traffic_mode == eni_model.HIGH_PERFORMANCE:
        limit = host.type.eri_quantity
        if not limit:
            raise wrong_type(eni, f"{host.type.instance_type_id} takes no RDMA interface")
        if sum(each.traffic_mode == eni_model.HIGH_PERFORMANCE for each in there) >= limit:
            raise _too_many(host, limit)


def require_ipv4_room(eni: Eni, host: instances.Instance, more: int) -> None:
    """The instance type takes *more* addresses: 403 InvalidOperation.Ipv4CountExceeded."""
    limit = host.type.eni_private_ip_quantity
    if eni.ipv4_count + more > limit:
        raise errors.ApiError(
            "InvalidOperation.Ipv4CountExceeded",
            403,
            f"{eni.eni_id} would have {eni.ipv4_count + more} addresses and prefixes; the "
            f"instance type allows {limit}.",
        )


def require_ipv6_room(eni: Eni, host: instances.Instance | None, more: int) -> None:
    """The interface takes *more* IPv6 addresses, on the instance *host* or on none.

    403 InvalidOperation.Ipv6NotSupport (the type has none), Ipv6CountExceeded.
    """
    count = eni.ipv6_count + more
    limit = host.type.eni_ipv6_quantity if host else _DETACHED_IPV6_MAX
    if host and count and not limit:
        raise errors.ApiError(
            "InvalidOperation.Ipv6NotSupport",
            403,
            f"The instanceType of {host.instance_id} not support ipv6.",
        )
    if count > limit:
        raise errors.ApiError(
            "InvalidOperation.Ipv6CountExceeded",
            403,
            f"{eni.eni_id} would have {count} IPv6 addresses and prefixes; allowed are {limit}.",
        )


def wrong_type(eni: Eni, why: str) -> errors.ApiError:
    """403 InvalidOperation.InvalidEniType."""
    return errors.ApiError(
        "InvalidOperation.InvalidEniType", 403, f"{eni.eni_id} is {eni.type}: {why}."
    )


def _require_total(host: instances.Instance, there: int) -> None:
    """Member interfaces have what eni_total_quantity leaves over, and the other way round."""
    limit = max(host.type.eni_total_quantity, host.type.eni_quantity)
    if there >= limit:
        raise _too_many(host, limit)


def _too_many(host: instances.Instance, limit: int) -> errors.ApiError:
    return errors.ApiError(
        "EniPerInstanceLimitExceeded",
        403,
        f"The amount of eni on instance {host.instance_id} exceeds the limit {limit} of its type.",
    )

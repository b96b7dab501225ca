"""Create, Describe, Attach, Detach, Delete of interfaces, and their secondary addresses.

IPv4 only; trunk and member interfaces, IPv6 and prefixes are refused. Codes and statuses:
spec/cloud-api.md 4.2, spec/terway.md 8.2.
"""

import dataclasses
import secrets
from typing import Any

from sim import actions, errors, paging
from sim import cloud as cloud_module
from sim import params as params_module
from sim import world as world_module
from sim.ecs import eni_model, eni_view, enis, fabric, instances, names
from sim.ecs.eni_model import Eni

VERSION = "2014-05-26"
_COUNT_MAX = 49
_LIST_MAX = 10
_GROUPS_MAX = 10
_REFUSED = ("Ipv6AddressCount", "Ipv4PrefixCount", "Ipv6PrefixCount", "TrunkNetworkInstanceId")


@actions.action(VERSION, "CreateNetworkInterface", idempotent=True)
def create_network_interface(call: actions.Call) -> dict[str, Any]:
    """A new secondary interface, Available after the world's latency."""
    cloud, params = call.cloud, call.params
    _refuse_other_kinds(params)
    vswitch = _vswitch(cloud, params.required("VSwitchId"))
    groups = _groups(cloud, params, vswitch)
    names.require_description(params.text("Description"))
    count = params.integer("SecondaryPrivateIpAddressCount", 0, 1, _COUNT_MAX) or 0
    primary = params.text("PrimaryIpAddress")
    limit = cloud.world.quotas.enis
    if len(enis.every(cloud)) >= limit:
        raise errors.ApiError(
            "MaxEniCountExceeded", 403, f"The maximum number of eni is exceeded: {limit}."
        )
    if primary:
        ips = [_wanted(cloud, vswitch, primary), *enis.allot(cloud, vswitch, count)]
    else:
        ips = enis.allot(cloud, vswitch, count + 1)
    now_s = cloud.clock.now_s()
    eni = Eni(
        eni_id=cloud.ids.new("eni"),
        mac=_new_mac(cloud),
        type=eni_model.SECONDARY,
        status=eni_model.CREATING,
        vswitch_id=vswitch.vswitch_id,
        vpc_id=vswitch.vpc_id,
        zone_id=vswitch.zone_id,
        ips=tuple(ips),
        security_group_ids=groups,
        creation_time=cloud.clock.timestamp(now_s),
        name=params.text("NetworkInterfaceName"),
        description=params.text("Description"),
        resource_group_id=params.text("ResourceGroupId"),
        source_dest_check=params.boolean("SourceDestCheck", default=True) is not False,
        delete_on_release=params.boolean("DeleteOnRelease", default=True) is not False,
        tags=names.parse_tags(params.structs("Tag")),
        due_s=now_s + cloud.latency("create_eni"),
    )
    enis.put(cloud, eni)
    return eni_view.common(cloud.world, eni)


@actions.action(VERSION, "DescribeNetworkInterfaces")
def describe_network_interfaces(call: actions.Call) -> dict[str, Any]:
    """Interfaces that fit every filter."""
    rows = [Eni.from_row(row) for row in call.cloud.view.all(eni_model.KIND)]
    fits = [eni for eni in rows if _fits(eni, call.params)]
    page = paging.either(call.params, fits, lambda eni: eni.eni_id, maximum=500)
    return {
        "NetworkInterfaceSets": {
            "NetworkInterfaceSet": [eni_view.to_api(call.cloud.world, eni) for eni in page.items]
        },
        **page.fields,
    }


@actions.action(VERSION, "AttachNetworkInterface")
def attach_network_interface(call: actions.Call) -> dict[str, Any]:
    """Begin to plug an interface into an instance; InUse after the world's latency."""
    cloud, params = call.cloud, call.params
    _refuse_other_kinds(params)
    eni = enis.require(cloud, params.required("NetworkInterfaceId"))
    instance = _instance(cloud, params.required("InstanceId"))
    if eni.instance_id == instance.instance_id and eni.status in (
        eni_model.ATTACHING,
        eni_model.IN_USE,
    ):
        return {}
    _require_status(eni, eni_model.AVAILABLE)
    if eni.zone_id != instance.declared.zone_id:
        raise errors.ApiError(
            "InvalidOperation.AvailabilityZoneMismatch",
            403,
            f"The interface is in {eni.zone_id}, the instance in {instance.declared.zone_id}.",
        )
    present = enis.on_instance(cloud, instance.instance_id)
    if len(present) >= instance.type.eni_quantity:
        raise errors.ApiError(
            "EniPerInstanceLimitExceeded",
            403,
            f"The amount of eni on instance {instance.instance_id} exceeds the limit "
            f"{instance.type.eni_quantity} of its type.",
        )
    _require_ip_room(eni, instance, 0)
    due_s = cloud.clock.now_s() + cloud.latency("attach_eni")
    enis.put(
        cloud,
        dataclasses.replace(
            eni, status=eni_model.ATTACHING, instance_id=instance.instance_id, due_s=due_s
        ),
    )
    return {}


@actions.action(VERSION, "DetachNetworkInterface")
def detach_network_interface(call: actions.Call) -> dict[str, Any]:
    """Begin to unplug an interface; Available after the world's latency."""
    cloud, params = call.cloud, call.params
    eni = enis.require(cloud, params.required("NetworkInterfaceId"))
    instance = _instance(cloud, params.required("InstanceId"))
    if eni.type == eni_model.PRIMARY:
        raise errors.ApiError(
            "InvalidOperation.DetachPrimaryEniNotAllowed",
            400,
            "The primary network interface cannot be detached.",
        )
    if eni.status in (eni_model.AVAILABLE, eni_model.DETACHING):
        return {}
    _require_status(eni, eni_model.IN_USE)
    if eni.instance_id != instance.instance_id:
        raise errors.ApiError(
            "InvalidOperation.InvalidEniState",
            400,
            f"The interface is attached to {eni.instance_id}, not to {instance.instance_id}.",
        )
    due_s = cloud.clock.now_s() + cloud.latency("detach_eni")
    enis.put(cloud, dataclasses.replace(eni, status=eni_model.DETACHING, due_s=due_s))
    return {}


@actions.action(VERSION, "DeleteNetworkInterface")
def delete_network_interface(call: actions.Call) -> dict[str, Any]:
    """Delete an interface that is attached nowhere."""
    cloud = call.cloud
    eni = enis.require(cloud, call.params.required("NetworkInterfaceId"))
    if eni.status == eni_model.DELETING:
        return {}
    _require_status(eni, eni_model.AVAILABLE)
    due_s = cloud.clock.now_s() + cloud.latency("delete_eni")
    enis.put(cloud, dataclasses.replace(eni, status=eni_model.DELETING, due_s=due_s))
    return {}


@actions.action(VERSION, "AssignPrivateIpAddresses", idempotent=True)
def assign_private_ip_addresses(call: actions.Call) -> dict[str, Any]:
    """More addresses for an interface: a count, or those named."""
    cloud, params = call.cloud, call.params
    _refuse_other_kinds(params)
    eni = enis.require(cloud, params.required("NetworkInterfaceId"))
    _require_status(eni, eni_model.AVAILABLE, eni_model.IN_USE)
    vswitch = _vswitch(cloud, eni.vswitch_id)
    named = params.strings("PrivateIpAddress")
    count = params.integer("SecondaryPrivateIpAddressCount", 0, 1, _COUNT_MAX) or 0
    if bool(named) == bool(count):
        raise errors.missing_parameter("PrivateIpAddress.N or SecondaryPrivateIpAddressCount")
    if len(named) > _LIST_MAX:
        raise errors.invalid_parameter("PrivateIpAddress.N", str(len(named)), "1 to 10 addresses")
    if eni.instance_id:
        _require_ip_room(eni, _instance(cloud, eni.instance_id), count or len(named))
    if named:
        added = [_wanted(cloud, vswitch, ip) for ip in named]
    else:
        added = enis.allot(cloud, vswitch, count)
    enis.put(cloud, dataclasses.replace(eni, ips=(*eni.ips, *added)))
    fabric.act(cloud, enis.every(cloud))
    return {
        "AssignedPrivateIpAddressesSet": {
            "NetworkInterfaceId": eni.eni_id,
            "PrivateIpSet": {"PrivateIpAddress": added},
            "Ipv4PrefixSet": {"Ipv4Prefixes": []},
        }
    }


@actions.action(VERSION, "UnassignPrivateIpAddresses")
def unassign_private_ip_addresses(call: actions.Call) -> dict[str, Any]:
    """Give secondary addresses back; all of them or none."""
    cloud, params = call.cloud, call.params
    eni = enis.require(cloud, params.required("NetworkInterfaceId"))
    _require_status(eni, eni_model.AVAILABLE, eni_model.IN_USE)
    named = params.strings("PrivateIpAddress")
    if not named:
        raise errors.missing_parameter("PrivateIpAddress.N")
    for ip in named:
        if ip not in eni.ips:
            raise errors.ApiError(
                "InvalidIp.IpUnassigned", 400, f"The specified IP {ip} is not assigned."
            )
        if ip == eni.ips[0]:
            raise errors.ApiError(
                "InvalidOperation.PrimaryIp", 400, f"The primary IP {ip} cannot be unassigned."
            )
    enis.put(cloud, dataclasses.replace(eni, ips=tuple(ip for ip in eni.ips if ip not in named)))
    enis.forget_ips(cloud, tuple(named))
    fabric.act(cloud, enis.every(cloud))
    return {}


def _refuse_other_kinds(params: params_module.Params) -> None:
    """What this cloud does not have, told by name."""
    for name in _REFUSED:
        if name in params:
            raise errors.invalid_parameter(name, params.text(name), "absent: IPv4 addresses only")
    params.choice("InstanceType", ("Secondary",))
    params.choice("NetworkInterfaceTrafficMode", ("Standard",))


def _vswitch(cloud: cloud_module.Cloud, vswitch_id: str) -> world_module.VSwitch:
    vswitch = cloud.world.vswitch(vswitch_id)
    if vswitch is None:
        raise errors.ApiError(
            "InvalidVSwitchId.NotFound", 404, f"The specified VSwitch {vswitch_id} does not exist."
        )
    return vswitch


def _groups(
    cloud: cloud_module.Cloud, params: params_module.Params, vswitch: world_module.VSwitch
) -> tuple[str, ...]:
    wanted = params.strings("SecurityGroupIds") or [params.required("SecurityGroupId")]
    if len(wanted) > _GROUPS_MAX:
        raise errors.invalid_parameter("SecurityGroupIds.N", str(len(wanted)), "1 to 10 groups")
    known = {group.security_group_id: group for group in cloud.world.security_groups}
    for group_id in wanted:
        if group_id not in known:
            raise errors.ApiError(
                "InvalidSecurityGroupId.NotFound",
                404,
                f"The specified SecurityGroupId {group_id} does not exist.",
            )
        if known[group_id].vpc_id != vswitch.vpc_id:
            raise errors.ApiError(
                "InvalidOperation.VpcMismatch",
                403,
                f"The security group {group_id} and the VSwitch are in different VPCs.",
            )
    return tuple(wanted)


def _wanted(cloud: cloud_module.Cloud, vswitch: world_module.VSwitch, ip: str) -> str:
    """A certain address; 403 when the block does not have it, 400 when somebody has it."""
    if ip not in eni_model.usable(vswitch.cidr_block):
        raise errors.ApiError(
            "InvalidVSwitchId.IpInvalid", 403, f"{ip} cannot be used in {vswitch.cidr_block}."
        )
    if ip not in enis.free_ips(cloud, vswitch):
        raise errors.ApiError("InvalidIp.IpAssigned", 400, f"The specified IP {ip} is assigned.")
    return ip


def _instance(cloud: cloud_module.Cloud, instance_id: str) -> instances.Instance:
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


def _require_status(eni: Eni, *expected: str) -> None:
    if eni.status not in expected:
        raise errors.ApiError(
            "InvalidOperation.InvalidEniState",
            400,
            f"The interface {eni.eni_id} is {eni.status}, expected {' or '.join(expected)}.",
        )


def _require_ip_room(eni: Eni, instance: instances.Instance, more: int) -> None:
    limit = instance.type.eni_private_ip_quantity
    if len(eni.ips) + more > limit:
        raise errors.ApiError(
            "InvalidOperation.Ipv4CountExceeded",
            403,
            f"{eni.eni_id} would have {len(eni.ips) + more} addresses; the instance type allows "
            f"{limit}.",
        )


def _new_mac(cloud: cloud_module.Cloud) -> str:
    taken = {eni.mac for eni in enis.every(cloud)}
    while True:
        mac = "00:16:3e:" + secrets.token_bytes(3).hex(":")
        if mac not in taken:
            return mac


def _fits(eni: Eni, params: params_module.Params) -> bool:
    ids = params.strings("NetworkInterfaceId")
    ips = params.strings("PrivateIpAddress")
    return (
        (not ids or eni.eni_id in ids)
        and (not ips or bool(set(ips) & set(eni.ips)))
        and params.text("InstanceId", eni.instance_id) == eni.instance_id
        and params.text("Type", eni.type) == eni.type
        and params.text("Status", eni.status) == eni.status
        and params.text("VSwitchId", eni.vswitch_id) == eni.vswitch_id
        and params.text("VpcId", eni.vpc_id) == eni.vpc_id
        and params.text("NetworkInterfaceName", eni.name) == eni.name
        and params.text("SecurityGroupId") in ("", *eni.security_group_ids)
        and names.match(eni.tags, names.parse_filter(params.structs("Tag")))
    )

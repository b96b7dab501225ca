"""Create, Describe, Attach, Detach, Delete of interfaces."""

import dataclasses
import secrets
from typing import Any

from sim import actions, errors, paging
from sim import cloud as cloud_module
from sim import params as params_module
from sim import world as world_module
from sim.ecs import (
    eni_address_rules,
    eni_limits,
    eni_model,
    eni_rules,
    eni_trunks,
    eni_view,
    enis,
    names,
)
from sim.ecs.eni_model import Eni

VERSION = "2014-05-26"
_IDS_MAX = 100


@actions.action(VERSION, "CreateNetworkInterface", idempotent=True)
def create_network_interface(call: actions.Call) -> dict[str, Any]:
    """A new secondary or trunk interface, Available after the world's latency."""
    cloud, params = call.cloud, call.params
    kind = params.choice("InstanceType", (eni_model.SECONDARY, eni_model.TRUNK))
    traffic_mode = _traffic_mode(cloud, params)
    vswitch = eni_rules.vswitch(cloud, params.required("VSwitchId"))
    wanted = params.strings("SecurityGroupIds")
    if wanted and "SecurityGroupId" in params:
        raise errors.invalid_parameter(
            "SecurityGroupId", params.text("SecurityGroupId"), "absent beside SecurityGroupIds.N"
        )
    wanted = wanted or [params.required("SecurityGroupId")]
    groups = eni_rules.groups(cloud, wanted, vswitch.vpc_id)
    name = params.text("NetworkInterfaceName")
    names.require_name("NetworkInterfaceName", name, code="InvalidParameter")
    names.require_description(params.text("Description"))
    limit = cloud.world.quotas.enis
    if len(enis.every(cloud)) >= limit:
        raise errors.ApiError(
            "MaxEniCountExceeded", 403, f"The maximum number of eni is exceeded: {limit}."
        )
    given = _first_addresses(cloud, params, vswitch)
    now_s = cloud.clock.now_s()
    eni = Eni(
        eni_id=cloud.ids.new("eni"),
        mac=_new_mac(cloud),
        type=kind or eni_model.SECONDARY,
        traffic_mode=traffic_mode,
        status=eni_model.CREATING,
        vswitch_id=vswitch.vswitch_id,
        vpc_id=vswitch.vpc_id,
        zone_id=vswitch.zone_id,
        ips=given.ips,
        ipv6s=given.ipv6s,
        ipv4_prefixes=given.ipv4_prefixes,
        ipv6_prefixes=given.ipv6_prefixes,
        security_group_ids=groups,
        creation_time=cloud.clock.timestamp(now_s),
        name=name,
        description=params.text("Description"),
        resource_group_id=params.text("ResourceGroupId"),
        source_dest_check=params.boolean("SourceDestCheck", default=True) is not False,
        delete_on_release=params.boolean("DeleteOnRelease", default=True) is not False,
        tags=names.parse_tags(params.structs("Tag")),
        due_s=now_s + cloud.latency("create_eni"),
    )
    eni_limits.require_ipv6_room(eni, None, 0)
    enis.put(cloud, eni)
    return eni_view.common(cloud.world, eni)


@actions.action(VERSION, "DescribeNetworkInterfaces")
def describe_network_interfaces(call: actions.Call) -> dict[str, Any]:
    """Interfaces that fit every filter."""
    wanted = len(call.params.strings("NetworkInterfaceId"))
    if wanted > _IDS_MAX:
        raise errors.invalid_parameter(
            "NetworkInterfaceId.N", f"{wanted} ids", f"up to {_IDS_MAX} ids"
        )
    rows = [Eni.from_row(row) for row in call.cloud.view.all(eni_model.KIND)]
    fits = [eni for eni in rows if _fits(eni, call.params)]
    page = paging.either(
        call.params,
        fits,
        lambda eni: eni.eni_id,
        maximum=500,
        clamps=True,
        number_maximum=1000,
    )
    return {
        "NetworkInterfaceSets": {
            "NetworkInterfaceSet": [eni_view.to_api(call.cloud.world, eni) for eni in page.items]
        },
        **page.fields,
    }


@actions.action(VERSION, "AttachNetworkInterface")
def attach_network_interface(call: actions.Call) -> dict[str, Any]:
    """Begin to plug an interface into an instance; InUse after the world's latency.

    With TrunkNetworkInstanceId it becomes a member of that trunk.
    """
    cloud, params = call.cloud, call.params
    eni = enis.require(cloud, params.required("NetworkInterfaceId"))
    instance = eni_rules.instance(cloud, params.required("InstanceId"))
    if eni.instance_id == instance.instance_id and eni.status in (
        eni_model.ATTACHING,
        eni_model.IN_USE,
    ):
        return {}
    eni_rules.require_status(eni, eni_model.AVAILABLE)
    eni_rules.require_neighbour(cloud, eni, instance)
    eni_limits.require_ipv4_room(eni, instance, 0)
    eni_limits.require_ipv6_room(eni, instance, 0)
    eni_limits.require_kind(cloud, eni, instance)
    trunk_id = params.text("TrunkNetworkInstanceId")
    if trunk_id:
        eni = eni_trunks.as_member(cloud, eni, instance, trunk_id)
    else:
        eni_limits.require_slot(cloud, instance)
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
    instance = eni_rules.instance(cloud, params.required("InstanceId"))
    if eni.type == eni_model.PRIMARY:
        raise errors.ApiError(
            "InvalidOperation.DetachPrimaryEniNotAllowed",
            400,
            "The primary network interface cannot be detached.",
        )
    if eni.status in (eni_model.AVAILABLE, eni_model.DETACHING):
        return {}
    eni_rules.require_status(eni, eni_model.IN_USE)
    if eni.instance_id != instance.instance_id:
        raise errors.ApiError(
            "InvalidOperation.InvalidEniState",
            400,
            f"The interface is attached to {eni.instance_id}, not to {instance.instance_id}.",
        )
    eni_trunks.require_detachable(cloud, eni, params.text("TrunkNetworkInstanceId"))
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
    eni_rules.require_status(eni, eni_model.AVAILABLE)
    due_s = cloud.clock.now_s() + cloud.latency("delete_eni")
    enis.put(cloud, dataclasses.replace(eni, status=eni_model.DELETING, due_s=due_s))
    return {}


def _traffic_mode(cloud: cloud_module.Cloud, params: params_module.Params) -> str:
    """RDMA only where some instance type of the world takes it: 400 InvalidParameter."""
    modes: tuple[str, ...] = (eni_model.STANDARD,)
    if any(row.eri_quantity for row in cloud.world.instance_types):
        modes = (*modes, eni_model.HIGH_PERFORMANCE)
    return params.choice("NetworkInterfaceTrafficMode", modes) or eni_model.STANDARD


def _first_addresses(
    cloud: cloud_module.Cloud, params: params_module.Params, vswitch: world_module.VSwitch
) -> eni_address_rules.Given:
    """Addresses and prefixes of a new interface, its primary address first."""
    primary = params.text("PrimaryIpAddress")
    wanted = eni_address_rules.ips(params)
    addresses = eni_address_rules.Wanted(
        named=(primary, *wanted.named) if primary else wanted.named,
        count=wanted.count if primary else wanted.count + 1,
    )
    four = eni_address_rules.hand_out_ipv4(
        cloud, vswitch, addresses=addresses, prefixes=eni_address_rules.ipv4_prefixes(params)
    )
    six = eni_address_rules.hand_out_ipv6(
        cloud,
        vswitch,
        addresses=eni_address_rules.ipv6s(params),
        prefixes=eni_address_rules.ipv6_prefixes(params),
    )
    ips = four.ips
    if wanted.named and not primary:
        *secondary, chosen = ips
        ips = (chosen, *secondary)
    return dataclasses.replace(four, ips=ips, ipv6s=six.ipv6s, ipv6_prefixes=six.ipv6_prefixes)


def _new_mac(cloud: cloud_module.Cloud) -> str:
    taken = {eni.mac for eni in enis.every(cloud)}
    while True:
        mac = "00:16:3e:" + secrets.token_bytes(3).hex(":")
        if mac not in taken:
            return mac


def _fits(eni: Eni, params: params_module.Params) -> bool:
    ids = params.strings("NetworkInterfaceId")
    ips, ipv6s = params.strings("PrivateIpAddress"), params.strings("Ipv6Address")
    same = {
        "InstanceId": eni.instance_id,
        "NetworkInterfaceName": eni.name,
        "PrimaryIpAddress": eni.ips[0],
        "ResourceGroupId": eni.resource_group_id,
        "Status": eni.status,
        "Type": eni.type,
        "VSwitchId": eni.vswitch_id,
        "VpcId": eni.vpc_id,
    }
    return (
        (not ids or eni.eni_id in ids)
        and (not ips or bool(set(ips) & set(eni.ips)))
        and all(params.text(name, value) == value for name, value in same.items())
        and params.text("SecurityGroupId") in ("", *eni.security_group_ids)
        and (not ipv6s or bool(set(ipv6s) & set(eni.ipv6s)))
        and not params.boolean("ServiceManaged")
        and names.match(eni.tags, names.parse_filter(params.structs("Tag")))
    )

"""Interfaces as Create and Describe show them: every key of the SDK's models."""

from typing import Any

from sim import world as world_module
from sim.ecs import eni_model

_NO_PUBLIC_IP = {"AllocationId": "", "PublicIpAddress": ""}


def to_api(world: world_module.World, eni: eni_model.Eni) -> dict[str, Any]:
    """One element of NetworkInterfaceSets.NetworkInterfaceSet."""
    shared = common(world, eni)
    return {
        **shared,
        "InstanceId": eni.instance_id,
        "CreationTime": eni.creation_time,
        "DeleteOnRelease": eni.delete_on_release,
        "NetworkInterfaceTrafficMode": "Standard",
        "QueueNumber": 2,
        "QueuePairNumber": 0,
        "AssociatedPublicIp": dict(_NO_PUBLIC_IP),
        "PrivateIpSets": {
            "PrivateIpSet": [
                {**each, "PrivateDnsName": "", "AssociatedPublicIp": dict(_NO_PUBLIC_IP)}
                for each in shared["PrivateIpSets"]["PrivateIpSet"]
            ]
        },
        "Attachment": {
            "InstanceId": eni.instance_id,
            "TrunkNetworkInterfaceId": "",
            "DeviceIndex": 0,
            "NetworkCardIndex": 0,
        },
    }


def common(world: world_module.World, eni: eni_model.Eni) -> dict[str, Any]:
    """What CreateNetworkInterface and Describe share."""
    return {
        "NetworkInterfaceId": eni.eni_id,
        "NetworkInterfaceName": eni.name,
        "Description": eni.description,
        "Status": eni.status,
        "Type": eni.type,
        "MacAddress": eni.mac,
        "VpcId": eni.vpc_id,
        "VSwitchId": eni.vswitch_id,
        "ZoneId": eni.zone_id,
        "PrivateIpAddress": eni.ips[0],
        "ResourceGroupId": eni.resource_group_id,
        "OwnerId": world.account_id,
        "ServiceID": 0,
        "ServiceManaged": False,
        "SourceDestCheck": eni.source_dest_check,
        "PrivateIpSets": {
            "PrivateIpSet": [
                {"PrivateIpAddress": ip, "Primary": ip == eni.ips[0]} for ip in eni.ips
            ]
        },
        "Ipv6Sets": {"Ipv6Set": []},
        "Ipv4PrefixSets": {"Ipv4PrefixSet": []},
        "Ipv6PrefixSets": {"Ipv6PrefixSet": []},
        "SecurityGroupIds": {"SecurityGroupId": list(eni.security_group_ids)},
        "Tags": {"Tag": [{"TagKey": k, "TagValue": v} for k, v in eni.tags.items()]},
    }

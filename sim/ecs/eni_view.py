"""Interfaces as Create and Describe show them: every key of the SDK's models."""

from collections.abc import Sequence
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
        "NetworkInterfaceTrafficMode": eni.traffic_mode,
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
            "TrunkNetworkInterfaceId": eni.trunk_eni_id,
            "DeviceIndex": eni.vlan_id,
            "NetworkCardIndex": 0,
        },
    }


def attribute(
    world: world_module.World, eni: eni_model.Eni, *, member_ids: Sequence[str]
) -> dict[str, Any]:
    """DescribeNetworkInterfaceAttribute's answer: the element, and what only that action tells.

    member_ids: interfaces that are attached to it, when it is a trunk.
    """
    shown = to_api(world, eni)
    return {
        **shown,
        "TcpOptionAddressEnabled": "false",
        "Attachment": {
            **shown["Attachment"],
            "MemberNetworkInterfaceIds": {"MemberNetworkInterfaceId": list(member_ids)},
        },
        "PrivateIpSets": {
            "PrivateIpSet": [
                {name: value for name, value in each.items() if name != "PrivateDnsName"}
                for each in shown["PrivateIpSets"]["PrivateIpSet"]
            ]
        },
        "BondInterfaceSpecification": {
            "BondMode": "",
            "SlaveInterfaceSpecification": {"SlaveInterfaceSpecificationSet": []},
        },
        "SlaveInterfaceSpecification": {
            "BondNetworkInterfaceId": "",
            "SlaveNetworkInterfaceId": "",
            "WorkState": "",
        },
        "ConnectionTrackingConfiguration": {
            "TcpClosedAndTimeWaitTimeout": 3,
            "TcpEstablishedTimeout": 910,
            "UdpTimeout": 30,
        },
        "EnhancedNetwork": {
            "EnableExpress": False,
            "EnableRss": False,
            "EnableSriov": False,
            "VirtualFunctionQuantity": 0,
            "VirtualFunctionTotalQueueNumber": 0,
        },
        "NetworkInterfaceTrafficConfig": {
            "NetworkInterfaceTrafficMode": eni.traffic_mode,
            "QueueNumber": shown["QueueNumber"],
            "QueuePairNumber": 0,
        },
        "QoSConfig": {
            "EnableQoS": False,
            "QoS": dict.fromkeys(
                ("BandwidthRx", "BandwidthTx", "ConcurrentConnections", "PpsRx", "PpsTx"), 0
            ),
        },
    }


def of_instance(eni: eni_model.Eni) -> dict[str, Any]:
    """One element of an instance's NetworkInterfaces.NetworkInterface."""
    return {
        "NetworkInterfaceId": eni.eni_id,
        "MacAddress": eni.mac,
        "PrimaryIpAddress": eni.ips[0],
        "Type": eni.type,
        "PrivateIpSets": {
            "PrivateIpSet": [
                {"PrivateDnsName": "", "PrivateIpAddress": ip, "Primary": ip == eni.ips[0]}
                for ip in eni.ips
            ]
        },
        **_more_addresses(eni),
    }


def _more_addresses(eni: eni_model.Eni) -> dict[str, Any]:
    return {
        "Ipv6Sets": {"Ipv6Set": [{"Ipv6Address": ip, "Primary": False} for ip in eni.ipv6s]},
        "Ipv4PrefixSets": {"Ipv4PrefixSet": [{"Ipv4Prefix": one} for one in eni.ipv4_prefixes]},
        "Ipv6PrefixSets": {"Ipv6PrefixSet": [{"Ipv6Prefix": one} for one in eni.ipv6_prefixes]},
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
        **_more_addresses(eni),
        "SecurityGroupIds": {"SecurityGroupId": list(eni.security_group_ids)},
        "Tags": {"Tag": [{"TagKey": k, "TagValue": v} for k, v in eni.tags.items()]},
    }

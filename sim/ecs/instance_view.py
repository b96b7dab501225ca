"""Instances and types as Describe shows them: every key of the SDK's model, neutral if unknown."""

from collections.abc import Sequence
from typing import Any

from sim import world as world_module
from sim.ecs import eni_model, eni_view
from sim.ecs.instances import Instance

_STOP_CHARGING = "KeepCharging"
_NO_EXTRAS = {
    "LocalStorageAmount": 0,
    "LocalStorageCapacity": 0,
    "LocalStorageCategory": "",
    "GPUAmount": 0,
    "GPUSpec": "",
    "GPUMemorySize": 0.0,
    "BaselineCredit": 0,
    "InitialCredit": 0,
}
"""Local disks, GPUs and CPU credits, which no instance type of this cloud has."""


def to_api(
    world: world_module.World, instance: Instance, enis: Sequence[eni_model.Eni]
) -> dict[str, Any]:
    """One element of Instances.Instance. enis: its interfaces, the primary one first."""
    declared, state, kind = instance.declared, instance.state, instance.type
    return {
        "InstanceId": declared.instance_id,
        "InstanceName": declared.name,
        "HostName": declared.name,
        "Description": "",
        "RegionId": world.region_id,
        "ZoneId": declared.zone_id,
        "ClusterId": "",
        "InstanceType": declared.instance_type_id,
        "InstanceTypeFamily": kind.family,
        "Status": state.status,
        "StoppedMode": _STOP_CHARGING if state.status == "Stopped" else "Not-applicable",
        "Cpu": kind.cpu_cores,
        "Memory": int(kind.memory_gib * 1024),
        "SerialNumber": declared.serial_number,
        "ImageId": declared.image_id,
        "CreationTime": state.creation_time,
        "StartTime": state.start_time,
        "ExpiredTime": "2099-12-31T15:59Z",
        "AutoReleaseTime": "",
        "VlanId": "",
        **_charging(),
        **_hardware(),
        **_system(),
        **_network(world, declared),
        "NetworkInterfaces": {"NetworkInterface": [eni_view.of_instance(eni) for eni in enis]},
        "Tags": {"Tag": [{"TagKey": key, "TagValue": text} for key, text in state.tags.items()]},
        "OperationLocks": {
            "LockReason": [
                {"LockMsg": "", "LockReason": reason} for reason in state.operation_locks
            ]
        },
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": declared.http_tokens,
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "",
        },
    }


def _charging() -> dict[str, Any]:
    return {
        "InstanceChargeType": "PostPaid",
        "InternetChargeType": "PayByTraffic",
        "InternetMaxBandwidthIn": 100,
        "InternetMaxBandwidthOut": 0,
        "SaleCycle": "",
        "SpotStrategy": "NoSpot",
        "SpotPriceLimit": 0.0,
        "SpotDuration": 0,
        "SpotInterruptionBehavior": "Terminate",
        "CreditSpecification": "",
        "ResourceGroupId": "",
        "ISP": "",
        "Recyclable": False,
        "DeletionProtection": False,
        "EcsCapacityReservationAttr": {
            "CapacityReservationId": "",
            "CapacityReservationPreference": "",
        },
    }


def _hardware() -> dict[str, Any]:
    return {
        "GPUAmount": 0,
        "GPUSpec": "",
        "LocalStorageAmount": 0,
        "LocalStorageCapacity": 0,
        "IoOptimized": True,
        "DeviceAvailable": True,
        "EnableNVS": False,
        "DeploymentSetId": "",
        "DeploymentSetGroupNo": 0,
        "HpcClusterId": "",
        "DedicatedHostAttribute": {
            "DedicatedHostClusterId": "",
            "DedicatedHostId": "",
            "DedicatedHostName": "",
        },
        "DedicatedInstanceAttribute": {"Affinity": "", "Tenancy": ""},
        "CpuOptions": {
            "CoreCount": 0,
            "ThreadsPerCore": 0,
            "Numa": "",
            "TopologyType": "",
            "TurboMode": "",
            "NestedVirtualization": "",
            "EnableVISST": False,
            "EnableVRDT": False,
        },
        "ClockOptions": {"PtpStatus": ""},
        "AdditionalInfo": {
            "EnableHighDensityMode": False,
            "ManagedHostId": "",
            "NodeSerialNumber": "",
        },
    }


def _system() -> dict[str, Any]:
    return {
        "OSName": "Alibaba Cloud Linux 3 64bit",
        "OSNameEn": "Alibaba Cloud Linux 3 64 bit",
        "OSType": "linux",
        "KeyPairName": "",
        "HibernationOptions": {"Configured": False},
        "ImageOptions": {"CurrentOSNVMeSupported": True, "LoginAsNonRoot": False},
        "SecurityOptions": {"EnableSecureBoot": False},
    }


def _network(world: world_module.World, declared: world_module.Instance) -> dict[str, Any]:
    vswitch = world.vswitch(declared.vswitch_id)
    return {
        "InstanceNetworkType": "vpc",
        "VpcAttributes": {
            "VpcId": vswitch.vpc_id if vswitch else "",
            "VSwitchId": declared.vswitch_id,
            "NatIpAddress": "",
            "PrivateIpAddress": {"IpAddress": [declared.private_ip]},
        },
        "SecurityGroupIds": {"SecurityGroupId": list(declared.security_group_ids)},
        "PublicIpAddress": {"IpAddress": []},
        "InnerIpAddress": {"IpAddress": []},
        "RdmaIpAddress": {"IpAddress": []},
        "EipAddress": {
            "AllocationId": "",
            "IpAddress": "",
            "InternetChargeType": "",
            "Bandwidth": 0,
            "IsSupportUnassociate": False,
        },
        "PrivateDnsNameOptions": {
            "HostnameType": "",
            "EnableInstanceIdDnsARecord": False,
            "EnableInstanceIdDnsAAAARecord": False,
            "EnableIpDnsARecord": False,
            "EnableIpDnsPtrRecord": False,
        },
    }


def type_to_api(kind: world_module.InstanceType) -> dict[str, Any]:
    """One element of InstanceTypes.InstanceType."""
    return {
        "InstanceTypeId": kind.instance_type_id,
        "InstanceTypeFamily": kind.family,
        "InstanceCategory": "General-purpose",
        "InstanceFamilyLevel": "EnterpriseLevel",
        "CpuArchitecture": "X86",
        "CpuCoreCount": kind.cpu_cores,
        "CpuSpeedFrequency": 2.7,
        "CpuTurboFrequency": 3.5,
        "PhysicalProcessorModel": "Intel Xeon (Ice Lake) Platinum 8369B",
        "MemorySize": kind.memory_gib,
        "DiskQuantity": kind.disk_quantity,
        "NvmeSupport": kind.nvme,
        **_NO_EXTRAS,
        "InstanceBandwidthRx": 2_048_000,
        "InstanceBandwidthTx": 2_048_000,
        "InstancePpsRx": 900_000,
        "InstancePpsTx": 900_000,
        "EniQuantity": kind.eni_quantity,
        "EniTotalQuantity": kind.eni_total_quantity,
        "EniPrivateIpAddressQuantity": kind.eni_private_ip_quantity,
        "EniIpv6AddressQuantity": kind.eni_ipv6_quantity,
        "EniTrunkSupported": kind.eni_trunk_supported,
        "EriQuantity": kind.eri_quantity,
        "NetworkCardQuantity": 1,
        "PrimaryEniQueueNumber": 2,
        "SecondaryEniQueueNumber": 2,
        "MaximumQueueNumberPerEni": 2,
        "TotalEniQueueQuantity": 2 * kind.eni_quantity,
        "QueuePairNumber": 0,
        "JumboFrameSupport": True,
        "NetworkEncryptionSupport": False,
        "Attributes": {"Attribute": []},
        "Clock": {"PtpSupport": "unsupported"},
        "CpuOptions": {
            "Core": max(1, kind.cpu_cores // 2),
            "CoreFactor": 1,
            "ThreadsPerCore": 2,
            "HyperThreadingAdjustable": True,
            "NestedVirtualizationSupport": "unsupported",
            "SupportedTopologyTypes": {"SupportedTopologyType": []},
        },
        "EnhancedNetwork": {
            "VfQueueNumberPerEni": 0,
            "ExpressSupport": False,
            "RssSupport": False,
            "SriovSupport": False,
        },
        "NetworkCards": {"NetworkCardInfo": [{"NetworkCardIndex": 0}]},
        "NetworkInfo": {"BandwidthWeighting": {"WeightingInfos": {"WeightingInfo": []}}},
        "SecurityOptions": {"SecureBootSupport": "unsupported"},
        "SupportedBootModes": {"SupportedBootMode": ["BIOS", "UEFI"]},
    }

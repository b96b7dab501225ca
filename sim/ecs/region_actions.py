"""DescribeRegions, DescribeZones and DescribeAvailableResource: what is on sale where."""

from typing import Any

from sim import actions, errors
from sim import params as params_module
from sim import world as world_module
from sim.ecs import categories, stock

VERSION = "2014-05-26"
_SOLD_OUT = "WithoutStock"
_RESOURCE_TYPES = ("disk", "instance")
_DESTINATIONS = ("DataDisk", "SystemDisk", "InstanceType", "Zone")


@actions.action(VERSION, "DescribeRegions")
def describe_regions(call: actions.Call) -> dict[str, Any]:
    """The one region of the world."""
    world = call.cloud.world
    region = {
        "RegionId": world.region_id,
        "LocalName": world.local_name,
        "RegionEndpoint": f"ecs.{world.region_id}.aliyuncs.com",
        "Status": "available",
    }
    return {"Regions": {"Region": [region]}}


@actions.action(VERSION, "DescribeZones")
def describe_zones(call: actions.Call) -> dict[str, Any]:
    """Zones with the disk categories and instance types they sell."""
    world = call.cloud.world
    verbose = call.params.boolean("Verbose", default=True)
    zones = [_zone(world, zone, verbose=verbose is not False) for zone in world.zones]
    return {"Zones": {"Zone": zones}}


def _zone(world: world_module.World, zone: world_module.Zone, *, verbose: bool) -> dict[str, Any]:
    sold = [row.category for row in stock.offers(world, zone.zone_id) if row.status != _SOLD_OUT]
    shown: dict[str, Any] = {
        "ZoneId": zone.zone_id,
        "LocalName": zone.local_name or zone.zone_id,
        "ZoneType": "AvailabilityZone",
    }
    if not verbose:
        return shown
    types = [kind.instance_type_id for kind in world.instance_types]
    families = sorted({kind.family for kind in world.instance_types})
    resources = {
        "IoOptimized": True,
        "DataDiskCategories": {"supportedDataDiskCategory": sold},
        "SystemDiskCategories": {"supportedSystemDiskCategory": sold},
        "InstanceGenerations": {"supportedInstanceGeneration": []},
        "InstanceTypeFamilies": {"supportedInstanceTypeFamily": families},
        "InstanceTypes": {"supportedInstanceType": types},
        "NetworkTypes": {"supportedNetworkCategory": ["vpc"]},
    }
    return {
        **shown,
        "AvailableResources": {"ResourcesInfo": [resources]},
        "AvailableDiskCategories": {"DiskCategories": sold},
        "AvailableInstanceTypes": {"InstanceTypes": types},
        "AvailableResourceCreation": {
            "ResourceTypes": ["VSwitch", "IoOptimized", "Instance", "Disk"]
        },
        "AvailableVolumeCategories": {"VolumeCategories": []},
        "AvailableDedicatedHostTypes": {"DedicatedHostType": []},
        "DedicatedHostGenerations": {"DedicatedHostGeneration": []},
    }


@actions.action(VERSION, "DescribeAvailableResource")
def describe_available_resource(call: actions.Call) -> dict[str, Any]:
    """What each zone sells of one kind of resource.

    Scope=region tells the regional categories, in one entry with an empty ZoneId.
    """
    world, params = call.cloud.world, call.params
    destination = params.choice("DestinationResource", _DESTINATIONS)
    if not destination:
        raise errors.missing_parameter("DestinationResource")
    params.choice("ResourceType", _RESOURCE_TYPES)
    kind = _instance_type(world, params)
    if destination == "SystemDisk" and kind is None:
        raise errors.missing_parameter("InstanceType")
    zone_id = params.text("ZoneId")
    if zone_id and world.zone(zone_id) is None:
        raise errors.ApiError(
            "InvalidZoneId.NotFound", 404, f"The specified zone {zone_id} does not exist."
        )
    if params.text("Scope").lower() == "region":
        zone_ids = [""]
    else:
        zone_ids = [zone.zone_id for zone in world.zones if zone_id in ("", zone.zone_id)]
    rows = [
        _available_zone(world, each, destination, _supported(world, params, each, kind))
        for each in zone_ids
    ]
    shown = [row for row in rows if row["AvailableResources"]["AvailableResource"]]
    return {"AvailableZones": {"AvailableZone": shown}}


def _instance_type(
    world: world_module.World, params: params_module.Params
) -> world_module.InstanceType | None:
    """The named type; 404 InvalidInstanceType.NotFound."""
    type_id = params.text("InstanceType")
    kind = world.instance_type(type_id)
    if type_id and kind is None:
        raise errors.ApiError(
            "InvalidInstanceType.NotFound", 404, f"The instance type {type_id} does not exist."
        )
    return kind


def _supported(
    world: world_module.World,
    params: params_module.Params,
    zone_id: str,
    kind: world_module.InstanceType | None,
) -> list[dict[str, Any]]:
    """Elements of SupportedResource for one zone."""
    destination = params.text("DestinationResource")
    if destination == "Zone":
        return [_resource(zone_id, "WithStock")] if zone_id else []
    if destination == "InstanceType":
        types = [kind] if kind else world.instance_types
        return [_resource(row.instance_type_id, "WithStock") for row in types if zone_id]
    category = params.text(
        "DataDiskCategory" if destination == "DataDisk" else "SystemDiskCategory"
    )
    # SystemDiskCategory only narrows system disks; for data disks it states the machine's own.
    if category:
        categories.find(category)
    allowed = kind.disk_categories if kind else ()
    return [
        {**_resource(offer.category, offer.status), "Min": offer.min_gib, "Max": offer.max_gib}
        for offer in stock.offers(world, zone_id)
        if category in ("", offer.category) and (not allowed or offer.category in allowed)
    ]


def _resource(value: str, stock_status: str) -> dict[str, Any]:
    return {
        "Value": value,
        "Status": "SoldOut" if stock_status == _SOLD_OUT else "Available",
        "StatusCategory": stock_status,
        "Min": 0,
        "Max": 0,
        "Unit": "GiB",
    }


def _available_zone(
    world: world_module.World, zone_id: str, destination: str, supported: list[dict[str, Any]]
) -> dict[str, Any]:
    sold_out = all(row["Status"] == "SoldOut" for row in supported)
    resource = {"Type": destination, "SupportedResources": {"SupportedResource": supported}}
    return {
        "RegionId": world.region_id,
        "ZoneId": zone_id,
        "Status": "SoldOut" if sold_out else "Available",
        "StatusCategory": _SOLD_OUT if sold_out else "WithStock",
        "AvailableResources": {"AvailableResource": [resource] if supported else []},
    }

"""DescribeZones: what NAS sells where. Every zone of the world sells everything."""

from typing import Any

from sim import actions
from sim.nas import model

VERSION = "2017-06-26"
_SOLD = {
    model.STANDARD: (("NFS", "Performance"), ("NFS", "Capacity"), ("NFS", "Premium")),
    model.EXTREME: (("NFS", "standard"), ("NFS", "advance")),
    model.CPFS: (("cpfs", "advance_100"), ("cpfs", "advance_200")),
}


@actions.action(VERSION, "DescribeZones")
def describe_zones(call: actions.Call) -> dict[str, Any]:
    """Zones with the kinds of one type of file system."""
    kind = call.params.choice("FileSystemType", ("all", *_SOLD), "standard")
    sold = [pair for name, pairs in _SOLD.items() if kind in (name, "all") for pair in pairs]
    return {
        "Zones": {
            "Zone": [
                {
                    "ZoneId": zone.zone_id,
                    "Capacity": {"Protocol": ["nfs"] if ("NFS", "Capacity") in sold else []},
                    "Performance": {"Protocol": ["nfs"] if ("NFS", "Performance") in sold else []},
                    "InstanceTypes": {
                        "InstanceType": [
                            {"ProtocolType": protocol.lower(), "StorageType": storage}
                            for protocol, storage in sold
                        ]
                    },
                }
                for zone in call.cloud.world.zones
            ]
        }
    }

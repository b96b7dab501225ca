"""VSwitches of the VPC product. Source: spec/cloud-api.md 2.3, action DescribeVSwitches."""

import ipaddress
from typing import Any

from cloud import ecs_wire, eni_model, openapi


class VSwitches:
    """Reads about vSwitches."""

    def __init__(self, api: openapi.OpenApi) -> None:
        self._api = api

    async def read(self, vswitch_id: str) -> eni_model.VSwitch | None:
        """The vSwitch now, None when there is none."""
        body = await self._api.call(openapi.VPC, "DescribeVSwitches", {"VSwitchId": vswitch_id})
        for raw in getattr(body.v_switches, "v_switch", None) or []:
            if raw.v_switch_id == vswitch_id:
                return _vswitch(raw)
        return None


def _vswitch(raw: Any) -> eni_model.VSwitch:
    return eni_model.VSwitch(
        vswitch_id=ecs_wire.text(raw.v_switch_id),
        zone_id=ecs_wire.text(raw.zone_id),
        cidr_block=ipaddress.IPv4Network(raw.cidr_block),
        free_addresses=int(raw.available_ip_address_count or 0),
    )

"""Elastic network interfaces of ECS. Source: spec/cloud-api.md 2.3, spec/terway.md 8.1."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from cloud import ecs_wire, eni_model, openapi
from cloud import errors as cloud_errors

ASSIGN_MAX = 49
"""Most addresses one call may create an interface with, or add to one. Source: ECS API reference,
SecondaryPrivateIpAddressCount."""
_UNASSIGN_MAX = 10
_PAGE = 500
_GONE_CODES = ("InvalidEniId.NotFound", "InvalidEcsId.NotFound")
_NOT_ASSIGNED = "InvalidIp.IpUnassigned"


class Enis:
    """Actions on interfaces. Errors are `cloud.errors`; nothing is retried but throttled calls."""

    def __init__(self, api: openapi.OpenApi) -> None:
        self._api = api

    async def create(self, new: eni_model.NewEni, *, client_token: str) -> eni_model.Eni:
        """The new interface. The same token and input give the same one."""
        body = await self._api.call(
            openapi.ECS,
            "CreateNetworkInterface",
            {
                "VSwitchId": new.vswitch_id,
                "InstanceType": eni_model.EniType.SECONDARY.value,
                "SecurityGroupIds": list(new.security_group_ids),
                "SecondaryPrivateIpAddressCount": new.ipv4_count - 1 or None,
                "Description": new.description or None,
                "ResourceGroupId": new.resource_group_id or None,
                "SourceDestCheck": False,
                "Tag": ecs_wire.tags(new.tags),
                "ClientToken": client_token,
            },
        )
        return _eni(body)

    async def attach(self, eni_id: str, instance_id: str) -> None:
        """Begin to plug the interface into the instance."""
        await self._api.call(
            openapi.ECS,
            "AttachNetworkInterface",
            {"NetworkInterfaceId": eni_id, "InstanceId": instance_id},
        )

    async def detach(self, eni_id: str, instance_id: str) -> None:
        """Begin to unplug the interface; absent is fine."""
        await self._unless_gone(
            "DetachNetworkInterface", {"NetworkInterfaceId": eni_id, "InstanceId": instance_id}
        )

    async def delete(self, eni_id: str) -> None:
        """Delete a detached interface; absent is fine."""
        await self._unless_gone("DeleteNetworkInterface", {"NetworkInterfaceId": eni_id})

    async def assign(
        self, eni_id: str, count: int, *, client_token: str
    ) -> tuple[ipaddress.IPv4Address, ...]:
        """*count* more addresses (at most `ASSIGN_MAX`) for the interface; the same for a token."""
        body = await self._api.call(
            openapi.ECS,
            "AssignPrivateIpAddresses",
            {
                "NetworkInterfaceId": eni_id,
                "SecondaryPrivateIpAddressCount": count,
                "ClientToken": client_token,
            },
        )
        assigned = getattr(body.assigned_private_ip_addresses_set, "private_ip_set", None)
        return tuple(
            ipaddress.IPv4Address(text)
            for text in getattr(assigned, "private_ip_address", ()) or ()
        )

    async def unassign(self, eni_id: str, addresses: Sequence[ipaddress.IPv4Address]) -> None:
        """Give addresses back; those that are not the interface's are skipped."""
        for start in range(0, len(addresses), _UNASSIGN_MAX):
            part = addresses[start : start + _UNASSIGN_MAX]
            try:
                await self._unassign(eni_id, part)
            except cloud_errors.CloudError as e:
                if e.code in _GONE_CODES:
                    return
                if e.code != _NOT_ASSIGNED:
                    raise
                # The cloud refuses all for one that is gone already: give back the others.
                for address in part:
                    await self._unassign_one(eni_id, address)

    async def find(
        self,
        *,
        instance_id: str = "",
        eni_ids: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        status: eni_model.EniStatus | None = None,
    ) -> list[eni_model.Eni]:
        """Every interface that fits all of what is given."""
        found: list[eni_model.Eni] = []
        token = ""
        while True:
            body = await self._api.call(
                openapi.ECS,
                "DescribeNetworkInterfaces",
                {
                    "InstanceId": instance_id or None,
                    "NetworkInterfaceId": list(eni_ids) or None,
                    "Tag": ecs_wire.tags(tags or {}),
                    "Status": status.value if status else None,
                    "MaxResults": _PAGE,
                    "NextToken": token or None,
                },
            )
            sets = getattr(body.network_interface_sets, "network_interface_set", None) or []
            found += [_eni(raw) for raw in sets]
            token = body.next_token or ""
            if not token:
                return found

    async def _unassign(self, eni_id: str, part: Sequence[ipaddress.IPv4Address]) -> None:
        await self._api.call(
            openapi.ECS,
            "UnassignPrivateIpAddresses",
            {"NetworkInterfaceId": eni_id, "PrivateIpAddress": [str(a) for a in part]},
        )

    async def _unassign_one(self, eni_id: str, address: ipaddress.IPv4Address) -> None:
        try:
            await self._unassign(eni_id, [address])
        except cloud_errors.CloudError as e:
            if e.code != _NOT_ASSIGNED:
                raise

    async def _unless_gone(self, action: str, parameters: Mapping[str, Any]) -> None:
        try:
            await self._api.call(openapi.ECS, action, parameters)
        except cloud_errors.CloudError as e:
            if e.code not in _GONE_CODES:
                raise


def _eni(raw: Any) -> eni_model.Eni:
    """An interface of Create- or DescribeNetworkInterfaces."""
    attachment = getattr(raw, "attachment", None)
    instance_id = getattr(raw, "instance_id", None) or getattr(attachment, "instance_id", None)
    groups = getattr(raw.security_group_ids, "security_group_id", None) or []
    return eni_model.Eni(
        eni_id=ecs_wire.text(raw.network_interface_id),
        mac=ecs_wire.text(raw.mac_address).lower(),
        status=_status(raw.status),
        type=_type(raw.type),
        vswitch_id=ecs_wire.text(raw.v_switch_id),
        zone_id=ecs_wire.text(raw.zone_id),
        instance_id=ecs_wire.text(instance_id),
        ipv4=_addresses(raw),
        security_group_ids=tuple(groups),
        high_performance=getattr(raw, "network_interface_traffic_mode", "") == "HighPerformance",
        tags=ecs_wire.read_tags(raw.tags),
        creation_time=ecs_wire.parse_time(getattr(raw, "creation_time", None)),
    )


def _addresses(raw: Any) -> tuple[ipaddress.IPv4Address, ...]:
    """All private addresses, the primary one first."""
    sets = getattr(raw.private_ip_sets, "private_ip_set", None) or []
    texts = sorted(sets, key=lambda each: not each.primary)
    found = [ipaddress.IPv4Address(each.private_ip_address) for each in texts]
    if not found and raw.private_ip_address:
        found = [ipaddress.IPv4Address(raw.private_ip_address)]
    return tuple(found)


def _status(value: object) -> eni_model.EniStatus:
    try:
        return eni_model.EniStatus(ecs_wire.text(value))
    except ValueError:
        return eni_model.EniStatus.UNKNOWN


def _type(value: object) -> eni_model.EniType:
    try:
        return eni_model.EniType(ecs_wire.text(value))
    except ValueError:
        return eni_model.EniType.UNKNOWN

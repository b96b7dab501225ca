"""DescribeNetworkInterfaceAttribute and ModifyNetworkInterfaceAttribute."""

import dataclasses
from typing import Any

from sim import actions, errors
from sim.ecs import eni_model, eni_rules, eni_view, enis, fabric, names

VERSION = "2014-05-26"
_ATTRIBUTES = ("basic", "attachment", "privateIpSets")


@actions.action(VERSION, "DescribeNetworkInterfaceAttribute")
def describe_network_interface_attribute(call: actions.Call) -> dict[str, Any]:
    """One interface; `Attribute` is accepted and narrows nothing. 404 InvalidEniId.NotFound."""
    call.params.choice("Attribute", _ATTRIBUTES)
    eni_id = call.params.required("NetworkInterfaceId")
    row = call.cloud.view.get(eni_model.KIND, eni_id)
    if row is None:
        raise enis.not_found(eni_id)
    members = call.cloud.view.by(eni_model.KIND, "trunk_eni_id", eni_id)
    return eni_view.attribute(
        call.cloud.world,
        eni_model.Eni.from_row(row),
        member_ids=[each["eni_id"] for each in members],
    )


@actions.action(VERSION, "ModifyNetworkInterfaceAttribute")
def modify_network_interface_attribute(call: actions.Call) -> dict[str, Any]:
    """Change name, description, security groups, SourceDestCheck or DeleteOnRelease.

    400 InvalidOperation.InvalidEniState unless Available or InUse, MissingParameter when nothing
    is to be changed; the codes of groups as CreateNetworkInterface.
    """
    cloud, params = call.cloud, call.params
    eni = enis.require(cloud, params.required("NetworkInterfaceId"))
    eni_rules.require_status(eni, eni_model.AVAILABLE, eni_model.IN_USE)
    changes: dict[str, Any] = {}
    if "NetworkInterfaceName" in params:
        changes["name"] = params.text("NetworkInterfaceName")
        names.require_name("NetworkInterfaceName", changes["name"], code="InvalidParameter")
    if "Description" in params:
        changes["description"] = params.text("Description")
        names.require_description(changes["description"])
    if params.strings("SecurityGroupId"):
        changes["security_group_ids"] = eni_rules.groups(
            cloud, params.strings("SecurityGroupId"), eni.vpc_id, joined_by=eni.eni_id
        )
    for field, name in (
        ("source_dest_check", "SourceDestCheck"),
        ("delete_on_release", "DeleteOnRelease"),
    ):
        if name in params:
            changes[field] = params.boolean(name)
    if not changes:
        raise errors.missing_parameter(
            "NetworkInterfaceName, Description, SecurityGroupId.N, SourceDestCheck or "
            "DeleteOnRelease"
        )
    enis.put(cloud, dataclasses.replace(eni, **changes))
    fabric.act(cloud, enis.every(cloud))
    return {}

"""EFLO-Controller (2022-12-15): virtual storage channels of Lingjun nodes.

They attach to CPFS file systems as those of ECS instances do, by the NAS API.
"""

from typing import Any

from sim import actions, errors, paging
from sim.nas import model, rules
from sim.nas.model import Vsc

VERSION = "2022-12-15"
PRIMARY = "primary"


@actions.action(VERSION, "CreateVsc", idempotent=True)
def create_vsc(call: actions.Call) -> dict[str, Any]:
    """A channel of a Lingjun node; Normal after the world's latency. One primary each."""
    cloud, params = call.cloud, call.params
    node_id = _require_node(call, params.required("NodeId"))
    kind = params.choice("VscType", (PRIMARY, "standard"), PRIMARY)
    there = cloud.store.by(model.VSC, "instance_id", node_id)
    if kind == PRIMARY and any(row["type"] == kind for row in there):
        raise errors.ApiError(
            "InvalidOperation.PrimaryVscExists",
            403,
            f"The node {node_id} has its primary channel already.",
        )
    made = Vsc(
        vsc_id=cloud.ids.new("vsc"),
        instance_id=node_id,
        type=kind,
        status="Preparing",
        name=params.text("VscName"),
        resource_group_id=params.text("ResourceGroupId"),
        tags=rules.tags(params),
        due_s=cloud.clock.now_s() + cloud.latency("create_vsc"),
    )
    cloud.store.put(model.VSC, made.vsc_id, made.row())
    return {"VscId": made.vsc_id}


@actions.action(VERSION, "ListVscs")
def list_vscs(call: actions.Call) -> dict[str, Any]:
    """Channels of the nodes that are named, of all without."""
    params = call.params
    nodes = params.json_strings("NodeIds") or []
    found = [
        row
        for row in _of_nodes(call)
        if (not nodes or row.instance_id in nodes) and params.text("VscName") in ("", row.name)
    ]
    page = paging.by_token(params, found, lambda row: row.vsc_id)
    return {
        **page.fields,
        "TotalCount": len(found),
        "Vscs": [_view(row) for row in page.items],
    }


@actions.action(VERSION, "DescribeVsc")
def describe_vsc(call: actions.Call) -> dict[str, Any]:
    """One channel; 404 InvalidVscId.NotFound (**strict**)."""
    vsc_id = call.params.required("VscId")
    for row in _of_nodes(call):
        if row.vsc_id == vsc_id:
            return _view(row)
    raise errors.ApiError("InvalidVscId.NotFound", 404, f"The channel {vsc_id} does not exist.")


def _of_nodes(call: actions.Call) -> list[Vsc]:
    nodes = {node.node_id for node in call.cloud.world.lingjun_nodes}
    rows = [Vsc.from_row(row) for row in call.cloud.view.all(model.VSC)]
    return [row for row in rows if row.instance_id in nodes]


def _require_node(call: actions.Call, node_id: str) -> str:
    """404 InvalidNodeId.NotFound (**strict**) for a node that is not declared."""
    if all(node.node_id != node_id for node in call.cloud.world.lingjun_nodes):
        raise errors.ApiError("InvalidNodeId.NotFound", 404, f"The node {node_id} does not exist.")
    return node_id


def _view(row: Vsc) -> dict[str, Any]:
    return {
        "VscId": row.vsc_id,
        "VscName": row.name,
        "VscType": row.type,
        "NodeId": row.instance_id,
        "Status": row.status,
        "ResourceGroupId": row.resource_group_id,
        "Tags": [{"Key": key, "Value": value} for key, value in row.tags.items()],
    }

"""DescribeSecurityGroups: the world's groups. Their rules: group_rule_actions.py."""

from typing import Any

from sim import actions, paging
from sim import params as params_module
from sim import world as world_module
from sim.ecs import eni_model, group_rules, lists

VERSION = "2014-05-26"
_MAX_IDS = 100


@actions.action(VERSION, "DescribeSecurityGroups")
def describe_security_groups(call: actions.Call) -> dict[str, Any]:
    """Groups that fit every filter; unknown ids are absent from the answer."""
    cloud, params = call.cloud, call.params
    lists.refuse_dry_run(params)
    ids = lists.id_filter(params, "SecurityGroupIds", maximum=_MAX_IDS)
    found = [
        row
        for row in cloud.world.security_groups
        if (ids is None or row.security_group_id in ids) and _fits(row, params)
    ]
    page = paging.either(params, found, lambda row: row.security_group_id)
    members = [row["security_group_ids"] for row in cloud.view.all(eni_model.KIND)]
    limit = cloud.world.quotas.security_group_enis
    shown = []
    for row in page.items:
        count = sum(row.security_group_id in group_ids for group_ids in members)
        rules = group_rules.rules_of(cloud.view, row)
        shown.append(
            {
                **_group(row, ecs_count=_instances(cloud.world, row), left=limit - count),
                "RuleCount": len(rules),
                "GroupToGroupRuleCount": sum(bool(each.rule.source_group_id) for each in rules),
            }
        )
    return {
        "RegionId": cloud.world.region_id,
        "SecurityGroups": {"SecurityGroup": shown},
        **page.fields,
    }


def _fits(row: world_module.SecurityGroup, params: params_module.Params) -> bool:
    return (
        params.text("SecurityGroupId", row.security_group_id) == row.security_group_id
        and params.text("VpcId", row.vpc_id) == row.vpc_id
        and params.text("SecurityGroupName", row.name) == row.name
        and params.text("NetworkType", "vpc") == "vpc"
        and params.text("SecurityGroupType", "normal") == "normal"
        and not params.structs("Tag")
    )


def _instances(world: world_module.World, row: world_module.SecurityGroup) -> int:
    return sum(row.security_group_id in each.security_group_ids for each in world.instances)


def _group(row: world_module.SecurityGroup, *, ecs_count: int, left: int) -> dict[str, Any]:
    return {
        "SecurityGroupId": row.security_group_id,
        "SecurityGroupName": row.name,
        "SecurityGroupType": "normal",
        "VpcId": row.vpc_id,
        "Description": "",
        "CreationTime": "2026-01-01T00:00:00Z",
        "ResourceGroupId": "",
        "AvailableInstanceAmount": max(0, left),
        "EcsCount": ecs_count,
        "ServiceID": 0,
        "ServiceManaged": False,
        "Tags": {"Tag": []},
    }

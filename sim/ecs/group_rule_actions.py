"""Rules of security groups: Authorize, Revoke, and DescribeSecurityGroupAttribute."""

from collections.abc import Sequence
from typing import Any

from sim import actions, errors, paging
from sim import world as world_module
from sim.ecs import enis, fabric, group_rule_params, group_rules
from sim.ecs.group_rules import GroupRule

VERSION = "2014-05-26"
_MAX_RULES = 200
"""Rules of both directions in a group. Source: AuthorizeSecurityGroup."""
_MAX_DESCRIPTION = 512


@actions.action(VERSION, "AuthorizeSecurityGroup", idempotent=True)
def authorize_security_group(call: actions.Call) -> dict[str, Any]:
    """Rules for what comes in; one that is there already is fine and changes nothing."""
    return _authorize(call, "ingress")


@actions.action(VERSION, "AuthorizeSecurityGroupEgress", idempotent=True)
def authorize_security_group_egress(call: actions.Call) -> dict[str, Any]:
    """Rules for what goes out; one that is there already is fine and changes nothing."""
    return _authorize(call, "egress")


@actions.action(VERSION, "RevokeSecurityGroup", idempotent=True)
def revoke_security_group(call: actions.Call) -> dict[str, Any]:
    """Remove rules for what comes in: all of those named or none."""
    return _revoke(call, "ingress")


@actions.action(VERSION, "RevokeSecurityGroupEgress", idempotent=True)
def revoke_security_group_egress(call: actions.Call) -> dict[str, Any]:
    """Remove rules for what goes out: all of those named or none."""
    return _revoke(call, "egress")


@actions.action(VERSION, "DescribeSecurityGroupAttribute")
def describe_security_group_attribute(call: actions.Call) -> dict[str, Any]:
    """A group's rules, of one direction or (`all`, the default) of both.

    404 InvalidSecurityGroupId.NotFound.
    """
    group = _group(call)
    direction = call.params.choice("Direction", ("ingress", "egress", "all"), "all")
    rules = [
        each
        for each in group_rules.rules_of(call.cloud.view, group)
        if direction in ("all", each.rule.direction)
    ]
    # Without MaxResults all rules are told: a group has at most 200.
    if "MaxResults" in call.params or "NextToken" in call.params:
        page = paging.by_token(
            call.params, rules, lambda each: each.rule_id(group.security_group_id), maximum=1000
        )
    else:
        page = paging.Page(items=rules, fields={"NextToken": ""})
    shown = [_permission(call.cloud.world, group, each) for each in page.items]
    return {
        "RegionId": call.cloud.world.region_id,
        "SecurityGroupId": group.security_group_id,
        "SecurityGroupName": group.name,
        "VpcId": group.vpc_id,
        "Description": "",
        "InnerAccessPolicy": "Accept",
        "Permissions": {"Permission": shown},
        "SnapshotPolicyIds": {"SnapshotPolicyId": []},
        **page.fields,
    }


def _authorize(call: actions.Call, direction: group_rule_params.Direction) -> dict[str, Any]:
    group = _group(call)
    wanted = group_rule_params.parse(call.params, direction)
    rules = list(group_rules.rules_of(call.cloud.store, group))
    for each in wanted:
        _require_peer(call.cloud.world, group, each)
        if len(each.description) > _MAX_DESCRIPTION:
            raise errors.invalid_parameter(
                f"{each.where}Description",
                each.description,
                f"up to {_MAX_DESCRIPTION} characters",
                "InvalidSecurityGroupDiscription.Malformed",
            )
        if all(each.rule != old.rule for old in rules):
            now = call.cloud.clock.timestamp()
            rules.append(GroupRule(rule=each.rule, description=each.description, creation_time=now))
    if len(rules) > _MAX_RULES:
        raise errors.ApiError(
            "AuthorizationLimitExceed",
            403,
            f"The limit of authorization records in the security group reaches: {_MAX_RULES}.",
        )
    return _put(call, group, rules)


def _revoke(call: actions.Call, direction: group_rule_params.Direction) -> dict[str, Any]:
    group = _group(call)
    rules = [*group_rules.rules_of(call.cloud.store, group)]
    ids = call.params.strings("SecurityGroupRuleId")
    if ids:
        by_id = {each.rule_id(group.security_group_id): each for each in rules}
        for rule_id in ids:
            if rule_id not in by_id or by_id[rule_id].rule.direction != direction:
                raise errors.ApiError(
                    "InvalidSecurityGroupRuleId.NotFound",
                    404,
                    f"The specified SecurityGroupRuleId {rule_id} does not exist.",
                )
        gone = {by_id[rule_id].rule for rule_id in ids}
    else:
        gone = {each.rule for each in group_rule_params.parse(call.params, direction)}
        if not gone <= {each.rule for each in rules}:
            raise errors.ApiError(
                "InvalidSecurityGroupRule.RuleNotExist", 400, "The specified rule does not exist."
            )
    return _put(call, group, [each for each in rules if each.rule not in gone])


def _put(
    call: actions.Call, group: world_module.SecurityGroup, rules: Sequence[GroupRule]
) -> dict[str, Any]:
    call.cloud.store.put(group_rules.KIND, group.security_group_id, group_rules.row(rules))
    fabric.act(call.cloud, enis.every(call.cloud))
    return {}


def _group(call: actions.Call) -> world_module.SecurityGroup:
    group_id = call.params.required("SecurityGroupId")
    found = group_rules.find(call.cloud.world, group_id)
    if found is None:
        raise errors.ApiError(
            "InvalidSecurityGroupId.NotFound",
            404,
            f"The specified SecurityGroupId {group_id} does not exist.",
        )
    return found


def _require_peer(
    world: world_module.World,
    group: world_module.SecurityGroup,
    wanted: group_rule_params.Wanted,
) -> None:
    """The group on the other side is another one of the same VPC."""
    other_id = wanted.rule.source_group_id
    if not other_id:
        return
    name = "SourceGroupId" if wanted.rule.direction == "ingress" else "DestGroupId"
    if other_id == group.security_group_id:
        raise errors.ApiError(
            "InvalidParamter.Conflict",
            400,
            f"The specified SecurityGroupId should be different from the {wanted.where}{name}.",
        )
    other = group_rules.find(world, other_id)
    if other is None:
        raise errors.ApiError(
            f"Invalid{name}.NotFound", 404, f"The {wanted.where}{name} {other_id} does not exist."
        )
    if other.vpc_id != group.vpc_id:
        raise errors.ApiError(
            f"Invalid{name}.Mismatch",
            400,
            f"The security group and {other_id} are not in the same VPC.",
        )


def _permission(
    world: world_module.World, group: world_module.SecurityGroup, each: GroupRule
) -> dict[str, Any]:
    rule = each.rule
    away, here = ("Source", "Dest") if rule.direction == "ingress" else ("Dest", "Source")
    other = group_rules.find(world, rule.source_group_id)
    six = ":" in rule.cidr_block
    sides = {
        name: ""
        for side in (away, here)
        for name in (
            *(f"{side}CidrIp", f"Ipv6{side}CidrIp", f"{side}GroupId", f"{side}GroupName"),
            *(f"{side}GroupOwnerAccount", f"{side}PrefixListId", f"{side}PrefixListName"),
        )
    }
    return {
        **sides,
        f"{away}CidrIp": "" if six else rule.cidr_block,
        f"Ipv6{away}CidrIp": rule.cidr_block if six else "",
        f"{away}GroupId": rule.source_group_id,
        f"{away}GroupName": other.name if other else "",
        "SecurityGroupRuleId": each.rule_id(group.security_group_id),
        "Direction": rule.direction,
        "IpProtocol": rule.protocol.upper(),
        "PortRange": f"{rule.port_from}/{rule.port_to}",
        "SourcePortRange": "-1/-1",
        "PortRangeListId": "",
        "PortRangeListName": "",
        "Policy": rule.policy.capitalize(),
        "Priority": str(rule.priority),
        "NicType": "intranet",
        "Description": each.description,
        "CreateTime": each.creation_time,
    }

"""The rules a security group has now: those of the world until a call changes them.

A row holds all rules of one group and stands for the world's. Not here: requests and answers.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sim import world as world_module
from sim.hardware import network_api

KIND = "security_group_rules"
_DECLARED_AT = "2026-01-01T00:00:00Z"


class Reader(Protocol):
    """The store, or a view of its past."""

    def get(self, kind: str, row_id: str) -> Mapping[str, Any] | None:
        """The row, None when it is absent."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupRule:
    """A rule with what only the API tells of it."""

    rule: network_api.Rule
    description: str = ""
    creation_time: str = _DECLARED_AT

    def rule_id(self, group_id: str) -> str:
        """`sgr-…`: the same for the same rule of a group, since no group has a rule twice."""
        text = json.dumps([group_id, dataclasses.asdict(self.rule)], sort_keys=True)
        return f"sgr-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def find(world: world_module.World, group_id: str) -> world_module.SecurityGroup | None:
    """The group, None when the world lacks it."""
    rows = world.security_groups
    return next((row for row in rows if row.security_group_id == group_id), None)


def rules_of(reader: Reader, group: world_module.SecurityGroup) -> tuple[GroupRule, ...]:
    """Rules of *group*, oldest first."""
    row = reader.get(KIND, group.security_group_id)
    if row is None:
        return tuple(GroupRule(rule=rule) for rule in group.rules)
    return tuple(
        GroupRule(
            rule=network_api.Rule(**each["rule"]),
            description=each["description"],
            creation_time=each["creation_time"],
        )
        for each in row["rules"]
    )


def every(reader: Reader, world: world_module.World) -> Mapping[str, tuple[network_api.Rule, ...]]:
    """Rules of all groups, by group id."""
    return {
        group.security_group_id: tuple(each.rule for each in rules_of(reader, group))
        for group in world.security_groups
    }


def row(rules: Sequence[GroupRule]) -> dict[str, Any]:
    """JSON object for the store."""
    return {"rules": [dataclasses.asdict(each) for each in rules]}

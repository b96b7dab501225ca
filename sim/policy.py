"""RAM policy documents: parsing and the allow/deny decision. Pure; who holds them is identity.py.

A document is what RAM itself uses: `{"Version": "1", "Statement": [{"Effect": "Allow",
"Action": ["ecs:Describe*"], "Resource": ["*"]}]}`. `Condition`, `NotAction` and `NotResource` are
refused, because a policy that is only half understood would allow too much.
"""

import dataclasses
import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_KNOWN_KEYS = frozenset({"Effect", "Action", "Resource"})


class PolicyError(ValueError):
    """The document is not a policy this cloud can judge."""


class Verdict(enum.StrEnum):
    """Outcome; the two denials are `NoPermissionType` of the error body."""

    ALLOWED = "Allowed"
    IMPLICIT_DENY = "ImplicitDeny"
    EXPLICIT_DENY = "ExplicitDeny"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One rule; `*` and `?` are wildcards, actions match in any letter case."""

    allow: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A parsed document and the document itself."""

    statements: tuple[Statement, ...]
    document: Mapping[str, Any]


def parse(document: object) -> Policy:
    """A policy from its JSON document; raises PolicyError that names the faulty part."""
    if not isinstance(document, Mapping):
        raise PolicyError("a policy is an object with Version and Statement")
    rows = document.get("Statement")
    if document.get("Version") != "1" or not isinstance(rows, list):
        raise PolicyError('a policy needs Version "1" and a list Statement')
    statements = tuple(_parse_statement(number, row) for number, row in enumerate(rows, 1))
    return Policy(statements=statements, document=dict(document))


def judge(policies: Iterable[Policy], action: str, resources: Sequence[str]) -> Verdict:
    """Whether *policies* together allow *action* (`ecs:CreateDisk`) on every one of *resources*.

    One matching Deny beats every Allow. A resource that nothing mentions is denied implicitly.
    """
    statements = [row for policy in policies for row in policy.statements]
    matching = [row for row in statements if _any_match(row.actions, action.lower(), lower=True)]
    verdict = Verdict.ALLOWED
    for resource in resources:
        hits = [row for row in matching if _any_match(row.resources, resource)]
        if any(not row.allow for row in hits):
            return Verdict.EXPLICIT_DENY
        if not hits:
            verdict = Verdict.IMPLICIT_DENY
    return verdict


def _parse_statement(number: int, row: object) -> Statement:
    where = f"Statement {number}"
    if not isinstance(row, Mapping):
        raise PolicyError(f"{where} is not an object")
    unknown = sorted(str(key) for key in row if key not in _KNOWN_KEYS)
    if unknown:
        raise PolicyError(f"{where}: {', '.join(unknown)} is not simulated")
    if row.get("Effect") not in {"Allow", "Deny"}:
        raise PolicyError(f"{where}: Effect must be Allow or Deny")
    return Statement(
        allow=row["Effect"] == "Allow",
        actions=_strings(where, "Action", row.get("Action")),
        resources=_strings(where, "Resource", row.get("Resource")),
    )


def _strings(where: str, key: str, value: object) -> tuple[str, ...]:
    rows = [value] if isinstance(value, str) else value
    if not isinstance(rows, list) or not rows or not all(isinstance(row, str) for row in rows):
        raise PolicyError(f"{where}: {key} must be a string or a list of strings")
    return tuple(rows)


def _any_match(patterns: Iterable[str], value: str, *, lower: bool = False) -> bool:
    return any(_matches(row.lower() if lower else row, value) for row in patterns)


def _matches(pattern: str, value: str) -> bool:
    expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(expression, value) is not None

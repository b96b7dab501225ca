"""What the API server's audit log tells of our service accounts."""

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_OURS = "system:serviceaccount:kube-system:"
_FORBIDDEN = 403


_ROLES = ("Role", "ClusterRole")
_BINDINGS = ("RoleBinding", "ClusterRoleBinding")
_ROW = re.compile(r"^\| `([a-z-]+)` \| (`[a-z/`, ]+`) \| ([a-z, ]+) \| .+ \|$", re.MULTILINE)
"""Of the documented table: account, resources, verbs, when they are used."""
_BY_NAME = frozenset({"leases", "secrets", "configmaps"})
"""Resources of which roles name single objects: one that is granted says nothing of the others."""
Object = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One kind of request. account: without namespace. resource: `pods`, `pods/status`."""

    account: str
    verb: str
    group: str
    resource: str


def denied(log: pathlib.Path, accounts: tuple[str, ...]) -> list[str]:
    """Kinds of requests of *accounts* (of kube-system) that RBAC refused each time.

    An API server that has just started refuses what its roles allow, until it has read them; so
    what was granted at another time is left out.
    """
    refused: set[tuple[str, str, str]] = set()
    granted: set[tuple[str, str, str]] = set()
    for event in _events(log):
        if _account(event) in accounts and "responseStatus" in event:
            code = event["responseStatus"].get("code")
            (refused if code == _FORBIDDEN else granted).add(_kind(event))
    return sorted(f"{account} {verb} {what}" for account, verb, what in refused - granted)


def used(log: pathlib.Path, accounts: tuple[str, ...]) -> set[Use]:
    """Every kind of request of *accounts* for an object that was granted."""
    return {
        Use(
            account=_account(event),
            verb=event["verb"],
            group=event["objectRef"].get("apiGroup", ""),
            resource="/".join(
                event["objectRef"][key]
                for key in ("resource", "subresource")
                if key in event["objectRef"]
            ),
        )
        for event in _events(log)
        if "objectRef" in event and _account(event) in accounts and not _is_refused(event)
    }


def granted(objects: Iterable[Object]) -> set[Use]:
    """What roles among *objects* allow the accounts that they are bound to.

    Names of single objects, and namespaces, are left out.
    """
    kept = list(objects)
    rules = {_key(each["kind"], each): each["rules"] for each in kept if each["kind"] in _ROLES}
    return {
        Use(account=subject["name"], verb=verb, group=group, resource=resource)
        for each in kept
        if each["kind"] in _BINDINGS
        for subject in each["subjects"]
        for rule in rules[_key(each["roleRef"]["kind"], each)]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def unused(log: pathlib.Path, objects: Iterable[Object]) -> list[str]:
    """What is granted and was never asked for, as `account verb resource`."""
    allowed = granted(objects)
    accounts = tuple({each.account for each in allowed})
    return sorted(
        f"{each.account} {each.verb} {each.resource}" for each in allowed - used(log, accounts)
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Excused:
    """What may be granted and unused: `account verb resource`. never: the tests do not reach it."""

    never: frozenset[str]
    by_chance: frozenset[str]


def excused(text: str) -> Excused:
    """From the two tables of a document, which say when each is used."""
    never, by_chance = text.split("These they reach by chance")
    return Excused(never=_rows(never), by_chance=_rows(by_chance))


def faults(found: Iterable[str], known: Excused) -> list[str]:
    """How what was unused in a run of all tests differs from what is known."""
    unused_now = set(found)
    unexpected = unused_now - known.never - known.by_chance
    return [
        *(f"granted and never used: {each}" for each in sorted(unexpected)),
        *(f"used, and documented as unused: {each}" for each in sorted(known.never - unused_now)),
    ]


def _rows(text: str) -> frozenset[str]:
    return frozenset(
        f"{account} {verb} {resource}"
        for account, resources, verbs in _ROW.findall(text)
        for resource in re.findall("`([a-z/]+)`", resources)
        for verb in verbs.split(", ")
    )


def _key(kind: str, each: Object) -> tuple[str, str, str]:
    """Of a role, or of the binding beside it: those of the chart have the role's name."""
    name = each["roleRef"]["name"] if "roleRef" in each else each["metadata"]["name"]
    return kind, each["metadata"].get("namespace", ""), name


def _is_refused(event: dict[str, Any]) -> bool:
    return bool(event.get("responseStatus", {}).get("code") == _FORBIDDEN)


def _kind(event: dict[str, Any]) -> tuple[str, str, str]:
    """Account, verb, and what of; the same for every object of a resource in one namespace.

    Objects that roles name are told apart.
    """
    told = event.get("objectRef", {})
    words = [told.get(key, "") for key in ("apiGroup", "resource", "subresource", "namespace")]
    if told.get("resource") in _BY_NAME and told.get("name"):
        words.append(told["name"])
    return _account(event), event["verb"], "/".join(words) if told else event["requestURI"]


def _account(event: dict[str, Any]) -> str:
    name: str = event["user"].get("username", "")
    return name.removeprefix(_OURS) if name.startswith(_OURS) else ""


def _events(log: pathlib.Path) -> Iterator[dict[str, Any]]:
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):  # the last one may be half written
                yield json.loads(line)

"""What the API server's audit log tells of our service accounts."""

import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

_OURS = "system:serviceaccount:kube-system:"
_FORBIDDEN = 403


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
    """Every kind of request of *accounts* for an object."""
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
        if "objectRef" in event and _account(event) in accounts
    }


def _kind(event: dict[str, Any]) -> tuple[str, str, str]:
    """Account, verb, and what of; the same for every object of a resource in one namespace."""
    told = event.get("objectRef", {})
    words = [told.get(key, "") for key in ("apiGroup", "resource", "subresource", "namespace")]
    return _account(event), event["verb"], "/".join(words) if told else event["requestURI"]


def _account(event: dict[str, Any]) -> str:
    name: str = event["user"].get("username", "")
    return name.removeprefix(_OURS) if name.startswith(_OURS) else ""


def _events(log: pathlib.Path) -> Iterator[dict[str, Any]]:
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):  # the last one may be half written
                yield json.loads(line)

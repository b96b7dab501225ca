"""What the API server's audit log tells of our service accounts."""

import collections
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
    """Requests of *accounts* (of kube-system) that RBAC refused, each with how often."""
    refused = collections.Counter(
        f"{_account(event)} {event['verb']} {event['requestURI']}"
        for event in _events(log)
        if event.get("responseStatus", {}).get("code") == _FORBIDDEN and _account(event) in accounts
    )
    return [f"{request} ({count})" for request, count in sorted(refused.items())]


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


def _account(event: dict[str, Any]) -> str:
    name: str = event["user"].get("username", "")
    return name.removeprefix(_OURS) if name.startswith(_OURS) else ""


def _events(log: pathlib.Path) -> Iterator[dict[str, Any]]:
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):  # the last one may be half written
                yield json.loads(line)

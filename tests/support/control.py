"""Client of the simulator's control API; the routes are in docs/reference/simulator.md."""

import dataclasses
import json
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

READ_ONLY = ("Describe", "Get", "List")
"""Actions that change nothing start with one of these."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A call that changed something, and how many of the same action came before it.

    calls_before: any, such as dry runs; changes_before: those that changed something.
    """

    action: str
    calls_before: int
    changes_before: int


class Control:
    """The control API of one simulator. Safe to use from several threads."""

    def __init__(self, url: str) -> None:
        self._url = url

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to one request; urllib's HTTPError when it is refused."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self._url}/_sim/{path}",
            data=data,
            method=method,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=40) as answer:
            return json.loads(answer.read() or b"null")

    # -- what was called

    def calls(self, since: int = 0) -> list[dict[str, Any]]:
        """Ended calls with a sequence number above *since*, oldest first."""
        rows: list[dict[str, Any]] = self.request("GET", f"calls?since={since}")["calls"]
        return rows

    def actions(self) -> list[str]:
        """Names of the actions called since the log was cleared, in order."""
        return [call["action"] for call in self.calls()]

    def changes(self) -> list[Change]:
        """The calls since the log was cleared that changed something, in order."""
        found: list[Change] = []
        calls: list[str] = []
        for call in self.calls():
            action = call["action"]
            if call["effect"] and not action.startswith(READ_ONLY):
                found.append(
                    Change(
                        action=action,
                        calls_before=calls.count(action),
                        changes_before=[row.action for row in found].count(action),
                    )
                )
            calls.append(action)
        return found

    def clear_calls(self) -> None:
        """Forget calls and counters."""
        self.request("DELETE", "calls")

    def counters(self) -> dict[str, dict[str, Any]]:
        """Per action: total, codes, per_second (most arrivals within one second)."""
        rows: dict[str, dict[str, Any]] = self.request("GET", "counters")["counters"]
        return rows

    # -- faults

    def add_fault(self, action: str, effect: str, **rule: Any) -> str:
        """Put a fault in force; its id. Fields: sim/faults.py."""
        fault_id: str = self.request(
            "POST", "faults", {"action": action, "effect": effect, **rule}
        )["id"]
        return fault_id

    def fault(self, fault_id: str) -> dict[str, Any]:
        """The rule with `applied`, `holding`, `active`."""
        row: dict[str, Any] = self.request("GET", f"faults/{fault_id}")
        return row

    def wait_held(self, fault_id: str, timeout_s: float = 20.0) -> None:
        """Wait until a request is held by the `notify` fault *fault_id*."""
        row = self.request("GET", f"faults/{fault_id}?wait_s={int(timeout_s)}")
        if not row["holding"]:
            raise TimeoutError(f"no request was held by {row} within {timeout_s:g} s")

    def release(self, fault_id: str, *, drop: bool = False) -> None:
        """Let held requests go on, or with *drop* close their connections."""
        self.request("POST", f"faults/{fault_id}/release", {"drop": drop})

    def clear_faults(self) -> None:
        """End all faults; what they hold goes on."""
        self.request("DELETE", "faults")

    # -- what is there

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """Rows of one kind by id, as the simulator stores them."""
        rows: dict[str, dict[str, Any]] = self.request("GET", f"state?kind={kind}").get(kind, {})
        return rows

    def data_disks(self, name: str = "") -> dict[str, dict[str, Any]]:
        """Disks somebody made, by id, deleted ones left out; with *name* only those."""
        return {
            disk_id: row
            for disk_id, row in self.resources("disk").items()
            if row["type"] == "data"
            and row["delete_due_s"] is None
            and name in ("", row["name"], row["tags"].get("csi.alibabacloud.com/volume-name"))
        }

    def snapshots(self) -> dict[str, dict[str, Any]]:
        """Snapshots by id, deleted ones left out."""
        rows = self.resources("snapshot")
        return {key: row for key, row in rows.items() if row["delete_due_s"] is None}

    def attachments(self, disk_id: str) -> dict[str, str]:
        """Instance id → state of attachment of one disk."""
        row = self.resources("disk").get(disk_id)
        return {item["instance_id"]: item["state"] for item in (row or {}).get("attachments", ())}

    def wait_gone(self, timeout_s: float = 10.0) -> None:
        """Wait until every deletion that was accepted is over."""
        give_up_s = time.monotonic() + timeout_s
        while any(
            row["delete_due_s"] is not None
            for kind in ("disk", "snapshot")
            for row in self.resources(kind).values()
        ):
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"deletions did not end within {timeout_s:g} s")
            time.sleep(0.02)

    # -- the cloud's behaviour

    def change_world(self, change: Mapping[str, Any]) -> None:
        """Replace or merge sections of the world."""
        self.request("POST", "world", dict(change))

    def set_consistency_lag(self, lag_s: float) -> None:
        """Seconds that Describe calls lag behind changes."""
        self.request("POST", "consistency", {"lag_s": lag_s})

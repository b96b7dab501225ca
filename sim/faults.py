"""Fault injection: rules that make chosen calls fail, stall, wait or lose their answer.

A rule is tried where it acts. Rules before the effect are tried as soon as a request is parsed,
whoever signed it. Rules after the effect are tried only when the action succeeded and was
committed. Rules live in memory: a restart of the simulator forgets them.
"""

import asyncio
import contextlib
import dataclasses
import enum
import fnmatch
from collections.abc import Mapping
from typing import Any

from sim import errors


class FaultError(ValueError):
    """A rule that cannot be; the message names the field."""


class Effect(enum.StrEnum):
    """What a rule does to a call.

    error: answer status, code, message, headers. lost_answer: drop the connection after the
    effect. drop: drop it before. stall: wait *seconds* of real time, then go on. http_5xx: answer
    *status* (default 503) with an HTML page, as a load balancer would; with html false a JSON
    ServiceUnavailable. notify: hold the request until it is released.
    """

    ERROR = "error"
    LOST_ANSWER = "lost_answer"
    DROP = "drop"
    STALL = "stall"
    HTTP_5XX = "http_5xx"
    NOTIFY = "notify"


class DropConnection(Exception):
    """The connection is to be closed without an answer."""


class HtmlAnswer(Exception):
    """An HTML page is to be answered instead of JSON."""

    def __init__(self, http_status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"HTTP {http_status}")
        self.http_status = http_status
        self.headers = dict(headers)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One fault.

    action: name with `*` wildcards. count: calls it applies to, None = always. skip: matching
    calls to let through first. match: parameter name → value with wildcards, all must fit.
    after_effect: act once the call has taken effect, instead of before it is looked at.
    """

    fault_id: str
    action: str
    effect: Effect
    after_effect: bool
    count: int | None
    skip: int
    match: Mapping[str, str]
    seconds: float
    status: int
    code: str
    message: str
    headers: Mapping[str, str]
    html: bool

    def fits(self, action: str, values: Mapping[str, str]) -> bool:
        """Whether a call is one this rule is about."""
        return fnmatch.fnmatchcase(action, self.action) and all(
            fnmatch.fnmatchcase(values.get(name, ""), want) for name, want in self.match.items()
        )


@dataclasses.dataclass(slots=True)
class _Active:
    rule: Rule
    skipped: int = 0
    applied: int = 0
    holding: int = 0
    held: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    released: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    drop_released: bool = False

    def used_up(self) -> bool:
        return self.rule.count is not None and self.applied >= self.rule.count


_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "action": str,
    "effect": str,
    "after_effect": bool,
    "always": bool,
    "count": int,
    "skip": int,
    "match": dict,
    "seconds": (int, float),
    "status": int,
    "code": str,
    "message": str,
    "headers": dict,
    "html": bool,
}


def parse(plain: Mapping[str, Any], fault_id: str) -> Rule:
    """A rule from the control API's JSON; raises FaultError."""
    for name, value in plain.items():
        kind = _FIELDS.get(name)
        if kind is None:
            raise FaultError(f"a fault has no field {name!r}; known: {', '.join(_FIELDS)}")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise FaultError(f"field {name} has the wrong type: {value!r}")
    if plain.get("effect") not in set(Effect):
        raise FaultError(f"effect must be one of {', '.join(Effect)}")
    if not plain.get("action"):
        raise FaultError("action is missing; * means every action")
    effect = Effect(plain["effect"])
    after_effect = plain.get("after_effect", effect is Effect.LOST_ANSWER)
    if effect is Effect.LOST_ANSWER and not after_effect:
        raise FaultError("lost_answer comes after the effect; use drop for before")
    if effect is Effect.STALL and plain.get("seconds", 0) <= 0:
        raise FaultError("stall needs seconds above 0")
    status = plain.get("status", 503 if effect is Effect.HTTP_5XX else 500)
    lowest = 500 if effect is Effect.HTTP_5XX else 400
    if not lowest <= status <= 599:
        raise FaultError(f"status must be {lowest} to 599, is {status}")
    count = plain.get("count", 1)
    if count < 1 or plain.get("skip", 0) < 0:
        raise FaultError("count must be at least 1 and skip at least 0")
    return Rule(
        fault_id=fault_id,
        action=plain["action"],
        effect=effect,
        after_effect=after_effect,
        count=None if plain.get("always") else count,
        skip=plain.get("skip", 0),
        match={str(k): str(v) for k, v in plain.get("match", {}).items()},
        seconds=float(plain.get("seconds", 0)),
        status=status,
        code=plain.get("code", "InternalError"),
        message=plain.get("message", "The request processing has failed due to injected fault."),
        headers={str(k): str(v) for k, v in plain.get("headers", {}).items()},
        html=plain.get("html", True),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A rule was applied. end: what to raise because the call ends here, None to go on."""

    fault_id: str
    end: errors.ApiError | DropConnection | HtmlAnswer | None = None


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self._active: dict[str, _Active] = {}
        self._made = 0

    def add(self, plain: Mapping[str, Any]) -> str:
        """Put a rule in force; its id. Raises FaultError."""
        fault_id = f"f-{self._made + 1}"
        rule = parse(plain, fault_id)
        self._made += 1
        self._active[fault_id] = _Active(rule)
        return fault_id

    def describe(self, fault_id: str) -> dict[str, Any] | None:
        """The rule with `applied` (calls so far), `holding` (requests held now), `active`."""
        found = self._active.get(fault_id)
        if found is None:
            return None
        return {
            **dataclasses.asdict(found.rule),
            "applied": found.applied,
            "holding": found.holding,
            "active": not found.used_up() and not found.released.is_set(),
        }

    async def wait_held(self, fault_id: str, wait_s: float) -> dict[str, Any] | None:
        """`describe`, once the rule holds a request or after *wait_s* real seconds."""
        found = self._active.get(fault_id)
        if found is not None and wait_s > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(found.held.wait(), wait_s)
        return self.describe(fault_id)

    def describe_all(self) -> list[dict[str, Any]]:
        """All rules, used up ones included, oldest first."""
        return [row for row in (self.describe(key) for key in self._active) if row is not None]

    def release(self, fault_id: str, *, drop: bool = False) -> bool:
        """Let held requests go on, or drop their connections, and end the rule; False if unknown.

        A dropped request has its effect only when the rule acts after it.
        """
        found = self._active.get(fault_id)
        if found is None:
            return False
        found.drop_released = drop
        found.released.set()
        return True

    def remove(self, fault_id: str) -> bool:
        """End a rule and release what it holds; False if unknown."""
        known = self.release(fault_id)
        self._active.pop(fault_id, None)
        return known

    def clear(self) -> None:
        """End all rules and release what they hold."""
        for fault_id in list(self._active):
            self.remove(fault_id)

    async def apply(
        self, action: str, values: Mapping[str, str], *, after_effect: bool
    ) -> Outcome | None:
        """Do what the first fitting rule says; None when none fits."""
        found = self._choose(action, values, after_effect=after_effect)
        if found is None:
            return None
        try:
            await _act(found)
        except (errors.ApiError, DropConnection, HtmlAnswer) as e:
            return Outcome(fault_id=found.rule.fault_id, end=e)
        return Outcome(fault_id=found.rule.fault_id)

    def _choose(
        self, action: str, values: Mapping[str, str], *, after_effect: bool
    ) -> _Active | None:
        for found in self._active.values():
            rule = found.rule
            if found.used_up() or found.released.is_set() or rule.after_effect != after_effect:
                continue
            if not rule.fits(action, values):
                continue
            if found.skipped < rule.skip:
                found.skipped += 1
                continue
            found.applied += 1
            return found
        return None


async def _act(found: _Active) -> None:
    rule = found.rule
    match rule.effect:
        case Effect.STALL:
            await asyncio.sleep(rule.seconds)
        case Effect.NOTIFY:
            found.holding += 1
            found.held.set()
            try:
                await found.released.wait()
            finally:
                found.holding -= 1
                if not found.holding:
                    found.held.clear()
            if found.drop_released:
                raise DropConnection
        case Effect.DROP | Effect.LOST_ANSWER:
            raise DropConnection
        case Effect.HTTP_5XX if rule.html:
            raise HtmlAnswer(rule.status, rule.headers)
        case Effect.HTTP_5XX:
            raise errors.ApiError(
                "ServiceUnavailable",
                rule.status,
                "The request has failed due to a temporary failure of the server.",
                headers=rule.headers,
            )
        case Effect.ERROR:
            raise errors.ApiError(rule.code, rule.status, rule.message, headers=rule.headers)

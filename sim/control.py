"""The control API under `/_sim/`: what a test or a person does to the cloud from outside of it.

JSON in, JSON out; a fault in the request is 400 `{"error": …}`. Served on the loopback listener
only. Every route is described in docs/reference/simulator.md.
"""

import inspect
import ipaddress
import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from sim import faults, imds, service
from sim import world as world_module
from sim.ecs import eni_addresses, eni_model, eni_trunks, enis, fabric

Plain = dict[str, Any]


class ControlError(ValueError):
    """The request cannot be done; the message says which field is wrong."""


class Control:
    """Routes of the control API over one service."""

    def __init__(self, front: service.Service, metadata: imds.Metadata) -> None:
        self._front = front
        self._cloud = front.cloud
        self._metadata = metadata

    def routes(self) -> list[web.RouteDef]:
        """All routes, for the application of the loopback listener."""
        return [
            self._route("GET", "health", self._health),
            self._route("GET", "calls", self._calls),
            self._route("DELETE", "calls", self._clear_calls),
            self._route("GET", "counters", self._counters),
            self._route("POST", "faults", self._add_fault),
            self._route("GET", "faults", self._list_faults),
            self._route("DELETE", "faults", self._clear_faults),
            self._route("GET", "faults/{id}", self._fault),
            self._route("DELETE", "faults/{id}", self._remove_fault),
            self._route("POST", "faults/{id}/release", self._release),
            self._route("GET", "clock", self._read_clock),
            self._route("POST", "clock", self._set_clock),
            self._route("GET", "state", self._state),
            self._route("GET", "network", self._no_hardware),
            self._route("GET", "files", self._no_hardware),
            self._route("POST", "enis/{id}", self._change_eni),
            self._route("POST", "world", self._change_world),
            self._route("POST", "world/stock", self._section("disk_stock")),
            self._route("POST", "latency", self._section("latencies")),
            self._route("POST", "throttle", self._section("throttle")),
            self._route("POST", "ram", self._change_world),
            self._route("POST", "consistency", self._set_consistency),
            self._route("POST", "imds", self._choose_instance),
            self._route("GET", "settings/{id}", self._read_setting),
            self._route("POST", "settings/{id}", self._change_setting),
            self._route("POST", "reset", self._reset),
            self._route("*", "{tail:.*}", lambda _ask, _body: None),
        ]

    def _route(
        self, method: str, path: str, handler: Callable[[web.Request, Plain], object]
    ) -> web.RouteDef:
        async def handle(ask: web.Request) -> web.Response:
            if not _is_loopback(ask.remote):
                error = "the control API answers clients of this machine's loopback only"
                return _reply({"error": error}, status=403)
            try:
                result = handler(ask, await _json(ask))
                if inspect.isawaitable(result):
                    result = await result
            except (ControlError, faults.FaultError, world_module.WorldError) as e:
                return _reply({"error": str(e)}, status=400)
            if result is None:
                return _reply({"error": f"there is no {ask.method} {ask.path}"}, status=404)
            return _reply(result)

        return web.route(method, f"/_sim/{path}", handle)

    def _section(self, name: str) -> Callable[[web.Request, Plain], object]:
        """A route that changes one section of the world."""

        def change(_: web.Request, body: Plain) -> object:
            rows = body.get("rows") if name == "disk_stock" else body
            if rows is None:
                raise ControlError('send {"rows": [{"zone_id": …, "category": …, …}]}')
            self._cloud.change_world({name: rows})
            if name == "throttle":
                self._front.throttler.clear()
            return {}

        return change

    def _health(self, _ask: web.Request, _body: Plain) -> object:
        return {"status": "ok", "time": self._cloud.clock.timestamp()}

    def _calls(self, ask: web.Request, _body: Plain) -> object:
        since = _number(ask.query.get("since", "0"), "since")
        rows = self._front.calls.entries(action=ask.query.get("action", ""), since=int(since))
        return {"calls": rows}

    def _clear_calls(self, _ask: web.Request, _body: Plain) -> object:
        self._front.calls.clear()
        return {}

    def _counters(self, _ask: web.Request, _body: Plain) -> object:
        return {"counters": self._front.calls.counters()}

    def _add_fault(self, _ask: web.Request, body: Plain) -> object:
        return {"id": self._front.faults.add(body)}

    def _list_faults(self, _ask: web.Request, _body: Plain) -> object:
        return {"faults": self._front.faults.describe_all()}

    def _clear_faults(self, _ask: web.Request, _body: Plain) -> object:
        self._front.faults.clear()
        return {}

    def _fault(self, ask: web.Request, _body: Plain) -> object:
        wait_s = _number(ask.query.get("wait_s", 0), "wait_s")
        return self._front.faults.wait_held(ask.match_info["id"], wait_s)

    def _remove_fault(self, ask: web.Request, _body: Plain) -> object:
        return {} if self._front.faults.remove(ask.match_info["id"]) else None

    def _release(self, ask: web.Request, body: Plain) -> object:
        drop = bool(body.get("drop", False))
        return {} if self._front.faults.release(ask.match_info["id"], drop=drop) else None

    def _read_clock(self, _ask: web.Request, _body: Plain) -> object:
        return {"time": self._cloud.clock.timestamp(), "now_s": self._cloud.clock.now_s()}

    def _set_clock(self, ask: web.Request, body: Plain) -> object:
        _known(body, "freeze", "scale", "advance_s", "skew_s")
        scale = _number(body.get("scale", 1.0), "scale")
        advance_s = _number(body.get("advance_s", 0.0), "advance_s")
        if scale <= 0 or advance_s < 0:
            raise ControlError("scale must be above 0 and advance_s not negative")
        clock = self._cloud.clock
        if "scale" in body:
            clock.set_rate(scale)
        if "freeze" in body:
            (clock.freeze if body["freeze"] else clock.thaw)()
        if "skew_s" in body:
            clock.skew_s = _number(body["skew_s"], "skew_s")
        clock.advance(advance_s)
        self._cloud.remember("clock", clock.state())
        self._cloud.settle()
        return self._read_clock(ask, body)

    def _no_hardware(self, _ask: web.Request, _body: Plain) -> object:
        """Without the hardware; with it, sim.hardware_control answers."""
        return {}

    def _change_eni(self, ask: web.Request, body: Plain) -> object:
        """Something happens to an interface behind its user's back."""
        eni_id, change = ask.match_info["id"], set(body)
        eni = enis.find(self._cloud, eni_id)
        if eni is None or change not in ({"detach"}, {"delete"}, {"unassign"}):
            raise ControlError(
                'an interface, and {"detach": true}, {"delete": true} or {"unassign": ["10.0.0.5"]}'
            )
        if change != {"unassign"} and eni.type == eni_model.PRIMARY:
            raise ControlError("the primary interface of an instance stays where it is")
        lost = body.get("unassign", [])
        there = (*eni.ips[1:], *eni.ipv6s, *eni.ipv4_prefixes, *eni.ipv6_prefixes)
        if not isinstance(lost, list) or not set(lost) <= set(there):
            raise ControlError(f"unassign takes secondary addresses: {', '.join(there)}")
        with self._cloud.store.transaction():
            if change != {"unassign"}:
                for each in (*eni_trunks.members(self._cloud, eni), eni):
                    enis.put(self._cloud, enis.taken_away(each))
            if change == {"delete"}:
                enis.delete(self._cloud, eni)
            elif change == {"unassign"}:
                enis.put(self._cloud, enis.without(eni, lost))
                eni_addresses.forget(self._cloud, eni.vswitch_id, lost)
            fabric.act(self._cloud, enis.every(self._cloud))
        return {}

    def _state(self, ask: web.Request, _body: Plain) -> object:
        kinds = [ask.query["kind"]] if "kind" in ask.query else self._cloud.store.kinds()
        return {
            kind: {row_id: _without_secrets(row) for row_id, row in self._cloud.store.items(kind)}
            for kind in kinds
        }

    def _change_world(self, _ask: web.Request, body: Plain) -> object:
        self._cloud.change_world(body)
        return {}

    def _set_consistency(self, _ask: web.Request, body: Plain) -> object:
        _known(body, "lag_s")
        lag_s = _number(body.get("lag_s", 0.0), "lag_s")
        if lag_s < 0:
            raise ControlError("lag_s must not be negative")
        self._cloud.view.lag_s = lag_s
        self._cloud.remember("consistency", {"lag_s": lag_s})
        return {}

    def _choose_instance(self, ask: web.Request, body: Plain) -> object:
        _known(body, "instance")
        instance_id = body.get("instance", ask.query.get("instance", ""))
        if instance_id and self._cloud.world.instance(instance_id) is None:
            raise ControlError(f"instance {instance_id} is not in the world")
        self._metadata.choose(instance_id)
        return {}

    def _read_setting(self, ask: web.Request, _body: Plain) -> object:
        return self._cloud.setting(ask.match_info["id"])

    def _change_setting(self, ask: web.Request, body: Plain) -> object:
        name = ask.match_info["id"]
        if name in _OWN_ROUTE:
            raise ControlError(f"setting {name} has its own route")
        self._cloud.remember(name, {**self._cloud.setting(name), **body})
        return self._cloud.setting(name)

    def _reset(self, _ask: web.Request, _body: Plain) -> object:
        self._front.faults.clear()
        self._front.throttler.clear()
        self._front.calls.clear()
        self._cloud.reset()
        return {}


_OWN_ROUTE = frozenset({"clock", "world", "consistency", "imds"})
_SECRET_FIELDS = frozenset({"secret", "security_token", "body", "access_key_secret"})


def _without_secrets(row: object) -> object:
    if isinstance(row, Mapping):
        return {
            key: "***" if key in _SECRET_FIELDS else _without_secrets(value)
            for key, value in row.items()
        }
    if isinstance(row, list):
        return [_without_secrets(value) for value in row]
    return row


def _is_loopback(address: str | None) -> bool:
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False


async def _json(ask: web.Request) -> Plain:
    """The body as an object; an absent one is empty."""
    text = await ask.text()
    if not text:
        return {}
    try:
        body = json.loads(text)
    except ValueError as e:
        raise ControlError(f"the body is not JSON: {e}") from e
    if not isinstance(body, dict):
        raise ControlError("the body must be a JSON object")
    return body


def _reply(result: object, status: int = 200) -> web.Response:
    return web.json_response(result, status=status)


def _number(value: object, name: str) -> float:
    if isinstance(value, str) and value.isdecimal():
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ControlError(f"{name} must be a number, is {value!r}")
    return float(value)


def _known(body: Plain, *names: str) -> None:
    unknown = sorted(set(body) - set(names))
    if unknown:
        raise ControlError(f"unknown field {', '.join(unknown)}; known: {', '.join(names)}")

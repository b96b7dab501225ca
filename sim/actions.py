"""The registry of API actions: what a product module (such as `sim.ecs`) imports to plug itself in.

How to write an action:

    @actions.action("2014-05-26", "CreateDisk", idempotent=True)
    def create_disk(call: actions.Call) -> dict[str, Any]:
        size = call.params.integer("Size", minimum=1)
        ...
        call.cloud.store.put("disk", disk_id, row)
        return {"DiskId": disk_id}            # RequestId is added by the server

* Handlers are synchronous and run one at a time, inside one transaction that is committed before
  the answer leaves. Raising `errors.ApiError` undoes every write. Do hardware effects last.
* Rows are JSON objects. What the store returns is read-only: put a changed copy.
* State that changes later carries its own due time in the row (`cloud.clock.now_s() +
  cloud.latency("attach")`). A *settler* applies what is due and returns when it wants to run next.
* Describe actions read through `cloud.view` (same reading methods as the store), which shows the
  past while the simulator plays eventual consistency. All other actions read `cloud.store`.
* A *seeder* turns the world into rows. It runs at every start and after a reset, so it puts only
  what is absent.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from sim import cloud as cloud_module
from sim import identity
from sim import params as params_module

PRODUCTS: Mapping[str, str] = {
    "2014-05-26": "ecs",
    "2015-04-01": "sts",
    "2016-04-28": "vpc",
    "2017-06-26": "nas",
    "2022-12-15": "eflo",
}


@dataclasses.dataclass(slots=True, kw_only=True)
class Call:
    """One request that passed signature, throttle and permission checks.

    region_id: a region of the world; the world's own when the request names none.
    """

    params: params_module.Params
    cloud: cloud_module.Cloud
    principal: identity.Principal
    region_id: str
    request_id: str


Handler = Callable[[Call], dict[str, Any]]
Settler = Callable[[cloud_module.Cloud, float], float | None]
Seeder = Callable[[cloud_module.Cloud], None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A registered action.

    idempotent: honours ClientToken. anonymous: needs no signature (AssumeRoleWithOIDC).
    """

    version: str
    name: str
    handler: Handler
    idempotent: bool
    anonymous: bool

    @property
    def product(self) -> str:
        """`ecs`, `sts` …: the prefix of the RAM action and of the host id."""
        return PRODUCTS[self.version]


_actions: dict[tuple[str, str], Action] = {}
_settlers: list[Settler] = []
_seeders: list[Seeder] = []


def action(
    version: str, name: str, *, idempotent: bool = False, anonymous: bool = False
) -> Callable[[Handler], Handler]:
    """Register the decorated function as action *name* of API *version*."""

    def register(handler: Handler) -> Handler:
        if (version, name) in _actions:
            raise ValueError(f"action {name} of {version} is registered twice")
        _actions[version, name] = Action(
            version=version,
            name=name,
            handler=handler,
            idempotent=idempotent,
            anonymous=anonymous,
        )
        return handler

    return register


def settler(function: Settler) -> Settler:
    """Register a function that applies state changes that are due.

    Called with the cloud and the simulated time in epoch seconds, inside a transaction, before
    each action and by a ticker, but only after a write or when a due time has come. Returns the
    earliest time at which something else becomes due, None when nothing is pending.
    """
    _settlers.append(function)
    return function


def seeder(function: Seeder) -> Seeder:
    """Register a function that puts the world's rows into an empty or older store."""
    _seeders.append(function)
    return function


def find(version: str, name: str) -> Action | None:
    """The action, or None when this cloud does not know it."""
    return _actions.get((version, name))


def names() -> list[str]:
    """All actions as `product:Name`, sorted; for the documentation and its test."""
    return sorted(f"{row.product}:{row.name}" for row in _actions.values())


def settlers() -> tuple[Settler, ...]:
    """All settlers, in the order of registration."""
    return tuple(_settlers)


def seeders() -> tuple[Seeder, ...]:
    """All seeders, in the order of registration."""
    return tuple(_seeders)

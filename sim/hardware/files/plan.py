"""Which servers there must be, and what leads there from those there are: pure."""

import dataclasses
from collections.abc import Iterable, Mapping

from sim.hardware import api, files_api
from sim.hardware.files import model


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """stop: numbers; before start, because what is started may have one of them."""

    stop: tuple[int, ...]
    start: tuple[model.Server, ...]


def assign(
    exports: Iterable[files_api.Export], known: Mapping[str, int], *, after: int, most: int
) -> tuple[model.Server, ...]:
    """A server for each export. known: domain → number it has; others get the next free ones.

    after: the number given last. They are given in turn, so that no client finds another file
    system at an address it still uses. HardwareError when there are more than *most*.
    """
    taken = set(known.values())
    turn = (1 + (after + n) % most for n in range(most))
    free = (number for number in turn if number not in taken)
    made = []
    for export in exports:
        number = known.get(export.domain) or next(free, None)
        if number is None:
            raise api.HardwareError(f"files: {export.domain}: all {most} addresses are in use")
        made.append(model.Server.of(export, number))
    return tuple(made)


def steps(have: Mapping[int, model.Server | None], want: Iterable[model.Server]) -> Steps:
    """What must change. have: number → server, None for what is there but does not serve."""
    wanted = {server.number: server for server in want}
    return Steps(
        stop=tuple(n for n in sorted(have) if n not in wanted or have[n] != wanted[n]),
        start=tuple(wanted[n] for n in sorted(wanted) if have.get(n) != wanted[n]),
    )

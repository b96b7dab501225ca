"""Exports that follow what is wanted, in a thread of their own: a server takes a second to start.

The caller says what there must be and goes on; `serves` tells when it is so.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from sim.hardware import api
from sim.hardware.files import fabric as fabric_module
from sim.hardware.files import model, plan, server

log = structlog.get_logger()

_RETRY_S = 1.0
_LINGER_S = 60.0
"""How long a server whose export is gone answers with ESTALE, so that clients can unmount."""


class Exports:
    """Servers of one state directory, and the thread that starts and stops them.

    start: serves an export in a network namespace. after: called in the thread when servers that
    are not wanted have ended. Both raise HardwareError; then all is tried again.
    """

    def __init__(
        self,
        names: model.Names,
        fabric: fabric_module.Fabric,
        *,
        start: Callable[[model.Server, str], None],
        after: Callable[[], None],
    ) -> None:
        self._names = names
        self._fabric = fabric
        self._start = start
        self._after = after
        # All below is guarded by it.
        self._changed = threading.Condition()
        self._wanted: tuple[model.Server, ...] = ()
        self._asked = self._done = 0
        self._serving: dict[int, model.Server | None] | None = None
        self._retired: dict[int, float] = {}
        self._error = ""
        self._ended = False
        self._thread = threading.Thread(target=self._follow, name="nas exports")

    def want(self, servers: tuple[model.Server, ...]) -> None:
        """From now on these must be there and no others."""
        with self._changed:
            self._wanted = servers
            self._asked += 1
            self._changed.notify_all()
            if self._thread.ident is None:
                self._thread.start()

    def serves(self, domain: str) -> bool:
        """Whether the wanted export of that name answers."""
        with self._changed:
            return any(row.domain == domain and self._is_up(row) for row in self._wanted)

    def wait(self, limit_s: float) -> None:
        """Until all is as it is wanted. HardwareError, with the last failure, at the limit."""
        with self._changed:
            if not self._changed.wait_for(self._is_settled, limit_s):
                raise api.HardwareError(self._error or f"files: no exports after {limit_s:g} s")

    def describe(self) -> list[dict[str, Any]]:
        """Every wanted export with its address, and whether it answers."""
        with self._changed:
            return [
                {
                    "domain": row.domain,
                    "address": str(self._fabric.addresses.server(row.number)),
                    "file_system_id": row.file_system_id,
                    "path": row.path,
                    "mount_path": row.seen_path,
                    "serves": self._is_up(row),
                    "namespace": self._names.server(row.number),
                }
                for row in self._wanted
            ]

    @property
    def error(self) -> str:
        """Of the last try, "" when it went well."""
        with self._changed:
            return self._error

    def close(self) -> None:
        """End the thread; the servers stay."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def _is_up(self, row: model.Server) -> bool:
        return self._serving is not None and self._serving.get(row.number) == row

    def _is_settled(self) -> bool:
        return self._done == self._asked and not self._error and all(map(self._is_up, self._wanted))

    def _follow(self) -> None:
        while (wanted := self._next()) is not None:
            try:
                self._make_so(wanted)
                error = ""
            except api.HardwareError as e:
                error = str(e)
                log.warning("exports failed, trying again", error=error)
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _next(self) -> tuple[model.Server, ...] | None:
        """What is wanted, once there is something to do; None at the end."""
        with self._changed:
            ends = [end_s - time.monotonic() for end_s in self._retired.values()]
            pause_s = min([*ends, *([_RETRY_S] if self._error else [])], default=None)
            self._changed.wait_for(lambda: self._ended or self._asked != self._done, pause_s)
            self._done = self._asked
            return None if self._ended else self._wanted

    def _make_so(self, wanted: tuple[model.Server, ...]) -> None:
        if self._serving is None:
            found = {number: self._find(number) for number in self._fabric.numbers()}
            with self._changed:
                self._serving = found
        steps = plan.steps(self._serving, wanted)
        again = {row.number for row in steps.start}
        for number in steps.stop:
            retire = number not in again and self._serving[number] is not None
            self._note(number, None)
            if retire:
                server.withdraw(self._names.server(number))
                self._retired[number] = time.monotonic() + _LINGER_S
            else:
                stop(self._names, self._fabric, number)
            with self._changed:
                del self._serving[number]
        for number, end_s in list(self._retired.items()):
            if number in again or end_s <= time.monotonic():
                stop(self._names, self._fabric, number)
                del self._retired[number]
        self._after()
        if steps.start:
            log.info("exports begin", domains=[row.domain for row in steps.start])
        for row in steps.start:
            if self._ended or self._asked != self._done:
                return  # something else is wanted by now
            self._note(row.number, None)
            self._start(row, self._fabric.plug(row.number))
            if not self._answers(row.number):
                raise api.HardwareError(f"files: NFS server of {row.domain} does not answer")
            self._note(row.number, row)
            log.info("export serves", domain=row.domain, file_system_id=row.file_system_id)

    def _note(self, number: int, row: model.Server | None) -> None:
        """What is there now, for those who ask; None: something that does not serve."""
        with self._changed:
            if self._serving is not None:
                self._serving[number] = row
            self._changed.notify_all()

    def _find(self, number: int) -> model.Server | None:
        found = server.find(self._names.server(number))
        return found if found is not None and self._answers(number) else None

    def _answers(self, number: int) -> bool:
        return server.answers(str(self._fabric.addresses.server(number)))


def stop(names: model.Names, fabric: fabric_module.Fabric, number: int) -> None:
    """End one server, whoever started it, and remove its namespace."""
    server.stop(names.server(number))
    fabric.unplug(number)

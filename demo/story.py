"""How the demo tells what happens: numbered steps, with the cloud's and the node's side."""

import contextlib
import sys
import time
from collections.abc import Iterator

from tests.support import control

_QUIET_ACTIONS = frozenset({"GetCallerIdentity"})


class Story:
    """Prints steps; each shows the cloud calls made meanwhile and what `note` was told."""

    def __init__(self, cloud: control.Control) -> None:
        self._cloud = cloud
        self._number = 0
        self._notes: list[str] = []
        self._started_s = time.monotonic()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step: runs the body, then tells how it went."""
        self._number += 1
        self._notes = []
        self._cloud.clear_calls()
        print(f"\n{self._number:2}. {title}", flush=True)
        before_s = time.monotonic()
        yield
        elapsed_s = time.monotonic() - before_s
        calls = self._summary()
        if calls:
            print(f"      cloud  {calls}")
        for text in self._notes:
            print(f"      node   {text}")
        print(f"      done   {elapsed_s:.2f} s", flush=True)

    def note(self, text: str) -> None:
        """Something seen on the node."""
        self._notes.append(text)

    def end(self) -> None:
        """Closing line."""
        elapsed_s = time.monotonic() - self._started_s
        print(f"\nAll of it worked, in {elapsed_s:.1f} s. Nothing is left behind.", flush=True)

    def _summary(self) -> str:
        """`AttachDisk, DescribeDisks x2`: calls in the order of their first appearance."""
        counted: dict[str, int] = {}
        for call in self._cloud.calls():
            if call["action"] in _QUIET_ACTIONS:
                continue
            outcome = call.get("code") or call.get("outcome") or "OK"
            name = call["action"] if outcome in ("OK", "ok", 200) else f"{call['action']} {outcome}"
            counted[name] = counted.get(name, 0) + 1
        return ", ".join(name if n == 1 else f"{name} x{n}" for name, n in counted.items())


def fail(text: str) -> None:
    """Say on stderr what went wrong."""
    print(f"\ndemo: {text}", file=sys.stderr, flush=True)

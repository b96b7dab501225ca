"""How the demo tells what happens: numbered steps, with the cloud's and the node's side."""

import contextlib
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol

from tests.support import control

_QUIET_ACTIONS = frozenset({"GetCallerIdentity", "Metadata"})
_TITLE_WIDTH = 78
_DETAIL = "       {who:<6} {text}"


class Rig(Protocol):
    """What a story is told about."""

    @property
    def dir(self) -> pathlib.Path:
        """Where everything of a run is."""
        ...

    @property
    def control(self) -> control.Control:
        """The cloud's control API."""
        ...


class Story:
    """Prints steps; each shows the cloud calls made meanwhile and what `cloud`, `node` were told.

    Paths below the rig's directory are shown as $RUN/….
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._cloud = rig.control
        self._number = 0
        self._notes: list[tuple[str, str]] = []
        self._started_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first word."""
        return time.monotonic() - self._started_s

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step: runs the body, then tells how it went."""
        self._number += 1
        self._notes = []
        self._cloud.clear_calls()
        print(f"\n{self._number:4}.  {title:<{_TITLE_WIDTH}}", end="", flush=True)
        before_s = time.monotonic()
        try:
            yield
        except BaseException:
            print("failed")
            raise
        print(f"{time.monotonic() - before_s:6.2f} s")
        for who in ("cloud", "node"):
            lines = [text for teller, text in self._notes if teller == who]
            if who == "cloud":
                lines = [*self._calls(), *lines]
            for number, text in enumerate(lines):
                self._print("" if number else who, text)

    def cloud(self, text: str) -> None:
        """Something seen in the cloud."""
        self._notes.append(("cloud", text))

    def node(self, text: str) -> None:
        """Something seen on the node."""
        self._notes.append(("node", text))

    def _print(self, who: str, text: str) -> None:
        print(_DETAIL.format(who=who, text=text.replace(str(self._rig.dir), "$RUN")), flush=True)

    def _calls(self) -> list[str]:
        """`AttachDisk, DescribeDisks x2`: calls in the order of their first appearance, if any."""
        counted: dict[str, int] = {}
        for call in self._cloud.calls():
            if call["action"] in _QUIET_ACTIONS:
                continue
            ok = call["code"] == "OK"
            name = call["action"] if ok else f"{call['action']} ({call['code']})"
            counted[name] = counted.get(name, 0) + 1
        text = ", ".join(name if n == 1 else f"{name} x{n}" for name, n in counted.items())
        return [text] if text else []


def fail(text: str) -> None:
    """Say on stderr what went wrong."""
    print(f"\ndemo: {text}", file=sys.stderr, flush=True)

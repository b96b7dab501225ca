"""A recorder that posts nothing, and notes what was told."""

from core import clock
from kube import api, events


class NotedEvents(events.Recorder):
    """told: (reason, message) of each warning on the node; noted: of what is well."""

    def __init__(self) -> None:
        super().__init__(api.Nowhere(), component="test", host="node-a", time=clock.SystemClock())
        self.told: list[tuple[str, str]] = []
        self.noted: list[tuple[str, str]] = []

    def warn_node(self, reason: str, message: str) -> None:
        self.told.append((reason, message))

    def note_node(self, reason: str, message: str) -> None:
        self.noted.append((reason, message))

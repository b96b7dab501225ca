"""A recorder that posts nothing, and notes what was told."""

from core import clock
from kube import api, events


class NotedEvents(events.Recorder):
    """told: (reason, message) of each event on the node."""

    def __init__(self) -> None:
        super().__init__(api.Nowhere(), component="test", host="node-a", time=clock.SystemClock())
        self.told: list[tuple[str, str]] = []

    def warn_node(self, reason: str, message: str) -> None:
        self.told.append((reason, message))

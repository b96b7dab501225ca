"""The Node object as its watch shows it: which one it is, and the labels that we look at."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any


class Teller:
    """In the process that watches: tells {"node": uid and labels, None = gone} when it changes.

    write: takes what is told. labels: keys that are kept.
    """

    def __init__(self, write: Callable[[dict[str, Any]], None], labels: Collection[str]) -> None:
        self._write = write
        self._labels = labels
        self._listing = False
        self._told: Any = ()

    def take(self, each: Mapping[str, Any]) -> None:
        """What `kube.watch.Watch` tells. A Node changes every few seconds; little of it is ours."""
        if "begin" in each:
            self._listing = True
        elif "put" in each:
            self._listing = False
            self._tell(self._seen(each["put"].get("metadata") or {}))
        elif "gone" in each or ("end" in each and self._listing):
            self._tell(None)
        elif "away" in each:
            self._listing = False

    def _seen(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        labels = metadata.get("labels") or {}
        kept = {key: labels[key] for key in self._labels if key in labels}
        return {"uid": metadata.get("uid") or "", "labels": kept}

    def _tell(self, seen: dict[str, Any] | None) -> None:
        if seen != self._told:
            self._told = seen
            self._write({"node": seen})


class NodeSeen:
    """In the process that asked; one event loop.

    is_known: whether the watch has told. uid: "" = there is no such Node, or it is not known.
    changed: set whenever something was told; cleared by who waits for it.
    """

    def __init__(self) -> None:
        self.is_known = False
        self.uid = ""
        self.labels: Mapping[str, str] = {}
        self.changed = asyncio.Event()

    def take(self, told: Mapping[str, Any] | None) -> None:
        """What `Teller` told."""
        self.is_known = True
        self.uid = told["uid"] if told else ""
        self.labels = told["labels"] if told else {}
        self.changed.set()

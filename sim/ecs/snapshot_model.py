"""A snapshot and a snapshot-consistent group as the simulator stores them.

A snapshot is made in two phases: *cut* (the content is fixed, CreationTime appears) and *done*
(Available). Not here: rules (snapshots.py) and API names (snapshot_view.py).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

KIND = "snapshot"
GROUP_KIND = "snapshot_group"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that is known about a snapshot.

    creation_time: "" until it is cut. *_due_s: simulated epoch seconds, None when past or never;
    expire_due_s ends the retention period. instant_access: restorable once cut.
    group_id: the snapshot-consistent group it belongs to, "" = none.
    """

    snapshot_id: str
    region_id: str
    source_disk_id: str
    source_disk_size_gib: int
    source_disk_type: str
    source_category: str
    name: str = ""
    description: str = ""
    creation_time: str = ""
    last_modified_time: str = ""
    encrypted: bool = False
    kms_key_id: str = ""
    resource_group_id: str = ""
    retention_days: int = 0
    instant_access: bool = False
    group_id: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cut_due_s: float | None = None
    done_due_s: float | None = None
    expire_due_s: float | None = None
    delete_due_s: float | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Inverse of row()."""
        return cls(**{name: row[name] for name in row if name in cls.__dataclass_fields__})

    def row(self) -> dict[str, Any]:
        """JSON object for the store, with the earliest due time on top for the settler."""
        return {**dataclasses.asdict(self), "due_s": self.due_s}

    @property
    def due_s(self) -> float | None:
        """When this snapshot changes by itself next; None when it does not."""
        due = (self.cut_due_s, self.done_due_s, self.expire_due_s, self.delete_due_s)
        return min((at for at in due if at is not None), default=None)

    @property
    def is_cut(self) -> bool:
        """The content is fixed; CreationTime is told."""
        return self.cut_due_s is None

    @property
    def available(self) -> bool:
        """API field Available: the copy is complete."""
        return self.is_cut and self.done_due_s is None

    @property
    def status(self) -> str:
        """API field Status; snapshots of this cloud do not fail."""
        return "accomplished" if self.available else "progressing"

    @property
    def has_image(self) -> bool:
        """Whether hardware keeps content for it: only data disks have images."""
        return self.source_disk_type == "data"

    @property
    def restorable(self) -> bool:
        """Whether CreateDisk accepts it: at once after the cut where instant access is built in."""
        return self.available or (self.is_cut and self.instant_access)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A snapshot-consistent group; its members are the snapshots with its group_id.

    instance_id: "" when disks were named instead.
    """

    group_id: str
    instance_id: str = ""
    name: str = ""
    description: str = ""
    creation_time: str = ""
    resource_group_id: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Inverse of row()."""
        return cls(**{name: row[name] for name in row if name in cls.__dataclass_fields__})

    def row(self) -> dict[str, Any]:
        """JSON object for the store."""
        return dataclasses.asdict(self)

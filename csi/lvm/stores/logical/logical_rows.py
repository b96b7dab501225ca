"""Which row of LVM's report is the volume that a request means, and what of it is told. Pure."""

from collections.abc import Sequence

from core import errors
from csi.lvm import model, tags
from csi.lvm.stores.logical import conditions
from host import lvm_model


class Unusable(errors.Precondition):
    """A volume that is not complete, or going."""

    def __init__(self, row: lvm_model.LogicalVolume) -> None:
        super().__init__(
            f"volume {row.group}/{row.name} is not complete, or it is being deleted: "
            f"{', '.join(sorted(row.tags))}"
        )


def pick(
    rows: Sequence[lvm_model.LogicalVolume], volume_id: str, group: str = ""
) -> lvm_model.LogicalVolume | None:
    """The row that a request for *volume_id* means: rather ours than one that has the name only."""
    fitting = [row for row in rows if _is_meant(row, volume_id) and group in ("", row.group)]
    return max(fitting, key=lambda row: tags.OWNER in row.tags, default=None)


def _is_meant(row: lvm_model.LogicalVolume, volume_id: str) -> bool:
    """Whether *row* is what a request for *volume_id* means: ours, or one of nobody's."""
    if f"{tags.IS_VOLUME}{volume_id}" in row.tags:
        return True
    kinds = tags.value(row.tags, "csi-kind=")
    is_one = row.layout is not lvm_model.Layout.POOL and kinds in ("", "volume")
    return row.name == volume_id and is_one


def is_listed(row: lvm_model.LogicalVolume) -> bool:
    """Whether *row* is a volume of ours that can be used."""
    return {tags.OWNER, tags.VOLUME} <= row.tags and not tags.is_unusable(row.tags)


def volume(
    row: lvm_model.LogicalVolume,
    rows: Sequence[lvm_model.LogicalVolume],
    *,
    volume_id: str = "",
) -> model.Volume:
    """*row* as both halves see it. rows: where its pool is looked for. volume_id: "" = its name."""
    return model.Volume(
        volume_id=volume_id or row.name,
        capacity_bytes=row.content_bytes,
        condition=conditions.of(row, rows),
        context={"vgName": row.group},
    )


def require_no_thick_snapshots(
    row: lvm_model.LogicalVolume, rows: Sequence[lvm_model.LogicalVolume], what: str
) -> None:
    """Raise Precondition when *row* has thick snapshots. what: it cannot do meanwhile."""
    names_ = [
        each.name
        for each in rows
        if each.is_thick_snapshot and (each.group, each.origin) == (row.group, row.name)
    ]
    if names_:
        raise errors.Precondition(
            f"volume {row.name} cannot {what} while it has snapshots: {', '.join(names_)}"
        )

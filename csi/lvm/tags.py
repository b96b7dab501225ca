"""What a logical volume carries about itself, as LVM tags. Pure.

These are the driver's whole memory: a tag is written in the same step as the volume it is on, so
that a process that was killed at any instant leaves what the next one understands.

| tag | meaning |
| csi-local | ours: nothing without it is ever removed |
| csi-fresh | never used since it was made: its content is worthless, whatever it is |
| csi-making | a copy that is not complete; worthless, and not to be used |
| csi-going | being deleted: perhaps wiped in part; not to be used |
| csi-ephemeral | goes with its pod |
| csi-kind=… | volume, snapshot, scratch, pool |
| csi-name=… | digest of the request's name |
| csi-spec=… | digest of what the volume was asked to be like |
| csi-source=… | of a snapshot: the volume it was made of |
| csi-time=… | of a snapshot: seconds since 1970 |
| csi-wipe=… | what to do with the content before the volume goes |
| csi-only=ro | of a snapshot: volumes of it are the snapshot itself, read-only |
| csi-volume=… | of such a snapshot: a volume that it is |
| csi-stale=T | at T a collection saw that nobody names it |
| csi-retained | what named it said that it outlives it: never collected |
| csi-grow=P+B | of a thick snapshot: at P percent it gets B bytes more |
"""

from collections.abc import Collection

OWNER = "csi-local"
FRESH = "csi-fresh"
MAKING = "csi-making"
GOING = "csi-going"
EPHEMERAL = "csi-ephemeral"
PLAIN = "csi-plain"
"""Of a volume that may be removed without a further look."""
READ_ONLY = "csi-only=ro"
RETAINED = "csi-retained"
PROTECTED = "protected"
"""The reference's: never removed. Source: spec/csi-driver.md 6.1."""
VOLUME, SNAPSHOT, SCRATCH, POOL = (
    f"csi-kind={kind}" for kind in ("volume", "snapshot", "scratch", "pool")
)
NAME, SPEC, SOURCE, TIME, WIPE, IS_VOLUME, GROW, STALE = (
    f"csi-{key}=" for key in ("name", "spec", "source", "time", "wipe", "volume", "grow", "stale")
)


def value(tags: Collection[str], key: str) -> str:
    """What follows *key*, "" = it is not there."""
    return next((tag.removeprefix(key) for tag in sorted(tags) if tag.startswith(key)), "")


def values(tags: Collection[str], key: str) -> list[str]:
    """All that follow *key*."""
    return sorted(tag.removeprefix(key) for tag in tags if tag.startswith(key))


def is_unusable(tags: Collection[str]) -> bool:
    """Whether nobody may use the volume: it is not complete, or it is going."""
    return MAKING in tags or GOING in tags

"""Keys and values of the tags on file systems and access points that carry our state.

Source: spec/csi-driver.md 3.4; keys marked "ours" are not in the reference.
"""

import hashlib
from collections.abc import Mapping

from core import errors

MANAGED = "k8s.aliyun.com"
CREATED_BY = "createdby"
CREATED_BY_US = "alibabacloud-csi-plugin"
CLUSTER = "ack.aliyun.com"

VOLUME_NAME = "csi.alibabacloud.com/volume-name"
"""Ours. On a file system or access point that was made for one volume: the volume's name."""
DELETE_VOLUME = "csi.alibabacloud.com/delete-volume"
"""Ours. On a file system made for a volume: "true" when it goes with the volume."""
CAPACITY = "csi.alibabacloud.com/capacity-bytes"
"""Ours. On what was made for a volume: the size that was asked for."""
WISH = "csi.alibabacloud.com/wish"
"""Ours. On what was made for a volume: a digest of what else its class asked for."""
SUBPATHS = "csi.alibabacloud.com/subpaths"
"""Ours. On a file system that holds volumes as directories; says nothing else."""
_BASE = "csi.alibabacloud.com/subpaths."

_VALUE_MAX = 128
_WISH_CHARS = 32


def of_volume(name: str, *, cluster_id: str) -> dict[str, str]:
    """Tags of what is made for volume *name*."""
    told = {MANAGED: "true", CREATED_BY: CREATED_BY_US, VOLUME_NAME: name}
    if cluster_id:
        told[CLUSTER] = cluster_id
    return told


def wish(asked: Mapping[str, object]) -> str:
    """Value of WISH. What is not asked for leaves no trace, so that further keys change nothing."""
    told = sorted(
        f"{key}={value}"
        for key, value in asked.items()
        if value is not None and value is not False and value not in ("", ())
    )
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:_WISH_CHARS]


def is_wish(tags: Mapping[str, str], asked: Mapping[str, object]) -> bool:
    """Whether *tags* are of what was made for that wish, or do not tell."""
    made_for = tags.get(WISH, "")
    return not made_for or made_for == wish(asked)


def require_own(what: str, tags: Mapping[str, str], *, cluster_id: str) -> None:
    """Raise Precondition when *tags* of *what* name another cluster than *cluster_id*.

    A backup that is restored into a second cluster brings volume ids of the first one along.
    cluster_id: "" = not known, and then nothing is asked.
    """
    owner = tags.get(CLUSTER, "")
    if cluster_id and owner not in ("", cluster_id):
        raise errors.Precondition(
            f"{what} was made by cluster {owner} and is not deleted by cluster {cluster_id}; when "
            f"that cluster is gone for good, remove the tag {CLUSTER}"
        )


def of_base(base: str) -> dict[str, str]:
    """Tags that say: volumes are directories under *base* of this file system.

    Raises InvalidField when *base* does not fit into a tag, for then no volume under it could be
    found again.
    """
    if len(base) > _VALUE_MAX:
        raise errors.InvalidField(
            "parameters[server]",
            "has a path that is too long",
            value=base,
            allowed=f"at most {_VALUE_MAX} characters",
        )
    digest = hashlib.sha256(base.encode()).hexdigest()[:8]
    return {SUBPATHS: "true", _BASE + digest: base}


def bases_of(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Paths of a file system under which volumes are directories."""
    return tuple(sorted(value for key, value in tags.items() if key.startswith(_BASE)))

"""Keys of the tags that carry our state in the cloud, and the checks on tags of users.

Source: spec/csi-driver.md 2.7, 2.12 and appendix B; keys marked "ours" are not in the reference.
"""

from collections.abc import Iterable, Mapping

from core import errors
from csi.disk.controller import names

MANAGED = "k8s.aliyun.com"
CREATED_BY = "createdby"
CREATED_BY_US = "alibabacloud-csi-plugin"
CLUSTER = "ack.aliyun.com"
VOLUME_NAME = "csi.alibabacloud.com/volume-name"
DELETE_RETENTION_DAYS = "csi.alibabacloud.com/volume-delete-autosnapshot-retentiondays"
CREATED_FOR = "kubernetes.io/created-for/"
LINGJUN_PRODUCT = "createdByProduct"
LINGJUN_PRODUCT_EFLO = "eflo"
LINGJUN_HPN_ZONE = "attachToHpnZone"

CLONE_OF = "csi.alibabacloud.com/clone-of"
"""Ours. On a cloned disk and on its temporary snapshot: the source volume."""
CLONE_FOR = "csi.alibabacloud.com/clone-for"
"""Ours. On a temporary snapshot: the name of the volume it is made for."""
READ_ONLY = "csi.alibabacloud.com/published-readonly/"
"""Ours. Followed by an instance id: the disk is published there read-only."""

FORCE_DELETE_SNAPSHOT = "force.delete.snapshot.k8s.aliyun.com"
SNAPSHOT_NAME = "csi.alibabacloud.com/snapshot-name"
"""Ours. On a snapshot: the name the orchestrator gave it."""
SNAPSHOT = "csi.alibabacloud.com/snapshot/"
GROUP_SNAPSHOT = "csi.alibabacloud.com/group-snapshot/"

MAX_TAGS = 20
"""Per resource. Source: ECS API page "TagResources"."""
_MAX_CHARS = 128
_OUR_PREFIX = "csi.alibabacloud.com/"
_OURS = frozenset({MANAGED, CREATED_BY, CLUSTER, FORCE_DELETE_SNAPSHOT})


def read_only_key(instance_id: str) -> str:
    """Key of the tag that says: published read-only on *instance_id*."""
    return READ_ONLY + instance_id


def disk_tags(
    name: str,
    *,
    cluster_id: str,
    retention_days: int | None,
    wanted: Mapping[str, str],
    clone_of: str = "",
) -> dict[str, str]:
    """Tags of a new disk in the reference's order, which is part of the client token's request.

    wanted: the user's tags. Raises InvalidField when there are more than the cloud takes.
    """
    told = {MANAGED: "true", CREATED_BY: CREATED_BY_US}
    if cluster_id:
        told[CLUSTER] = cluster_id
    if retention_days is not None:
        told[DELETE_RETENTION_DAYS] = str(retention_days)
    told |= dict(sorted(wanted.items()))
    if clone_of:
        told[CLONE_OF] = clone_of
    told[VOLUME_NAME] = names.tag_value(name)
    require_count(told)
    return told


def snapshot_tags(
    *, cluster_id: str, wanted: Mapping[str, str], own: Mapping[str, str]
) -> dict[str, str]:
    """Tags of a new snapshot or group in the reference's order. own: further tags of ours."""
    told = {CREATED_BY: CREATED_BY_US, FORCE_DELETE_SNAPSHOT: "true"}
    if cluster_id:
        told[CLUSTER] = cluster_id
    told |= dict(sorted(wanted.items()))
    told |= own
    require_count(told)
    return told


def cluster_conflict(held: Mapping[str, str], *, cluster_id: str) -> str:
    """Why what has the tags *held* is not this cluster's, "" when it may be. Pure.

    A backup that is restored into a second cluster brings volume ids of the first one along.
    cluster_id: "" = not known, and then nothing is asked.
    """
    owner = held.get(CLUSTER, "")
    if not cluster_id or owner in ("", cluster_id):
        return ""
    return (
        f"is of cluster {owner}, not of {cluster_id}; when that cluster is gone for good, remove "
        f"its tag {CLUSTER}"
    )


def require_own(what: str, held: Mapping[str, str], *, cluster_id: str) -> None:
    """Raise Precondition when the tags *held* of *what* name another cluster."""
    conflict = cluster_conflict(held, cluster_id=cluster_id)
    if conflict:
        raise errors.Precondition(f"{what} {conflict}")


def require_user_tag(field: str, key: str, value: str) -> None:
    """Refuse a tag that the cloud would refuse, or that carries our own state."""
    require_user_key(field, key)
    if len(value) > _MAX_CHARS or "http://" in value or "https://" in value:
        raise errors.InvalidField(
            field, "is not a tag value", value=value, allowed="at most 128 characters, no http://"
        )


def require_user_key(field: str, key: str) -> None:
    """Like `require_user_tag`, for a key alone."""
    if key in _OURS or key.startswith(_OUR_PREFIX):
        raise errors.InvalidField(field, "is a tag of this driver's own", value=key)
    bad = key.startswith(("aliyun", "acs:")) or "http://" in key or "https://" in key
    if not key or len(key) > _MAX_CHARS or bad:
        raise errors.InvalidField(
            field,
            "is not a tag key",
            value=key,
            allowed="1 to 128 characters, not starting with aliyun or acs:, no http://",
        )


def require_count(keys: Iterable[str]) -> None:
    """Raise InvalidField for more tags than one resource can carry."""
    told = list(keys)
    if len(told) > MAX_TAGS:
        raise errors.InvalidField(
            "diskTags", f"make {len(told)} tags with our own", allowed=f"{MAX_TAGS} in all"
        )


def shorten(value: str) -> str:
    """*value* cut to what a tag can hold; Kubernetes names may be longer."""
    return value[:_MAX_CHARS]

"""What a Node object tells about its machine. Pure. Source: spec/csi-driver.md 1.7, provider 4."""

import dataclasses
from collections.abc import Mapping, Sequence

from kube import api

_REGION = (
    *("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"),
    *("alibabacloud.com/ecs-region-id", "sigma.ali/ecs-region-id"),
)
_ZONE = (
    *("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
    *("alibabacloud.com/ecs-zone-id", "sigma.ali/ecs-zone-id"),
)
_TYPE = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
_INSTANCE = (
    *("alibabacloud.com/instance-id", "alibabacloud.com/ecs-instance-id"),
    "sigma.ali/ecs-instance-id",
)
_LINGJUN = "alibabacloud.com/lingjun-worker"
_HPN_ZONE = "alibabacloud.com/lingjun-hpnzone"
_SCHEME = "alicloud://"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What is "" the object does not tell."""

    name: str
    uid: str
    region_id: str
    zone_id: str
    instance_type: str
    instance_id: str
    is_lingjun: bool
    hpn_zone: str


def parse(node: api.Object, *, instance_label: str = "") -> NodeFacts:
    """Facts of *node*. instance_label: a label that names the instance, before the usual ones.

    Labels win over `spec.providerID`, which is `[alicloud://]region.instance`.
    """
    metadata = node.get("metadata") or {}
    labels = metadata.get("labels") or {}
    region, instance = _provider((node.get("spec") or {}).get("providerID") or "")
    named = (instance_label, *_INSTANCE) if instance_label else _INSTANCE
    return NodeFacts(
        name=metadata.get("name") or "",
        uid=metadata.get("uid") or "",
        region_id=_first(labels, _REGION) or region,
        zone_id=_first(labels, _ZONE),
        instance_type=_first(labels, _TYPE),
        instance_id=_first(labels, named) or instance,
        is_lingjun=labels.get(_LINGJUN) == "true",
        hpn_zone=labels.get(_HPN_ZONE) or "",
    )


def _first(labels: Mapping[str, str], names: Sequence[str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def _provider(text: str) -> tuple[str, str]:
    """Region and instance, both "" for another provider's id."""
    region, dot, instance = text.removeprefix(_SCHEME).partition(".")
    if not dot or "/" in text.removeprefix(_SCHEME):
        return "", ""
    return region, instance

"""What a pod's annotations ask of its network. Pure.

Source: spec/terway.md 5.8, 6.1, 6.3. `kubernetes.io/…-bandwidth` is not read here: the container
runtime turns it into `runtimeConfig.bandwidth`, for us or for another plug-in of the chain, and
two limits on one link would fight.
"""

import dataclasses
import re
from collections.abc import Collection

from ipamd import events
from ipamd.datapath import model as datapath_model
from kube import pods

_PREFIX = "k8s.aliyun.com/"
_INGRESS = f"{_PREFIX}ingress-bandwidth"
_EGRESS = f"{_PREFIX}egress-bandwidth"
_RESERVATION = f"{_PREFIX}pod-ip-reservation"
_POD_ENI = f"{_PREFIX}pod-eni"
_OF_CONTROLPLANE = tuple(
    f"{_PREFIX}{name}"
    for name in ("pod-networking", "pod-networks", "pod-networks-request", "pod-alloc-type")
)
_PRIORITY = f"{_PREFIX}network-priority"
ANNOTATIONS = frozenset({_INGRESS, _EGRESS, _RESERVATION, _POD_ENI, _PRIORITY, *_OF_CONTROLPLANE})
"""Keys of pods that ask for something."""

KEEP_S = 300.0
"""How long a StatefulSet pod's address is kept for its successor. Source: spec/terway.md 5.8."""
_STATEFUL = "StatefulSet"
_RATE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([KMGT]?I?B?)", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_RATE_CHARACTERS = 40
"""Longer ones are no limits; a number of 400 digits is infinite, as a float."""
_RATE_MAX = 0xFFFFFFFF
"""TBF's rate is 32 bits of bytes a second here. Source: spec/terway.md 4.15."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something the pod's owner should know."""

    reason: events.Reason
    message: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """bandwidth: 0 = not asked. keep_s: how long its address waits for a successor, 0 = not.

    refusal: why the pod cannot have an address of the pool, "" when it can.
    """

    bandwidth: datapath_model.Bandwidth = datapath_model.UNLIMITED
    keep_s: float = 0.0
    refusal: str = ""
    notes: tuple[Note, ...] = ()


def parse(pod: pods.Pod, stateful_kinds: Collection[str] = ()) -> Wishes:
    """Wishes of *pod*. stateful_kinds: kinds of owners that count as StatefulSets.

    A value that cannot be read is told and has no effect, as in Terway: a pod without its limit
    is better than no pod.
    """
    notes: list[Note] = []
    told = pod.annotations
    is_stateful = pod.owner_kind == _STATEFUL or pod.owner_kind in stateful_kinds
    reserved = is_stateful or told.get(_RESERVATION, "").lower() == "true"
    ignored = [key for key in _OF_CONTROLPLANE if key in told]
    if ignored:
        notes.append(
            Note(
                reason=events.Reason.ANNOTATION_IGNORED,
                message=f"{', '.join(ignored)}: ignored: vSwitches, security groups and addresses "
                "of a pod's own, also addresses kept across nodes, need trunk interfaces, which "
                "this ipamd does not have",
            )
        )
    if told.get(_PRIORITY):
        notes.append(
            Note(
                reason=events.Reason.ANNOTATION_IGNORED,
                message=f"{_PRIORITY}: ignored: this ipamd sends for all pods alike; limits of "
                f"bandwidth ({_EGRESS}) hold",
            )
        )
    return Wishes(
        bandwidth=datapath_model.Bandwidth(
            ingress_bytes_per_s=_rate(pod, _INGRESS, notes),
            egress_bytes_per_s=_rate(pod, _EGRESS, notes),
        ),
        keep_s=KEEP_S if reserved else 0.0,
        refusal=_refusal(told.get(_POD_ENI, "")),
        notes=tuple(notes),
    )


def merge(
    first: datapath_model.Bandwidth, second: datapath_model.Bandwidth
) -> datapath_model.Bandwidth:
    """*first* where it limits, else *second*; each direction for itself."""
    ingress = first if first.ingress_bytes_per_s else second
    egress = first if first.egress_bytes_per_s else second
    return datapath_model.Bandwidth(
        ingress_bytes_per_s=ingress.ingress_bytes_per_s,
        ingress_burst_bytes=ingress.ingress_burst_bytes,
        egress_bytes_per_s=egress.egress_bytes_per_s,
        egress_burst_bytes=egress.egress_burst_bytes,
    )


def _refusal(pod_eni: str) -> str:
    """A pod that asks for its own interface gets its own security groups with it.

    An address of the pool would put it behind those of the node, so it gets none.
    """
    if pod_eni.lower() != "true":
        return ""
    return (
        f"the pod asks for an interface of its own ({_POD_ENI}: true), which this ipamd does not "
        "have; remove the annotation, or run the pod on a node whose Terway has trunk interfaces"
    )


def _rate(pod: pods.Pod, key: str, notes: list[Note]) -> int:
    """Bytes a second, 0 = no limit."""
    text = pod.annotations.get(key, "").strip()
    if not text:
        return 0
    matched = _RATE.fullmatch(text) if len(text) <= _RATE_CHARACTERS else None
    if matched and matched[2] and not matched[2].lower().startswith("i"):
        unit = matched[2].lower().rstrip("b").removesuffix("i")
        rate = int(float(matched[1]) * 1024 ** _POWERS[unit])
        if rate <= _RATE_MAX and (rate or not float(matched[1])):
            return rate
    notes.append(
        Note(
            reason=events.Reason.PARSE_FAILED,
            message=f"{key}: {text[:_RATE_CHARACTERS]!r} is not allowed and has no effect; "
            f"allowed: bytes a second with unit, such as 10M or 512KiB, at most {_RATE_MAX}B",
        )
    )
    return 0

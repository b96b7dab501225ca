"""What a lease says, from what the runtime asks for, what the pod wishes, and what it said. Pure.

wishes: None where the pod is not known. known: the attachment's lease so far, None = it is new.
"""

import dataclasses

from ipamd import model
from ipamd.cni import cni_config
from ipamd.datapath import model as datapath_model
from ipamd.kube import pod_wishes


def bandwidth(
    asked: datapath_model.Bandwidth,
    wishes: pod_wishes.Wishes | None,
    known: model.Lease | None,
) -> datapath_model.Bandwidth:
    """Of a limit the runtime's word is taken before the annotation, as Terway does."""
    if wishes is not None:
        return pod_wishes.merge(asked, wishes.bandwidth)
    if known is not None:
        return pod_wishes.merge(asked, known.bandwidth)
    return asked


def keep_s(
    wishes: pod_wishes.Wishes | None, kept: model.Kept | None, known: model.Lease | None
) -> float:
    """For how long the address is kept after the pod. kept: as it waited for this pod."""
    if wishes is not None:
        return wishes.keep_s
    if kept is not None:
        return kept.keep_s
    return known.keep_s if known is not None else 0.0


def is_learned(asked: cni_config.Attachment, wishes: pod_wishes.Wishes | None) -> bool:
    """Whether there is nothing left to look up about the pod."""
    return wishes is not None or not asked.pod.name


def learned(lease: model.Lease, pod: model.Pod, wishes: pod_wishes.Wishes) -> model.Lease:
    """*lease* once it is known that it is *pod*'s, and what that asks for."""
    limits = pod_wishes.merge(lease.bandwidth, wishes.bandwidth)
    if lease.owner is model.Owner.DAEMON and not lease.netns:
        limits = lease.bandwidth  # its links have what its ADD gave them
    return dataclasses.replace(lease, pod=pod, bandwidth=limits, keep_s=wishes.keep_s, learned=True)

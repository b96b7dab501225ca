"""Which name the node's end of a pod's interface gets. Pure."""

from collections.abc import Sequence

from ipamd import model
from ipamd.attachments import attachment_errors
from ipamd.cni import cni_config
from ipamd.datapath import names

TRIES = 8
"""Names of one pod's link; the first is Terway's."""


def choose(
    asked: cni_config.Attachment, taken: Sequence[tuple[str, model.Pod]], *, tries: int = TRIES
) -> str:
    """The first name that no other pod has for certain; that of an earlier sandbox is the pod's.

    taken: names with who has them. Raises LinkTaken.
    """
    holder = model.NO_POD
    for number in range(tries):
        ifname = _name(asked, number)
        found = next((pod for name, pod in taken if name == ifname and _differ(pod, asked)), None)
        if found is None:
            return ifname
        holder = holder if holder.name else found
    raise attachment_errors.LinkTaken(_name(asked, 0), holder, asked.pod)


def _name(asked: cni_config.Attachment, number: int) -> str:
    """Without a pod the container names the link: cnitool and tests have no Kubernetes."""
    pod, key = asked.pod, asked.key
    named = (pod.namespace, pod.name) if pod.name else (key.network, key.container_id)
    return names.host_ifname(*named, key.ifname, number=number)


def _differ(pod: model.Pod, asked: cni_config.Attachment) -> bool:
    return bool(pod.name and asked.pod.name) and str(pod) != str(asked.pod)

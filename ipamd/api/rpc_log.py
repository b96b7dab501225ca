"""What the log tells of a request: whose it is. Nothing else: configurations carry anything."""

from typing import Any

from ipamd import model

_SHOWN = ("container_id", "ifname", "netns", "args", "K8sPodNamespace", "K8sPodName")
_ARGS_MAX = 4096
_MAX = 256
"""Characters. Who sends longer names sends nonsense, which is refused."""


def loggable(request: Any) -> dict[str, str]:
    """Fields of *request* that identify it."""
    found = {field: str(getattr(request, field, ""))[:_MAX] for field in _SHOWN}
    return {field: value for field, value in found.items() if value}


def subject(request: Any) -> dict[str, str]:
    """The container and the pod of *request*, for every line of its call; {} for an answer."""
    container_id = getattr(request, "container_id", "") or getattr(
        request, "K8sPodInfraContainerId", ""
    )
    parts = (part.partition("=") for part in getattr(request, "args", "")[:_ARGS_MAX].split(";"))
    words = {key: value for key, _, value in parts}  # faults are the handler's to tell
    pod = model.Pod(
        namespace=words.get("K8S_POD_NAMESPACE", "") or getattr(request, "K8sPodNamespace", ""),
        name=words.get("K8S_POD_NAME", "") or getattr(request, "K8sPodName", ""),
    )
    told = {"container_id": container_id[:_MAX], "pod": str(pod)[:_MAX]}
    return {key: value for key, value in told.items() if value}

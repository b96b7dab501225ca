"""What an operator is told besides the log; where there is a Kubernetes API, by `kube_events`.

Reasons are Terway's, for the people and tools that know them, but for the last. Source:
spec/terway.md 7.1.
"""

import enum
from typing import Protocol

import structlog

from ipamd import model

log = structlog.get_logger()


class Reason(enum.StrEnum):
    """Short machine-readable causes."""

    ALLOC_IP_SUCCEED = "AllocIPSucceed"
    ALLOC_IP_FAILED = "AllocIPFailed"
    RESOURCE_INVALID = "ResourceInvalid"
    CONFIG_CHECK = "ConfigCheck"
    VIRTUAL_MODE_CHANGED = "VirtualModeChanged"
    PARSE_FAILED = "ParseFailed"
    CONFIG_ERROR = "ConfigError"
    ANNOTATION_IGNORED = "AnnotationIgnored"


class Events(Protocol):
    """Where events go."""

    def node(self, reason: Reason, message: str, *, warning: bool = True) -> None:
        """Something about this node."""
        ...

    def pod(self, pod: model.Pod, reason: Reason, message: str, *, warning: bool = True) -> None:
        """Something about a pod."""
        ...


class LogEvents:
    """Writes events to the log: works without any Kubernetes API."""

    def node(self, reason: Reason, message: str, *, warning: bool = True) -> None:
        """Something about this node."""
        tell = log.warning if warning else log.info
        tell("node event", reason=reason.value, message=message)

    def pod(self, pod: model.Pod, reason: Reason, message: str, *, warning: bool = True) -> None:
        """Something about a pod."""
        # What went well has its own line in the log already.
        tell = log.warning if warning else log.debug
        tell("pod event", pod=str(pod), reason=reason.value, message=message)

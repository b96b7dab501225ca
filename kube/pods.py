"""Of a pod, what a network plug-in needs to know. Pure.

Read from the object's metadata alone, so that the API server need not send the rest of it.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from kube import api

_VALUE_MAX = 512
"""Characters kept of an annotation: a pod may carry 256 KiB of them, and there are many pods."""
_STATIC_UID = "kubernetes.io/config.hash"
"""What kubelet calls a static pod; the API server's copy of it has another uid."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """annotations: those that were asked for. owner_kind: of its controller, "" = none.

    static_uid: kubelet's name for it when it is the copy of a static pod.
    """

    namespace: str
    name: str
    uid: str
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    owner_kind: str = ""
    static_uid: str = ""

    def is_called(self, uid: str) -> bool:
        """Whether *uid*, "" = not told, is this pod's."""
        return uid in ("", self.uid, self.static_uid)


def parse(told: api.Object, wanted: Collection[str]) -> Pod:
    """The pod with metadata as in *told*; wanted: keys of annotations to keep."""
    metadata = told.get("metadata") or {}
    annotations: Mapping[str, Any] = metadata.get("annotations") or {}
    owners = metadata.get("ownerReferences") or ()
    return Pod(
        namespace=metadata.get("namespace") or "",
        name=metadata.get("name") or "",
        uid=metadata.get("uid") or "",
        annotations={
            key: str(annotations[key])[:_VALUE_MAX] for key in wanted if key in annotations
        },
        owner_kind=next((each.get("kind", "") for each in owners if each.get("controller")), ""),
        static_uid=str(annotations.get(_STATIC_UID, ""))[:_VALUE_MAX],
    )

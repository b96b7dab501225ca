"""Which way a volume gets into a pod. Pure. Source: spec/csi-driver.md 5.5, G 47."""

import enum

from core import errors


class Runtime(enum.Enum):
    """How the pod runs, as far as mounting goes."""

    RUNC = "a container: mounted on the node, bound into the pod"
    MICRO_VM = "a MicroVM that mounts by itself"
    RUND = "a RunD sandbox"
    COCO = "a confidential container"


_REFERENCE = {
    # direct, socket in the publish context, SKIP_GLOBAL_MOUNT
    (False, False, False): Runtime.RUNC,  # the reference fails; we need no FUSE pod's socket
    (False, False, True): Runtime.MICRO_VM,
    (False, True, False): Runtime.RUNC,
    (False, True, True): Runtime.RUND,
    (True, False, False): Runtime.COCO,
    (True, False, True): Runtime.MICRO_VM,
    (True, True, False): None,
    (True, True, True): Runtime.RUND,
}


def choose(*, direct: bool, socket: bool, skip_global_mount: bool) -> Runtime | None:
    """The reference's table; None = a combination that makes no sense."""
    return _REFERENCE[direct, socket, skip_global_mount]


def require_container(*, direct: bool, socket: bool, skip_global_mount: bool) -> None:
    """Raise Unsupported for all but containers: there is no sandbox to show the others in."""
    found = choose(direct=direct, socket=socket, skip_global_mount=skip_global_mount)
    if found is not Runtime.RUNC:
        what = "this combination" if found is None else found.value
        raise errors.Unsupported(
            f"direct={direct}, mountPorxySocket {'given' if socket else 'not given'}, "
            f"SKIP_GLOBAL_MOUNT={skip_global_mount} is for {what}, which is not offered"
        )

"""NodePublishVolume and its undoing: one FUSE mount on the node, a bind for each pod. Blocking.

A FUSE mount is lost with its client. csi-mounter mounts again at the global path; what was bound
from the old one stays dead until it is bound again: that is done here, whenever kubelet publishes
again, and inside the containers that run.
"""

import contextlib
import dataclasses
import pathlib

import structlog

from core import errors
from csi.fuse_type import FuseType
from csi.node import at_path
from csi.oss.node import mounters, node_requests, roles, transplant, usage
from csi.oss.volume_context import AuthType
from host import files, mountinfo, mounts
from kube import events

log = structlog.get_logger()


class Publisher:
    """Publishes and unpublishes; the callers hold the volume's lock."""

    def __init__(
        self,
        mounting: mounters.Mounters,
        keys: roles.Roles,
        usages: usage.Usages,
        recorder: events.Recorder,
        work_dir: pathlib.Path,
    ) -> None:
        self._mounting = mounting
        self._roles = keys
        self._usages = usages
        self._events = recorder
        self._work_dir = work_dir

    def publish(self, want: node_requests.Publishing) -> None:
        """Bring *want* about. Again: newer credentials, and dead binds made anew.

        Raises MountFailed, Exists for a live mount of something else, Unavailable,
        Unauthenticated.
        """
        want = self._with_key(want)
        self._mounting.mount(want)
        table = mountinfo.snapshot()
        there = mountinfo.mounts_at(want.global_path, table)
        if not there:
            raise errors.Precondition(
                f"the mounter says that volume {want.volume_id} is mounted, but it is not seen at "
                f"{want.global_path}; that directory needs mountPropagation Bidirectional"
            )
        self._bind(want, there[-1], mountinfo.mounts_at(want.target_path, table))
        self._usages.refresh(want)

    def unpublish(self, at: at_path.AtPath) -> None:
        """Remove the pod's bind, dead or alive."""
        while mountinfo.mounts_at(at.path):
            try:
                mounts.unmount(at.path)
            except errors.Busy:
                if _is_alive(at.path, self._work_dir, at.volume_id):
                    raise
                mounts.detach(at.path)
        files.remove_empty(at.path)

    def unstage(self, volume_id: str) -> None:
        """Remove the node's mount, once no pod has it. May be repeated."""
        self._usages.forget(volume_id)
        path = node_requests.global_path(self._work_dir, volume_id)
        if not path.parent.exists():
            return
        if not self._mounting.unmount(path):
            while mountinfo.mounts_at(path):
                mounts.detach(path)
        files.remove_empty(path)
        with contextlib.suppress(errors.Precondition):  # a FUSE pod's socket may be beside it
            files.remove_empty(path.parent)

    def describe(self, volume_id: str) -> str:
        """What is known of the volume's client, for people; "" = nothing."""
        return self._mounting.describe(volume_id)

    def as_client(self, want: node_requests.Publishing) -> node_requests.Publishing:
        """*want* with the key that its client has, also one that it gets by itself.

        Raises Unauthenticated: it gets none.
        """
        want = self._with_key(want)
        if want.credential is not None or want.volume.auth is not AuthType.STS:
            return want
        return self._with_key_of_instance(want)

    def _with_key(self, want: node_requests.Publishing) -> node_requests.Publishing:
        """*want* with the key of the instance, if its client cannot get that."""
        if want.volume.auth is AuthType.STS and want.volume.fuse_type is FuseType.S3FS:
            return self._with_key_of_instance(want)
        return want

    def _with_key_of_instance(self, want: node_requests.Publishing) -> node_requests.Publishing:
        return dataclasses.replace(want, credential=self._roles.of_instance(want.volume.role_name))

    def _bind(
        self,
        want: node_requests.Publishing,
        living: mountinfo.Mount,
        there: list[mountinfo.Mount],
    ) -> None:
        """Show *living* at the target, where *there* is mounted."""
        target = want.target_path
        if there and there[-1].device == living.device:
            _require_same_access(want, there[-1])
            return
        if want.exclusive:
            self._require_alone(want, living)
        if not there:
            files.ensure_dir(target)
        dead = [row for row in there if row.fs_type.startswith("fuse")]
        if len(dead) != len(there):
            raise errors.Exists(f"something else is mounted at {target}; unmount it first")
        # First what was made of the dead bind: only the bind tells its device, also to whoever
        # comes after us if we are killed.
        for device in {row.device for row in dead}:
            transplant.heal_copies(device, want.global_path)
        while mountinfo.mounts_at(target):
            mounts.detach(target)
        with contextlib.ExitStack() as undo:
            if not there:
                undo.callback(_remove_target, target)
            mounts.bind(want.global_path, target, read_only=want.read_only)
            undo.pop_all()
        log.info("published", volume_id=want.volume_id, target=str(target), healed=bool(dead))
        if dead:
            self._events.warn(
                want.pod,
                "VolumeRemounted",
                f"volume {want.volume_id} is mounted again, and must be opened again by those who "
                f"had files open on it; {self._mounting.describe(want.volume_id)}",
            )

    def _require_alone(self, want: node_requests.Publishing, living: mountinfo.Mount) -> None:
        """SINGLE_NODE_SINGLE_WRITER allows one path; the kernel's table knows the others."""
        for row in mountinfo.others_of(living):
            path = pathlib.Path(row.mount_point)
            if path == want.target_path or transplant.SUBPATHS in path.parts:
                continue
            raise errors.Precondition(
                f"volume {want.volume_id} is already published at {path}, and access mode "
                "SINGLE_NODE_SINGLE_WRITER (ReadWriteOncePod) allows one; delete the pod that "
                "uses it"
            )


def _require_same_access(want: node_requests.Publishing, there: mountinfo.Mount) -> None:
    if ("ro" in there.options) != want.read_only:
        is_now = "read-only" if "ro" in there.options else "writable"
        raise errors.Exists(
            f"volume {want.volume_id} is published at {want.target_path} already, and is {is_now}; "
            "unpublish it first"
        )


def _is_alive(path: pathlib.Path, work_dir: pathlib.Path, volume_id: str) -> bool:
    """Whether the bind at *path* shows the mount that the node has now."""
    living = mountinfo.mounts_at(node_requests.global_path(work_dir, volume_id))
    there = mountinfo.mounts_at(path)
    return bool(living and there) and living[-1].device == there[-1].device


def _remove_target(path: pathlib.Path) -> None:
    with contextlib.suppress(errors.Error, OSError):
        files.remove_empty(path)

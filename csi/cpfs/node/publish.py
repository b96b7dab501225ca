"""NodePublishVolume and NodeUnpublishVolume: a mount at a pod's path, and its end.

Blocking; call in a thread of the server's own. What is mounted is read from the kernel's table, so
a restart forgets nothing.
"""

import contextlib
import pathlib

import structlog

from core import errors
from csi.cpfs.node import node_requests, published
from csi.node import at_path, network_mounts
from host import files, mountinfo, nfs

log = structlog.get_logger()

_FS_TYPE = "alinas"
"""What mount(8) and the brokers are told; its helper starts the elastic client."""
_CLIENT = "alinas (elastic file client)"
_INSTEAD = "use an NFS mount target of the file system's protocol service with nasplugin"


class Publisher:
    """Publishes and unpublishes; the callers hold the volume's lock."""

    def __init__(self, mounted: network_mounts.NetworkMounts, notes: published.Published) -> None:
        self._mounts = mounted
        self._published = notes

    def publish(self, want: node_requests.Publishing) -> None:
        """Bring *want* about. Doing it again changes nothing; a dead mount is replaced.

        Raises Exists for another mount at the path, Precondition without the client or for a second
        path of a SINGLE_NODE_SINGLE_WRITER volume.
        """
        target = want.target_path
        there = mountinfo.mounts_at(target)
        if there and self._is_fine(there[-1], want):
            self._published.add(want.volume_id, target)
            return
        if not there and want.exclusive:
            self._require_alone(want)
        broker = self._mounts.broker(_CLIENT, instead=_INSTEAD)
        files.ensure_dir(target)
        self._published.add(want.volume_id, target)
        with contextlib.ExitStack() as undo:
            undo.callback(_remove_target, target)
            broker.mount(
                want.source, target, fs_type=_FS_TYPE, options=want.options, tag=want.volume_id
            )
            network_mounts.require_seen(broker, want.source, target)
            undo.pop_all()
        log.info("mounted", source=want.source, target=str(target))

    def unpublish(self, at: at_path.AtPath) -> None:
        """Remove what `publish` made at *at*, whether its server answers or not."""
        self._mounts.unmount(at.path)
        files.remove_empty(at.path)
        self._published.drop(at.volume_id, at.path)

    def require_unpublished(self, volume_id: str) -> None:
        """Raise Busy while the volume is published here: pods would lose their channel."""
        for path in self._published.all(volume_id):
            raise errors.Busy(
                f"volume {volume_id} is still published at {path}; unpublish it first"
            )

    def _is_fine(self, there: mountinfo.Mount, want: node_requests.Publishing) -> bool:
        """Whether *there* is what is wanted and well; a dead one is taken away."""
        # The client's mounts show as what it likes, FUSE or NFS to itself: only access is compared.
        if ("ro" in there.options) != want.read_only:
            is_now = "read-only" if "ro" in there.options else "writable"
            raise errors.Exists(
                f"volume {want.volume_id} is published at {want.target_path} already, and is "
                f"{is_now}; unpublish it first"
            )
        ill = self._mounts.read_illness(want.target_path)
        if ill is None:
            return True
        if isinstance(ill, nfs.SilentMount):
            raise errors.Unavailable(
                f"volume {want.volume_id} is mounted and does not answer: {ill}; the mount is "
                "kept, so that its pods go on when the file system is back"
            )
        log.warning("replacing a dead mount", path=str(want.target_path), why=str(ill))
        self._mounts.discard(want.target_path)
        return False

    def _require_alone(self, want: node_requests.Publishing) -> None:
        """SINGLE_NODE_SINGLE_WRITER allows one path on the node."""
        for path in self._published.others(want.volume_id, want.target_path):
            raise errors.Precondition(
                f"volume {want.volume_id} is already published at {path}, and access mode "
                "SINGLE_NODE_SINGLE_WRITER (ReadWriteOncePod) allows one; delete the pod that "
                "uses it"
            )


def _remove_target(path: pathlib.Path) -> None:
    """Take back a target that could not be mounted; the caller tells why it could not."""
    with contextlib.suppress(errors.Error, OSError):
        files.remove_empty(path)

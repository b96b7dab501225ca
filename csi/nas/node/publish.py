"""NodePublishVolume and NodeUnpublishVolume: a mount at a pod's path, and its end.

Blocking; call in a thread of the server's own. What is mounted is read from the kernel's table, so
a restart forgets nothing.
"""

import contextlib
import pathlib

import structlog

from core import errors
from csi.nas import clients, mount_options, server
from csi.nas.node import healing, loop_volume, modes, mounter, node_requests
from csi.nas.node import settings as node_settings
from csi.node import at_path, kubelet_volumes
from host import files, mountinfo, nfs
from kube import events

log = structlog.get_logger()

_SUBPATHS = "volume-subpaths"
"""Where kubelet binds the `subPath` of containers. Source: Kubernetes 1.34."""
_COMPARED = ("nosuid", "nodev", "noexec")
_ON_PORT = (clients.Client.NFS, clients.Client.ALINAS)
"""Clients that speak to the server on its NFS port."""


class Publisher:
    """Publishes and unpublishes; the callers hold the volume's lock."""

    def __init__(
        self,
        settings: node_settings.NodeSettings,
        *,
        mounting: mounter.Mounter,
        loops: loop_volume.LoopVolumes,
        changing: modes.Modes,
        recorder: events.Recorder,
    ) -> None:
        self._events = recorder
        self._settings = settings
        self._mounter = mounting
        self._loops = loops
        self._modes = changing

    def publish(self, want: node_requests.Publishing) -> None:
        """Bring *want* about. Doing it again changes nothing.

        A mount that is there and cannot come back is replaced. Raises Exists for another mount at
        the path, Unavailable while the server is away, Precondition for a second path of a
        SINGLE_NODE_SINGLE_WRITER volume.
        """
        there = _top(want.target_path)
        if there is None:
            if want.exclusive:
                self._require_alone(want)
        elif self._is_fine(there, want):
            self._tune(want, again=True)
            return
        else:
            self._events.warn(
                want.pod,
                "VolumeRemounted",
                f"volume {want.volume_id} is mounted again: its mount could not come back; files "
                "that were open on it stay broken",
            )
            self._modes.stop(want.target_path)
            self._mounter.discard(want.target_path)
        if self._settings.check_port and want.mounting.client in _ON_PORT:
            nfs.require_port(
                want.volume.place.host, timeout_s=node_settings.PORT_TIMEOUT_S, port=_port(want)
            )
        files.ensure_dir(want.target_path)
        with contextlib.ExitStack() as undo:
            undo.callback(self._undo, want)
            if want.volume.mode is not None and not want.read_only:
                self._modes.announce(
                    want.target_path, want.volume.mode, recursive=want.volume.recursive
                )
            self._mount(want)
            # What is not as it should be is not left mounted: the next call would take it for done.
            self._tune(want, again=False)
            undo.pop_all()

    def unpublish(self, at: at_path.AtPath) -> None:
        """Remove what `publish` made at *at*, whether its server answers or not."""
        self._modes.stop(at.path)
        directory = self._loops.directory_of(at.volume_id, _top(at.path))
        self._mounter.unmount(at.path)
        files.remove_empty(at.path)
        if directory is not None:
            self._loops.release(directory)

    def _undo(self, want: node_requests.Publishing) -> None:
        """Take back what could not be brought about; the caller tells why it could not."""
        with contextlib.suppress(errors.Error, OSError):
            self.unpublish(at_path.AtPath(volume_id=want.volume_id, path=want.target_path))

    def _is_fine(self, there: mountinfo.Mount, want: node_requests.Publishing) -> bool:
        """Whether *there* is what is wanted and well; False = it is to be replaced."""
        why = self._difference(there, want)
        if why:
            raise errors.Exists(
                f"{want.target_path} is taken by something else than this publish of volume "
                f"{want.volume_id}: {why}; unpublish it first"
            )
        if want.volume.loop is not None:
            return True
        seen = self._mounter.read_illness(want.target_path)
        remedy, ill = healing.diagnose(seen, there, want.volume.place.host, _port(want))
        if remedy is healing.Remedy.WAIT:
            raise errors.Unavailable(
                f"volume {want.volume_id} is mounted, and its server {want.volume.place.host} is "
                f"away: {ill}; the mount is kept, so that its pods go on when the server is back"
            )
        return remedy is healing.Remedy.KEEP

    def _difference(self, there: mountinfo.Mount, want: node_requests.Publishing) -> str:
        if want.volume.loop is None:
            return difference(there, want)
        if not self._loops.is_at(there, want.volume_id):
            return f"it is {there.source}"
        return _access_difference(there, want)

    def _mount(self, want: node_requests.Publishing) -> None:
        """Mount it; a directory that is missing is made first, unless nobody may write there."""
        if want.volume.loop is not None:
            self._loops.mount(want, want.volume.loop)
            return
        self._mounter.mount(
            want.mounting,
            want.volume.place,
            want.target_path,
            tag=want.volume_id,
            create=not want.read_only,
            key=want.key,
        )

    def _tune(self, want: node_requests.Publishing, *, again: bool) -> None:
        """Modes once a mount, read-ahead at every publish."""
        if want.volume.mode is not None and not want.read_only and not again:
            self._modes.set(want.target_path, want.volume.mode, recursive=want.volume.recursive)
        there = _top(want.target_path)
        if want.volume.read_ahead_kb is not None and there is not None:
            nfs.set_read_ahead(there.device, want.volume.read_ahead_kb)

    def _require_alone(self, want: node_requests.Publishing) -> None:
        """SINGLE_NODE_SINGLE_WRITER allows one path on the node."""
        kubelet_root = self._settings.kubelet_root.resolve()
        ours = self._settings.work_dir.resolve()
        for mount in mountinfo.read():
            path = pathlib.Path(mount.mount_point)
            in_pods = path.is_relative_to(kubelet_root) and not path.is_relative_to(ours)
            # A container's part of a volume goes after its pod's path, and comes after it.
            if in_pods and _SUBPATHS not in path.parts and self._is_same(mount, path, want):
                raise errors.Precondition(
                    f"volume {want.volume_id} is already published at {path}, and access mode "
                    "SINGLE_NODE_SINGLE_WRITER (ReadWriteOncePod) allows one; delete the pod that "
                    "uses it"
                )

    def _is_same(
        self, mount: mountinfo.Mount, path: pathlib.Path, want: node_requests.Publishing
    ) -> bool:
        """Whether *mount* is the volume: kubelet knows; elsewhere, what is mounted may tell."""
        handle = kubelet_volumes.handle_at(path, self._settings.driver_name)
        if handle is not None:
            return handle == want.volume_id
        if want.volume.loop is not None:
            return self._loops.is_at(mount, want.volume_id)
        return _same_source(mount, want.volume.place.export)


def difference(there: mountinfo.Mount, want: node_requests.Publishing) -> str:
    """How the mount at the target path differs from *want*, "" when it does not. Pure."""
    # Other clients show as what they like: FUSE, or NFS to a tunnel on this machine.
    if want.mounting.client is clients.Client.NFS:
        if not there.fs_type.startswith("nfs"):
            return f"its file system is {there.fs_type}"
        if not _same_source(there, want.volume.place.export):
            return f"it is {there.source}"
    return _access_difference(there, want)


def _access_difference(there: mountinfo.Mount, want: node_requests.Publishing) -> str:
    if ("ro" in there.options) != want.read_only:
        return "it is read-only" if "ro" in there.options else "it is writable"
    if want.volume.loop is None and want.mounting.client is clients.Client.NFS:
        for flag in _COMPARED:
            if (flag in there.options) != (flag in want.mounting.options):
                return f"it has {flag}" if flag in there.options else f"it lacks {flag}"
    return ""


def _same_source(mount: mountinfo.Mount, export: str) -> bool:
    return _normal(mount.source) == _normal(export)


def _normal(source: str) -> str:
    """The kernel shows a root as `host:/` and other paths without a slash at the end."""
    host, _, path = source.partition(":/")
    return f"{server.bracketed(host.strip('[]'))}:/{path.strip('/')}"


def _port(want: node_requests.Publishing) -> int:
    return mount_options.port_of(want.mounting.options, nfs.PORT)


def _top(path: pathlib.Path) -> mountinfo.Mount | None:
    there = mountinfo.mounts_at(path)
    return there[-1] if there else None

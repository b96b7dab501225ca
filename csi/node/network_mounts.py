"""Mounts of network file systems, which may be dead or made by a broker. Blocking."""

import contextlib
import pathlib

import structlog

from core import errors
from host import looks, mount_broker, mountinfo, mounts

log = structlog.get_logger()

PROBE_TIMEOUT_S = 5.0
"""How long a server may take to tell that a mount is alive."""
UNMOUNT_TIMEOUT_S = 10.0
"""Before an unmount is forced, and then made lazy."""
_SILENT_BROKER = (mount_broker.BrokerFailed, errors.Unavailable)


class NetworkMounts:
    """Unmounts, by the broker where it mounted. Sockets: of the programs that mount for others."""

    def __init__(
        self, proxy_socket: pathlib.Path, connector_socket: pathlib.Path, looking: looks.Looks
    ) -> None:
        self._looks = looking
        self._proxy_socket = proxy_socket
        self._connector_socket = connector_socket

    def broker(self, client: str, *, instead: str) -> mount_broker.Broker:
        """The program that mounts for *client*. instead: what else an operator may do.

        Raises Precondition when there is none.
        """
        found = mount_broker.find(self._proxy_socket, self._connector_socket)
        if found is None:
            raise errors.Precondition(
                f"the volume needs the client {client}, which this node lacks: neither the mount "
                f"proxy ({self._proxy_socket}) nor the connector ({self._connector_socket}) is "
                f"there; install one, or {instead}"
            )
        return found

    def unmount(self, target: pathlib.Path) -> None:
        """Remove every mount at *target*, whether its server answers or not.

        Raises Busy when a process uses it and the server is well. Takes less than a minute.
        """
        if self._unmounted_by_broker(target):
            return
        try:
            mounts.ensure_unmounted(target, timeout_s=UNMOUNT_TIMEOUT_S)
        except errors.Busy:
            ill = self.read_illness(target)
            if ill is None:
                raise
            log.warning("unmounting by force what does not answer", path=str(target), why=str(ill))
            self.discard(target)

    def read_illness(self, path: pathlib.Path) -> errors.Error | None:
        """What is wrong with the mount at *path*, None when it can be read. Bounded in time."""
        return self._looks.read_illness(path, timeout_s=PROBE_TIMEOUT_S)

    def discard(self, target: pathlib.Path) -> None:
        """Remove every mount at *target*, which are dead: by force, then lazily."""
        if self._unmounted_by_broker(target):
            return
        while mountinfo.mounts_at(target):
            mounts.unmount(target, force=True)

    def _unmounted_by_broker(self, target: pathlib.Path) -> bool:
        """Whether the broker had mounted *target* and took it back."""
        there = mountinfo.mounts_at(target)
        if not there or is_own(there[-1]):
            return False
        broker = mount_broker.find(self._proxy_socket, self._connector_socket)
        try:
            return broker is not None and broker.unmount(target) and not mountinfo.mounts_at(target)
        except _SILENT_BROKER as e:
            log.warning("unmounting without the mount broker", path=str(target), error=str(e))
            return False


def require_seen(broker: mount_broker.Broker, source: str, target: pathlib.Path) -> None:
    """Raise Precondition when what *broker* mounted at *target* is not seen here.

    It is unmounted then: nobody else could, and each retry would mount once more.
    """
    if not mountinfo.mounts_at(target):
        with contextlib.suppress(errors.Error, OSError):
            broker.unmount(target)
        raise errors.Precondition(
            f"the mount broker says that {source} is mounted, but it is not seen at "
            f"{target}; kubelet's directory needs mountPropagation Bidirectional"
        )


def is_own(mount: mountinfo.Mount) -> bool:
    """Whether *mount* was surely made here: the kernel's NFS to a server, or a loop device.

    A TLS tunnel shows as NFS to this machine.
    """
    if mount.fs_type.startswith("nfs"):
        return not mount.source.startswith(("127.", "localhost:", "[::1]:", "::1:"))
    return mount.source.startswith("/dev/loop")

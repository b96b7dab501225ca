"""The program that mounts for us: asked on its socket, started when there is none. Blocking."""

import os
import pathlib
import threading
import time
from collections.abc import Mapping

import structlog

from core import errors
from csi.oss.node import node_requests
from csi.oss.node import settings as node_settings
from host import mount_broker, own_program

log = structlog.get_logger()

_START_S = 10.0
_LOOK_S = 0.02
_SOCKET_NAME = "mounter.sock"
_ENVIRONMENT = ("PATH", "LANG", "TZ", "HOME", "SSL_CERT_FILE", "CURL_CA_BUNDLE")


class MountFailed(errors.Precondition):
    """The client did not come up; the message has its words."""


class Mounters:
    """csi-mounter, or whatever serves its protocol."""

    def __init__(self, settings: node_settings.NodeSettings) -> None:
        self._settings = settings
        self._starting = threading.Lock()

    def mount(self, want: node_requests.Publishing) -> None:
        """Mount *want* at its global path; again = newer credentials.

        Raises MountFailed, or Unavailable when nobody serves the socket.
        """
        said = self._ask(
            want.socket,
            "mount",
            {
                "source": want.source,
                "target": os.fspath(want.global_path),
                "fstype": str(want.volume.fuse_type),
                "options": list(want.options),
                "mountFlags": [],
                "secrets": dict(want.secrets),
                "volumeID": want.volume_id,
            },
        )
        if said.error:
            raise MountFailed(f"volume {want.volume_id} cannot be mounted: {said.error}")

    def unmount(self, path: pathlib.Path) -> bool:
        """Whether it was the mounter's, and is unmounted. Raises Busy."""
        # Beside the mount: of a FUSE pod that the reference's controller started.
        beside = path.parent / _SOCKET_NAME
        socket = beside if beside.exists() else self._settings.socket
        said = self._ask(socket, "unmount", {"target": os.fspath(path)})
        if mount_broker.NOT_MANAGED in said.error:
            return False
        if said.error:
            raise errors.Busy(f"{path} cannot be unmounted: {said.error}")
        return True

    def describe(self, volume_id: str) -> str:
        """What the mounter tells of a volume, for people; "" when it tells nothing."""
        path = node_requests.global_path(self._settings.work_dir, volume_id)
        try:
            told = mount_broker.Proxy(self._settings.socket).ask("status", {})
        except errors.Error as e:
            return str(e)
        rows = told.body.get("volumes", [])
        found = next((row for row in rows if row.get("target") == os.fspath(path)), None)
        if found is None:
            return ""
        event = f"{found['event']}: " if found.get("event") else ""
        return (
            f"{event}its client is {found.get('state')}, was started again "
            f"{found.get('restarts')} times ({found.get('reason') or 'no trouble yet'})"
        )

    def _ask(
        self, socket: pathlib.Path, method: str, body: Mapping[str, object]
    ) -> mount_broker.Answer:
        """The mounter's answer; it is started first when nobody serves *socket*.

        One that ends while it is asked is asked again when there is a new one: all that it does
        may be asked twice.
        """
        try:
            return mount_broker.Proxy(socket).ask(method, body)
        except (mount_broker.NobodyThere, mount_broker.HungUp):
            self._ensure(socket)
            return mount_broker.Proxy(socket).ask(method, body)

    def _ensure(self, socket: pathlib.Path) -> None:
        """Return when *socket* is served. Raises Unavailable."""
        if _answers(socket):
            return
        if socket != self._settings.socket or not self._settings.start_mounter:
            raise errors.Unavailable(
                f"no mounter answers at {socket}; start csi-mounter on this node"
            )
        with self._starting:
            if not _answers(socket):
                self._start(socket)

    def _start(self, socket: pathlib.Path) -> None:
        log.info("starting csi-mounter", socket=str(socket))
        started = own_program.start(
            "csi.mounter",
            ["--socket", os.fspath(socket), "--work-dir", os.fspath(self._settings.work_dir)],
            # Not all of our own environment: there may be an access key in it.
            {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
        threading.Thread(target=started.wait, name="reap csi-mounter", daemon=True).start()
        until_s = time.monotonic() + _START_S
        while not _answers(socket):
            if started.poll() is not None or time.monotonic() > until_s:
                raise errors.Unavailable(
                    f"csi-mounter did not start at {socket}; its words are in the log above"
                )
            time.sleep(_LOOK_S)


def _answers(socket: pathlib.Path) -> bool:
    if not socket.exists():
        return False
    try:
        return not mount_broker.Proxy(socket).ask("ping", {}).error
    except errors.Error:
        return False

"""Mounting a volume by the client it needs, and unmounting what may be dead. Blocking."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Iterable

import structlog

from core import errors
from csi.nas import clients, mount_options, roots, server
from csi.nas.node import access_keys
from csi.nas.node import settings as node_settings
from csi.node import network_mounts
from host import files, looks, mount_broker, mountinfo, nfs, run

log = structlog.get_logger()

_TEMPORARY = "broker-"
_MADE_MODE = 0o755


class Mounter(network_mounts.NetworkMounts):
    """Mounts and unmounts. mounted: for directories that are missing."""

    def __init__(
        self, settings: node_settings.NodeSettings, mounted: roots.Roots, looking: looks.Looks
    ) -> None:
        super().__init__(settings.proxy_socket, settings.connector_socket, looking)
        self._settings = settings
        self._key_files = access_keys.Files(settings.work_dir / "keys")
        self._roots = mounted

    def mount(
        self,
        want: clients.Mounting,
        place: server.Place,
        target: pathlib.Path,
        *,
        tag: str,
        create: bool,
        key: access_keys.AccessKey | None,
    ) -> None:
        """Mount *want*, which is at *place*, at *target*, by *key* where there is one.

        create: make the directory when it is missing, and the server lets us. tag: volume id.
        Raises what `host.nfs.mount` and `host.mount_broker.Broker.mount` raise, and Precondition
        without the broker that the client needs.
        """
        try:
            self._mount(want, target, tag, key)
        except (nfs.NoSuchDirectory, nfs.AccessDenied) as missing:
            # NAS says "access denied" for a directory that is not there, too.
            if not create or place == server.root_of(place):
                raise
            self._make(want, place, tag, key, missing)
            self._mount(want, target, tag, key)

    def unmount(self, target: pathlib.Path) -> None:
        """As `NetworkMounts.unmount`; the key goes too."""
        super().unmount(target)
        self._key_files.remove(target)

    def clean_up(self, left: Iterable[pathlib.Path]) -> None:
        """Unmount and remove *left*, which `leftovers` found before the first call."""
        for path in left:
            try:
                self.unmount(path)
                path.rmdir()
            except (errors.Error, OSError) as e:
                log.warning("an old mount cannot be removed", path=str(path), error=str(e))

    def leftovers(self) -> list[pathlib.Path]:
        """Directories that a killed process left. Its keys go here and now."""
        self._key_files.forget_unused(mount.mount_point for mount in mountinfo.read())
        return [*self._settings.work_dir.glob(f"{_TEMPORARY}*"), *self._roots.leftovers()]

    def _mount(
        self,
        want: clients.Mounting,
        target: pathlib.Path,
        tag: str,
        key: access_keys.AccessKey | None,
    ) -> None:
        if want.client is clients.Client.NFS:
            nfs.mount(want.source, target, want.options)
            return
        self._mount_by_broker(want, target, tag, key)

    def _mount_by_broker(
        self,
        want: clients.Mounting,
        target: pathlib.Path,
        tag: str,
        key: access_keys.AccessKey | None,
    ) -> None:
        broker, options, secrets = self._broker(want.client), want.options, None
        if key is not None and broker.takes_secrets:
            secrets = key.secrets()
        elif key is not None:
            path = self._key_files.write(target, key)
            options = (*options, f"{access_keys.FILE_OPTION}={path}")
        broker.mount(
            want.source, target, fs_type=want.fs_type, options=options, tag=tag, secrets=secrets
        )
        network_mounts.require_seen(broker, want.source, target)

    def _broker(self, client: clients.Client) -> mount_broker.Broker:
        return self.broker(client.value, instead="use mountProtocol nfs")

    def _make(
        self,
        want: clients.Mounting,
        place: server.Place,
        tag: str,
        key: access_keys.AccessKey | None,
        missing: errors.Error,
    ) -> None:
        """Make the directory through the server's root; its refusal is *missing*."""
        try:
            if want.client is clients.Client.NFS:
                port = mount_options.port_of(want.options, 0)
                with self._roots.opened(place, create=True, port=port):
                    pass
            else:
                self._make_by_broker(want, place, tag, key)
        except run.CommandFailed as e:
            raise missing from e
        except (nfs.NoSuchDirectory, nfs.AccessDenied, errors.NotFound) as e:
            raise missing from e
        except OSError as e:
            raise errors.Precondition(
                f"{place} does not exist, and this node may not make it: {e.strerror}"
            ) from e
        log.info("directory made", place=str(place))

    def _make_by_broker(
        self,
        want: clients.Mounting,
        place: server.Place,
        tag: str,
        key: access_keys.AccessKey | None,
    ) -> None:
        root = server.root_of(place)
        self._settings.work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = pathlib.Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self._settings.work_dir))
        options = tuple(word for word in want.options if word != "ro")
        try:
            of_root = dataclasses.replace(want, source=root.export, options=options)
            self._mount_by_broker(of_root, path, tag, key)
            files.ensure_dirs_below(path, server.below(place, root), mode=_MADE_MODE)
        finally:
            self.unmount(path)
            path.rmdir()

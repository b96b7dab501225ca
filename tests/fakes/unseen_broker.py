"""A mount broker that mounts in a mount namespace of its own, where the driver sees nothing."""

import pathlib
from collections.abc import Mapping, Sequence

from host import nfs


class UnseenBroker:
    """`mount_broker.Broker`. mounted: its own view. missing: sources that its server lacks."""

    takes_secrets = True

    def __init__(self, *missing: str) -> None:
        self.mounted: list[pathlib.Path] = []
        self._missing = missing

    def mount(
        self,
        source: str,
        target: pathlib.Path,
        *,
        fs_type: str,
        options: Sequence[str],
        tag: str,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        """Note that *target* is mounted."""
        if source in self._missing:
            raise nfs.NoSuchDirectory(source)
        self.mounted.append(target)

    def unmount(self, target: pathlib.Path) -> bool:
        """Note that *target* is not mounted any more; whether it was."""
        if target not in self.mounted:
            return False
        self.mounted.remove(target)
        return True

"""What a mount that fails leaves behind, with a broker that mounts where nobody sees it."""

import pathlib
from collections.abc import Mapping, Sequence

import pytest

from core import errors
from csi.nas import clients, server
from csi.nas.node import mounter
from csi.nas.node import settings as node_settings
from host import nfs

PLACE = server.Place(host="nas.test", base="/a/b")
WANT = clients.Mounting(
    client=clients.Client.EFC, source=PLACE.export, fs_type="alinas", options=("efc",)
)


class Broker:
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
        if source in self._missing:
            raise nfs.NoSuchDirectory(source)
        self.mounted.append(target)

    def unmount(self, target: pathlib.Path) -> bool:
        self.mounted.remove(target)
        return True


@pytest.mark.parametrize("broker", [Broker(), Broker(PLACE.export)], ids=["volume", "its root"])
def test_what_the_broker_mounted_unseen_is_taken_back(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, broker: Broker
) -> None:
    told = node_settings.NodeSettings(kubelet_root=tmp_path, work_dir=tmp_path / "work")
    mounting = mounter.Mounter(told, None)  # type: ignore[arg-type]  # no root is opened by NFS
    monkeypatch.setattr(mounting, "broker", lambda client, *, instead: broker)
    target = tmp_path / "mount"
    target.mkdir()

    with pytest.raises(errors.Precondition, match="Bidirectional"):
        mounting.mount(WANT, PLACE, target, tag="v", create=True, key=None)

    assert broker.mounted == []
    assert not list(tmp_path.glob("work/*")), "what was made for the root is gone too"

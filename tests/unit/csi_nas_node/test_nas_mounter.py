"""What a mount that fails leaves behind, with a broker that mounts where nobody sees it."""

import pathlib

import pytest

from core import errors
from csi.nas import clients, server
from csi.nas.node import mounter
from csi.nas.node import settings as node_settings
from host import looks
from tests.fakes import unseen_broker

PLACE = server.Place(host="nas.test", base="/a/b")
WANT = clients.Mounting(
    client=clients.Client.EFC, source=PLACE.export, fs_type="alinas", options=("efc",)
)


@pytest.mark.parametrize(
    "broker",
    [unseen_broker.UnseenBroker(), unseen_broker.UnseenBroker(PLACE.export)],
    ids=["volume", "its root"],
)
def test_what_the_broker_mounted_unseen_is_taken_back(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, broker: unseen_broker.UnseenBroker
) -> None:
    told = node_settings.NodeSettings(kubelet_root=tmp_path, work_dir=tmp_path / "work")
    mounting = mounter.Mounter(told, None, looks.Looks())  # type: ignore[arg-type]  # no root is opened by NFS
    monkeypatch.setattr(mounting, "broker", lambda client, *, instead: broker)
    target = tmp_path / "mount"
    target.mkdir()

    with pytest.raises(errors.Precondition, match="Bidirectional"):
        mounting.mount(WANT, PLACE, target, tag="v", create=True, key=None)

    assert broker.mounted == []
    assert not list(tmp_path.glob("work/*")), "what was made for the root is gone too"

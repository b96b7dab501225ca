"""What a publish that fails leaves behind, with a broker that mounts where nobody sees it."""

import pathlib

import pytest

from core import errors
from csi.cpfs.node import node_requests, publish, published
from csi.node import network_mounts
from host import looks
from tests.fakes import unseen_broker


class Mounts(network_mounts.NetworkMounts):
    def __init__(self, broker: unseen_broker.UnseenBroker) -> None:
        super().__init__(pathlib.Path("/none"), pathlib.Path("/none"), looks.Looks())
        self._broker = broker

    def broker(self, client: str, *, instead: str) -> unseen_broker.UnseenBroker:
        return self._broker


def test_what_the_broker_mounted_unseen_is_taken_back(tmp_path: pathlib.Path) -> None:
    """Each retry would mount once more, and nobody would ever unmount it."""
    broker = unseen_broker.UnseenBroker()
    made = publish.Publisher(Mounts(broker), published.Published(tmp_path / "work"))
    want = node_requests.Publishing(
        volume_id="bmcpfs-1+fset-1",
        target_path=tmp_path / "mount",
        source="cpfs.example:/pvc-1",
        options=("efc",),
        exclusive=False,
    )

    with pytest.raises(errors.Precondition, match="Bidirectional"):
        made.publish(want)

    assert broker.mounted == []
    assert not want.target_path.exists()

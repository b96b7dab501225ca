"""Access keys on their way to `alinas`: over the proxy's socket, or in a file for the connector."""

import contextlib
import pathlib
import socket
import stat
import subprocess
import threading

import pytest

from csi.node import at_path
from tests.kernel.test_nas_node_volumes import (  # noqa: F401 - fixtures
    STANDARD,
    Node,
    node,
    proxy,
    pytestmark,
    served,
    settings,
)

KEY = {"akId": "LTAIpublished", "akSecret": "published-secret"}
FILE = "[NASCredentials]\naccessKeyID=LTAIpublished\naccessKeySecret=published-secret\n"


class Connector:
    """Speaks the connector's protocol; binds *directory* wherever it is to mount. keys: as read."""

    def __init__(self, path: pathlib.Path, directory: pathlib.Path) -> None:
        self.words: list[str] = []
        self.keys: list[tuple[int, str]] = []
        self._directory = directory
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    self.words = connection.recv(65536).decode().split("\0")
                    for word in self.words[4].split(","):
                        if word.startswith("ram_config_file="):
                            file = pathlib.Path(word.partition("=")[2])
                            mode = stat.S_IMODE(file.stat().st_mode)
                            self.keys.append((mode, file.read_text()))
                    argv = ["mount", "--bind", str(self._directory), self.words[-1]]
                    subprocess.run(argv, check=True)
                    connection.sendall(b"Success: mounted")


def test_the_proxy_gets_the_key_over_its_socket(node, proxy, served):  # noqa: F811
    (served / "a").mkdir()
    context = {"server": STANDARD, "path": "/a", "mountProtocol": "alinas"}

    target = node.publish(secrets=KEY, **context)
    node.unpublish(target)

    body = proxy.asked[0]["body"]
    assert body["secrets"] == KEY
    assert not any("published" in word for word in body["options"])


@pytest.fixture
def by_connector(settings, served):  # noqa: F811
    (served / "a").mkdir()
    connector = Connector(settings.connector_socket, served / "a")
    yield connector
    connector.close()


def test_the_connector_gets_a_file_that_goes_with_the_mount(settings, by_connector):  # noqa: F811
    node_ = Node(settings)
    context = {"server": STANDARD, "path": "/a", "mountProtocol": "alinas"}

    target = node_.publish(secrets=KEY, **context)
    assert by_connector.keys == [(0o600, FILE)]
    assert not any("published" in word for word in by_connector.words)
    node_.unpublish(target)

    assert list((settings.work_dir / "keys").iterdir()) == []
    node_.modes.close()


def test_a_killed_process_leaves_no_key_behind(settings, by_connector):  # noqa: F811
    node_ = Node(settings)
    context = {"server": STANDARD, "path": "/a", "mountProtocol": "alinas"}
    kept = node_.publish("kept", secrets=KEY, **context)
    gone = node_.publish("gone", secrets=KEY, **context)
    subprocess.run(["umount", str(gone)], check=True)  # as a reboot does

    again = Node(settings)
    again.mounter.leftovers()

    assert len(list((settings.work_dir / "keys").iterdir())) == 1
    again._publisher.unpublish(at_path.AtPath(volume_id="v", path=kept))
    assert list((settings.work_dir / "keys").iterdir()) == []
    node_.modes.close()
    again.modes.close()

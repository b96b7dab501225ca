"""The two protocols of programs that mount for us, against real sockets."""

import json
import pathlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from core import errors
from host import mount_broker, nfs

TARGET = pathlib.Path("/target")
Serve = Callable[[bytes], mount_broker.Broker]


class Server:
    """Answers one request a connection with *answer*, and keeps what it was asked."""

    def __init__(self, path: pathlib.Path, answer: bytes) -> None:
        self.asked = b""
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            self.asked = connection.recv(65536)
            connection.sendall(self._answer)

    def close(self) -> None:
        self._thread.join()
        self._socket.close()


@pytest.fixture
def servers(tmp_path: pathlib.Path) -> Iterator[Callable[[bytes], tuple[pathlib.Path, Server]]]:
    made: list[Server] = []

    def serve(answer: bytes) -> tuple[pathlib.Path, Server]:
        path = tmp_path / "b.sock"
        made.append(Server(path, answer))
        return path, made[-1]

    yield serve
    for each in made:
        each.close()


Servers = Callable[[bytes], tuple[pathlib.Path, Server]]


def mount(broker: mount_broker.Broker) -> None:
    broker.mount("a:/b", TARGET, fs_type="alinas", options=("efc", "bindtag=v"), tag="v")


def test_the_proxy_is_asked_in_one_line_of_json(servers: Servers) -> None:
    path, server = servers(b'{"seq":1}\n')

    mount(mount_broker.Proxy(path))

    assert server.asked.endswith(b"\n")
    assert json.loads(server.asked) == {
        "header": {"method": "mount"},
        "body": {
            "source": "a:/b",
            "target": "/target",
            "fstype": "alinas",
            "options": ["efc", "bindtag=v"],
            "mountFlags": [],
            "secrets": {},
            "volumeID": "v",
        },
    }


def test_the_proxys_error_is_told(servers: Servers) -> None:
    path, _ = servers(b'{"seq":1,"error":"exit status 32: access denied by server"}\n')

    with pytest.raises(nfs.AccessDenied, match="exit status 32"):
        mount(mount_broker.Proxy(path))


def test_the_proxy_unmounts_what_is_its_own(servers: Servers) -> None:
    path, server = servers(b'{"seq":1}\n')

    assert mount_broker.Proxy(path).unmount(TARGET)
    assert json.loads(server.asked)["body"] == {"target": "/target"}


def test_what_the_proxy_does_not_manage_is_unmounted_here(servers: Servers) -> None:
    path, _ = servers(b'{"error":"target not managed by mount broker"}\n')

    assert not mount_broker.Proxy(path).unmount(TARGET)


@pytest.mark.parametrize("answer", [b"what?\n", b"[]\n", b'"x"\n'])
def test_an_answer_that_is_none_is_an_error(servers: Servers, answer: bytes) -> None:
    path, _ = servers(answer)

    with pytest.raises(mount_broker.BrokerFailed, match="answered"):
        mount_broker.Proxy(path).unmount(TARGET)


def test_the_connector_takes_arguments_with_nul_between_them(servers: Servers) -> None:
    path, server = servers(b"Success:mounted")

    mount(mount_broker.Connector(path))

    assert server.asked.split(b"\0") == [
        *(b"mount", b"-t", b"alinas", b"-o", b"efc,bindtag=v", b"a:/b", b"/target")
    ]


def test_the_connectors_failure_is_told(servers: Servers) -> None:
    path, _ = servers(b"Fail: Failed to bind mount")

    with pytest.raises(nfs.NoSuchDirectory):
        mount(mount_broker.Connector(path))


def test_a_broker_that_is_gone_is_unavailable(tmp_path: pathlib.Path, servers: Servers) -> None:
    with pytest.raises(errors.Unavailable, match="does not answer"):
        mount(mount_broker.Proxy(tmp_path / "gone"))
    path, _ = servers(b"")
    with pytest.raises(errors.Unavailable, match="hung up"):
        mount(mount_broker.Proxy(path))


def test_the_broker_is_the_one_whose_socket_is_there(
    tmp_path: pathlib.Path, servers: Servers
) -> None:
    path, _ = servers(b'{"seq":1}\n')
    (tmp_path / "file").write_text("no socket")

    assert isinstance(mount_broker.find(path, tmp_path / "gone"), mount_broker.Proxy)
    assert isinstance(mount_broker.find(tmp_path / "file", path), mount_broker.Connector)
    assert mount_broker.find(tmp_path / "gone", tmp_path / "file") is None
    mount(mount_broker.Proxy(path))

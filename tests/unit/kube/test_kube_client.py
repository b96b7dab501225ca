"""What `kube.client` makes of answers and configurations that are none."""

import asyncio
import json
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from core import errors
from kube import api, client, connection, settings

Answer = tuple[int, str | None, str]
"""Status, content type (None = no such header) and body."""
Serve = Callable[[Answer], Awaitable[client.Client]]
SECRET = "token-that-nobody-reads"


def kubeconfig(server: str) -> str:
    user = {"name": "u", "user": {"token": SECRET}}
    cluster = {"name": "c", "cluster": {"server": server}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    return json.dumps(
        {"clusters": [cluster], "users": [user], "contexts": [context], "current-context": "x"}
    )


def asking(path: pathlib.Path) -> client.Client:
    config = settings.KubeSettings(kubeconfig=str(path), is_configured=True)
    return client.Client(connection.Connection(config))


def status(code: int, *, name: str = "", message: str = "said") -> Answer:
    told = {"kind": "Status", "code": code, "message": message}
    details = {"details": {"name": name}} if name else {"details": {}}
    return code, "application/json", json.dumps({**told, **details})


@pytest.fixture
async def serve(tmp_path: pathlib.Path) -> AsyncIterator[Serve]:
    """A client of a server that gives one answer to everything."""
    made: list[client.Client] = []
    servers: list[asyncio.Server] = []

    async def begin(answer: Answer) -> client.Client:
        code, content_type, body = answer

        async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            kind = f"Content-Type: {content_type}\r\n" if content_type else ""
            head = f"HTTP/1.1 {code} X\r\n{kind}Content-Length: {len(body)}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n{body}".encode())
            await writer.drain()
            writer.close()

        servers.append(await asyncio.start_server(respond, "127.0.0.1", 0))
        port = servers[-1].sockets[0].getsockname()[1]
        path = tmp_path / "kubeconfig"
        path.write_text(kubeconfig(f"http://127.0.0.1:{port}"))
        made.append(asking(path))
        return made[-1]

    yield begin
    for each in made:
        await each.close()
    for server in servers:
        server.close()


async def test_an_object_that_is_not_there_is_none(serve: Serve) -> None:
    asked = await serve(status(404, name="pv-1"))

    assert await asked.read(api.Kind.PERSISTENT_VOLUME, "pv-1") is None


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        # As kube-apiserver says for a kind, and for a group, that it does not know.
        (status(404), errors.Kind.PRECONDITION),
        ((404, "text/plain; charset=utf-8", "404 page not found\n"), errors.Kind.PRECONDITION),
        (status(403), errors.Kind.DENIED),
        (status(401), errors.Kind.UNAUTHENTICATED),
        (status(503), errors.Kind.UNAVAILABLE),
        # Of something on the way.
        ((403, "application/json", "{}"), errors.Kind.DENIED),
        ((502, None, ""), errors.Kind.UNAVAILABLE),
        ((502, "application/json", "<html>"), errors.Kind.UNAVAILABLE),
        ((200, "text/html", "<html>"), errors.Kind.UNAVAILABLE),
        ((200, "application/json", "[]"), errors.Kind.UNAVAILABLE),
        ((200, "application/json", '{"metadata": {"name": "b"}}'), errors.Kind.UNAVAILABLE),
        ((302, "text/html", ""), errors.Kind.INTERNAL),
    ],
)
async def test_every_other_answer_is_an_error_of_ours(
    serve: Serve, answer: Answer, kind: errors.Kind
) -> None:
    asked = await serve(answer)

    with pytest.raises(errors.Error) as caught:
        await asked.read(api.Kind.CNFS, "shared")

    assert caught.value.kind is kind
    assert "ContainerNetworkFileSystem shared" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"users: [{{name: u, user: {{token: {SECRET}, x: ]",
        "[]",
        "apiVersion: v1",
        kubeconfig("https://127.0.0.1:1").replace(
            '"server"', '"certificate-authority": "/nowhere", "server"'
        ),
        kubeconfig("https://127.0.0.1:1").replace('"token"', '"exec": {"command": 1}, "token"'),
    ],
)
async def test_a_configuration_that_is_none_is_told_without_what_it_holds(
    tmp_path: pathlib.Path, text: str
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)

    with pytest.raises(errors.Precondition, match="as configured") as caught:
        await asking(path).read(api.Kind.NODE, "n1")

    assert SECRET not in str(caught.value)


async def test_a_credential_plug_in_that_fails_is_a_matter_of_configuration(
    tmp_path: pathlib.Path,
) -> None:
    path = tmp_path / "kubeconfig"
    plug_in = {"apiVersion": "client.authentication.k8s.io/v1", "command": "false"}
    told = json.loads(kubeconfig("http://127.0.0.1:1"))
    told["users"][0]["user"] = {"exec": plug_in}
    path.write_text(json.dumps(told))

    with pytest.raises(errors.Precondition, match="as configured"):
        await asking(path).read(api.Kind.NODE, "n1")

"""An HTTP client of the API server that follows the files it was made from.

What proves who we are and who the server is changes while we run: the kubelet renews a pod's token
every hour, a cluster gets a new authority, a kubeconfig a new certificate. So tokens are read
again when their file changes, and the client is made anew when any other of its files does.
Libraries are imported at the first call. lightkube, which reads kubeconfigs, is not needed in a
pod, where it would be 5 MiB of what a node spends.
"""

import asyncio
import contextlib
import json
import os
import pathlib
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping
from typing import Any

from core import errors
from kube import api, http_library, settings

TIMEOUT_S = 10.0
"""For a connection, and for the server to say something."""
_LONGEST_S = 30.0
"""For a call: a server that says a little every few seconds must not hold it for ever."""
_AS_CONFIGURED = "the Kubernetes API cannot be reached as configured"
_NOT_FOUND = 404
_OK, _REDIRECT, _REFUSAL, _SERVER_FAULT = 200, 300, 400, 500
_WORDS_MAX = 200
_KINDS: dict[int, type[errors.Error]] = {
    400: errors.Invalid,
    401: errors.Unauthenticated,
    403: errors.Denied,
    404: errors.Precondition,
    409: errors.Busy,
    422: errors.Invalid,
    429: errors.Unavailable,
}
"""What a status says. Source: Kubernetes API conventions, HTTP status codes."""

_Stamp = tuple[int, int, int] | None
"""Of a file: when it changed, which it is, and its size; None = not there."""


class Connection:
    """One API server; one event loop. longest_s: for a call."""

    def __init__(self, config: settings.KubeSettings, *, longest_s: float = _LONGEST_S) -> None:
        self._config = config
        self._longest_s = longest_s
        self._http: Any = None
        self._retired: list[Any] = []
        self._made_from: Mapping[pathlib.Path, _Stamp] = {}

    async def call(
        self,
        method: str,
        path: str,
        *,
        what: str,
        absent: str = "",
        headers: Mapping[str, str] | None = None,
        **request: Any,
    ) -> Any:
        """What the server answers, from JSON. request: as the HTTP library takes it.

        absent: name of an object; None is returned when the server says that there is none.
        Raises as `api.Api.read`, and what the status means.
        """
        async with translated(what), asyncio.timeout(self._longest_s):
            http = await self.http()
            got = await http.request(method, path, headers=headers, **request)
            if not _OK <= got.status_code < _REDIRECT:
                told = decoded(got.content)
                if _is_absent(got.status_code, told, absent):
                    return None
                raise refusal(what, got.status_code, got.content)
            return json.loads(got.content)

    async def http(self) -> Any:
        """The HTTP client, with our identity. Raises NotConfigured, Precondition."""
        if not self._config.is_configured:
            raise api.NotConfigured
        if self._http is None or _stamps(self._made_from) != self._made_from:
            with _sensible(self._config):
                files = _files(self._config)
                # Looked at before they are read: what changes meanwhile is seen next time.
                self._made_from, made = _stamps(files), _make(self._config)
            await self._retire()
            self._http = made
        return self._http

    async def close(self) -> None:
        """End the connections."""
        await self._retire()
        await self._retire()

    async def _retire(self) -> None:
        """Calls that are under way end on the connections that they began on."""
        for each in self._retired:
            await each.aclose()
        self._retired = [] if self._http is None else [self._http]
        self._http = None


def timeout(read_s: float = TIMEOUT_S) -> Any:
    """As the HTTP library takes it; read_s: longest silence of the server."""
    httpx2 = http_library.load()

    return httpx2.Timeout(TIMEOUT_S, read=read_s)


def decoded(body: bytes) -> Mapping[str, Any]:
    """The object in a body, {} when it is none."""
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def refusal(what: str, status: int, body: bytes) -> errors.Error:
    """What an answer means that is no success. The server's own words name verb and resource."""
    words = str(decoded(body).get("message") or "")
    if not words and status == _NOT_FOUND:
        words = "404; the kind is not known there: its CustomResourceDefinition may be missing"
    fallback = errors.Unavailable if status >= _SERVER_FAULT else errors.Internal
    said = words or f"HTTP status {status}"
    return _KINDS.get(status, fallback)(f"{what}: the Kubernetes API says: {said}")


@contextlib.asynccontextmanager
async def translated(what: str) -> AsyncIterator[None]:
    """What libraries raise, as ours."""
    httpx2 = http_library.load()

    try:
        yield
    except errors.Error:
        raise
    except (httpx2.HTTPError, TimeoutError) as e:
        raise errors.Unavailable(
            f"{what}: the Kubernetes API does not answer: {str(e) or type(e).__name__}"
        ) from e
    except Exception as e:
        if _is_configuration(e):  # a credential plug-in or a token's file
            raise errors.Precondition(f"{_AS_CONFIGURED}: {e}") from e
        # An answer that is none, of a proxy on the way for example.
        raise errors.Unavailable(
            f"{what}: the answer of the Kubernetes API makes no sense ({type(e).__name__})"
        ) from e


def _is_absent(status: int, told: Mapping[str, Any], name: str) -> bool:
    """Whether it says that there is no object *name*; else the kind is not known there.

    Whatever answers at a wrong URL says 404 too, and to take that for "gone" would be a guess.
    """
    details = told.get("details")
    named = details.get("name") if isinstance(details, dict) else None
    return bool(name) and status == _NOT_FOUND and named == name


def _is_configuration(e: Exception) -> bool:
    return isinstance(e, OSError) or type(e).__module__.startswith("lightkube")


@contextlib.contextmanager
def _sensible(config: settings.KubeSettings) -> Iterator[None]:
    """What is wrong with the configuration, as Precondition."""
    try:
        yield
    except Exception as e:
        if _is_configuration(e):
            raise errors.Precondition(f"{_AS_CONFIGURED}: {e}") from e
        # Whatever parses it: yaml, base64, TLS. Their words may quote it, and it holds credentials.
        where = config.kubeconfig or "the pod's service account"
        raise errors.Precondition(
            f"{_AS_CONFIGURED}: {where} makes no sense ({type(e).__name__})"
        ) from None


def _make(config: settings.KubeSettings) -> Any:
    """An HTTP client. No proxy of the environment: the API server is inside."""
    import ssl  # noqa: PLC0415  # see the module

    httpx2 = http_library.load()
    if not config.kubeconfig:
        account = pathlib.Path(config.account)
        return httpx2.AsyncClient(
            base_url=config.server,
            verify=ssl.create_default_context(cafile=str(account / _AUTHORITY)),
            auth=_token_auth(account / _TOKEN),
            trust_env=False,
            timeout=timeout(),
        )
    from lightkube.config import client_adapter  # noqa: PLC0415  # see the module

    found = _kubeconfig(config)
    return httpx2.AsyncClient(
        base_url=config.server or found.cluster.server,
        verify=client_adapter.verify_cluster(
            found.cluster, found.user, found.abs_file, trust_env=False
        ),
        auth=client_adapter.user_auth(found.user),
        trust_env=False,
        timeout=timeout(),
    )


_AUTHORITY, _TOKEN = "ca.crt", "token"


def _files(config: settings.KubeSettings) -> Iterable[pathlib.Path]:
    """What a client is made from, but for tokens, which are read again by themselves."""
    if not config.kubeconfig:
        return (pathlib.Path(config.account) / _AUTHORITY,)
    found = _kubeconfig(config)
    named = [found.cluster.certificate_auth]
    if found.user is not None:
        named += [found.user.client_cert, found.user.client_key]
    files = [pathlib.Path(found.abs_file(name)) for name in named if name]
    return (pathlib.Path(config.kubeconfig).expanduser(), *files)


def _kubeconfig(config: settings.KubeSettings) -> Any:
    import lightkube  # noqa: PLC0415  # see the module

    return lightkube.KubeConfig.from_file(config.kubeconfig).get()


def _stamps(files: Iterable[pathlib.Path]) -> Mapping[pathlib.Path, _Stamp]:
    return {file: _stamp(file) for file in files}


def _stamp(file: pathlib.Path) -> _Stamp:
    try:
        found = os.stat(file)  # noqa: PTH116  # asked before each call
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _token_auth(file: pathlib.Path) -> Any:
    """Our identity as a pod: the token in *file*, read again when it changes."""
    import httpx2  # noqa: PLC0415  # see the module; it is loaded by now

    class TokenAuth(httpx2.Auth):
        def __init__(self) -> None:
            self._read_at: _Stamp = None
            self._bearer = ""

        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            stamp = _stamp(file)
            if stamp is None or stamp != self._read_at:
                self._bearer = f"Bearer {file.read_text().strip()}"
                self._read_at = stamp
            request.headers["Authorization"] = self._bearer
            yield request

    file.read_text()  # raises when we are no pod
    return TokenAuth()

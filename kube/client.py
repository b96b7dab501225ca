"""The API server, asked through lightkube, which is imported at the first call.

It costs 15 MiB with a TLS connection (lightkube 1.0.1, measured 2026-11-28), so a process that must
stay small uses `kube.child` instead.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from core import call, errors
from kube import api, settings

TIMEOUT_S = 10.0


class Client:
    """One API server; one event loop. manager: who changes objects, as `managedFields` shows."""

    def __init__(self, config: settings.KubeSettings, *, manager: str = "csi-plugin") -> None:
        self._config = config
        self._manager = manager
        self._made: Any = None

    async def read(self, kind: api.Kind, name: str, namespace: str = "") -> api.Object | None:
        """As `api.Api.read`."""
        what = f"{kind} {name}"
        call.doing(f"reading {what}")
        async with translated(what):
            where = {"namespace": namespace} if namespace else {}
            try:
                found = await self._lightkube().get(_resource(kind), name, **where)
            except _status_error() as e:
                if _is_absent(e, name):
                    return None
                raise
            told: api.Object = found.to_dict()
        if (told.get("metadata") or {}).get("name") != name:
            raise errors.Unavailable(f"{what}: the answer of the Kubernetes API is about another")
        return told

    async def post_event(self, namespace: str, event: api.Object) -> None:
        """As `api.Api.post_event`."""
        from lightkube.resources import core_v1  # noqa: PLC0415  # see the module

        made = core_v1.Event.from_dict(dict(event))
        async with translated("event"):
            await self._lightkube().create(made, namespace=namespace)

    async def patch_node(self, name: str, patch: api.Object, *, status: bool = False) -> None:
        """As `api.Api.patch_node`."""
        from lightkube.resources import core_v1  # noqa: PLC0415  # see the module

        what = core_v1.NodeStatus if status else core_v1.Node
        async with translated(f"node {name}"):
            await self._lightkube().patch(what, name, dict(patch))

    async def close(self) -> None:
        """End the connections."""
        if self._made is not None:
            await self._made.close()

    def _lightkube(self) -> Any:
        """The client of lightkube. Raises NotConfigured, Precondition for a bad configuration."""
        if not self._config.is_configured:
            raise api.NotConfigured
        if self._made is None:
            self._made = _connect(self._config, self._manager)
        return self._made


def timeout(read_s: float = TIMEOUT_S) -> Any:
    """As the HTTP library takes it; read_s: longest silence of the server."""
    import httpx2  # noqa: PLC0415  # see the module

    return httpx2.Timeout(TIMEOUT_S, read=read_s)


def connect_http(config: settings.KubeSettings) -> Any:
    """An HTTP client of the API server, with our identity. Raises Precondition."""
    from lightkube.config import client_adapter  # noqa: PLC0415  # see the module

    with _sensible(config):
        params = client_adapter.ConnectionParams(timeout=timeout(), trust_env=False)
        return client_adapter.AsyncClient(_configured(config), params)


def _connect(config: settings.KubeSettings, manager: str) -> Any:
    import lightkube  # noqa: PLC0415  # see the module

    with _sensible(config):
        # No proxy of the environment: the API server is inside.
        return lightkube.AsyncClient(
            config=_configured(config), timeout=timeout(), trust_env=False, field_manager=manager
        )


def _configured(config: settings.KubeSettings) -> Any:
    """Where the API server is and who we are there."""
    import lightkube  # noqa: PLC0415  # see the module

    if config.kubeconfig:
        found = lightkube.KubeConfig.from_file(config.kubeconfig).get()
    else:
        found = lightkube.KubeConfig.from_service_account().get()
    if found is not None and config.server:
        found.cluster.server = config.server
    return found


@contextlib.contextmanager
def _sensible(config: settings.KubeSettings) -> Iterator[None]:
    """What is wrong with the configuration, as Precondition."""
    try:
        yield
    except (_config_error(), OSError) as e:
        raise errors.Precondition(f"{_AS_CONFIGURED}: {e}") from e
    except Exception as e:  # noqa: BLE001  # told as ours, below
        # Whatever parses it: yaml, base64, TLS. Their words may quote it, and it holds credentials.
        where = config.kubeconfig or "the pod's service account"
        raise errors.Precondition(
            f"{_AS_CONFIGURED}: {where} makes no sense ({type(e).__name__})"
        ) from None


def _resource(kind: api.Kind) -> Any:
    from lightkube import generic_resource  # noqa: PLC0415  # see the module
    from lightkube.resources import core_v1, storage_v1  # noqa: PLC0415

    if kind is api.Kind.CNFS:
        return generic_resource.create_global_resource(
            "storage.alibabacloud.com", "v1beta1", kind.value, "containernetworkfilesystems"
        )
    if kind is api.Kind.STORAGE_CLASS:
        return storage_v1.StorageClass
    return getattr(core_v1, kind.value)


_AS_CONFIGURED = "the Kubernetes API cannot be reached as configured"
_NOT_FOUND = 404
KINDS: dict[int, type[errors.Error]] = {
    400: errors.Invalid,
    401: errors.Unauthenticated,
    403: errors.Denied,
    404: errors.Precondition,
    409: errors.Busy,
    422: errors.Invalid,
    429: errors.Unavailable,
}
"""What a status says. Source: Kubernetes API conventions, HTTP status codes."""
_SERVER_FAULT = 500


@contextlib.asynccontextmanager
async def translated(what: str) -> AsyncIterator[None]:
    """Errors of lightkube as ours. The API server's own words name the verb and the resource."""
    try:
        yield
    except errors.Error:
        raise
    except _status_error() as e:
        code = e.response.status_code
        fallback = errors.Unavailable if code >= _SERVER_FAULT else errors.Internal
        raise KINDS.get(code, fallback)(f"{what}: the Kubernetes API says: {_words(e)}") from e
    except _http_error() as e:
        raise errors.Unavailable(
            f"{what}: the Kubernetes API does not answer: {str(e) or type(e).__name__}"
        ) from e
    except _config_error() as e:  # a credential plug-in or a token's file
        raise errors.Precondition(f"{_AS_CONFIGURED}: {e}") from e
    except Exception as e:
        # An answer that is none, of a proxy on the way for example.
        raise errors.Unavailable(
            f"{what}: the answer of the Kubernetes API makes no sense ({type(e).__name__})"
        ) from e


def _is_absent(e: Any, name: str) -> bool:
    """Whether *e* says that there is no object *name*; else the kind is not known there.

    Whatever answers at a wrong URL says 404 too, and to take that for "gone" would be a guess.
    """
    status = getattr(e, "status", None)
    details = None if status is None else status.details
    return e.response.status_code == _NOT_FOUND and details is not None and details.name == name


def _words(e: Any) -> str:
    status = getattr(e, "status", None)
    told = "" if status is None else status.message
    if not told and e.response.status_code == _NOT_FOUND:
        told = "404; the kind is not known there: its CustomResourceDefinition may be missing"
    return told or f"HTTP status {e.response.status_code}"


def _status_error() -> Any:
    import httpx2  # noqa: PLC0415  # see the module

    return httpx2.HTTPStatusError


def _http_error() -> Any:
    import httpx2  # noqa: PLC0415  # see the module

    return httpx2.HTTPError


def _config_error() -> Any:
    from lightkube.core import exceptions  # noqa: PLC0415  # see the module

    return exceptions.ConfigError

"""The API server, asked by short-lived child processes (`kube.ask`), which give memory back.

For processes that must stay small and ask seldom: a call takes about 0.2 s longer.
"""

import asyncio
import contextlib
import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from core import call, errors
from kube import api, connection, settings

_TIMEOUT_S = connection.TIMEOUT_S + 5.0
"""For a call, and for the child to start on a busy node."""
_CHILDREN_MAX = 2
"""At a time, of 40 MiB each: the limit of a node's container counts them too, and after a reboot
everything is published at once."""
_CODE = pathlib.Path(__file__).parents[1]
"""Where our packages are: `python -m` looks in the directory it is started in."""
_KINDS = {
    kind.kind: kind
    for kind in (
        *(errors.Invalid, errors.Unauthenticated, errors.Denied, errors.Busy),
        *(errors.Unavailable, errors.Precondition),
    )
}


class Child:
    """One API server."""

    def __init__(self, config: settings.KubeSettings) -> None:
        path = config.kubeconfig
        if path:  # a child starts in another directory
            path = str(pathlib.Path(path).expanduser().absolute())
        self._config = dataclasses.replace(config, kubeconfig=path)
        self._turns = asyncio.Semaphore(_CHILDREN_MAX)

    async def read(self, kind: api.Kind, name: str, namespace: str = "") -> api.Object | None:
        """As `api.Api.read`."""
        call.doing(f"reading {kind} {name}")
        wanted = {"kind": kind.value, "name": name, "namespace": namespace}
        found: api.Object | None = await self._ask({"read": wanted})
        return found

    async def post_event(self, namespace: str, event: api.Object) -> None:
        """As `api.Api.post_event`."""
        await self._ask({"event": {"namespace": namespace, "object": event}})

    async def patch(
        self,
        kind: api.Kind,
        name: str,
        patch: api.Object,
        *,
        namespace: str = "",
        status: bool = False,
    ) -> None:
        """As `api.Api.patch`."""
        told = {"kind": kind.value, "name": name, "patch": patch}
        await self._ask({"patch": {**told, "namespace": namespace, "status": status}})

    async def list_all(self, kind: api.Kind, keep: Sequence[api.Path]) -> list[api.Object]:
        """As `api.VolumeApi.list_all`; what is not kept stays with the child."""
        call.doing(f"reading every {kind}")
        found: list[api.Object] = await self._ask({"list": {"kind": kind.value, "keep": [*keep]}})
        return found

    async def patch_volume(self, name: str, patch: api.Object) -> None:
        """As `api.VolumeApi.patch_volume`."""
        await self._ask({"patch_volume": {"name": name, "patch": patch}})

    async def delete_volume(self, name: str) -> None:
        """As `api.VolumeApi.delete_volume`."""
        await self._ask({"delete_volume": {"name": name}})

    async def close(self) -> None:
        """No child outlives its call."""

    async def _ask(self, asked: dict[str, Any]) -> Any:
        if not self._config.is_configured:
            raise api.NotConfigured
        async with self._turns:
            told = await _run({**asked, "settings": dataclasses.asdict(self._config)})
        return result(told)


def result(told: dict[str, Any]) -> Any:
    """The object in an answer of `kube.ask.answer`. Raises the error in it."""
    if "error" in told:
        raise _KINDS.get(told["kind"], errors.Internal)(told["error"])
    return told["object"]


async def _run(asked: dict[str, Any]) -> dict[str, Any]:
    """The child's answer. It is gone when this returns, whatever happened."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kube.ask"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=_CODE,
        )
    except OSError as e:  # no memory, or too many processes
        raise errors.Unavailable(
            f"the process that asks the Kubernetes API cannot be started: {e}"
        ) from e
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            out, err = await process.communicate(json.dumps(asked).encode())
    except TimeoutError as e:
        raise errors.Unavailable(
            f"the Kubernetes API could not be asked within {_TIMEOUT_S:g} s"
        ) from e
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
    try:
        told: dict[str, Any] = json.loads(out)
    except ValueError as e:
        said = err.decode(errors="replace")[-500:]
        raise errors.Internal(f"kube.ask ended with {process.returncode}: {said}") from e
    return told

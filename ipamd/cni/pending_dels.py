"""DELs that came while no daemon answered: the executable left them as files, we do them now.

Each file is one `CniRequest`; see docs/explanation/cni-executable.md. One whose attachment was
added again meanwhile is taken away by the executable that adds it.
"""

import asyncio
import json
import pathlib
from typing import Any, Protocol

import structlog

from ipamd._pb import ipamd_pb2
from ipamd.cni import cni_error

log = structlog.get_logger()


_NEVER = (
    cni_error.INCOMPATIBLE_VERSION,
    cni_error.INVALID_ENVIRONMENT,
    cni_error.DECODING_FAILURE,
    cni_error.INVALID_CONFIG,
)


class Service(Protocol):
    """Who does a DEL."""

    async def Del(self, request: Any, context: Any) -> Any: ...  # noqa: N802


class PendingDels:
    """The files of *directory*, done by *service*."""

    def __init__(self, directory: pathlib.Path, service: Service) -> None:
        self._directory = directory
        self._service = service

    async def replay(self) -> None:
        """Do each of them; what fails stays for the next round."""
        for path in await asyncio.to_thread(self._files):
            try:
                await self._replay(path)
            except OSError as e:
                log.warning("pending DEL cannot be looked after", path=str(path), error=str(e))

    async def _replay(self, path: pathlib.Path) -> None:
        request = await asyncio.to_thread(_read, path)
        if request is None:
            log.warning("pending DEL cannot be read; put aside", path=str(path))
            await asyncio.to_thread(path.rename, path.with_suffix(".unreadable"))
            return
        reply = await self._service.Del(request, None)
        if reply.exit_status == 0:
            await asyncio.to_thread(path.unlink, missing_ok=True)
            log.info("pending DEL done", container_id=request.container_id)
        elif json.loads(reply.stdout).get("code") in _NEVER:
            log.warning("pending DEL can never be done; put aside", path=str(path))
            await asyncio.to_thread(path.rename, path.with_suffix(".refused"))
        else:
            log.warning("pending DEL failed", path=str(path), error=reply.stdout.decode())

    def _files(self) -> list[pathlib.Path]:
        try:
            return sorted(p for p in self._directory.iterdir() if p.suffix == ".del")
        except FileNotFoundError:
            return []
        except OSError as e:
            log.warning("pending DELs cannot be listed", error=str(e))
            return []


def _read(path: pathlib.Path) -> Any:
    try:
        return ipamd_pb2.CniRequest.FromString(path.read_bytes())
    except Exception:  # noqa: BLE001  # protobuf's error class differs between its back ends
        return None

"""DELs that came while no daemon answered: the executable left them as files, we do them now.

Each file is one `CniRequest`; see docs/explanation/cni-executable.md. One whose attachment was
added again meanwhile is taken away by the executable that adds it. One that can never be done is
put aside for whoever looks for the reason, and removed after a week.
"""

import asyncio
import json
import pathlib
from typing import Any, Protocol

import structlog

from core import clock
from ipamd._pb import ipamd_pb2
from ipamd.cni import cni_error

log = structlog.get_logger()


_NEVER = (
    cni_error.INCOMPATIBLE_VERSION,
    cni_error.INVALID_ENVIRONMENT,
    cni_error.DECODING_FAILURE,
    cni_error.INVALID_CONFIG,
)
_ASIDE = (".refused", ".unreadable")
_UNFINISHED = ".tmp"
"""Of an executable that was killed while it wrote; see `cni.terway`."""
_KEEP_ASIDE_S = 7 * 86400.0
_KEEP_UNFINISHED_S = 3600.0


class Service(Protocol):
    """Who does a DEL."""

    async def Del(self, request: Any, context: Any) -> Any: ...  # noqa: N802


class PendingDels:
    """The files of *directory*, done by *service*."""

    def __init__(self, directory: pathlib.Path, service: Service, time: clock.Clock) -> None:
        self._directory = directory
        self._service = service
        self._clock = time

    async def replay(self) -> None:
        """Do each of them; what fails stays for the next round."""
        for path in await asyncio.to_thread(self._files):
            try:
                if path.suffix == ".del":
                    await self._replay(path)
                else:
                    await asyncio.to_thread(self._forget, path)
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

    def _forget(self, path: pathlib.Path) -> None:
        """Remove what was put aside, or begun, long ago. Its age: since it has the name it has."""
        keep_s = _KEEP_UNFINISHED_S if path.suffix == _UNFINISHED else _KEEP_ASIDE_S
        if self._clock.now().timestamp() - path.stat().st_ctime < keep_s:
            return
        path.unlink(missing_ok=True)
        log.info("pending DEL that was put aside is removed", path=str(path))

    def _files(self) -> list[pathlib.Path]:
        known = (".del", _UNFINISHED, *_ASIDE)
        try:
            return sorted(p for p in self._directory.iterdir() if p.suffix in known)
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

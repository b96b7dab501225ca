"""The mounter's socket: JSON lines in, JSON lines out. Source: spec/csi-driver.md 1.11."""

import asyncio
import contextlib
import fcntl
import os
import pathlib
import socket
import struct

import structlog

from core import errors
from csi.mounter import mounter, protocol

log = structlog.get_logger()

_CREDENTIALS = struct.Struct("3i")


class Server:
    """Serves one socket, for root only."""

    def __init__(self, served: mounter.Mounter, path: pathlib.Path) -> None:
        self._mounter = served
        self._path = path
        self._server: asyncio.Server | None = None
        self._lock = -1

    def claim(self) -> None:
        """Be the one mounter of this socket. Raises Precondition when another one is."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
        self._lock = os.open(f"{self._path}.lock", flags, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise errors.Precondition(
                f"another csi-mounter serves {self._path}; end it, or choose another --socket"
            ) from e

    async def start(self) -> None:
        """Listen."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._serve, self._path, limit=protocol.REQUEST_MAX_BYTES + 1
            )
        finally:
            os.umask(before)

    async def stop(self) -> None:
        """Stop listening. The lock goes with the process."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            if _peer_uid(writer) not in (0, os.geteuid()):
                writer.write(protocol.answer(0, "only root may use this socket"))
                return
            seq = 0
            while line := await self._line(reader, writer):
                seq += 1
                writer.write(await self._answer(seq, line))
                await writer.drain()

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        try:
            return await reader.readline()
        except ValueError:  # longer than the limit
            most = protocol.REQUEST_MAX_BYTES
            writer.write(protocol.answer(0, f"the request is longer than {most} bytes"))
            return b""

    async def _answer(self, seq: int, line: bytes) -> bytes:
        try:
            match protocol.parse_request(line):
                case protocol.Mount() as want:
                    await self._mounter.mount(want)
                case protocol.Unmount(target=target):
                    if not await self._mounter.unmount(target):
                        return protocol.answer(seq, protocol.NOT_MANAGED)
                case protocol.Status():
                    return protocol.answer(seq, volumes=self._mounter.describe())
                case protocol.Ping():
                    pass
        except errors.Error as e:
            log.warning("request failed", error=str(e))
            return protocol.answer(seq, str(e))
        except Exception:
            log.exception("request failed")
            return protocol.answer(seq, "internal error; see the log of csi-mounter")
        return protocol.answer(seq)


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    connection: socket.socket = writer.get_extra_info("socket")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(raw)[1]
    return uid

"""The socket the CNI executable calls: unary gRPC, answered by this process's event loop itself.

grpc.aio passes each new connection through five threads, which costs a call 0.5 to 0.8 ms, as much
as what is then done for it; an executable calls once and hangs up. What is served here is served on
the socket of all services as well, by gRPC's own server.
"""

import asyncio
import os
import pathlib
import socket

import structlog

from core import grpc_server
from ipamd.transport import hpack, http2, http2_frames, unary_calls

log = structlog.get_logger()

_BACKLOG = 512
"""Executables that wait to be answered; many pods start together."""
_HOLD_S = 0.005
"""How long what HTTP/2 wants said at once waits for the answer, so that both are one segment."""
_PAUSE_S = 1.0
"""How long nothing is accepted when that fails."""
_READ_BYTES = 1 << 16
_NOT_GRPC = hpack.encode([(b":status", b"415")])


class CniSocket:
    """Listens, and takes callers."""

    def __init__(self, calls: unary_calls.UnaryCalls) -> None:
        self._calls = calls
        self._peers: set[_Peer] = set()
        self._listening: socket.socket | None = None

    async def start(self, path: pathlib.Path) -> None:
        """Listen on *path* with mode 0600, replacing a stale socket. Raises Precondition."""
        grpc_server.clear_socket_path(path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            before = os.umask(0o177)
            try:
                listening.bind(str(path))
            finally:
                os.umask(before)
            listening.listen(_BACKLOG)
            listening.setblocking(False)
        except BaseException:
            listening.close()
            raise
        self._listening = listening
        self._listen()

    async def stop(self, grace_s: float) -> None:
        """Take no new calls, and give those under way *grace_s* seconds."""
        if self._listening is None:
            return
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.close()
        self._listening = None
        for peer in list(self._peers):
            peer.go_away()
        running = [task for peer in self._peers for task in peer.tasks.values()]
        if running:
            await asyncio.wait(running, timeout=grace_s)
        for peer in list(self._peers):
            peer.hang_up()

    def _listen(self) -> None:
        if self._listening is not None:
            asyncio.get_running_loop().add_reader(self._listening, self._accept, self._listening)

    def _accept(self, listening: socket.socket) -> None:
        """Take the callers that wait. asyncio's own way there takes five turns of the loop."""
        loop = asyncio.get_running_loop()
        for _ in range(_BACKLOG):
            try:
                connected, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as e:  # no descriptors left: callers wait in the backlog
                log.warning("cannot accept calls", error=str(e), retry_s=_PAUSE_S)
                loop.remove_reader(listening)
                loop.call_later(_PAUSE_S, self._listen)
                return
            connected.setblocking(False)
            _Peer(self._calls, connected, self._peers).begin()


class _Peer:
    """One connection."""

    def __init__(
        self, calls: unary_calls.UnaryCalls, connected: socket.socket, all_peers: "set[_Peer]"
    ) -> None:
        self._calls = calls
        self._socket = connected
        self._all = all_peers
        self._loop = asyncio.get_running_loop()
        self._http2 = http2.Connection()
        self._out = b""
        self._held: asyncio.TimerHandle | None = None
        self._closing = False
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def begin(self) -> None:
        """Serve the peer, which may have spoken already."""
        self._all.add(self)
        self._loop.add_reader(self._socket, self._readable)
        self._readable()

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._on_data(data)
        else:
            self._lost()

    def _on_data(self, data: bytes) -> None:
        calls = len(self.tasks)
        try:
            for event in self._http2.receive(data):
                self._on_event(event)
        except http2_frames.Broken as e:
            log.info("caller hung up on", why=str(e))
            self.hang_up()
            return
        if len(self.tasks) > calls:
            self._held = self._held or self._loop.call_later(_HOLD_S, self._flush)
        elif self._held is None:
            self._flush()

    def _lost(self) -> None:
        """Nobody is there any more."""
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._all.discard(self)
        if self._held is not None:
            self._held.cancel()
        for task in self.tasks.values():
            task.cancel()

    def go_away(self) -> None:
        """Take no further calls of this peer."""
        self._http2.go_away()
        self._flush()

    def hang_up(self) -> None:
        """Say what is to be said, and close."""
        self._closing = True
        self._flush()

    def _on_event(self, event: http2.Event) -> None:
        if isinstance(event, http2.Cancelled):
            task = self.tasks.get(event.stream)
            if task is not None:
                task.cancel()
            return
        if not event.headers.get(b"content-type", b"").startswith(b"application/grpc"):
            self._http2.respond(event.stream, b"", b"", _NOT_GRPC)
            return
        task = asyncio.create_task(self._serve(event), name="cni-call")
        self.tasks[event.stream] = task

    async def _serve(self, request: http2.Request) -> None:
        try:
            answer = await self._calls.answer(request)
        finally:
            del self.tasks[request.stream]
        self._http2.respond(request.stream, *answer)
        self._flush()

    def _flush(self) -> None:
        if self._held is not None:
            self._held.cancel()
            self._held = None
        self._out += self._http2.take_output()
        if self._socket.fileno() >= 0:
            self._write()

    def _write(self) -> None:
        """Send what the socket takes; the rest when it takes more."""
        try:
            self._out = self._out[self._socket.send(self._out) :] if self._out else b""
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._lost()
            return
        if self._out:
            self._loop.add_writer(self._socket, self._write)
            return
        self._loop.remove_writer(self._socket)
        if self._closing:
            self._lost()

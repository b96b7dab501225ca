"""A grpc.aio server on a unix socket, and the interceptor every RPC passes through.

The interceptor binds log keys, enforces the deadline, turns our errors into status codes and
counts. Handlers below it hold no try and know no status code.
"""

import asyncio
import os
import pathlib
import socket
import stat
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import grpc
import grpc.aio
import structlog

from core import call as current_call
from core import errors, grpc_errors

log = structlog.get_logger()

EARLY_FRACTION = 0.1
EARLY_MAX_S = 1.0
"""We stop min(10 %, 1 s) before the caller's deadline, so that a proper error reaches it."""
_NO_DEADLINE_S = 10 * 365 * 86400.0
"""gRPC reports "no deadline" as a huge number of seconds."""
Redact = Callable[[Any], object]
Subject = Callable[[Any], Mapping[str, str]]
"""What a request or an answer is about, as log keys: `volume_id`, say. Ids, never secrets."""
Observe = Callable[[str, str, float], None]
"""Called after each RPC with its method, the name of its status code, and the seconds it took."""
Handler = Callable[[Any, "grpc.aio.ServicerContext[Any, Any]"], Awaitable[Any]]


class ServeInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # no generic at run time
    """Wraps each unary handler. One per server.

    observe: counts. redact: what of a request may be logged. quiet: methods that are called all the
    time and change nothing; they are logged at debug level, unless they fail. subject: keys that
    every line of a call gets from its request, and the line of its end from the answer.
    """

    def __init__(
        self,
        *,
        observe: Observe,
        redact: Redact,
        quiet: Collection[str] = frozenset(),
        subject: Subject = lambda _message: {},
    ) -> None:
        self._observe = observe
        self._redact = redact
        self._quiet = quiet
        self._subject = subject
        self._running: set[asyncio.Task[Any]] = set()

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        method = details.method.rsplit("/", 1)[-1]

        async def serve(request: Any, context: "grpc.aio.ServicerContext[Any, Any]") -> Any:
            return await self.serve(method, handler.unary_unary, request, context)

        return grpc.unary_unary_rpc_method_handler(
            serve, handler.request_deserializer, handler.response_serializer
        )

    async def drain(self, timeout_s: float) -> None:
        """Wait until calls whose caller has gone have ended too, at most *timeout_s* seconds."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=timeout_s)

    async def serve(self, method: str, inner: Handler, request: Any, context: Any) -> Any:
        """Answer of the handler *inner*; what it raises ends in `context.abort`."""
        started_s = time.monotonic()
        budget_s = _budget_s(context.time_remaining())
        running = current_call.Call(call_id=uuid.uuid4().hex[:12], method=method)
        if budget_s is not None:
            running.deadline_s = started_s + budget_s
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            call_id=running.call_id, method=method, **self._subject(request)
        )
        current_call.enter(running)
        quiet = method in self._quiet
        (log.debug if quiet else log.info)("rpc started", request=self._redact(request))
        code, message = grpc.StatusCode.OK, ""
        told: dict[str, object] = {}
        try:
            answer = await self._run(running, inner, request, context, budget_s)
        except errors.Error as e:
            code, message = grpc_errors.STATUS[e.kind], str(e)
        except NotImplementedError:
            code, message = (
                grpc.StatusCode.UNIMPLEMENTED,
                f"{method} is not offered by this plug-in",
            )
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        except Exception:
            log.exception("unhandled error")
            code = grpc.StatusCode.INTERNAL
            message = f"internal error (call {running.call_id}); see the driver log"
        else:
            told.update(self._subject(answer))
            return answer
        finally:
            elapsed_s = time.monotonic() - started_s
            self._observe(method, code.name, elapsed_s)
            ended = log.debug if quiet else log.info
            if code is not grpc.StatusCode.OK:
                ended = log.warning
                if message:
                    told["error"] = message
                if quiet:  # its start was not logged
                    told["request"] = self._redact(request)
            ended("rpc ended", code=code.name, elapsed_s=round(elapsed_s, 4), **told)
        await context.abort(code, message)
        return None

    async def _run(
        self,
        running: current_call.Call,
        inner: Handler,
        request: Any,
        context: Any,
        budget_s: float | None,
    ) -> Any:
        """Result of *inner*, or DeadlineExceeded in time.

        The handler is a task of its own. When the deadline passes or the caller goes away it is
        cancelled and keeps its locks until its last blocking call ends; we do not wait for it.
        """
        task = asyncio.ensure_future(inner(request, context))
        self._running.add(task)
        task.add_done_callback(self._ended)
        try:
            done, _ = await asyncio.wait({task}, timeout=budget_s)
        except asyncio.CancelledError:
            running.given_up = True
            task.cancel()
            raise
        if not done:
            running.given_up = True
            task.cancel()
            raise errors.DeadlineExceeded(
                f"time is up while {running.doing}; retry, the operation resumes"
            )
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # told to the caller already, or the caller is gone


def _budget_s(remaining_s: float | None) -> float | None:
    """Seconds a handler may take when its caller waits *remaining_s*."""
    if remaining_s is None or remaining_s > _NO_DEADLINE_S:
        return None
    return max(0.0, remaining_s - min(EARLY_MAX_S, remaining_s * EARLY_FRACTION))


def make_server(interceptor: ServeInterceptor) -> grpc.aio.Server:
    """A server without services or address yet."""
    return grpc.aio.server(
        interceptors=[interceptor],
        options=[
            ("grpc.max_receive_message_length", 16 * 1024 * 1024),
            # Our sockets are private to one plug-in: two processes on one socket is always a fault.
            ("grpc.so_reuseport", 0),
        ],
    )


def add_unix_socket(server: grpc.aio.Server, path: pathlib.Path) -> None:
    """Make *server* listen on *path* with mode 0600, replacing a stale socket.

    Raises Precondition as `clear_socket_path`, and where no socket can be made.
    The umask makes the socket private from its first moment.
    """
    clear_socket_path(path)
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as e:  # of grpc, which tells the reason in a line of its own
        raise errors.Precondition(
            f"cannot listen on {path}: is this a place where a socket can be made, and are we root?"
        ) from e
    finally:
        os.umask(before)


def clear_socket_path(path: pathlib.Path) -> None:
    """Remove a stale socket at *path*.

    Raises Precondition when the directory is missing, something that is no socket is in the way, or
    another process serves the socket: taking it away would leave that one running for nobody, and
    its end would take ours away.
    """
    if not path.parent.is_dir():
        raise errors.Precondition(f"socket directory {path.parent} does not exist; create it")
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise errors.Precondition(f"{path} is in the way and is not a socket; remove it")
        if _is_served(path):
            raise errors.Precondition(f"another process serves {path}; end it first")
        path.unlink()
    except FileNotFoundError:
        pass


def _is_served(path: pathlib.Path) -> bool:
    """Whether somebody takes connections there. A full queue is somebody's too."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)
        try:
            connection.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True

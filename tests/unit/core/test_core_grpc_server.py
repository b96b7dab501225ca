import asyncio
import contextlib
import pathlib
import socket
import stat
import threading

import grpc
import grpc.aio
import pytest
import structlog

from core import call, errors, executor, grpc_errors, grpc_server
from csi._pb import csi_pb2, csi_pb2_grpc


class Identity(csi_pb2_grpc.IdentityServicer):
    def __init__(self, behaviour):
        self._behaviour = behaviour

    async def Probe(self, request, context):
        return await self._behaviour()


@contextlib.asynccontextmanager
async def serving(tmp_path, behaviour, **more):
    observed: list[tuple[str, str]] = []
    interceptor = grpc_server.ServeInterceptor(
        observe=lambda method, code, _: observed.append((method, code)), redact=str, **more
    )
    server = grpc_server.make_server(interceptor)
    csi_pb2_grpc.add_IdentityServicer_to_server(Identity(behaviour), server)
    path = tmp_path / "s.sock"
    grpc_server.add_unix_socket(server, path)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
            yield csi_pb2_grpc.IdentityStub(channel), observed, path
    finally:
        await server.stop(0)
        await interceptor.drain(5)


async def code_of(stub, timeout=5):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Probe(csi_pb2.ProbeRequest(), timeout=timeout)
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("kind", list(errors.Kind))
async def test_every_kind_of_error_has_its_status_and_keeps_its_message(tmp_path, kind):
    error_class = type("E", (errors.Error,), {"kind": kind})

    async def fail():
        raise error_class("why it failed")

    async with serving(tmp_path, fail) as (stub, _, _):
        assert await code_of(stub) == (grpc_errors.STATUS[kind], "why it failed")


async def test_an_unknown_exception_shows_nothing_of_itself_to_the_caller(tmp_path):
    async def fail():
        raise ZeroDivisionError("secret=hunter2")

    async with serving(tmp_path, fail) as (stub, observed, _):
        code, details = await code_of(stub)

    assert code is grpc.StatusCode.INTERNAL
    assert "hunter2" not in details
    assert observed == [("Probe", "INTERNAL")]


async def test_the_answer_comes_before_the_deadline_and_says_what_was_going_on(tmp_path):
    async def hang():
        call.doing("waiting for disk d-1 to be attached")
        await asyncio.sleep(60)

    async with serving(tmp_path, hang) as (stub, _, _):
        code, details = await code_of(stub, timeout=0.5)

    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "waiting for disk d-1" in details


@pytest.mark.parametrize("leaves", [True, False], ids=["caller leaves", "time is up"])
async def test_work_that_goes_on_knows_that_nobody_waits_for_it(tmp_path, leaves):
    pool = executor.BoundedExecutor("test", 1)
    started, ended, refused = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    def work():
        call.require_wanted("mounting")
        loop.call_soon_threadsafe(started.set)
        ended.wait(10)
        try:
            call.require_wanted("mounting")
        except errors.DeadlineExceeded as e:
            refused.append(str(e))

    async def handle():
        await pool.run(work)
        return csi_pb2.ProbeResponse()

    async with serving(tmp_path, handle) as (stub, observed, _):
        asked = stub.Probe(csi_pb2.ProbeRequest(), timeout=60 if leaves else 0.5)
        await started.wait()
        if leaves:
            asked.cancel()
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
            await asked
        while not observed:
            await asyncio.sleep(0)
        ended.set()
    pool.close()
    assert ["not mounting" in text for text in refused] == [True]


async def test_the_call_knows_how_much_time_is_left(tmp_path):
    seen = []

    async def look():
        seen.append(call.remaining_s(999.0))
        return csi_pb2.ProbeResponse()

    async with serving(tmp_path, look) as (stub, _, _):
        await stub.Probe(csi_pb2.ProbeRequest(), timeout=10)
        await stub.Probe(csi_pb2.ProbeRequest())

    assert 5 < seen[0] < 10
    assert seen[1] == 999.0


async def test_the_socket_is_private_from_its_first_moment(tmp_path):
    async def fine():
        return csi_pb2.ProbeResponse()

    async with serving(tmp_path, fine) as (_, _, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_stale_socket_is_replaced_but_a_file_is_not(tmp_path):
    server = grpc_server.make_server(
        grpc_server.ServeInterceptor(observe=lambda *_: None, redact=str)
    )
    in_the_way = pathlib.Path(tmp_path / "file")
    in_the_way.write_text("data")

    with pytest.raises(errors.Precondition, match="not a socket"):
        grpc_server.add_unix_socket(server, in_the_way)
    with pytest.raises(errors.Precondition, match="does not exist"):
        grpc_server.add_unix_socket(server, tmp_path / "missing" / "s.sock")

    assert in_the_way.read_text() == "data"
    await server.stop(0)


async def test_every_line_of_a_call_names_what_it_is_about(tmp_path):
    async def fine():
        structlog.get_logger().info("at work")
        return csi_pb2.ProbeResponse()

    def subject(message):
        return {"asked" if isinstance(message, csi_pb2.ProbeRequest) else "answered": "v-1"}

    keep = [structlog.contextvars.merge_contextvars]
    with structlog.testing.capture_logs(processors=keep) as logs:
        async with serving(tmp_path, fine, subject=subject) as (stub, _, _):
            await stub.Probe(csi_pb2.ProbeRequest())

    told = [(each["event"], each.get("asked"), each.get("answered")) for each in logs]
    assert told == [
        ("rpc started", "v-1", None),
        ("at work", "v-1", None),
        ("rpc ended", "v-1", "v-1"),
    ]


@pytest.mark.parametrize("quiet", [(), ("Probe",)], ids=["usual", "quiet"])
async def test_a_call_that_failed_is_a_warning_with_its_request(tmp_path, quiet):
    async def fail():
        raise errors.Precondition("why it failed")

    with structlog.testing.capture_logs() as logs:
        async with serving(tmp_path, fail, quiet=quiet) as (stub, _, _):
            await code_of(stub)

    started, ended = logs
    assert started["log_level"] == ("debug" if quiet else "info")
    assert (ended["log_level"], ended["error"]) == ("warning", "why it failed")
    assert ("request" in ended) == bool(quiet)


async def test_a_socket_that_cannot_be_made_is_told_as_such(tmp_path):
    server = grpc_server.make_server(
        grpc_server.ServeInterceptor(observe=lambda *_: None, redact=str)
    )
    too_long = tmp_path / ("s" * 200)

    with pytest.raises(errors.Precondition, match="cannot listen on"):
        grpc_server.add_unix_socket(server, too_long)

    await server.stop(0)


async def test_a_socket_that_another_process_serves_is_left_to_it(tmp_path):
    async def fine():
        return csi_pb2.ProbeResponse()

    async with serving(tmp_path, fine) as (stub, _, path):
        second = grpc_server.make_server(
            grpc_server.ServeInterceptor(observe=lambda *_: None, redact=str)
        )
        with pytest.raises(errors.Precondition, match=f"another process serves {path}"):
            grpc_server.add_unix_socket(second, path)
        await second.stop(0)

        await stub.Probe(csi_pb2.ProbeRequest())


def test_a_socket_that_nobody_serves_any_more_is_stale(tmp_path):
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(str(path))
        ended.listen()

    grpc_server.clear_socket_path(path)

    assert not path.exists()

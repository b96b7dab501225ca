"""The CNI executable's socket beside gRPC's own client, and beside callers that behave badly."""

import asyncio
import contextlib
import socket
import stat

import grpc
import grpc.aio
import pytest

from core import errors, grpc_server
from ipamd._pb import ipamd_pb2, ipamd_pb2_grpc
from ipamd.transport import cni_socket, unary_calls

METHOD = "/ipamd.v1.Cni/Add"


class Service(ipamd_pb2_grpc.CniServicer):
    def __init__(self):
        self.ended = asyncio.Event()
        self.begun = asyncio.Event()

    async def Add(self, request, context):
        if request.container_id == "refuse":
            raise errors.Exhausted("voll: 100 %, später")
        if request.container_id == "hang":
            self.begun.set()
            try:
                await asyncio.sleep(60)
            finally:
                self.ended.set()
        return ipamd_pb2.CniReply(stdout=request.config)


@pytest.fixture
async def served(tmp_path):
    """(server, service, path)."""
    interceptor = grpc_server.ServeInterceptor(observe=lambda *_: None, redact=lambda _: {})
    calls, service = unary_calls.UnaryCalls(interceptor), Service()
    ipamd_pb2_grpc.add_CniServicer_to_server(service, calls)
    server = cni_socket.CniSocket(calls)
    path = tmp_path / "cni.socket"
    await server.start(path)
    yield server, service, path
    await server.stop(0)
    await interceptor.drain(5)


@pytest.fixture
async def stub(served):
    async with grpc.aio.insecure_channel(f"unix:{served[2]}") as channel:
        yield ipamd_pb2_grpc.CniStub(channel)


def request(container_id="c", config=b""):
    return ipamd_pb2.CniRequest(container_id=container_id, config=config)


async def status_of(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("size", [0, 1, 16384, 70_000, 3_000_000])
async def test_requests_and_answers_of_every_size_arrive_whole(stub, size):
    told = await stub.Add(
        request(config=bytes(size)), metadata=[("key", "value"), ("x-bin", b"\0\1")]
    )

    assert told.stdout == bytes(size)


async def test_many_calls_on_one_connection_and_on_many_are_all_answered(served, stub):
    bodies = [b"%d" % n for n in range(300)]
    told = await asyncio.gather(*(stub.Add(request(config=body)) for body in bodies))
    assert [each.stdout for each in told] == bodies

    async def alone(body):
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"unix:{served[2]}", options=options) as channel:
            return (await ipamd_pb2_grpc.CniStub(channel).Add(request(config=body))).stdout

    assert await asyncio.gather(*map(alone, bodies[:40])) == bodies[:40]


async def test_a_refusal_has_its_status_and_its_words(stub):
    assert await status_of(stub.Add(request("refuse"))) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "voll: 100 %, später",
    )


async def test_a_method_that_is_not_there_is_unimplemented(served, stub):
    assert (await status_of(stub.Gc(request())))[0] is grpc.StatusCode.UNIMPLEMENTED
    async with grpc.aio.insecure_channel(f"unix:{served[2]}") as channel:
        told = await status_of(channel.unary_unary("/no/Such")(b""))
    assert told == (grpc.StatusCode.UNIMPLEMENTED, "there is no method /no/Such")


async def test_what_cannot_be_decoded_or_is_compressed_is_refused(served):
    async with grpc.aio.insecure_channel(f"unix:{served[2]}") as channel:
        assert (await status_of(channel.unary_unary(METHOD)(b"\xff")))[
            0
        ] is grpc.StatusCode.INTERNAL
        call = channel.unary_unary(METHOD)(bytes(9999), compression=grpc.Compression.Gzip)
        assert (await status_of(call))[0] is grpc.StatusCode.UNIMPLEMENTED


async def test_the_deadline_is_kept(stub, served):
    code, _ = await status_of(stub.Add(request("hang"), timeout=0.3))

    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(served[1].ended.wait(), 5)


async def test_a_caller_that_goes_away_ends_its_call(stub, served):
    call = stub.Add(request("hang"))
    await asyncio.wait_for(served[1].begun.wait(), 5)
    call.cancel()

    await asyncio.wait_for(served[1].ended.wait(), 5)


async def test_stopping_lets_calls_end_and_takes_no_more(served, stub):
    server, service, path = served
    call = asyncio.ensure_future(stub.Add(request("hang")))
    await asyncio.wait_for(service.begun.wait(), 5)

    await server.stop(0.1)

    assert (await status_of(call))[0] is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as late:
        late.connect(str(path))


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100)]
)
async def test_a_caller_that_speaks_something_else_is_hung_up_on_and_others_are_not(
    served, stub, said
):
    reader, writer = await asyncio.open_unix_connection(served[2])
    writer.write(said)
    if said:
        await asyncio.wait_for(reader.read(), 5)
    with contextlib.suppress(OSError):
        writer.close()
        await writer.wait_closed()

    assert (await stub.Add(request(config=b"x"))).stdout == b"x"


async def test_only_root_may_call_and_a_stale_socket_is_replaced(served, tmp_path):
    server, _, path = served
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    await server.stop(0)
    await server.start(path)

    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        assert (await ipamd_pb2_grpc.CniStub(channel).Add(request(config=b"y"))).stdout == b"y"

import asyncio

import pytest

from core import errors, http_status


async def _raw(port, request):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def _well():
    return http_status.Answer(body=b"fine\n")


async def _ill():
    raise RuntimeError("inside")


async def test_a_port_that_is_in_use_is_told_with_its_setting():
    first, second = http_status.HttpStatus({}), http_status.HttpStatus({})
    port = await first.start("127.0.0.1", 0)

    with pytest.raises(errors.Precondition) as caught:
        await second.start("127.0.0.1", port, setting="SERVICE_PORT")

    await first.stop()
    told = str(caught.value)
    assert told.startswith(f"port {port} of 127.0.0.1 cannot be served: address already in use;")
    assert told.endswith("or change SERVICE_PORT")


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        (b"GET /healthz?x=1 HTTP/1.1", b"200 OK", b"fine\n"),
        (b"GET /nothing HTTP/1.1", b"404", b""),
        (b"POST /healthz HTTP/1.1", b"405", b""),
        (b"nonsense", b"405", b""),
        (b"GET /ill HTTP/1.1", b"500", b""),
    ],
)
async def test_pages_are_answered(request_line, status, body):
    server = http_status.HttpStatus({"/healthz": _well, "/ill": _ill})
    port = await server.start("127.0.0.1", 0)

    answer = await _raw(port, request_line + b"\r\nHost: x\r\n\r\n")

    await server.stop()
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.endswith(b"\r\n\r\n" + body)

"""The probes that run in a container: what they ask, and what they make of the answer."""

import asyncio
import pathlib
from collections.abc import AsyncIterator, Sequence

import pytest

from core import http_status
from tests.support import chart

DEBUG_SOCKET = "/var/run/eni/eni_debug.socket"


@pytest.fixture
def container(everything: list[chart.Object]) -> chart.Object:
    (found,) = (each.plain for each in chart.containers(everything) if each.program == "ipamd")
    return found


@pytest.fixture
async def served(tmp_path: pathlib.Path) -> AsyncIterator[pathlib.Path]:
    """A socket that answers as ipamd's does while it starts: alive, and not ready."""

    async def alive() -> http_status.Answer:
        return http_status.Answer(body=b"ok\n")

    async def starting() -> http_status.Answer:
        return http_status.Answer(status=503, body=b"starting\n")

    socket = tmp_path / "debug.socket"
    server = http_status.HttpStatus({"/healthz": alive, "/readyz": starting})
    await server.start_unix(socket)
    yield socket
    await server.stop()


async def run(command: Sequence[str], socket: pathlib.Path) -> int:
    words = [word.replace(DEBUG_SOCKET, str(socket)) for word in command]
    assert words != list(command)
    child = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.DEVNULL)
    return await child.wait()


async def test_an_ipamd_that_starts_is_alive_and_not_ready(
    container: chart.Object, served: pathlib.Path
) -> None:
    alive = await run(container["livenessProbe"]["exec"]["command"], served)
    ready = await run(container["readinessProbe"]["exec"]["command"], served)

    assert (alive, ready) == (0, 1)


async def test_no_ipamd_is_not_alive(container: chart.Object, tmp_path: pathlib.Path) -> None:
    assert await run(container["livenessProbe"]["exec"]["command"], tmp_path / "nothing") == 1


async def test_the_cni_executable_is_exchanged_in_one_step(
    everything: list[chart.Object], tmp_path: pathlib.Path
) -> None:
    (container,) = (
        each.plain for each in chart.containers(everything) if each.name == "install-cni"
    )
    directory, new = tmp_path / "bin", tmp_path / "new"
    directory.mkdir()
    (directory / "terway").write_text("old")
    new.write_text("new")
    *words, script, executable = container["command"]
    assert executable == "/usr/local/lib/terway/terway"
    script = script.replace("/host-cni-bin", str(directory))

    child = await asyncio.create_subprocess_exec(*words, script, str(new))

    assert await child.wait() == 0
    assert [each.name for each in directory.iterdir()] == ["terway"]
    assert (directory / "terway").read_text() == "new"
    assert (directory / "terway").stat().st_mode & 0o777 == 0o755


async def test_directories_of_sockets_are_made_again_without_harm(
    everything: list[chart.Object], tmp_path: pathlib.Path
) -> None:
    for each in chart.containers(everything):
        if each.name != "socket-dirs":
            continue
        words = [word.replace("/csi-plugins", str(tmp_path)) for word in each.plain["command"]]
        for _ in range(2):
            child = await asyncio.create_subprocess_exec(*words)
            assert await child.wait() == 0
        (main,) = (
            other
            for other in chart.containers(everything)
            if other.workload == each.workload
            and other.program == "csi-plugin"
            and not other.initial
        )
        told = dict(word.split("=", 1) for word in main.arguments if "=" in word)
        for name in told["--driver"].split(","):
            assert (tmp_path / f"{name}plugin.csi.alibabacloud.com").is_dir()

"""Several drivers in one process: what one of them suffers, the others do not."""

import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import types
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc.aio
import pytest
import structlog

from cloud import settings as cloud_settings
from core import errors, metrics
from core import settings as core_settings
from csi import app, driver, flags, health, serve, settings
from csi._pb import csi_pb2, csi_pb2_grpc
from kube import settings as kube_settings

WELL = "well" + driver.SUFFIX
ILL = "ill" + driver.SUFFIX


async def fine() -> None:
    """Nothing can go wrong here."""


@dataclasses.dataclass
class FakeDriver:
    """A driver module that serves Identity alone."""

    NAME: str
    prepare: Callable[[], Awaitable[None]] | None = None
    ready: Callable[[], Awaitable[None]] = fine
    build_error: Exception | None = None
    closed: bool = False
    FEATURE_GATES: dict[str, bool] = dataclasses.field(default_factory=dict)

    def build(self, context: driver.DriverContext) -> driver.Driver:
        if self.build_error is not None:
            raise self.build_error

        async def close() -> None:
            self.closed = True

        return driver.Driver(
            name=self.NAME,
            services=(),
            expansions=(),
            ready=self.ready,
            prepare=self.prepare,
            close=close,
        )


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def add(*fakes: FakeDriver) -> None:
        modules = {fake.NAME: f"fake.{fake.NAME}" for fake in fakes}
        by_module = {f"fake.{fake.NAME}": fake for fake in fakes}
        monkeypatch.setattr(driver, "DRIVER_MODULES", modules)
        monkeypatch.setattr(
            driver, "importlib", types.SimpleNamespace(import_module=by_module.__getitem__)
        )

    return add


def make(tmp_path: pathlib.Path, *argv: str) -> app.Plugin:
    endpoint = f"--endpoint=unix://{tmp_path}/{settings.REPLACE}.sock"
    arguments = flags.parse(["--driver=ill,well", endpoint, "--nodeid=i-1", *argv])
    environ = {"SERVICE_PORT": "-1", "DRAIN_TIMEOUT_SECONDS": "1"}
    reader = core_settings.Reader(environ, flags.values(arguments))
    process = settings.read(arguments, reader)
    return app.Plugin(
        process, cloud_settings.read_cloud(reader), kube_settings.read_kube(reader), reader
    )


@contextlib.asynccontextmanager
async def started(plugin: app.Plugin) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        await plugin.start(stack)
        yield


async def name_served(socket: pathlib.Path) -> str:
    async with asyncio.timeout(10), grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        stub = csi_pb2_grpc.IdentityStub(channel)
        info = await stub.GetPluginInfo(csi_pb2.GetPluginInfoRequest(), wait_for_ready=True)
    return info.name


def failing_prepare(error: Exception) -> Callable[[], Awaitable[None]]:
    async def prepare() -> None:
        raise error

    return prepare


@pytest.mark.parametrize(
    "error",
    [errors.Precondition("no kernel module"), OSError("disk full"), KeyError("a defect of ours")],
    ids=["ours", "os", "defect"],
)
@pytest.mark.parametrize("when", ["build", "prepare"])
async def test_a_driver_that_cannot_start_leaves_the_others_working(tmp_path, install, error, when):
    ill = FakeDriver(ILL, build_error=error) if when == "build" else FakeDriver(ILL)
    ill.prepare = failing_prepare(error) if when == "prepare" else None
    install(ill, FakeDriver(WELL))
    plugin = make(tmp_path)

    async with started(plugin):
        assert await name_served(tmp_path / f"{WELL}.sock") == WELL
        alive = await plugin.page.alive()
        ready = await plugin.page.ready()

    told = json.loads(ready.body)
    assert (alive.status, ready.status) == (200, 503)
    assert told[WELL] == "ok"
    assert str(error) in told[ILL]


@pytest.mark.parametrize(
    ("error", "shown", "traceback"),
    [
        (errors.Precondition("no kernel module"), "no kernel module", False),
        (KeyError("a defect of ours"), None, True),
    ],
    ids=["ours", "defect"],
)
async def test_a_start_that_failed_for_a_known_reason_is_logged_without_a_traceback(
    tmp_path, install, error, shown, traceback
):
    install(FakeDriver(ILL, prepare=failing_prepare(error)), FakeDriver(WELL))
    plugin = make(tmp_path)

    with structlog.testing.capture_logs() as logs:
        async with started(plugin):
            await name_served(tmp_path / f"{WELL}.sock")

    failed = next(each for each in logs if each["event"] == "driver does not start")
    assert (failed["driver"], failed["log_level"]) == (ILL, "error")
    assert (failed.get("error"), failed.get("exc_info", False)) == (shown, traceback)


async def test_the_log_tells_when_a_driver_cannot_work_and_when_it_can_again(tmp_path, install):
    wrong = [True, True, False, False]

    async def ready() -> None:
        if wrong.pop(0):
            raise errors.Unauthenticated("the key is unknown")

    install(FakeDriver(WELL, ready=ready), FakeDriver(ILL))
    plugin = make(tmp_path)

    with structlog.testing.capture_logs() as logs:
        async with started(plugin):
            await name_served(tmp_path / f"{WELL}.sock")
            for _ in range(4):
                await plugin.page.ready()

    told = [
        each for each in logs if each["event"].startswith("driver ") and "work" in each["event"]
    ]
    assert [(each["event"], each["log_level"], each["driver"]) for each in told] == [
        ("driver cannot work now", "warning", WELL),
        ("driver works again", "info", WELL),
    ]
    assert told[0]["error"] == "the key is unknown"


def test_a_misspelt_driver_is_shown_as_it_was_given():
    with pytest.raises(errors.Invalid, match="--driver 'disc' is not supported; allowed: disk, "):
        driver.load(driver.full_name("disc"))


def test_a_status_port_in_use_ends_the_process_with_one_line(tmp_path, capfd):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status = subprocess.run(
            [sys.executable, "-m", "csi", f"--endpoint=unix://{tmp_path}/csi.sock", "--nodeid=i-1"],
            env={**os.environ, "SERVICE_PORT": str(port), "SERVICE_ADDRESS": "127.0.0.1"},
            cwd=pathlib.Path(app.__file__).parents[1],
            check=False,
        ).returncode

    told = capfd.readouterr().err
    assert status == app.EXIT_REFUSED
    assert f"port {port} of 127.0.0.1 cannot be served: address already in use" in told
    assert "Traceback" not in told


async def test_a_process_none_of_whose_drivers_serves_is_not_alive(tmp_path, install):
    install(
        FakeDriver(ILL, prepare=failing_prepare(OSError("no"))),
        FakeDriver(WELL, prepare=failing_prepare(OSError("no"))),
    )
    plugin = make(tmp_path)

    async with started(plugin):
        await asyncio.sleep(0)
        assert (await plugin.page.alive()).status == 503


async def test_a_process_of_which_no_driver_can_be_built_ends(tmp_path, install):
    install(FakeDriver(ILL, build_error=OSError("1")), FakeDriver(WELL, build_error=OSError("2")))

    with pytest.raises(OSError, match="1"):
        make(tmp_path)


async def test_bad_settings_of_one_driver_end_the_process(tmp_path, install):
    install(FakeDriver(ILL, build_error=errors.Invalid("X: wrong")), FakeDriver(WELL))

    with pytest.raises(errors.Invalid, match="X: wrong"):
        make(tmp_path)


async def test_every_driver_has_a_socket_and_is_closed(tmp_path, install):
    fakes = [FakeDriver(ILL), FakeDriver(WELL)]
    install(*fakes)

    async with started(make(tmp_path)):
        for name in (ILL, WELL):
            assert await name_served(tmp_path / f"{name}.sock") == name

    assert [fake.closed for fake in fakes] == [True, True]
    assert list(tmp_path.iterdir()) == []


async def test_a_driver_is_closed_though_it_never_served(tmp_path, install):
    ill = FakeDriver(ILL, prepare=failing_prepare(OSError("no")))
    install(ill, FakeDriver(WELL))

    async with started(make(tmp_path)):
        pass

    assert ill.closed


async def test_a_start_that_failed_half_way_leaves_no_server_behind(tmp_path):
    class NoDirectory:
        stopped = 0

        async def start(self) -> None:
            raise errors.Precondition("kubelet's directory does not exist")

        async def stop(self) -> None:
            self.stopped += 1

    server = serve.DriverServer(
        FakeDriver(WELL).build(None),
        tmp_path / "csi.sock",
        version="1",
        registry=metrics.Metrics(),
        registration=NoDirectory(),
    )

    with pytest.raises(errors.Precondition):
        await server.start()

    with pytest.raises(errors.Unavailable):
        await server.check_alive()
    await server.stop(0)


@pytest.mark.parametrize("name", sorted(driver.DRIVER_MODULES))
def test_a_driver_module_offers_what_the_process_asks_for(name):
    module = driver.load(name)

    assert isinstance(module, driver.DriverModule)
    assert name == module.NAME
    assert all(isinstance(default, bool) for default in module.FEATURE_GATES.values())


def test_no_gate_belongs_to_two_drivers():
    of_drivers = [
        gate for name in driver.DRIVER_MODULES for gate in driver.load(name).FEATURE_GATES
    ]

    assert len(of_drivers) == len(set(of_drivers))
    assert driver.feature_gates().keys() == {*of_drivers, *driver.GATES_WITHOUT_EFFECT}


async def test_a_stopped_process_has_no_threads_of_ours(tmp_path):
    before = set(threading.enumerate())
    arguments = flags.parse(
        ["--run-controller-service=false", "--nodeid=i-1", f"--endpoint=unix://{tmp_path}/s.sock"]
    )
    environ = {"SERVICE_PORT": "-1", "IMDS_ENDPOINT": "http://127.0.0.1:1"}
    environ["KUBELET_ROOT_DIR"] = str(tmp_path / "kubelet")
    reader = core_settings.Reader(environ, flags.values(arguments))
    process = settings.read(arguments, reader)
    plugin = app.Plugin(
        process, cloud_settings.read_cloud(reader), kube_settings.read_kube(reader), reader
    )

    async with started(plugin):
        await name_served(tmp_path / "s.sock")
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s.sock") as channel:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await csi_pb2_grpc.NodeStub(channel).NodeGetInfo(csi_pb2.NodeGetInfoRequest())
    left = [t for t in threading.enumerate() if t not in before]
    for thread in left:
        await asyncio.to_thread(thread.join, 5)

    ours = ("imds", "disk-", "openapi")
    assert [t.name for t in left if t.is_alive() and t.name.startswith(ours)] == []


def test_health_is_told_for_drivers_that_were_never_built():
    page = health.Health([], {ILL: "broken"}, metrics.Metrics())

    answer = asyncio.run(page.ready())

    assert json.loads(answer.body) == {ILL: "broken"}

"""Starts the real simulator as a process, and talks to it as any client would."""

import dataclasses
import http.client
import json
import pathlib
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from alibabacloud_ecs20140526.client import Client as EcsClient
from alibabacloud_sts20150401.client import Client as StsClient
from alibabacloud_tea_openapi.utils_models import Config

from tests.sim import sim_ecs_harness, sim_nas_harness
from tests.support import ports
from tests.support.signed_api import common_parameters, sign_v1

KEY_ID, SECRET = "LTAIsimulated", "simulated-secret"
ECS, STS = "2014-05-26", "2015-04-01"
READY = "cloudsim ready "


@dataclasses.dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        return str(self.json.get("Code", "OK"))


class Sim:
    """One `python -m sim serve` process on a port of its own."""

    def __init__(self, state_dir: pathlib.Path, *options: str) -> None:
        self.state_dir = state_dir
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self.log = state_dir.parent / f"{state_dir.name}.log"

    def start(self, port: int = 0) -> None:
        """Start; port: where, 0 = a free one."""
        command = [
            sys.executable,
            "-m",
            "sim",
            "serve",
            "--listen",
            f"127.0.0.1:{port or ports.free_port()}",
        ]
        command += ["--state-dir", str(self.state_dir), *self._options]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith(READY), self.log.read_text()
        self.port = int(line.rpartition(":")[2])

    def stop(self, number: int = signal.SIGTERM) -> int:
        process = self._process
        if process is None:
            return 0
        process.send_signal(number)
        status = process.wait(timeout=20)
        assert process.stdout is not None
        process.stdout.close()
        self._process = None
        return status

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def http(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            text = response.read().decode()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, text)
        finally:
            connection.close()

    def control(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        raw = None if body is None else json.dumps(body).encode()
        reply = self.http(method, f"/_sim/{path}", body=raw)
        assert reply.status == status, reply.text
        return reply.json

    def fault(self, action: str, effect: str, **fields: Any) -> str:
        made = self.control("POST", "faults", {"action": action, "effect": effect, **fields})
        return str(made["id"])

    def wait_held(self, fault: str) -> None:
        assert self.control("GET", f"faults/{fault}?wait_s=20")["holding"] > 0

    def calls(self, action: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control("GET", f"calls?action={action}")["calls"]
        return found

    def rpc(
        self,
        action: str,
        parameters: Mapping[str, str] | None = None,
        *,
        version: str = ECS,
        key: tuple[str, str] = (KEY_ID, SECRET),
        method: str = "GET",
        **fields: str,
    ) -> Reply:
        """A request signed by hand, RPC signature 1.0; *fields* replace the common parameters."""
        values = common_parameters(action, version, key[0]) | dict(parameters or {}) | fields
        values["Signature"] = sign_v1(method, values, key[1])
        query = urllib.parse.urlencode(values)
        if method == "GET":
            return self.http("GET", f"/?{query}")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.http("POST", "/", headers=headers, body=query.encode())

    def ecs(self, **config: Any) -> Any:
        return EcsClient(self._config(config))

    def sts(self, **config: Any) -> Any:
        return StsClient(self._config(config))

    def _config(self, changes: Mapping[str, Any]) -> Any:
        defaults = {
            "endpoint": self.endpoint,
            "protocol": "http",
            "region_id": "cn-hangzhou",
            "access_key_id": KEY_ID,
            "access_key_secret": SECRET,
        }
        return Config(**(defaults | dict(changes)))


@pytest.fixture(scope="module")
def running_sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sim]:
    running = Sim(tmp_path_factory.mktemp("sim") / "state")
    running.start()
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture
def sim(running_sim: Sim) -> Sim:
    """A simulator in its first state; the process is shared by the tests of one module."""
    running_sim.control("POST", "reset")
    return running_sim


@pytest.fixture
def own_sim(tmp_path: pathlib.Path) -> Iterator[Sim]:
    """A simulator of the test's own, to be killed at will."""
    running = Sim(tmp_path / "state")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def nas(tmp_path: pathlib.Path) -> Iterator[sim_nas_harness.Nas]:
    declared = sim_ecs_harness.world_of(first_instances={"vsc_enabled": True})
    made = sim_nas_harness.Nas(tmp_path, declared=declared)
    yield made
    made.cloud.close()

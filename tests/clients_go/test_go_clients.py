"""Other people's clients for Go drive the simulator: `make clients`.

The tests themselves are Go, one package for each kind of client; here they are built, and run
beside a simulator in a network namespace of their own: nothing else can be reached there, and the
metadata service has the address that clients look for it at.
"""

import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from sim import world
from tests.support import processes

HERE = pathlib.Path(__file__).parent
KINDS = ("rpc", "tea", "oss", "s3")
GO_AT_LEAST = "26"
"""Minor version that go.mod asks for."""
BUILD_S = 900
RUN_S = 120
METADATA = "100.100.100.200"
ALONE = f'ip link set lo up && ip address add {METADATA}/32 dev lo && exec "$@"'
pytestmark = [
    pytest.mark.timeout(BUILD_S + RUN_S),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The directory of the built tests, `KIND.test` each."""
    made = tmp_path_factory.mktemp("programs")
    go = subprocess.run(
        [processes.ROOT / "tools" / "go.sh"],
        env={**os.environ, "GO_AT_LEAST": GO_AT_LEAST},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    packages = [f"./{kind}" for kind in KINDS]
    subprocess.run([go, "vet", *packages], cwd=HERE, check=True, timeout=BUILD_S)
    command = [go, "test", "-c", "-o", f"{made}/", *packages]
    subprocess.run(command, cwd=HERE, check=True, timeout=BUILD_S)
    return made


def declared() -> dict[str, Any]:
    """The default world, with IPv6 in it, and a second node that wants tokens for metadata."""
    made: dict[str, Any] = yaml.safe_load(world.DEFAULT_FILE.read_text())
    made["vpcs"][0]["ipv6_cidr_block"] = "2408:4005::/56"
    for number, row in enumerate(made["vswitches"]):
        row["ipv6_cidr_block"] = f"2408:4005:0:{number}::/64"
    made["instances"][1]["http_tokens"] = "required"
    return made


@pytest.fixture(scope="module")
def cloudsim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """(process, address) of a simulator in a namespace of its own."""
    directory = tmp_path_factory.mktemp("cloudsim")
    file = directory / "world.yaml"
    file.write_text(yaml.safe_dump(declared()))
    serve = [sys.executable, "-m", "sim", "serve", "--listen", "127.0.0.1:0", "--world", str(file)]
    serve += ["--state-dir", str(directory / "state"), "--time-scale", "0.02"]
    serve += ["--imds-address", f"{METADATA}:80"]
    running = processes.Process(
        ["unshare", "--net", "sh", "-ec", ALONE, "sh", *serve],
        directory / "log",
        dict(os.environ),
    )
    ready = running.start(processes.SIM_READY)
    yield running.pid, ready.rpartition("//")[2]
    assert running.terminate() == 0, running.tail()


@pytest.mark.parametrize("kind", KINDS)
def test_clients_of_go(programs: pathlib.Path, cloudsim: tuple[int, str], kind: str) -> None:
    process, address = cloudsim
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("AWS_", "ALIBABA"))
    }
    done = subprocess.run(
        ["nsenter", f"--net=/proc/{process}/ns/net", programs / f"{kind}.test", "-test.v"],
        cwd=HERE / kind,
        env={**environment, "CLOUDSIM": address, "CLOUDSIM_METADATA": "1"},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "--- SKIP" not in done.stdout, done.stdout

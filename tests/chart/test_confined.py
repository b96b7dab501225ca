"""csi-plugin starts as the chart's containers let it: its user, its mounts, read-only files."""

import pathlib
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.support import chart, processes

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]

SCRIPT = pathlib.Path(__file__).parent / "confined.sh"
FROM_THE_MACHINE = {"/dev", "/sys"}


@pytest.fixture
def rig() -> Iterator[processes.Rig]:
    made = processes.Rig(hardware="none", time_scale=0.0)
    try:
        made.start_sim()
        yield made
    finally:
        made.close()


def plugins() -> list[chart.Container]:
    values = {**chart.EVERYTHING, "logging": {"format": "json"}}
    return [each for each in chart.containers(chart.render(values)) if each.program == "csi-plugin"]


def page(port: int, name: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


@pytest.mark.parametrize(
    "place",
    [
        ("csi-provisioner", "csi-plugin"),
        ("csi-provisioner", "csi-plugin-nas"),
        ("csi-plugin", "csi-plugin"),
        ("csi-local", "csi-plugin"),
    ],
    ids="/".join,
)
def test_it_serves_every_driver_with_what_the_container_has(
    rig: processes.Rig, tmp_path: pathlib.Path, place: tuple[str, str]
) -> None:
    (container,) = (each for each in plugins() if (each.workload, each.name) == place)
    mounts = {each["mountPath"] for each in container.plain["volumeMounts"]} - FROM_THE_MACHINE
    told = dict(word.split("=", 1) for word in container.arguments if "=" in word)
    directories = ["/var/lib/kubelet/csi-plugins", "/var/lib/kubelet/plugins_registry"]
    directories += [
        f"/var/lib/kubelet/csi-plugins/{name}plugin.csi.alibabacloud.com"
        for name in told["--driver"].split(",")
    ]
    # As the init container and kubelet make them.
    made = " ".join(directories) if "/var/lib/kubelet" in mounts else "/tmp"
    program = f'mkdir -p {made}; exec {sys.executable} -m csi "$@"'
    argv = ["unshare", "--mount", "--propagation", "private", "sh", str(SCRIPT)]
    argv += [
        str(container.plain["securityContext"]["runAsUser"]),
        ":".join(sorted(mounts)),
        sys.executable,
        str(processes.ROOT),
    ]
    argv += ["sh", "-ec", f"cd {processes.ROOT}; {program}", "csi-plugin", *container.arguments]
    ours = {"KUBE_NODE_NAME": "node-1", "NODE_ID": processes.NODE_1, "SERVICE_PORT": "0"}
    environment = {**rig.environment(), **container.environment, **ours}
    environment.pop("DISK_BY_ID_DIR")
    process = processes.Process(argv, tmp_path / "log", environment)

    try:
        process.start(processes.DRIVER_READY)
        port = process.http_port()
        alive = page(port, "healthz")
    finally:
        process.kill9()

    assert alive[0] == 200
    for name in told["--driver"].split(","):
        assert f'"{name}plugin.csi.alibabacloud.com": "ok"' in alive[1]
    assert "Read-only file system" not in process.log.read_text()
    assert "Permission denied" not in process.log.read_text()

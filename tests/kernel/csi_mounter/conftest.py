"""A csi-mounter, the storage it mounts, and a mount request: fixtures of several files."""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.sim.conftest import KEY_ID, SECRET, Sim
from tests.support import mounter

QUICK = ("--probe-interval", "1s", "--probe-timeout", "1s", "--timeout", "10s")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sim]:
    running = Sim(tmp_path_factory.mktemp("cloud") / "state")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def node(tmp_path: pathlib.Path) -> Iterator[mounter.MounterProcess]:
    made = mounter.MounterProcess(tmp_path, *QUICK)
    made.start()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def mount(cloud: Sim, node: mounter.MounterProcess) -> Callable[..., pathlib.Path]:
    """Mounts the bucket at a target and returns that; *error* is the answer that is expected."""

    def request(
        name: str = "mnt",
        *,
        error: str = "",
        ask: Callable[..., dict[str, Any]] = node.ask,
        **changes: object,
    ) -> pathlib.Path:
        target = node.work_dir / name
        body = {
            "source": mounter.BUCKET,
            "target": str(target),
            "fstype": "s3fs",
            "options": [
                f"url=http://{cloud.endpoint}", "use_path_request_style", "endpoint=cn-hangzhou",
                "allow_other",
            ],
            "secrets": {"passwd-s3fs": f"{mounter.BUCKET}:{KEY_ID}:{SECRET}"},
            "volumeID": f"pv-{name}",
        }  # fmt: skip
        answer = ask("mount", {**body, **changes})
        assert error in answer.get("error", "")
        assert bool(error) == ("error" in answer), answer
        return target

    return request

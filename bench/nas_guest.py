"""What `bench.nas` measures, in the lab's guest: its kernel has an NFS server and client.

The simulated cloud, an NFS server and a node with the driver, each in namespaces of its own.
"""

import contextlib
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator

from bench import commands, report
from csi.nas import mount_options
from tests.support import machine, nas_driver, nfs_server

SERVER = "nas.test"
PUBLISHES = 25
PUBLISH_GOAL = 1.3


def main() -> int:
    """Measure, and write the report to bench/out."""
    told = report.Report(target="nas")
    with tempfile.TemporaryDirectory() as name, _node(pathlib.Path(name)) as driver:
        _publish(told, driver, pathlib.Path(name))
    report.write(told)
    return 0


@contextlib.contextmanager
def _node(directory: pathlib.Path) -> Iterator[nas_driver.NasDriver]:
    root = directory / "served"
    root.mkdir()
    with contextlib.ExitStack() as undo:
        server = nfs_server.NfsServer(root)
        undo.callback(server.close)
        server.add_export("/")
        node = undo.enter_context(machine.Machine())
        hosts = directory / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n{server.connect(node)} {SERVER}\n")
        node.run("mount", "--bind", hosts, "/etc/hosts")
        driver = nas_driver.NasDriver(node, directory, "node", SERVER)
        undo.callback(driver.close)
        yield driver


def _publish(told: report.Report, driver: nas_driver.NasDriver, directory: pathlib.Path) -> None:
    """Publish and unpublish, in turns with mount(8) and umount(8) of the same export."""
    volume = driver.create("pvc-bench")
    context = volume.volume_context
    source, bare = f"{context['server']}:{context['path']}", directory / "bare"
    bare.mkdir()
    driver.unpublish(volume, driver.publish(volume))
    options = ",".join(("vers=3", *mount_options.DEFAULTS_V3))
    ours: dict[str, list[float]] = {"publish": [], "unpublish": []}
    theirs: dict[str, list[float]] = {"publish": [], "unpublish": []}
    with commands.Commands(driver.machine) as node:
        for _ in range(PUBLISHES):
            started_s = time.perf_counter()
            target = driver.publish(volume)
            ours["publish"].append(time.perf_counter() - started_s)
            started_s = time.perf_counter()
            driver.unpublish(volume, target)
            ours["unpublish"].append(time.perf_counter() - started_s)
            mount = ("mount", "-t", "nfs", "-o", options, source, str(bare))
            theirs["publish"].append(node.seconds(*mount))
            theirs["unpublish"].append(node.seconds("umount", str(bare)))
    told.add_pair("NodePublishVolume", "mount(8)", ours["publish"], theirs["publish"], "s")
    told.add_pair("NodeUnpublishVolume", "umount(8)", ours["unpublish"], theirs["unpublish"], "s")
    ratio = told.add_pair(
        "publish and unpublish", "mount(8) and umount(8)", _sums(ours), _sums(theirs), "s"
    )
    told.goals.append(
        report.Goal(
            name="publish and unpublish / mount(8) and umount(8)", value=ratio, limit=PUBLISH_GOAL
        )
    )


def _sums(times: dict[str, list[float]]) -> list[float]:
    return [sum(pair) for pair in zip(*times.values(), strict=True)]


if __name__ == "__main__":
    sys.exit(main())

"""What `bench.nas` measures, in the lab's guest: its kernel has an NFS server and client.

The simulated cloud with a real file system, and a node with the driver.
"""

import contextlib
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import TypeVar

from bench import commands, report
from csi._pb import csi_pb2
from csi.nas import mount_options
from tests.support import machine, nas_cloud, nas_driver

T = TypeVar("T")
R = TypeVar("R")

PUBLISHES = 25
PUBLISH_GOAL = 1.3
VOLUMES, AT_ONCE = 200, 10
CALLS_GOAL = 6
"""DescribeFileSystems, CreateDir, SetDirQuota; DescribeFileSystems, GetRecycleBinAttribute,
CancelDirQuota. Source: spec/csi-driver.md, appendix C."""


def main() -> int:
    """Measure, and write the report to bench/out."""
    told = report.Report(target="nas")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as undo:
        directory = pathlib.Path(name)
        cloud = nas_cloud.NasCloud(directory, time_scale=0)
        undo.callback(cloud.close)
        node = undo.enter_context(machine.Machine())
        cloud.start()
        cloud.join(node)
        domain, endpoint = nas_cloud.DOMAIN, cloud.endpoint
        driver = nas_driver.NasDriver(node, directory, "node", domain, endpoint=endpoint)
        undo.callback(driver.close)
        _publish(told, driver, directory)
        _volumes(told, driver, cloud)
    report.write(told)
    return 0


def _volumes(told: report.Report, driver: nas_driver.NasDriver, cloud: nas_cloud.NasCloud) -> None:
    """VOLUMES volumes through their whole life, AT_ONCE at a time."""
    names = [f"pvc-{number}" for number in range(VOLUMES)]
    idle_mib = _mib(driver)
    calls = shared = 0

    def phase(case: str, work: Callable[[T], R], things: Sequence[T]) -> list[R]:
        nonlocal calls, shared
        cloud.control.clear_calls()
        each_s: list[float] = []

        def timed(thing: T) -> R:
            started_s = time.perf_counter()
            done = work(thing)
            each_s.append(time.perf_counter() - started_s)
            return done

        started_s = time.perf_counter()
        with futures.ThreadPoolExecutor(AT_ONCE) as pool:
            results = list(pool.map(timed, things))
        all_s = time.perf_counter() - started_s
        told_of = [json.dumps(each) for each in cloud.control.calls()]
        own = sum("/pvc-" in each for each in told_of)
        calls += own
        shared += len(told_of) - own
        case = f"{case} of {VOLUMES}, {AT_ONCE} at once"
        told.add(case, report.OURS, each_s, "s")
        told.add(f"{case}, rate", report.OURS, [VOLUMES / all_s], "volumes/s")
        told.add(f"{case}, API calls each", report.OURS, [own / VOLUMES], "calls")
        return results

    made = phase("create", lambda name: _create(driver, name), names)
    targets = phase("publish", lambda each: driver.publish(each, pod=each.volume_id), made)
    told.add(
        "RSS with the volumes published", report.OURS, [driver.process.rss_kib() / 1024], "MiB"
    )
    pairs = list(zip(made, targets, strict=True))
    phase("unpublish", lambda pair: driver.unpublish(*pair), pairs)
    phase("delete", lambda each: driver.delete(each.volume_id), made)
    told.add(
        "RSS before and after", report.OURS, [idle_mib, driver.process.rss_kib() / 1024], "MiB"
    )
    told.add("API calls for all volumes together", report.OURS, [shared], "calls")
    told.goals.append(
        report.Goal(
            name="API calls for a volume's life / the reference's",
            value=calls / VOLUMES,
            limit=CALLS_GOAL,
        )
    )


def _publish(told: report.Report, driver: nas_driver.NasDriver, directory: pathlib.Path) -> None:
    """Publish and unpublish, in turns with mount(8) and umount(8) of the same export."""
    volume = _create(driver, "pvc-bench")
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
    driver.delete(volume.volume_id)
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


def _create(driver: nas_driver.NasDriver, name: str) -> csi_pb2.Volume:
    return driver.create(name, volumeCapacity="true", archiveOnDelete="false")


def _mib(driver: nas_driver.NasDriver) -> float:
    return driver.process.rss_kib() / 1024


def _sums(times: dict[str, list[float]]) -> list[float]:
    return [sum(pair) for pair in zip(*times.values(), strict=True)]


if __name__ == "__main__":
    sys.exit(main())

"""The disk driver: start-up, memory, and the rates of its calls beside what they cannot beat.

Peers are floors: the bare SDK call, the bare mkfs and mount, an empty RPC. Ours and the peer's
turns alternate, so that both see the same machine.
"""

import dataclasses
import functools
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

from bench import peers, report
from csi._pb import csi_pb2 as pb
from tests.support import csi_client, processes, stack, worlds

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")

NODE_GOAL_MIB, CONTROLLER_GOAL_MIB = 40, 100
STAGE_GOAL = 2.0
"""A stage does more than mkfs and mount: finds the device, probes it, checks what it mounted."""
STARTS = 5
ROUNDS, AT_ONCE = 5, 20
NODES = 20
STAGES, PUBLISHES, STATS = 7, 40, 200
IMPORT_ONLY = "import grpc.aio, google.protobuf, structlog"


def run() -> report.Report:
    """Measure everything; about two minutes."""
    told = report.Report(target="disk")
    _start_and_memory(told)
    _cloud_calls(told)
    _node_calls(told)
    return told


# -- start-up and memory


def _start_and_memory(told: report.Report) -> None:
    rig = processes.Rig(hardware="none", time_scale=0.0)
    try:
        rig.start_sim()
        for role, goal_mib in (("node", NODE_GOAL_MIB), ("controller", CONTROLLER_GOAL_MIB)):
            _start_one(told, rig, role)
            _idle_memory(told, rig, role, goal_mib)
    finally:
        rig.close()


def _start_one(told: report.Report, rig: processes.Rig, role: str) -> None:
    ours, floor = [], []
    for _ in range(STARTS):
        process = _role(rig, role)
        ours.append(_seconds(functools.partial(process.start, processes.DRIVER_READY)))
        process.terminate()
        argv = [sys.executable, "-c", IMPORT_ONLY]
        floor.append(_seconds(functools.partial(subprocess.run, argv, check=True)))
    case = f"start-up of a {role}"
    told.add_pair(case, "importing grpcio", ours, floor, "s")


def _idle_memory(told: report.Report, rig: processes.Rig, role: str, goal_mib: int) -> None:
    process = _role(rig, role)
    process.start(processes.DRIVER_READY)
    client = csi_client.Client(rig.socket(role))
    client.identity.Probe(pb.ProbeRequest(), timeout=20, wait_for_ready=True)
    if role == "node":
        client.node.NodeGetInfo(pb.NodeGetInfoRequest(), timeout=20)
    idle_mib = _mib(process)
    told.add(f"RSS of an idle {role}", report.OURS, [idle_mib], "MiB")
    _scrape(process)
    told.add(f"RSS of a {role} after a scrape", report.OURS, [_mib(process)], "MiB")
    told.goals.append(
        report.Goal(name=f"RSS of an idle {role}, MiB", value=idle_mib, limit=goal_mib)
    )
    client.close()
    process.terminate()


def _role(rig: processes.Rig, role: str) -> processes.Process:
    return rig.driver(role, controller=role == "controller", node=role == "node")


# -- calls that end in the cloud


def _cloud_calls(told: report.Report) -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = worlds.with_instances(pathlib.Path(directory), NODES)
        made = stack.Stack(hardware="none", world=world, environment={})
        try:
            _create_and_attach(told, made)
        finally:
            made.close()


def _create_and_attach(told: report.Report, on: stack.Stack) -> None:
    sdk = peers.Sdk(on.rig.port)
    on.client.delete(on.client.create("warm-up").volume_id)
    sdk.create_disk("warm-up")

    volumes, disk_ids = _rounds(
        told,
        "CreateVolume",
        "SDK CreateDisk",
        lambda n: on.client.create(f"pvc-{n}"),
        lambda n: sdk.create_disk(f"peer-{n}"),
    )
    nodes = worlds.instance_ids(NODES)
    _rounds(
        told,
        "ControllerPublishVolume",
        "SDK AttachDisk, not waited for",
        lambda n: on.client.attach(volumes[n], nodes[n % NODES]),
        lambda n: sdk.attach_disk(disk_ids[n], nodes[n % NODES]),
    )
    loaded_mib = _mib(on.controller)
    told.add("RSS of a controller after load", report.OURS, [loaded_mib], "MiB")
    _scrape(on.controller)
    told.add("RSS of a controller after load and scrape", report.OURS, [_mib(on.controller)], "MiB")
    told.goals.append(
        report.Goal(
            name="RSS of a controller after load, MiB", value=loaded_mib, limit=CONTROLLER_GOAL_MIB
        )
    )


def _rounds(
    told: report.Report,
    case: str,
    peer: str,
    ours: Callable[[int], A],
    theirs: Callable[[int], B],
) -> tuple[list[A], list[B]]:
    """ROUNDS crowds of each in turn; results of all calls in order."""
    our_results: list[A] = []
    their_results: list[B] = []
    our_crowds, their_crowds = [], []
    for number in range(ROUNDS):
        first = number * AT_ONCE
        our_crowds.append(_crowd(ours, first, our_results))
        their_crowds.append(_crowd(theirs, first, their_results))
    case = f"{case}, {AT_ONCE} at once"
    for who, crowds in ((report.OURS, our_crowds), (peer, their_crowds)):
        told.add(case, who, [each_s for crowd in crowds for each_s in crowd.each_s], "s")
    told.add_pair(
        f"{case}, rate",
        peer,
        [crowd.per_second for crowd in our_crowds],
        [crowd.per_second for crowd in their_crowds],
        "calls/s",
    )
    return our_results, their_results


@dataclasses.dataclass(frozen=True, slots=True)
class Crowd:
    """Seconds of each of AT_ONCE calls, and how many ended per second."""

    each_s: list[float]
    per_second: float


def _crowd(call: Callable[[int], T], first: int, results: list[T]) -> Crowd:
    """AT_ONCE calls, numbered from *first*, at the same time; appends to *results*."""

    def timed(number: int) -> tuple[T, float]:
        started_s = time.perf_counter()
        result = call(number)
        return result, time.perf_counter() - started_s

    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        started_s = time.perf_counter()
        done = list(pool.map(timed, range(first, first + AT_ONCE)))
        all_s = time.perf_counter() - started_s
    results += [row[0] for row in done]
    return Crowd([row[1] for row in done], AT_ONCE / all_s)


# -- calls on the node


def _node_calls(told: report.Report) -> None:
    made = stack.Stack(wrapped=False)
    try:
        _stage(told, made)
        _publish_and_stats(told, made)
    finally:
        made.close()


def _stage(told: report.Report, on: stack.Stack) -> None:
    ours, theirs = [], []
    directory = on.rig.dir / "peer"
    directory.mkdir()
    for _ in range(STAGES):
        volume, other = on.volume().attach(), on.volume().attach()
        ours.append(_seconds(volume.stage))
        device = (on.rig.by_id / f"virtio-{other.publish_context['serialNumber']}").resolve()
        theirs.append(_seconds(functools.partial(peers.make_and_mount, device, directory)))
        peers.unmount(directory)
        volume.unstage()
        for each in (volume, other):
            each.detach().delete()
    ratio = told.add_pair("NodeStageVolume, new ext4", "mkfs and mount", ours, theirs, "s")
    told.goals.append(
        report.Goal(name="NodeStageVolume / mkfs and mount", value=ratio, limit=STAGE_GOAL)
    )


def _publish_and_stats(told: report.Report, on: stack.Stack) -> None:
    volume = on.volume().attach().stage().publish()
    target, peer_target = on.target(volume.volume_id, "bench"), on.rig.dir / "peer-target"
    ours, theirs = [], []
    for _ in range(PUBLISHES):
        ours.append(_seconds(functools.partial(volume.publish, target)))
        theirs.append(_seconds(functools.partial(peers.bind, volume.staging, peer_target)))
        volume.unpublish(target)
        peers.unmount(peer_target)
        peer_target.rmdir()
    told.add_pair("NodePublishVolume", "mount --bind", ours, theirs, "s")

    ours, theirs = [], []
    empty = functools.partial(
        on.client.node.NodeGetCapabilities, pb.NodeGetCapabilitiesRequest(), timeout=20
    )
    for _ in range(STATS):
        stats = functools.partial(on.client.stats, volume.volume_id, volume.target)
        ours.append(_seconds(stats))
        theirs.append(_seconds(empty))
    told.add_pair("NodeGetVolumeStats", "NodeGetCapabilities", ours, theirs, "s")
    told.add("RSS of a node after load", report.OURS, [_mib(on.node)], "MiB")
    volume.tear_down()


# -- measuring


def _seconds(call: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    call()
    return time.perf_counter() - started_s


def _mib(process: processes.Process) -> float:
    return process.rss_kib() / 1024


def _scrape(process: processes.Process) -> None:
    """Read /metrics once, as Prometheus does."""
    with urllib.request.urlopen(f"http://127.0.0.1:{process.http_port()}/metrics") as answer:
        answer.read()

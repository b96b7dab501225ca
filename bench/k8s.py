"""Kubernetes: pods that are started at once, until all run, with our network and with ptp.

Two clusters stand beside each other and take turns, so that both see the same machine: what one
costs while it is idle, the other pays too. The peer is ptp with host-local and portmap.
"""

import contextlib
import pathlib
import tempfile
import time
from collections.abc import Iterator

from bench import report
from tests.support.cluster import cluster, kubectl, tenant

PODS = 40
TURNS = 3
OURS, PEER = "terway", "ptp"
_RUNNING = "jsonpath={.status.phase}=Running"
_LIMIT_S = 300.0


def run() -> report.Report:
    """Measure; about four minutes, once the programs of `make cluster` are built."""
    told = report.Report(target="k8s")
    with contextlib.ExitStack() as stack:
        clusters = {network: stack.enter_context(_cluster(network)) for network in (OURS, PEER)}
        times: dict[str, list[float]] = {network: [] for network in clusters}
        for turn in range(TURNS + 1):
            for network, made in clusters.items():
                took_s = _start_pods(made)
                if turn > 0:  # the first one finds caches cold
                    times[network].append(took_s)
    _tell(told, times)
    return told


def _tell(told: report.Report, times: dict[str, list[float]]) -> None:
    case = f"{PODS} pods at once, until all run"
    for network, values in times.items():
        told.add(case, network, values, "s")
    ratios = [ours / theirs for ours, theirs in zip(times[OURS], times[PEER], strict=True)]
    told.add(case, f"{OURS} / {PEER}", ratios, "ratio")


@contextlib.contextmanager
def _cluster(network: str) -> Iterator[cluster.Cluster]:
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as directory:
        made = cluster.Cluster(pathlib.Path(directory) / "cluster", network=network, say=_quiet)
        try:
            made.up()
            yield made
        finally:
            made.down()


def _start_pods(made: cluster.Cluster) -> float:
    """Seconds from asking for the pods until kubectl has seen each of them run."""
    user = tenant.Tenant(made)
    pods = [kubectl.pod(f"pod-{number}", tenant.SLEEP) for number in range(PODS)]
    began_s = time.monotonic()
    user.apply(*pods)
    user.kubectl("wait", "pods", "--all", f"--for={_RUNNING}", f"--timeout={_LIMIT_S:.0f}s")
    took_s = time.monotonic() - began_s
    left = user.close()
    if left:
        raise RuntimeError(f"left over: {', '.join(left)}")
    return took_s


def _quiet(_: str) -> None:
    """Clusters tell of every process that they start."""

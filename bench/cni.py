"""CNI: from exec to exit of ADD and DEL beside the reference plug-ins, and what the daemon costs.

Turns of all plug-ins alternate on one node, so that they see the same machine. Ours limits the
bandwidth as well, which among the peers only the chain with `bandwidth` does.
"""

import pathlib
import statistics
import tempfile

from bench import cni_kubernetes, cni_plugins, report
from tests.support import network_rig, worlds

SERIAL_TURNS = 60
AT_ONCE = (8, 32)
PARALLEL_PODS = 96
PARALLEL_ROUNDS = 3
CROWD = 500
CROWD_TURNS = 30
BURST = 100
CHURN = 2000
RSS_GOAL_MIB = 64
CONF = {
    "min_pool_size": 120,
    "max_pool_size": 700,
    "ip_cooldown_period": "0s",
    "ip_pool_sync_period": "1h",
}


def run() -> report.Report:
    """Measure everything; about four minutes."""
    told = report.Report(target="cni")
    with tempfile.TemporaryDirectory() as directory:
        _measure(told, worlds.big_nodes(pathlib.Path(directory)))
    return told


def _measure(told: report.Report, world: pathlib.Path) -> None:
    rig = network_rig.NetworkRig(time_scale=0.02, world=world)
    try:
        rig.start_sim()
        executables = network_rig.build_executables(rig.dir / "built")
        node = rig.node("node-1")
        _burst(told, rig, node)
        node.configure(CONF)
        node.start_daemon()
        bench = cni_plugins.Bench(node)
        try:
            _compare(told, bench, node, executables)
            _crowd(told, bench, executables)
            _churn(told, bench, node, executables)
            cni_kubernetes.measure(told, bench, node, executables)
        finally:
            bench.close()
    finally:
        rig.close()


def _compare(
    told: report.Report,
    bench: cni_plugins.Bench,
    node: network_rig.Node,
    executables: network_rig.Executables,
) -> None:
    plugins = {
        "static": cni_plugins.ours("static", [str(executables.default)]),
        "pyc": cni_plugins.ours("pyc", [str(executables.pyc)]),
        "ptp": cni_plugins.ptp(node.dir, bandwidth=False),
        "ptp+bw": cni_plugins.ptp(node.dir, bandwidth=True),
    }
    times = _serial(bench, plugins)
    for (name, command), values in times.items():
        told.add(f"{command} serial", plugins[name].name, [v * 1000 for v in values], "ms")
    _goal(told, times, "static", "ptp", "ADD", 0.6)
    _goal(told, times, "static", "ptp+bw", "ADD", 0.45)
    _goal(told, times, "static", "ptp", "DEL", 0.3)
    _goal(told, times, "pyc", "ptp", "ADD", 1.2)
    for at_once in AT_ONCE:
        rates = _parallel(
            bench, {name: plugins[name] for name in ("static", "ptp", "ptp+bw")}, at_once
        )
        for (command, name), values in rates.items():
            told.add(f"{command} {at_once} at once", plugins[name].name, values, "pods/s")
        if at_once == AT_ONCE[0]:
            told.goals.append(
                report.Goal(
                    name=f"pods/s of ADD, {at_once} at once, ours / ptp+host-local",
                    value=statistics.median(rates["ADD", "static"])
                    / statistics.median(rates["ADD", "ptp"]),
                    limit=2.0,
                    better="higher",
                )
            )


def _serial(
    bench: cni_plugins.Bench, plugins: dict[str, cni_plugins.Plugin]
) -> dict[tuple[str, str], list[float]]:
    """Seconds by (plug-in, command), the plug-ins taking turns."""
    pods = {name: bench.pods(1)[0] for name in plugins}
    turns = [
        (command, plugins[name], pods[name])
        for _ in range(SERIAL_TURNS)
        for command in ("ADD", "DEL")
        for name in plugins
    ]
    elapsed, _ = bench.run(turns)
    found: dict[tuple[str, str], list[float]] = {}
    names = [name for _ in range(SERIAL_TURNS * 2) for name in plugins]
    for (command, _, _), name, value in zip(turns, names, elapsed, strict=True):
        found.setdefault((name, command), []).append(value)
    return found


def _goal(  # noqa: PLR0917
    told: report.Report,
    times: dict[tuple[str, str], list[float]],
    ours: str,
    peer: str,
    command: str,
    limit: float,
) -> None:
    ratios = [a / b for a, b in zip(times[ours, command], times[peer, command], strict=True)]
    name = f"{command} {ours} / {peer.replace('ptp', 'ptp+host-local').replace('bw', 'bandwidth')}"
    told.goals.append(report.Goal(name=name, value=statistics.median(ratios), limit=limit))


def _parallel(
    bench: cni_plugins.Bench, plugins: dict[str, cni_plugins.Plugin], at_once: int
) -> dict[tuple[str, str], list[float]]:
    """Pods a second by (command, plug-in), the plug-ins taking turns."""
    pods = {name: bench.pods(PARALLEL_PODS) for name in plugins}
    rates: dict[tuple[str, str], list[float]] = {}
    for _ in range(PARALLEL_ROUNDS):
        for name, plugin in plugins.items():
            for command in ("ADD", "DEL"):
                turns = [(command, plugin, pod) for pod in pods[name]]
                _, wall_s = bench.run(turns, at_once=at_once)
                rates.setdefault((command, name), []).append(len(turns) / wall_s)
    return rates


def _crowd(
    told: report.Report, bench: cni_plugins.Bench, executables: network_rig.Executables
) -> None:
    """ADD on a node that has many pods already, beside ADD on an empty one."""
    plugin = cni_plugins.ours("crowd", [str(executables.default)])
    pod = bench.pods(1)[0]
    empty, _ = bench.run([(c, plugin, pod) for _ in range(CROWD_TURNS) for c in ("ADD", "DEL")])
    crowd = bench.pods(CROWD)
    bench.run([("ADD", plugin, each) for each in crowd], at_once=8)
    full, _ = bench.run([(c, plugin, pod) for _ in range(CROWD_TURNS) for c in ("ADD", "DEL")])
    told.add("ADD, empty node", "static", [v * 1000 for v in empty[::2]], "ms")
    told.add(f"ADD, {CROWD} pods there", "static", [v * 1000 for v in full[::2]], "ms")
    told.goals.append(
        report.Goal(
            name=f"ADD with {CROWD} pods on the node / empty node",
            value=statistics.median(full[::2]) / statistics.median(empty[::2]),
            limit=1.5,
        )
    )
    bench.run([("DEL", plugin, each) for each in crowd], at_once=8)


def _churn(
    told: report.Report,
    bench: cni_plugins.Bench,
    node: network_rig.Node,
    executables: network_rig.Executables,
) -> None:
    """Memory of the daemon after many pods."""
    plugin = cni_plugins.ours("churn", [str(executables.default)])
    pods = bench.pods(8)
    rss_mib = [node.ipamd.rss_kib() / 1024]
    for _ in range(2):
        for _ in range(CHURN // 2 // len(pods)):
            bench.run([("ADD", plugin, pod) for pod in pods], at_once=8)
            bench.run([("DEL", plugin, pod) for pod in pods], at_once=8)
        rss_mib.append(node.ipamd.rss_kib() / 1024)
    told.add("resident memory of ipamd", "ipamd", rss_mib, "MiB")
    told.goals.append(
        report.Goal(
            name=f"MiB of ipamd after {CHURN} ADD and DEL", value=rss_mib[-1], limit=RSS_GOAL_MIB
        )
    )
    told.goals.append(
        report.Goal(name="growth in the second half", value=rss_mib[2] / rss_mib[1], limit=1.02)
    )


def _burst(told: report.Report, rig: network_rig.NetworkRig, node: network_rig.Node) -> None:
    """Cloud calls of a burst of pods on a node without a single address."""
    node.configure({"min_pool_size": 0, "max_pool_size": 200, "ip_pool_sync_period": "1h"})
    node.start_daemon()
    executables = network_rig.build_executables(rig.dir / "built")
    plugin = cni_plugins.ours("burst", [str(executables.default)])
    bench = cni_plugins.Bench(node)
    try:
        rig.control.request("DELETE", "calls")
        pods = bench.pods(BURST)
        bench.run([("ADD", plugin, pod) for pod in pods], at_once=BURST)
        counters = rig.control.counters()
        calls = sum(v["total"] for name, v in counters.items() if name != "Metadata")
        bench.run([("DEL", plugin, pod) for pod in pods], at_once=8)
    finally:
        bench.close()
    node.ipamd.terminate()
    told.add(f"OpenAPI calls for {BURST} pods, cold", "ipamd", [calls], "calls")
    told.goals.append(
        report.Goal(name=f"OpenAPI calls for a pod of {BURST}", value=calls / BURST, limit=0.1)
    )

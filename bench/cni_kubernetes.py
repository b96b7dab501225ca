"""What the Kubernetes API costs ipamd: time of an ADD, memory of the daemon and of its companion.

With a real kube-apiserver on the node's loopback, pods that it has, and an event for each ADD.
Without its programs (`make cluster` builds them) nothing is measured.
"""

import pathlib
import subprocess

from bench import cni_plugins, report
from tests.support import api_pods, api_server, network_rig

TURNS = 60
PODS = 8
CHURN = 2000
RSS_GOAL_MIB = 64
_NAMESPACE = "bench"


def measure(
    told: report.Report,
    bench: cni_plugins.Bench,
    node: network_rig.Node,
    executables: network_rig.Executables,
) -> None:
    """*node* has its daemon, without Kubernetes; it ends with one that has it."""
    if not api_pods.are_programs_built():
        return
    plugin = cni_plugins.ours("kubernetes", [str(executables.default)])
    pods = bench.pods(PODS)
    _adds(told, "ADD, no Kubernetes API", bench, plugin, pods[0])
    server = api_server.ApiServer(node.dir / "api", enter=node.enter())
    try:
        server.start()
        api_pods.make_node(server, node.name)
        api_pods.make_namespace(server, _NAMESPACE)
        for pod in pods:
            api_pods.make_pod(server, node.name, pod, _NAMESPACE)
        node.ipamd.terminate()
        node.start_daemon("--kubeconfig", str(server.kubeconfig(api_server.ADMIN)))
        node.ipamd.wait_for("pods of this node are watched")
        _adds(told, "ADD, watch and events", bench, plugin, pods[0])
        _churn(told, bench, node, plugin, pods)
        server.stop()
        node.ipamd.wait_for("pods of this node are not watched")
        _adds(told, "ADD, API server away", bench, plugin, pods[0])
    finally:
        server.close()


def _adds(
    told: report.Report,
    name: str,
    bench: cni_plugins.Bench,
    plugin: cni_plugins.Plugin,
    pod: str,
) -> None:
    elapsed, _ = bench.run([(c, plugin, pod) for _ in range(TURNS) for c in ("ADD", "DEL")])
    told.add(name, "static", [each * 1000 for each in elapsed[::2]], "ms")


def _churn(
    told: report.Report,
    bench: cni_plugins.Bench,
    node: network_rig.Node,
    plugin: cni_plugins.Plugin,
    pods: list[str],
) -> None:
    for _ in range(CHURN // len(pods)):
        bench.run([("ADD", plugin, pod) for pod in pods], at_once=len(pods))
        bench.run([("DEL", plugin, pod) for pod in pods], at_once=len(pods))
    own_mib = node.ipamd.rss_kib() / 1024
    found = subprocess.run(
        ["pgrep", "-P", str(node.ipamd.pid), "-f", "kube.agent"],
        capture_output=True,
        text=True,
        check=True,
    )
    rollup = pathlib.Path(f"/proc/{int(found.stdout)}/smaps_rollup").read_text()
    sizes = {line.split()[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
    told.add("resident memory with Kubernetes", "ipamd", [own_mib], "MiB")
    told.add("resident memory with Kubernetes", "kube.agent", [sizes["Rss:"] / 1024], "MiB")
    told.add("its proportional share", "kube.agent", [sizes["Pss:"] / 1024], "MiB")
    told.goals.append(
        report.Goal(
            name=f"MiB of ipamd with Kubernetes after {CHURN} ADD and DEL",
            value=own_mib,
            limit=RSS_GOAL_MIB,
        )
    )

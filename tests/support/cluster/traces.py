"""What pods and volumes that are gone may have left, on the nodes and in the cloud."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.support import processes
from tests.support.cluster import cluster, layout

_POD_PLACES = ("pods", "plugins")
"""Directories of kubelet's in which only pods and their volumes have mounts."""
_POD_LINK = "cali"
_POOL = (
    f"import sys; sys.path.insert(0, {str(processes.ROOT)!r}); "
    "from ipamd.cli import main; sys.exit(main.main(['-o', 'json', 'mapping']))"
)
IDLE = ("warm", "cooling", "reserved")
"""States of addresses that no pod has. Reserved: for the next pod of a StatefulSet."""
_LOOK = f"""
cut -d ' ' -f 5 /proc/1/mountinfo | sed 's/^/mount /'
ls -A {layout.KUBELET}/pods | sed 's/^/pod directory /'
ip -o link show | cut -d ' ' -f 2 | sed 's/^/link /'
ls /run/netns | sed 's/^/namespace /'
ip -4 rule list | grep -v 'from all lookup' | sed 's/^/rule /'
true
"""


def of_pods(of: cluster.Cluster) -> list[str]:
    """Traces of pods, a line each, where no pod is left that has a network of its own.

    Mounts, directories, links, namespaces, rules and disks of the nodes; interfaces and addresses
    that the cloud counts and no daemon knows, or that a daemon gave to a pod that is gone.
    """
    found = []
    for node in of.nodes:
        lines = of.run(node, "sh", "-c", _LOOK).splitlines()
        found += [f"{node}: {line}" for line in lines if is_trace(line)]
        disks = (of.where.home(node) / "by-id").iterdir()
        found += [f"{node}: disk {path.name}" for path in disks]
    # It takes a second to ask, so only once all else is well.
    return found or _addresses(of)


def is_trace(line: str) -> bool:
    """Whether only a pod makes what a line of `_LOOK` names."""
    kind, _, name = line.partition(" ")
    if kind == "mount":
        return any(name.startswith(f"{layout.KUBELET}/{place}/") for place in _POD_PLACES)
    if kind == "link":
        return name.startswith(_POD_LINK)
    return True


def pool(of: cluster.Cluster, node: str) -> list[dict[str, Any]]:
    """What the node's daemon has: rows of `terway-cli mapping`. Needs no API server."""
    rows: list[dict[str, Any]] = json.loads(of.run(node, sys.executable, "-c", _POOL))
    return rows


def _addresses(of: cluster.Cluster) -> list[str]:
    if not any(each.name.endswith("/ipamd") for each in of.parts()):
        return []
    pools = {of.instance_id(node): pool(of, node) for node in of.nodes}
    # What `layout.FAR` had stays attached when it is ended at once, as with any machine.
    elsewhere = of.instance_id(layout.FAR)
    enis = of.control.resources("eni").values()
    return address_faults((each for each in enis if each["instance_id"] != elsewhere), pools)


def address_faults(
    enis: Iterable[Mapping[str, Any]], pools: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[str]:
    """What the cloud counts and the daemons do not hold for coming pods. Pure.

    enis: rows of the cloud. pools: instance id → rows of `terway-cli mapping`.
    """
    found = [
        f"{row['ip']} is {row['state']}, for {row['pod']}"
        for rows in pools.values()
        for row in rows
        if row["state"] not in IDLE
    ]
    known = {(row["eni"], row["ip"]) for rows in pools.values() for row in rows}
    for eni in enis:
        if eni["type"] == "Primary":
            continue
        if eni["instance_id"] not in pools:
            found.append(f"{eni['eni_id']} is {eni['status']} and of no node")
        found += [
            f"{ip} of {eni['eni_id']} is known to no daemon"
            for ip in eni["ips"]
            if (eni["eni_id"], ip) not in known
        ]
    return found

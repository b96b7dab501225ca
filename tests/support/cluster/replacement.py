"""What a node pool does with a node: its instance is released, another one comes under its name."""

import shutil
import uuid

import yaml

from tests.support import instances
from tests.support.cluster import cluster

_DISK = ("kubelet", "containerd", "pods", "local", "net.d")
"""What was on the system disk, in a machine's home."""
_DATABASE = "cni"


def release(of: cluster.Cluster, node: str) -> None:
    """The machine ends, and the cloud has its instance no more."""
    of.kill_machine(node)
    instances.release(of.cloud_address, of.control, of.instance_id(node))


def make(of: cluster.Cluster, node: str, *, keeps_database: bool = False) -> str:
    """Id of a new instance for *node*, which was released; `up` boots it, with an empty disk.

    keeps_database: but for what ipamd had written, as if made from the old one's image.
    """
    for name in (*_DISK, *(() if keeps_database else (_DATABASE,))):
        shutil.rmtree(of.where.home(node) / name, ignore_errors=True)
    instance_id = f"i-bp1sim{uuid.uuid4().hex[:12]}"
    rows = yaml.safe_load(of.where.world.read_text())["instances"]
    instances.make(of.control, next(row for row in rows if row["name"] == node), instance_id)
    of.where.instance_note(node).write_text(instance_id)
    return instance_id

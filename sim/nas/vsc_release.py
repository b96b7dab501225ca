"""Channels of instances that are gone: they go with their machine, and are on no file system."""

from sim import actions
from sim import cloud as cloud_module
from sim.nas import model


@actions.settler
def settle(cloud: cloud_module.Cloud, _now_s: float) -> None:
    """Remove them. No page tells what becomes of them; a channel is a device of its machine."""
    hosts = {row.instance_id for row in cloud.world.instances}
    hosts |= {row.node_id for row in cloud.world.lingjun_nodes}
    for vsc_id, row in cloud.store.items(model.VSC):
        if row["instance_id"] in hosts:
            continue
        for attached in cloud.store.by(model.VSC_ATTACHMENT, "vsc_id", vsc_id):
            cloud.store.delete(model.VSC_ATTACHMENT, model.VscAttachment.from_row(attached).key)
        cloud.store.delete(model.VSC, vsc_id)

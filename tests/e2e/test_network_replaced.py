"""ipamd on a new instance that has the name, and perhaps the files, of one that was released."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from sim import world
from tests.support import instances, network_rig, processes

pytestmark = pytest.mark.e2e

NEW = "i-bp1simreplaced000001"
CONF = {"min_pool_size": 2, "max_pool_size": 3, "ip_cooldown_period": "1s"}
NETWORK = {"cniVersion": "1.0.0", "name": "terway", "type": "terway"}


@pytest.fixture
def rig(cni_executable: pathlib.Path) -> Iterator[network_rig.NetworkRig]:
    made = network_rig.NetworkRig(time_scale=0.05)
    try:
        made.start_sim()
        made.install(cni_executable)
        yield made
    finally:
        made.close()


def secondary(rig: network_rig.NetworkRig) -> dict[str, dict[str, Any]]:
    rows = rig.control.resources("eni")
    return {key: row for key, row in rows.items() if row["type"] == "Secondary"}


def run_once(rig: network_rig.NetworkRig) -> network_rig.Node:
    """A node with a pod, whose daemon is killed; the pod goes with the machine."""
    node = rig.node("node-1")
    node.configure(CONF)
    node.start_daemon()
    pod = rig.pod(node)
    pod.add(NETWORK)
    node.ipamd.kill9()
    pod.remove()
    return node


def replace(rig: network_rig.NetworkRig) -> set[str]:
    """The instance is released, and another comes; ids of the interfaces that are gone."""
    old = set(secondary(rig))
    plain = yaml.safe_load(world.DEFAULT_FILE.read_text())["instances"]
    like = next(row for row in plain if row["instance_id"] == processes.NODE_1)
    instances.release(f"127.0.0.1:{rig.port}", rig.control, processes.NODE_1)
    assert secondary(rig) == {}
    instances.make(rig.control, like, NEW)
    rig.control.clear_calls()
    return old


def give_up_files(node: network_rig.Node) -> None:
    for path in node.state_dir.glob("ipamd.db*"):
        path.unlink()


@pytest.mark.parametrize("keeps_files", [True, False], ids=["with its files", "without"])
def test_nothing_of_the_former_instance_is_believed(
    rig: network_rig.NetworkRig, *, keeps_files: bool
) -> None:
    node = run_once(rig)
    old = replace(rig)
    if not keeps_files:
        give_up_files(node)

    node.start_daemon()

    assert node.cli("list") == []
    mapping = node.cli("mapping")
    assert mapping
    assert not {row["eni"] for row in mapping} & old
    pod = rig.pod(node)
    address = pod.add(NETWORK)["ips"][0]["address"].split("/")[0]
    (eni,) = (row for row in secondary(rig).values() if address in row["ips"])
    assert eni["instance_id"] == NEW
    pod.delete(NETWORK)
    told = "of another instance" in node.ipamd.log.read_text()
    assert told is keeps_files


@pytest.mark.parametrize("silent", ["everything", "API"])
def test_a_start_without_the_cloud_waits_for_it(rig: network_rig.NetworkRig, silent: str) -> None:
    node = run_once(rig)
    replace(rig)
    if silent == "API":
        rig.control.add_fault("DescribeInstanceTypes", "http_5xx", always=True)
    else:
        rig.sim.kill9()

    node.start_daemon(ready="recovery failed")

    assert rig.pod(node).cni("ADD", NETWORK)[0] != 0
    if silent == "API":
        rig.control.clear_faults()
    else:
        rig.start_sim()
    node.ipamd.wait_for(network_rig.IPAMD_READY, 60)
    assert node.cli("list") == []
    assert {row["instance_id"] for row in secondary(rig).values()} == {NEW}
    assert rig.pod(node).add(NETWORK)
    asked = [json.dumps(call["parameters"]) for call in rig.control.calls()]
    assert [each for each in asked if processes.NODE_1 in each] == []

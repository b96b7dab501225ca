"""The command `cloudsim` with network hardware. Needs root."""

import json
import os
import subprocess
import sys

import pytest

from tests.support import network_rig, processes

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

METADATA = f"http://{network_rig.CLOUD}/latest/meta-data/instance-id"


@pytest.fixture
def rig():
    made = network_rig.NetworkRig()
    try:
        made.start_sim()
        yield made
    finally:
        made.close()


def sim(*words):
    argv = [sys.executable, "-m", "sim", *words]
    return subprocess.run(
        argv, cwd=processes.ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def enter(rig, node, *command):
    return sim("enter", "--netns-prefix", rig.prefix, node, "--", *command)


def test_instances_find_themselves_by_the_address_they_ask_from(rig):
    told = [enter(rig, node, "curl", "-sf", METADATA).stdout for node in network_rig.IDS]

    assert told == list(network_rig.IDS.values())


def test_instances_do_not_reach_the_control_api(rig):
    url = f"http://{network_rig.CLOUD}/_sim/health"

    answer = enter(rig, "node-1", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url)

    assert answer.stdout in {"400", "404"}


def test_the_control_api_shows_the_network(rig):
    shown = rig.control.request("GET", "network")

    assert shown["nodes"] == {
        instance_id: f"{rig.prefix}-{name}" for name, instance_id in network_rig.IDS.items()
    }
    assert [port["instance_id"] for port in shown["ports"]] == list(network_rig.IDS.values())
    assert not any(shown["drops"].values())
    inside = json.loads(enter(rig, "vpc", "ip", "-j", "link").stdout)
    assert {port["name"] for port in shown["ports"]} < {link["ifname"] for link in inside}


def test_a_deleted_link_comes_back_while_the_cloud_serves(rig):
    assert enter(rig, "node-1", "ip", "link", "del", "eth0").returncode == 0

    argv = ["curl", "-sf", "--retry", "20", "--retry-delay", "1", "--retry-all-errors"]
    argv += ["--connect-timeout", "1", METADATA]
    assert enter(rig, "node-1", *argv).stdout == network_rig.IDS["node-1"]


def test_a_killed_cloud_finds_its_network_again_and_clean_removes_it(rig):
    rig.sim.kill9()
    rig.start_sim()
    assert enter(rig, "node-1", "curl", "-sf", METADATA).stdout == network_rig.IDS["node-1"]
    busy = sim("clean", "--state-dir", str(rig.dir / "cloud"))
    assert busy.returncode == 1
    rig.sim.kill9()

    cleaned = sim("clean", "--state-dir", str(rig.dir / "cloud"))

    assert (cleaned.returncode, cleaned.stderr) == (0, "")
    assert rig.namespaces() == []


def test_entering_an_instance_that_is_not_there_is_told(rig):
    refused = enter(rig, "node-9", "true")

    assert refused.returncode == 2
    assert f"there is no namespace {rig.prefix}-node-9" in refused.stderr

"""Pods on two simulated nodes, through the real CNI executable, daemon, kernel and fabric."""

import contextlib
import time

import pytest

from tests.support import network_rig, traffic

pytestmark = pytest.mark.e2e

CONF = {
    "min_pool_size": 2,
    "max_pool_size": 4,
    "ip_cooldown_period": "2s",
    "ip_pool_sync_period": "2s",
    "security_groups": [],
}
NETWORK = {"cniVersion": "1.0.0", "name": "terway", "type": "terway"}


@pytest.fixture(scope="module")
def rig(cni_executable):
    made = network_rig.NetworkRig(time_scale=0.1)
    try:
        made.start_sim()
        made.install(cni_executable)
        for name in ("node-1", "node-2"):
            node = made.node(name)
            node.configure(CONF)
            node.start_daemon()
        yield made
    finally:
        made.close()


@pytest.fixture
def pods(rig):
    """Makes wired pods: `pods(node_number, config)`; all are deleted at the end."""
    made = []

    def make(node_number=1, config=NETWORK, **environment):
        pod = rig.pod(rig.nodes[node_number - 1], **environment)
        made.append((pod, config))
        pod.address = pod.add(config)["ips"][-1]["address"].split("/")[0]
        return pod

    yield make
    for pod, config in made:
        with contextlib.suppress(RuntimeError):
            pod.delete(config)
        pod.remove()


@pytest.fixture(autouse=True)
def no_packet_is_refused(rig):
    """The fabric drops what a real VPC would: our packets are none of that."""
    before = rig.control.request("GET", "network")["drops"]
    yield
    assert rig.control.request("GET", "network")["drops"] == before


def enter(pod):
    return ["nsenter", f"--net={pod.path}"]


def test_pods_of_one_node_reach_each_other(pods):
    one, other = pods(), pods()

    with traffic.serving(enter(other), 8080):
        seen, _ = traffic.send(enter(one), other.address, 8080)

    assert seen == one.address


def test_pods_of_two_nodes_reach_each_other_with_their_own_addresses(pods):
    here, there = pods(1), pods(2)

    with traffic.serving(enter(there), 8080):
        assert traffic.send(enter(here), there.address, 8080)[0] == here.address
    with traffic.serving(enter(here), 8081):
        assert traffic.send(enter(there), here.address, 8081)[0] == there.address


def test_a_pod_and_its_node_reach_each_other(rig, pods):
    pod, node = pods(), rig.nodes[0]
    node_ip = next(
        each["local"]
        for link in node.ip("addr", "show", "eth0")
        for each in link["addr_info"]
        if each["family"] == "inet"
    )

    with traffic.serving(node.enter(), 9090):
        assert traffic.send(enter(pod), node_ip, 9090)[0] == pod.address
    with traffic.serving(enter(pod), 8080):
        assert traffic.send(node.enter(), pod.address, 8080)[0] == node_ip


def test_a_service_address_works_through_the_stack_of_the_node(rig, pods):
    client, server, node = pods(), pods(), rig.nodes[0]
    rule = ["PREROUTING", "-d", "172.16.0.10", "-p", "tcp", "--dport", "80"]
    rule += ["-j", "DNAT", "--to-destination", f"{server.address}:8080"]
    node.run("iptables", "-t", "nat", "-A", *rule)
    try:
        with traffic.serving(enter(server), 8080):
            assert traffic.send(enter(client), "172.16.0.10", 80)[0] == client.address
    finally:
        node.run("iptables", "-t", "nat", "-D", *rule)


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_the_bandwidth_limit_holds(rig, pods, direction):
    bits_per_s = 16_000_000
    runtime = {"bandwidth": {f"{direction}Rate": bits_per_s, f"{direction}Burst": 400_000}}
    pod = pods(1, {**NETWORK, "runtimeConfig": runtime})
    other = pods(1)
    source, target = (other, pod) if direction == "ingress" else (pod, other)

    with traffic.serving(enter(target), 8080):
        _, bytes_per_s = traffic.send(enter(source), target.address, 8080, 4_000_000)

    assert bytes_per_s * 8 < bits_per_s * 1.25


def test_a_deleted_pod_s_address_comes_back_after_its_rest(rig, pods):
    node = rig.nodes[0]
    pod = pods()
    address = pod.address

    pod.delete(NETWORK)

    def state():
        return next((r["state"] for r in node.cli("mapping") if r["ip"] == address), "gone")

    assert state() == "cooling"
    give_up_s = time.monotonic() + 20
    while state() == "cooling":
        assert time.monotonic() < give_up_s
        time.sleep(0.2)
    assert state() in ("warm", "gone")


def test_the_command_line_shows_pods_and_finds_nothing_wrong(rig, pods):
    node = rig.nodes[0]
    pod = pods()

    assert pod.name in [row["pod"].partition("/")[2] for row in node.cli("list")]
    assert {row["severity"] for row in node.cli("doctor", f"default/{pod.name}")} == {"OK"}
    assert {row["severity"] for row in node.cli("doctor")} == {"OK"}


def test_a_pod_without_address_is_explained(rig):
    findings = rig.nodes[0].cli("doctor", "default/nobody")

    assert findings[0]["severity"] == "ERROR"
    assert "has no address here" in findings[0]["message"]


def test_metrics_and_health_are_served(rig):
    node = rig.nodes[0]
    fetch = ["curl", "-s", "--unix-socket", str(node.debug_socket)]

    assert "ready" in node.run(*fetch, "http://ipamd/readyz")
    text = node.run(*fetch, "http://ipamd/metrics")
    assert 'terway_resource_pool_idle_count{type="LocalIP",ipStack="ipv4"}' in text
    assert "ipamd_cni_commands_total" in text

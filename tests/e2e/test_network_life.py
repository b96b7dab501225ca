"""Pods on two simulated nodes, through the real CNI executable, daemon, kernel and fabric."""

import contextlib
import time
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ipamd._pb import terway_pb2, terway_pb2_grpc
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
    # After its rest the pool keeps it, or gives it back to the cloud, which takes a moment.
    while state() in ("cooling", "releasing"):
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


@pytest.fixture
def terway(rig):
    """Stubs of Terway's own services, on the daemon's socket."""
    with grpc.insecure_channel(f"unix:{rig.nodes[0].socket}") as channel:
        yield (
            terway_pb2_grpc.TerwayBackendStub(channel),
            terway_pb2_grpc.TerwayTracingStub(channel),
        )


def test_the_stock_executable_s_calls_give_and_take_back_an_address(rig, terway):
    backend, _ = terway
    asked: dict[str, Any] = {
        "K8sPodName": "old",
        "K8sPodNamespace": "default",
        "K8sPodInfraContainerId": "c-old",
    }

    given = backend.AllocIP(terway_pb2.AllocIPRequest(**asked, Netns="/x", IfName="eth0"))
    again = backend.AllocIP(terway_pb2.AllocIPRequest(**asked, Netns="/x", IfName="eth0"))
    told = backend.GetIPInfo(terway_pb2.GetInfoRequest(**asked))

    assert given.Success
    assert given.IPType == terway_pb2.TypeENIMultiIP
    (conf,) = given.NetConfs
    assert again.NetConfs[0] == conf
    assert told.NetConfs[0] == conf
    assert conf.DefaultRoute
    assert conf.BasicInfo.PodCIDR.IPv4 == "192.168.1.0/24"
    assert conf.BasicInfo.GatewayIP.IPv4 == "192.168.1.253"
    address = conf.BasicInfo.PodIP.IPv4
    assert next(row for row in rig.nodes[0].cli("list") if row["ip"] == address)["pod"] == (
        "default/old"
    )
    assert conf.ENIInfo.MAC in {row["mac"] for row in rig.nodes[0].cli("mapping")}

    for _ in range(2):
        assert backend.ReleaseIP(terway_pb2.ReleaseIPRequest(**asked)).Success
    assert address not in {row["ip"] for row in rig.nodes[0].cli("list")}
    assert list(backend.GetIPInfo(terway_pb2.GetInfoRequest(**asked)).NetConfs) == []


def test_an_event_of_the_stock_executable_is_recorded_or_refused_by_name(terway):
    backend, _ = terway

    known = backend.RecordEvent(terway_pb2.EventRequest(Reason="AllocIPFailed", Message="m"))
    other = backend.RecordEvent(terway_pb2.EventRequest(Reason="Whatever", Message="m"))

    assert known.Succeed
    assert not other.Succeed
    assert "Whatever" in other.Error


def test_the_stock_command_line_s_calls_show_the_pool(pods, terway):
    _, tracing = terway
    pod = pods()
    name = terway_pb2.ResourceTypeNameRequest(Type="network_service", Name="default")

    types = tracing.GetResourceTypes(terway_pb2.Placeholder()).TypeNames
    trace = {each.Key: each.Value for each in tracing.GetResourceTrace(name).Trace}
    mapping = tracing.GetResourceMapping(terway_pb2.Placeholder())
    lines = [
        reply.Message
        for reply in tracing.ResourceExecute(
            terway_pb2.ResourceExecuteRequest(
                Type="network_service", Name="default", Command="resdb"
            )
        )
    ]

    assert list(types) == ["network_service"]
    assert pod.address in trace[f"pods/default/{pod.name}/resources"]
    assert pod.address in {entry.ipv4 for entry in mapping.resource_db}
    assert any(pod.address in line for entry in mapping.info for line in entry.Info)
    assert f"default/{pod.name} {pod.address}\n" in lines
    with pytest.raises(grpc.RpcError) as caught:
        tracing.GetResourceConfig(terway_pb2.ResourceTypeNameRequest(Type="eni", Name="x"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_the_health_service_says_serving(rig):
    with grpc.insecure_channel(f"unix:{rig.nodes[0].socket}") as channel:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())

    assert reply.status == health_pb2.HealthCheckResponse.SERVING

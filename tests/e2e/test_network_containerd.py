"""containerd, driven over CRI, starts pods through our conflist."""

import concurrent.futures

import pytest

from tests.support import network_rig, traffic

pytestmark = pytest.mark.e2e

PODS = 50
ROUNDS = 3
CONF = {
    "min_pool_size": 10,
    "max_pool_size": 60,
    "ip_cooldown_period": "1s",
}
CONFLIST = {
    "cniVersion": "1.0.0",
    "name": "terway",
    "plugins": [
        {"type": "terway", "capabilities": {"bandwidth": True, "dns": True}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}


@pytest.fixture(scope="module")
def node(cni_executable, big_nodes):
    rig = network_rig.NetworkRig(time_scale=0.05, world=big_nodes)
    try:
        rig.start_sim()
        rig.install(cni_executable)
        made = rig.node("node-1")
        made.configure(CONF, CONFLIST)
        made.start_daemon()
        made.start_containerd().wait_network_ready()
        yield made
    finally:
        rig.close()


@pytest.fixture
def runtime(node):
    return node.containerd


def kernel(node):
    """Everything of the node that pods add to."""
    return {
        "links": sorted(
            # Interfaces of the pool come and go by themselves.
            link["ifname"]
            for link in node.ip("link")
            if not link["ifname"].startswith("eth")
        ),
        "rules": sorted(map(str, node.ip("rule"))),
        "routes": sorted(
            f"{r['dst']} {r.get('dev')}" for r in node.ip("route", "show", "table", "main")
        ),
    }


def test_many_pods_come_and_go_and_leave_nothing(node, runtime):
    warm = runtime.run_sandbox(runtime.sandbox_config("first"))
    runtime.remove(warm)
    before = kernel(node)

    for number in range(ROUNDS):
        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            configs = [runtime.sandbox_config(f"pod-{number}-{n}") for n in range(PODS)]
            pods = list(threads.map(runtime.run_sandbox, configs))
            assert len({pod.ip for pod in pods}) == PODS
            assert len(node.cli("list")) == PODS
            list(threads.map(runtime.remove, pods))
        assert node.cli("list") == []

    assert kernel(node) == before
    assert runtime.sandboxes() == []


def test_the_address_kubelet_hears_is_the_one_of_eth0(runtime):
    pod = runtime.run_pod(runtime.sandbox_config("addressed"))
    try:
        status, told = runtime.execute(pod, "/bin/ip", "-4", "addr", "show", "eth0")
        assert status == 0
        assert f"inet {pod.ip}/32" in told
    finally:
        runtime.remove(pod)


def test_a_host_port_reaches_the_pod(node, runtime):
    config = runtime.sandbox_config("web", ports=[(18080, 80)])
    pod = runtime.run_pod(config, ["/bin/httpd", "-f", "-p", "80", "-h", "/www"])
    try:
        node_ip = node.ip("addr", "show", "eth0")[0]["addr_info"][0]["local"]
        assert "hello from a pod" in traffic.fetch(node.enter(), f"http://{node_ip}:18080/")
    finally:
        runtime.remove(pod)


def test_the_bandwidth_annotation_of_kubernetes_becomes_a_limit(node, runtime):
    annotations = {"kubernetes.io/ingress-bandwidth": "8M", "kubernetes.io/egress-bandwidth": "8M"}
    pod = runtime.run_pod(runtime.sandbox_config("slow", annotations=annotations))
    try:
        row = next(r for r in node.cli("list") if r["ip"] == pod.ip)
        told = node.run("tc", "qdisc", "show", "dev", row["host_ifname"])
        assert "tbf 1: root" in told
        assert "rate 8Mbit" in told
    finally:
        runtime.remove(pod)


def test_a_limit_that_no_kernel_reaches_keeps_no_pod_from_starting_and_ending(node, runtime):
    before = kernel(node)
    annotations = {
        "kubernetes.io/ingress-bandwidth": "100G",
        "kubernetes.io/egress-bandwidth": "1P",
    }

    pod = runtime.run_sandbox(runtime.sandbox_config("boundless", annotations=annotations))
    runtime.remove(pod)

    assert kernel(node) == before


def test_dns_of_the_pod_is_what_kubelet_asked_for(runtime):
    pod = runtime.run_pod(runtime.sandbox_config("dns", dns=["10.96.0.10"]))
    try:
        assert "nameserver 10.96.0.10" in runtime.execute(pod, "/bin/cat", "/etc/resolv.conf")[1]
    finally:
        runtime.remove(pod)


def test_pods_of_the_runtime_reach_each_other(node, runtime):
    server = runtime.run_pod(
        runtime.sandbox_config("server"), ["/bin/httpd", "-f", "-p", "80", "-h", "/www"]
    )
    client = runtime.run_pod(runtime.sandbox_config("client"))
    try:
        # In the client's network: busybox's own wget cannot resolve names when it is static.
        inside = ["nsenter", f"--net={node.netns_of(client.ip)}"]
        page = traffic.fetch(inside, f"http://{server.ip}/")
        assert "hello from a pod" in page
    finally:
        runtime.remove(client)
        runtime.remove(server)

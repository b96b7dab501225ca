"""Pods on our network, as kubelet and the API server see them."""

import json

from tests.support.cluster import cluster as cluster_module
from tests.support.cluster import kubectl, layout, tenant

HTTPD = ("/bin/httpd", "-f", "-p", "80", "-h", "/www")


def test_pods_of_two_nodes_have_addresses_of_the_vpc_and_reach_each_other(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    pods = {node: user.run(node, nodeName=node) for node in layout.NODES}
    addresses = {node: pod["status"]["podIP"] for node, pod in pods.items()}

    in_the_cloud = json.dumps(cluster.control.resources("eni"))
    for address in addresses.values():
        assert f'"{address}"' in in_the_cloud
    for here, there in (layout.NODES, layout.NODES[::-1]):
        told = user.execute(here, "ping", "-c", "3", "-W", "2", addresses[there])
        assert " 0% packet loss" in told


def test_a_pod_reaches_the_api_server_and_is_known_to_it(user: tenant.Tenant) -> None:
    user.run("asker")
    address = layout.API_URL.removeprefix("https://").replace(":", " ")
    user.execute("asker", "/bin/sh", "-c", f"nc -w 5 {address} </dev/null")

    token = user.execute("asker", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    }
    answer = user.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review))
    status = json.loads(answer)["status"]
    assert status["authenticated"] is True
    assert status["user"]["username"] == f"system:serviceaccount:{user.name}:default"


def test_a_pod_runs_to_completion_and_its_log_is_kept(user: tenant.Tenant) -> None:
    user.apply(kubectl.pod("job", ["/bin/sh", "-c", "echo done at $(hostname)"]))
    user.wait("pod", "job", "jsonpath={.status.phase}=Succeeded")
    assert user.kubectl("logs", "job") == "done at job\n"


def test_kubelet_probes_a_pod_through_our_network(user: tenant.Tenant) -> None:
    probe = {"httpGet": {"path": "/index.html", "port": 80}, "periodSeconds": 1}
    container = {"readinessProbe": probe, "livenessProbe": probe}
    user.run("web", HTTPD, container=container)
    assert user.get("pod", "web")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_the_summary_of_kubelet_tells_the_volumes_and_the_node(
    cluster: cluster_module.Cluster, user: tenant.Tenant
) -> None:
    user.run("watched", nodeName="node-1")
    path = "/api/v1/nodes/node-1/proxy/stats/summary"
    summary = json.loads(cluster.kubectl("get", "--raw", path))
    assert summary["node"]["fs"]["capacityBytes"] > 0
    assert "watched" in [pod["podRef"]["name"] for pod in summary["pods"]]

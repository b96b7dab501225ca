"""Interfaces that are plugged in again, and addresses that go to another interface."""

import pytest

from tests.e2e.test_network_faults import NETWORK, add, cloud_enis, enter, wait_until
from tests.support import network_rig, processes, signed_api, traffic

pytestmark = pytest.mark.e2e

CONF = {"min_pool_size": 2, "max_pool_size": 4, "security_groups": []}
ECS = "2014-05-26"
KEY = (processes.ACCESS_KEY_ID, processes.ACCESS_KEY_SECRET)
PORT = 8080
MENDED_S = 90.0
"""A lease is left to its ADD for half a minute before it is mended."""


@pytest.fixture
def rig(cni_executable):
    made = network_rig.NetworkRig(time_scale=0.1)
    try:
        made.start_sim()
        made.install(cni_executable)
        for name in ("node-1", "node-2"):
            node = made.node(name)
            node.configure(CONF)
            node.start_daemon("--check-period", "3")
        yield made
    finally:
        made.close()


def index_of(node, mac):
    return next((link["ifindex"] for link in node.ip("link") if link["address"] == mac), None)


def reaches(pod, far):
    try:
        return traffic.send(enter(pod), far.address, PORT)[0] == pod.address
    except RuntimeError:
        return False


def test_pods_of_an_interface_that_was_plugged_in_again_have_a_network_again(rig):
    node, other = rig.nodes
    pod, far = add(rig, node), add(rig, other)
    eni_id = next(row["eni"] for row in node.cli("mapping") if row["ip"] == pod.address)
    eni = cloud_enis(rig)[eni_id]
    before = index_of(node, eni["mac"])

    rig.control.request("POST", f"enis/{eni_id}", {"detach": True})
    again = {"NetworkInterfaceId": eni_id, "InstanceId": eni["instance_id"]}
    signed_api.call(f"127.0.0.1:{rig.port}", KEY, ECS, "AttachNetworkInterface", again)
    wait_until(lambda: index_of(node, eni["mac"]) not in (None, before), "it did not come back")

    with traffic.serving(enter(far), PORT):
        wait_until(lambda: reaches(pod, far), "the pod has no network", MENDED_S)
        new = add(rig, node)
        assert traffic.send(enter(new), far.address, PORT)[0] == new.address
    for each in (pod, new, far):
        each.delete(NETWORK)


def test_an_address_that_comes_to_another_interface_stays_with_its_pod_which_goes_there(rig):
    node, other = rig.nodes
    far, pods = add(rig, other), []

    def interface_of(address):
        return next((row["eni"] for row in node.cli("mapping") if row["ip"] == address), "")

    while len({row["eni"] for row in node.cli("mapping")}) < 2:
        pods.append(add(rig, node))
    primary = {eni["ips"][0] for eni in cloud_enis(rig).values()}
    pod = next(each for each in pods if each.address not in primary)
    first = interface_of(pod.address)
    second = next(row["eni"] for row in node.cli("mapping") if row["eni"] != first)

    rig.control.request("POST", f"enis/{first}", {"unassign": [pod.address]})
    moved = {"NetworkInterfaceId": second, "PrivateIpAddress.1": pod.address}
    signed_api.call(f"127.0.0.1:{rig.port}", KEY, ECS, "AssignPrivateIpAddresses", moved)

    wait_until(lambda: interface_of(pod.address) == second, "it did not follow", MENDED_S)
    with traffic.serving(enter(far), PORT):
        wait_until(lambda: reaches(pod, far), "the pod has no network", MENDED_S)
    while any(row["state"] == "warm" for row in node.cli("mapping")):
        pods.append(add(rig, node))
    assert len({each.address for each in pods}) == len(pods)
    for each in (*pods, far):
        each.delete(NETWORK)

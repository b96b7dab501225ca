"""What happens to ipamd when the cloud, the metadata service, the database or itself fails."""

import concurrent.futures
import contextlib
import sqlite3
import subprocess
import time

import pytest

from tests.support import network_rig, traffic

pytestmark = pytest.mark.e2e

CONF = {
    "min_pool_size": 1,
    "max_pool_size": 3,
    "ip_cooldown_period": "1s",
    "ip_pool_sync_period": "1h",
}
NETWORK = {"cniVersion": "1.0.0", "name": "terway", "type": "terway"}
VSWITCH = "vsw-bp1sim000000000002"
SWEPT_S = 60.0
"""For two looks at what is left behind, ten rounds of a second apart."""
DRY, OTHER = "vsw-bp1sim000000000003", "vsw-bp1sim000000000004"


@pytest.fixture
def rig(cni_executable):
    made = network_rig.NetworkRig(time_scale=0.05)
    try:
        made.start_sim()
        made.install(cni_executable)
        yield made
    finally:
        made.close()


@pytest.fixture
def node(rig):
    made = rig.node("node-1")
    made.configure(CONF)
    made.start_daemon("--check-period", "1")
    return made


def add(rig, node):
    pod = rig.pod(node)
    pod.address = pod.add(NETWORK)["ips"][0]["address"].split("/")[0]
    return pod


def cloud_enis(rig):
    """Secondary interfaces the cloud has, by id."""
    rows = rig.control.request("GET", "state?kind=eni")["eni"]
    return {key: row for key, row in rows.items() if row["type"] == "Secondary"}


def wait_until(condition, what, timeout_s=20.0):
    give_up_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_s, what
        time.sleep(0.1)


def fault(rig, action, effect, **more):
    return rig.control.request("POST", "faults", {"action": action, "effect": effect, **more})


def enter(pod):
    return ["nsenter", f"--net={pod.path}"]


def test_pods_keep_network_and_address_when_the_daemon_is_killed(rig, node):
    one, other = add(rig, node), add(rig, node)

    node.ipamd.kill9()
    with traffic.serving(enter(other), 8080):
        assert traffic.send(enter(one), other.address, 8080)[0] == one.address
    node.start_daemon()

    assert {row["ip"] for row in node.cli("list")} == {one.address, other.address}
    third = add(rig, node)
    assert third.address not in (one.address, other.address)
    for pod in (one, other, third):
        pod.delete(NETWORK)
    assert node.cli("list") == []


def test_a_stopped_daemon_takes_the_configuration_away_and_leaves_the_pods(rig, node):
    conflist = node.cni_dir / "10-terway.conflist"
    pod = add(rig, node)
    assert conflist.stat().st_mode & 0o777 == 0o600

    assert node.ipamd.terminate() == 0

    assert not conflist.exists()
    assert not node.socket.exists()
    assert pod.ip("-4", "addr", "show", "eth0")[0]["addr_info"][0]["local"] == pod.address
    node.start_daemon()
    assert conflist.exists()


def test_a_configuration_that_somebody_removes_is_put_back(rig, node):
    conflist = node.cni_dir / "10-terway.conflist"
    conflist.unlink()

    wait_until(conflist.exists, "the node stays without a network")
    assert node.ipamd.terminate() == 0
    assert not conflist.exists()


def test_a_second_daemon_is_refused_and_says_who_is_there(rig, node):
    first = node.ipamd

    with pytest.raises(RuntimeError, match=rf"pid {first.pid}"):
        node.start_daemon()

    assert node.ipamd.wait_dead() == 3
    node.daemon = first
    add(rig, node)


@pytest.mark.parametrize(
    "action", ["CreateNetworkInterface", "AttachNetworkInterface", "AssignPrivateIpAddresses"]
)
def test_a_lost_answer_loses_no_address_and_no_interface(rig, action):
    node = rig.node("node-1")
    node.configure(CONF)
    rule = fault(rig, action, "lost_answer")
    node.start_daemon("--check-period", "1")

    pods = [add(rig, node) for _ in range(4)]

    assert rig.control.request("GET", f"faults/{rule['id']}")["applied"] == 1
    assert len({pod.address for pod in pods}) == 4
    known = {row["eni"] for row in node.cli("mapping")}
    wait_until(lambda: set(cloud_enis(rig)) == known, "an interface was lost")


def test_throttling_is_waited_out(rig, node):
    fault(rig, "AssignPrivateIpAddresses", "error", status=400, code="Throttling.User", count=2)

    pods = [add(rig, node) for _ in range(4)]

    assert len({pod.address for pod in pods}) == 4


def test_a_dry_vswitch_is_told_and_comes_back(rig, node):
    rows = {"vswitch_id": VSWITCH, "vpc_id": "vpc-bp1sim000000000001"}
    rows |= {"zone_id": "cn-hangzhou-k", "cidr_block": "192.168.1.0/24"}
    taken = 2 + sum(len(row["ips"]) for row in cloud_enis(rig).values())
    rig.control.request("POST", "world", {"vswitches": [{**rows, "available_limit": taken}]})
    add(rig, node)

    pod = rig.pod(node)
    status, told = pod.cni("ADD", NETWORK)

    assert (status, told["code"]) == (1, 11)
    assert "IpNotEnough" in told["details"] or "no vSwitch" in told["details"]
    # Its pods have addresses: the node is full, and not without a network.
    assert pod.cni("STATUS", {**NETWORK, "cniVersion": "1.1.0"})[0] == 0
    findings = node.cli("doctor")
    assert any(row["severity"] == "ERROR" and row["subject"] == "addresses" for row in findings)


def test_a_full_node_is_ready_again_after_an_update_while_the_cloud_gives_nothing(rig, node):
    for action in ("AssignPrivateIpAddresses", "CreateNetworkInterface"):
        fault(rig, action, "error", status=403, code="Forbidden.RAM", always=True)
    while any(row["state"] == "warm" for row in node.cli("mapping")):
        add(rig, node)
    assert node.ipamd.terminate() == 0
    assert not (node.cni_dir / "10-terway.conflist").exists()

    node.start_daemon()

    assert (node.cni_dir / "10-terway.conflist").exists()


def test_where_there_is_a_choice_a_vswitch_with_addresses_is_taken(rig):
    """Through the real SDK: the vSwitches are read, and a dry one is left alone."""
    dry = {"vswitch_id": DRY, "cidr_block": "192.168.2.0/24", "available_limit": 0}
    dry |= {"vpc_id": "vpc-bp1sim000000000001", "zone_id": "cn-hangzhou-k"}
    rig.control.request("POST", "world", {"vswitches": [dry]})
    node = rig.node("node-1")
    choice = {"vswitches": {"cn-hangzhou-k": [DRY, OTHER]}, "vswitch_selection_policy": "ordered"}
    node.configure({**CONF, **choice})
    node.start_daemon()

    pod = add(rig, node)

    assert pod.address.startswith("192.168.3.")
    assert {row["vswitch_id"] for row in cloud_enis(rig).values()} == {OTHER}
    assert rig.control.actions().count("DescribeVSwitches") == 2


def test_a_quota_fails_the_add_and_leaves_no_interface_behind(rig, node):
    fault(
        rig,
        "AttachNetworkInterface",
        "error",
        status=403,
        code="EniPerInstanceLimitExceeded",
        always=True,
    )
    for _ in range(6):
        add(rig, node)

    status, told = rig.pod(node).cni("ADD", NETWORK)

    assert (status, told["code"]) == (1, 11)
    assert "EniPerInstanceLimitExceeded" in told["details"]
    known = {row["eni"] for row in node.cli("mapping")}
    wait_until(lambda: set(cloud_enis(rig)) == known, "an interface was left behind")


def test_an_interface_that_was_made_and_never_attached_is_deleted_by_the_next_daemon(rig):
    node = rig.node("node-1")
    node.configure(CONF)
    held = rig.control.add_fault("AttachNetworkInterface", "notify")
    node.start_daemon("--check-period", "1", ready="state recovered")
    rig.control.wait_held(held)
    node.ipamd.kill9()
    rig.control.release(held, drop=True)
    (left,) = cloud_enis(rig)

    node.start_daemon("--check-period", "1")

    add(rig, node)
    wait_until(lambda: left not in cloud_enis(rig), "an interface was left behind", SWEPT_S)
    assert {row["eni"] for row in node.cli("mapping")} == set(cloud_enis(rig))


def test_warm_addresses_are_served_while_cloud_and_metadata_are_down(rig, node):
    rig.sim.kill9()

    pod = add(rig, node)

    assert pod.address


def test_a_daemon_starts_with_what_it_remembers_while_the_cloud_is_down(rig, node):
    kept = add(rig, node)
    wait_until(
        lambda: any(row["state"] == "warm" for row in node.cli("mapping")), "no address is warm"
    )
    node.ipamd.kill9()
    rig.sim.kill9()

    node.start_daemon(ready="state recovered")

    def served():
        with contextlib.suppress(RuntimeError):
            return add(rig, node)
        return None

    other = None
    give_up_s = time.monotonic() + 30
    while other is None:
        assert time.monotonic() < give_up_s
        other = served()
    assert other.address != kept.address


def test_an_interface_that_somebody_else_removed_is_told(rig, node):
    pod = add(rig, node)
    (eni_id,) = {row["eni"] for row in node.cli("mapping") if row["pod"]}

    rig.control.request("POST", f"enis/{eni_id}", {"detach": True})

    node.ipamd.wait_for("was removed from this node by somebody else", 30)
    pod.delete(NETWORK)
    wait_until(
        lambda: eni_id not in {row["eni"] for row in node.cli("mapping")}, "it is still there", 30
    )


def test_an_interface_that_somebody_detached_is_kept_for_its_pods_and_deleted_after_them(rig, node):
    pod = add(rig, node)
    (eni_id,) = cloud_enis(rig)
    rig.control.request("POST", f"enis/{eni_id}", {"detach": True})
    node.ipamd.kill9()
    node.start_daemon("--check-period", "1", ready="state recovered")
    rig.control.clear_calls()

    def looks():
        asked = [call["parameters"].get("Status") for call in rig.control.calls()]
        return asked.count("Available")

    wait_until(lambda: looks() >= 3, "nobody looks at what is left behind", SWEPT_S)
    assert eni_id in cloud_enis(rig)

    pod.delete(NETWORK)
    wait_until(lambda: eni_id not in cloud_enis(rig), "an interface was left behind", SWEPT_S)


def test_an_address_that_somebody_else_took_is_told_and_not_given_again(rig, node):
    pod = add(rig, node)
    eni_id = next(row["eni"] for row in node.cli("mapping") if row["ip"] == pod.address)
    if cloud_enis(rig)[eni_id]["ips"][0] == pod.address:
        pod = add(rig, node)

    rig.control.request("POST", f"enis/{eni_id}", {"unassign": [pod.address]})

    node.ipamd.wait_for("is no longer on", 30)
    pod.delete(NETWORK)
    wait_until(
        lambda: pod.address not in {row["ip"] for row in node.cli("mapping")}, "still there", 30
    )


def test_a_boot_whose_link_comes_late_makes_no_interface_too_many(rig, node):
    add(rig, node).delete(NETWORK)
    (eni_id,) = cloud_enis(rig)
    ifname = node.cli("mapping")[0]["ifname"]
    node.ipamd.kill9()
    elsewhere, new = rig.pod(node), rig.pod(node)
    node.ip("link", "set", ifname, "netns", elsewhere.netns)
    node.start_daemon("--check-period", "1", ready="state recovered")

    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        adding = threads.submit(new.add, NETWORK)
        wait_until(lambda: "ipamd_waiting_adds 1" in node.metrics(), "the ADD does not wait")
        elsewhere.ip("link", "set", ifname, "netns", node.netns)
        adding.result()

    assert set(cloud_enis(rig)) == {eni_id}
    new.delete(NETWORK)


def test_a_deleted_database_is_rebuilt_from_the_kernel(rig, node):
    pod = add(rig, node)
    node.ipamd.terminate()
    for path in node.state_dir.glob("ipamd.db*"):
        path.unlink()

    node.start_daemon()

    assert [row["ip"] for row in node.cli("list")] == [pod.address]
    pod.delete(NETWORK)
    assert node.cli("list") == []


@pytest.fixture
def small_disk(rig):
    """The state directory of a node, with room for a database and little more."""
    node = rig.node("node-1")
    node.state_dir.mkdir()
    small = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(node.state_dir)]
    subprocess.run(small, check=True)
    try:
        yield node
    finally:
        node.close()
        subprocess.run(["umount", str(node.state_dir)], check=True)


@pytest.mark.parametrize("end", ["kill9", "terminate"])
def test_pods_end_after_a_start_on_a_full_disk_and_new_ones_come_once_it_has_room(
    rig, small_disk, end
):
    node = small_disk
    node.configure(CONF)
    node.start_daemon()
    pods = [add(rig, node), add(rig, node)]
    getattr(node.ipamd, end)()
    filler = node.state_dir / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)

    node.start_daemon(ready="state recovered")

    node.ipamd.wait_for(network_rig.IPAMD_READY, 20)
    pods.pop().delete(NETWORK)
    assert [row["ip"] for row in node.cli("list")] == [pods[0].address]
    new = rig.pod(node)
    status, told = new.cni("ADD", NETWORK)
    assert (status, told["code"]) == (1, 11)
    assert "database or disk is full" in told["details"]
    (finding,) = (row for row in node.cli("doctor") if row["subject"] == "state database")
    assert finding["severity"] == "ERROR"
    assert "new pods get no network until it can" in node.ipamd.log.read_text()

    filler.unlink()
    new.add(NETWORK)
    for each in (*pods, new):
        each.delete(NETWORK)


def test_a_database_of_a_newer_version_is_refused(rig, node):
    node.ipamd.terminate()
    with contextlib.closing(sqlite3.connect(node.state_dir / "ipamd.db")) as db:
        db.execute("PRAGMA user_version = 99")

    with pytest.raises(RuntimeError, match="was written by a newer ipamd"):
        node.start_daemon()

    assert node.ipamd.wait_dead() == 3


def test_bad_settings_are_all_told_at_once(rig):
    node = rig.node("node-2")
    node.configure({"max_pool_size": -1, "ipam_type": "crd", "ip_stack": "dual"})

    with pytest.raises(RuntimeError) as caught:
        node.start_daemon()

    for key in ("max_pool_size", "ipam_type", "ip_stack"):
        assert f"eni_conf: {key}" in str(caught.value)
    assert node.ipamd.wait_dead() == 2

"""What the guest's kernel has that the running one may lack, but NFS and block devices."""

import os
import pathlib
import subprocess

import pytest

from tests.support.machine import Machine, run

MODULES = (
    *("nfs", "nfsv3", "nfsv4", "nfsd", "lockd", "dm-mod", "dm-crypt", "dm-thin-pool"),
    *("dm-snapshot", "dm-mirror", "dm-raid", "dm-cache", "dm-flakey", "dm-delay", "dm-zero"),
    *("ipvlan", "macvlan", "8021q", "dummy", "veth", "bridge", "vxlan", "ifb", "vrf", "tun"),
    *("act_vlan", "act_mirred", "act_police", "act_skbedit", "cls_flower", "cls_u32"),
    *("cls_matchall", "cls_bpf", "sch_tbf", "sch_htb", "sch_ingress", "sch_fq", "sch_netem"),
    *("fuse", "overlay", "loop", "nbd", "quota_v2", "ip_vs", "iptable_nat", "xt_comment"),
)
LINKS = {
    "ipvlan": "link add i0 link d0 type ipvlan mode l2",
    "macvlan": "link add i0 link d0 type macvlan mode bridge",
    "vlan": "link add link d0 name i0 type vlan id 7",
}


def test_every_module_that_matters_is_there() -> None:
    asked = run("modprobe", "--dry-run", "--all", "--show-depends", *MODULES)

    assert "/kernel/" in asked


def test_a_dry_run_refuses_a_module_that_is_not_there() -> None:
    with pytest.raises(AssertionError, match="not found"):
        run("modprobe", "--dry-run", "no-such-module")


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_on_another_moves_into_a_pod_and_carries_packets(kind: str) -> None:
    with Machine() as node, Machine() as other, Machine() as pod:
        pair = f"link add d0 type veth peer name d0 netns {other.pid}"
        node.run("ip", *pair.split())
        other.run("sh", "-ec", _far_end(kind))
        node.run("ip", "link", "set", "d0", "up")
        node.run("ip", *LINKS[kind].split())
        node.run("ip", "link", "set", "i0", "netns", str(pod.pid))
        pod.run("sh", "-ec", "ip address add 10.9.0.2/24 dev i0; ip link set i0 up")

        pod.run("busybox", "ping", "-c", "1", "-W", "5", "10.9.0.1")


def test_classifiers_and_actions_program_qos_and_vlan_tags() -> None:
    script = """
    ip link add d0 type dummy
    ip link add f0 type ifb
    ip link set d0 up; ip link set f0 up
    tc qdisc add dev d0 root tbf rate 1mbit burst 10kb latency 50ms
    tc qdisc add dev d0 handle ffff: ingress
    filter="tc filter add dev d0 parent ffff: protocol"
    $filter ip prio 1 flower dst_ip 10.0.0.1 action mirred egress redirect dev f0
    $filter 802.1Q prio 2 flower vlan_id 7 action vlan pop
    $filter ip prio 3 u32 match ip src 10.0.0.2 police rate 1mbit burst 10k drop
    tc qdisc show dev d0; tc filter show dev d0 parent ffff:
    """
    with Machine() as machine:
        shown = machine.run("sh", "-ec", script)

    for word in ("tbf", "flower", "vlan_id 7", "vlan  pop", "police"):
        assert word in shown


def test_a_named_namespace_is_made_and_entered() -> None:
    run("ip", "netns", "add", "lab-named")
    try:
        inside = run("ip", "netns", "exec", "lab-named", "readlink", "/proc/self/ns/net")
        assert inside.strip() != str(pathlib.Path("/proc/self/ns/net").readlink())
    finally:
        run("ip", "netns", "delete", "lab-named")


def test_a_network_of_another_machine_is_its_own() -> None:
    with Machine() as machine:
        machine.run("ip", "link", "add", "d0", "type", "dummy")

        assert not pathlib.Path("/sys/class/net/d0").exists()
        assert "d0" in machine.run("ip", "-o", "link")


def test_a_machine_ends_all_that_runs_in_it() -> None:
    with Machine() as machine:
        left = subprocess.Popen(machine.argv("setsid", "-f", "sleep", "1000"))
        left.wait()
        assert "sleep 1000" in run("ps", "-eo", "args")

    assert "sleep 1000" not in run("ps", "-eo", "args")


def test_nothing_that_the_guest_writes_reaches_the_machine() -> None:
    mounts = pathlib.Path("/proc/mounts").read_text().splitlines()
    writable = {line.split()[1] for line in mounts if line.split()[2] == "hostfs"}

    assert writable >= {"/run/lab"}
    assert mounts[0].startswith("overlay / overlay rw")
    assert os.access("/etc/hosts", os.W_OK)


def _far_end(kind: str) -> str:
    """Commands for the other end of d0, which has 10.9.0.1."""
    tagged = kind == "vlan"
    add = "ip link add link d0 name d0.7 type vlan id 7; ip link set d0.7 up; " if tagged else ""
    link = "d0.7" if tagged else "d0"
    return f"ip link set d0 up; {add}ip address add 10.9.0.1/24 dev {link}"

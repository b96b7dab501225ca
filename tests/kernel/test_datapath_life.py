"""Interfaces of pods made, made again, and undone when anything fails."""

import ipaddress
import os
import pathlib
import subprocess
import sys
import time

import pytest

from core import errors
from host import netlink
from ipamd.datapath import model
from ipamd.datapath.veth_policy_route import plan
from tests.support import netns

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
]

LIMITS = model.Bandwidth(ingress_bytes_per_s=1_250_000, egress_bytes_per_s=12_500_000)


@pytest.fixture
def lab():
    with netns.lab() as made:
        yield made


def fds():
    """How many are open. What earlier tests left to be collected may make it fewer later."""
    return len(list(pathlib.Path("/proc/self/fd").iterdir()))


def test_add_twice_answers_the_same(lab):
    wiring = lab.wiring(lab.netns(), bandwidth=LIMITS)
    first = lab.wire(wiring)
    before = lab.snapshot()

    assert lab.wire(wiring) == first

    assert lab.snapshot() == before


def test_add_again_with_another_limit_takes_it_over(lab):
    pod = lab.netns()
    lab.wire(lab.wiring(pod, bandwidth=LIMITS))
    unlimited = lab.wiring(pod)

    lab.wire(unlimited)

    assert "tbf" not in lab.node.sh("tc qdisc") + pod.sh("tc qdisc")
    assert lab.check(unlimited) == []


def test_add_again_mends_what_was_broken_in_the_pod(lab):
    pod = lab.netns()
    wiring = lab.wiring(pod)
    lab.wire(wiring)
    pod.sh("ip route del default")

    lab.wire(wiring)

    assert lab.check(wiring) == []


def test_add_replaces_a_link_left_by_another_attachment(lab):
    old, new = lab.netns(), lab.netns()
    lab.wire(lab.wiring(old, alias="network/older/eth0"))
    wiring = lab.wiring(new)

    lab.wire(wiring)

    assert lab.check(wiring) == []
    assert "eth0" not in old.sh("ip -br link")


def test_add_replaces_a_link_that_a_stock_terway_left(lab):
    lab.node.sh(f"ip link add {netns.POD_NAME} type veth peer name elsewhere")
    wiring = lab.wiring(lab.netns())

    lab.wire(wiring)

    assert lab.check(wiring) == []
    assert "elsewhere" not in lab.node.sh("ip -br link")


def test_add_clears_rules_and_route_that_the_address_left_behind(lab):
    lab.node.batch(
        "rule add to 10.0.1.23 priority 512 lookup 77\n"
        "rule add from 10.0.1.23 priority 2048 lookup 77\n"
        "rule add from 10.0.1.23 iif lo priority 2048 lookup 78\n"
        "rule add from 10.0.1.24 priority 2048 lookup 77\n"
        "route add 10.0.1.23 dev eni1\n"
    )
    wiring = lab.wiring(lab.netns())

    lab.wire(wiring)

    assert lab.check(wiring) == []
    rules = lab.node.sh("ip rule")
    assert "lookup 78" not in rules
    assert rules.count("lookup 77") == 1, "the other address keeps its rule"


def test_add_refuses_a_name_that_the_pod_has_already(lab):
    pod = lab.netns()
    pod.sh("ip link add eth0 type veth peer name other")
    before, inside = lab.snapshot(), pod.sh("ip -br link")

    with pytest.raises(errors.Precondition, match="eth0"):
        lab.wire(lab.wiring(pod))

    assert lab.snapshot() == before
    assert pod.sh("ip -br link") == inside


def test_add_refuses_a_node_link_that_is_no_veth(lab):
    lab.node.sh(f"ip link add {netns.POD_NAME} type bridge")

    with pytest.raises(errors.Precondition, match="no veth"):
        lab.wire(lab.wiring(lab.netns()))

    assert netns.POD_NAME in lab.node.sh("ip -br link")


def test_add_into_the_nodes_own_namespace_is_refused(lab):
    with pytest.raises(errors.Precondition, match="own"):
        lab.wire(lab.wiring(lab.node))


@pytest.mark.parametrize("kind", ["missing", "file", "directory", "other namespace"])
def test_add_without_a_namespace_says_so(lab, tmp_path, kind):
    path = tmp_path / "netns"
    if kind == "file":
        path.write_bytes(b"")
    elif kind == "directory":
        path.mkdir()
    elif kind == "other namespace":
        path = pathlib.Path("/proc/self/ns/mnt")

    with pytest.raises(model.NetnsGone):
        lab.wire(lab.wiring(lab.node, netns_path=path))


def test_add_chooses_other_indexes_when_its_own_are_taken(lab):
    pod = lab.netns()
    indexes = lab.datapath._wirer._indexes
    first = next(indexes) + 2
    lab.node.sh(f"ip link add taken index {first} type veth peer name taken-too")
    pod.sh(f"ip link add taken index {first + 3} type veth peer name taken-too")
    before = lab.node.sh("ip link show taken"), pod.sh("ip link show taken")

    made = lab.wire(lab.wiring(pod))

    assert made.host.index == first + 4
    assert lab.check(lab.wiring(pod)) == []
    assert (lab.node.sh("ip link show taken"), pod.sh("ip link show taken")) == before


def broken(request):
    """The request, as one the kernel does not know."""
    return netlink.Request(kind=255, flags=request.flags, body=request.body, doing="broken")


EXTRA = (ipaddress.IPv4Network("192.168.0.0/16"),)
HALVES = {"node_half": 6, "pod_half": 8}


@pytest.mark.parametrize(
    ("half", "number"),
    [(half, number) for half, count in HALVES.items() for number in range(count)],
)
def test_a_failure_at_any_message_leaves_nothing(lab, monkeypatch, half, number):
    pod = lab.netns()
    before, inside, open_before = lab.snapshot(), pod.sh("ip -br link"), fds()
    whole = getattr(plan, half)

    def half_broken(*args):
        requests = whole(*args)
        requests[number] = broken(requests[number])
        return requests

    wiring = lab.wiring(pod, bandwidth=LIMITS, extra_routes=EXTRA)
    with monkeypatch.context() as patched:
        patched.setattr(plan, half, half_broken)
        with pytest.raises(netlink.Refused, match="broken"):
            lab.wire(wiring)

    assert lab.snapshot() == before
    assert pod.sh("ip -br link") == inside
    settle(lambda: fds() <= open_before)
    lab.wire(wiring)
    assert lab.check(wiring) == []


def test_a_failure_to_make_the_pair_leaves_nothing(lab):
    before = lab.snapshot()

    with pytest.raises(netlink.Refused, match="make cali"):
        lab.wire(lab.wiring(lab.netns(), mtu=70_000))

    assert lab.snapshot() == before


def test_two_hundred_pods_come_and_go_without_a_trace(lab):
    pods = [lab.netns() for _ in range(200)]
    wirings = [lab.wiring(pod, number) for number, pod in enumerate(pods)]
    # No deletion is under way yet whose thread would hold a socket.
    before, open_before = lab.snapshot(), fds()

    started = [lab.thread.submit(lab.datapath.wire, wiring) for wiring in wirings]
    made = [each.result(timeout=60) for each in started]
    state = lab.do(lab.host.read)
    gone = [lab.unwire(wiring) for wiring in wirings]
    for each in gone:
        each.result(timeout=60)

    assert len({wired.host.index for wired in made}) == 200
    assert (len(state.links), len(state.rules), len(state.routes)) == (200, 400, 200)
    assert lab.snapshot() == before
    settle(lambda: fds() <= open_before)


def settle(is_so):
    """Wait for deletions whose links are gone, but whose threads still have the kernel's answer."""
    deadline = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < deadline, "it stayed as it was"
        time.sleep(0.02)


def test_wiring_starts_no_process_and_loads_no_pyroute2(tmp_path):
    trace = tmp_path / "trace"
    script = (
        "import sys\n"
        "from tests.support import netns\n"
        "with netns.lab() as lab:\n"
        "    pod = lab.netns()\n"
        "    print('begin', flush=True)\n"
        "    wiring = lab.wiring(pod)\n"
        "    lab.wire(wiring)\n"
        "    assert lab.check(wiring) == []\n"
        "    lab.unwire(wiring).result(timeout=10)\n"
        "    assert 'pyroute2' not in sys.modules\n"
        "    print('end', flush=True)\n"
    )
    calls = "trace=fork,vfork,clone,clone3,execve,write"

    subprocess.run(
        ["strace", "-f", "-q", "-o", str(trace), "-e", calls, sys.executable, "-c", script],
        check=True,
        timeout=60,
        stdout=subprocess.DEVNULL,
    )

    text = trace.read_text()
    between = text[text.index('"begin') : text.index('"end')]
    started = [
        line
        for line in between.splitlines()
        if any(call in line for call in ("fork(", "clone(", "clone3(", "execve("))
    ]
    assert all("CLONE_THREAD" in line for line in started), started


def test_close_ends_all_threads_and_frees_all_descriptors():
    before = fds()

    with netns.lab() as lab:
        wiring = lab.wiring(lab.netns())
        lab.wire(wiring)
        lab.unwire(wiring)

    assert fds() <= before

"""CNI conformance on the real kernel: cnitool, chains with reference plug-ins, raw stdin, faults.

Layers 2 and 3 of spec/conformance.md c.7; layer 1, the process contract, is in test_cni_process.py.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import socket
import subprocess

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipamd._pb import ipamd_pb2, ipamd_pb2_grpc
from tests.support import lab_node, network_rig

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces"),
]

VERSIONS = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
WITH_CHECK = ["0.4.0", "1.0.0", "1.1.0"]
OURS = {"type": "terway"}
CHAINS = {
    "alone": [OURS],
    "tuning after it": [OURS, {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}}],
    "portmap after it": [
        OURS,
        {
            "type": "portmap",
            "capabilities": {"portMappings": True},
            "runtimeConfig": {
                "portMappings": [{"hostPort": 18081, "containerPort": 80, "protocol": "tcp"}]
            },
        },
    ],
    "bandwidth after it": [
        OURS,
        {"type": "bandwidth", "ingressRate": 8_000_000, "ingressBurst": 8_000_000},
    ],
    "firewall after it": [OURS, {"type": "firewall", "backend": "iptables"}],
}


@pytest.fixture(scope="module")
def node(cni_executable):
    made = lab_node.LabNode(cni_executable)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def pod(node):
    return node.pod()


def cnitool(node, pod, command, plugins, version, directory):  # noqa: PLR0917
    """Run cnitool with a cache of its own; (exit status, output)."""
    conf_dir, cache = directory / "net.d", directory / "cache"
    conf_dir.mkdir(exist_ok=True)
    cache.mkdir(exist_ok=True)
    conflist = {"cniVersion": version, "name": "conf", "plugins": plugins}
    (conf_dir / "10-conf.conflist").write_text(json.dumps(conflist))
    pathlib.Path("/var/lib/cni").mkdir(exist_ok=True)
    script = (
        f"mount --bind {cache} /var/lib/cni && exec {network_rig.CNITOOL} {command} conf {pod.path}"
    )
    done = subprocess.run(
        [*node.enter(), "unshare", "--mount", "sh", "-c", script],
        env={
            **os.environ,
            **node.cni_environment(),
            "CNI_PATH": str(node.bin_dir),
            "NETCONFPATH": str(conf_dir),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_cnitool_adds_checks_and_deletes_and_leaves_nothing(node, pod, version, tmp_path):
    before = node.traces()

    status, told = cnitool(node, pod, "add", CHAINS["alone"], version, tmp_path)
    assert status == 0, told
    result = json.loads(told)
    assert result["cniVersion"] == version
    assert ("version" in result["ips"][0]) == (version < "1.0.0")
    assert result["ips"][0]["address"].endswith("/32")
    assert result["interfaces"][1] == {
        **result["interfaces"][1],
        "name": "eth0",
        "sandbox": pod.path,
    }
    if version in WITH_CHECK:
        status, told = cnitool(node, pod, "check", CHAINS["alone"], version, tmp_path)
        assert status == 0, told
    for _ in range(2):
        status, told = cnitool(node, pod, "del", CHAINS["alone"], version, tmp_path)
        assert status == 0, told

    assert node.traces() == before


@pytest.mark.parametrize("chain", [name for name in CHAINS if name != "alone"])
@pytest.mark.parametrize("version", ["0.4.0", "1.0.0"])
def test_reference_plugins_work_after_it(node, pod, chain, version, tmp_path):
    status, told = cnitool(node, pod, "add", CHAINS[chain], version, tmp_path)
    assert status == 0, told
    assert json.loads(told)["ips"][0]["address"].endswith("/32")
    # portmap 1.1.1 looks for IPv6 rules in its CHECK that its ADD does not make without IPv6.
    if chain != "portmap after it":
        status, told = cnitool(node, pod, "check", CHAINS[chain], version, tmp_path)
        assert status == 0, told
    status, told = cnitool(node, pod, "del", CHAINS[chain], version, tmp_path)
    assert status == 0, told


def test_status_and_gc_of_cnitool(node, pod, tmp_path):
    status, told = cnitool(node, pod, "status", CHAINS["alone"], "1.1.0", tmp_path)
    assert status == 0, told
    status, told = cnitool(node, pod, "add", CHAINS["alone"], "1.1.0", tmp_path)
    assert status == 0, told
    pod.delete({"cniVersion": "1.1.0", "name": "conf", "type": "terway"})


def config(**keys):
    return {"cniVersion": "1.1.0", "name": "raw", "type": "terway", **keys}


def test_add_twice_answers_the_same(node, pod):
    first = pod.add(config())

    assert pod.add(config()) == first
    pod.delete(config())


def test_del_before_add_is_fine(node, pod):
    pod.delete(config())


def test_del_without_namespace_releases_the_address(node, pod):
    before = node.traces()
    pod.add(config())

    pod.delete(config(), CNI_NETNS="")

    assert node.traces() == before


def test_del_after_the_namespace_is_gone_releases_the_address(node, pod):
    before = node.traces()
    pod.add(config())

    pod.remove()
    pod.delete(config())

    assert node.traces() == before


def test_add_into_a_namespace_that_is_not_there_is_code_8(node, pod):
    pod.remove()

    status, told = pod.cni("ADD", config())

    assert (status, told["code"]) == (1, 8)


def test_check_without_add_is_code_3(node, pod):
    status, told = pod.cni("CHECK", config(prevResult={"cniVersion": "1.1.0"}))

    assert (status, told["code"]) == (1, 3)


def test_a_previous_result_is_kept_and_ours_added(node, pod):
    previous = {
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "net1", "sandbox": pod.path}],
        "ips": [{"address": "192.168.9.9/24", "interface": 0}],
    }

    told = pod.add(config(prevResult=previous))

    assert [each["name"] for each in told["interfaces"]][0::2] == ["net1", "eth0"]
    assert told["ips"][0] == previous["ips"][0]
    assert told["ips"][1]["interface"] == 2
    pod.delete(config())


@pytest.mark.parametrize(
    ("stdin", "code"),
    [
        (b"not json", 6),
        (b"[]", 6),
        (b'{"cniVersion":"9.0.0","name":"x"}', 1),
        (b'{"cniVersion":"1.0.0"}', 7),
        (b'{"cniVersion":"1.0.0","name":"x","mtu":1}', 7),
    ],
)
def test_bad_configurations_have_their_codes(node, pod, stdin, code):
    status, told = pod.cni("ADD", stdin)

    assert (status, told["code"]) == (1, code)


@pytest.mark.parametrize("command", ["GC", "STATUS"])
def test_commands_of_a_later_version_are_refused_for_an_earlier_one(node, pod, command):
    status, told = pod.cni(command, {"cniVersion": "1.0.0", "name": "raw", "type": "terway"})

    assert (status, told["code"]) == (1, 1)


def test_gc_without_a_list_is_refused_and_with_null_removes_all(node, pod):
    pod.add(config(name="gc"))
    status, told = pod.cni("GC", config(name="gc"))
    assert (status, told["code"]) == (1, 7)

    status, told = pod.cni("GC", config(name="gc", **{"cni.dev/valid-attachments": None}))

    assert (status, told) == (0, None)
    assert pod.ip("addr", "show", "scope", "global") == []


def test_fifty_at_once_get_fifty_addresses_and_leave_nothing(node):
    before = node.traces()
    pods = [node.pod() for _ in range(50)]

    with concurrent.futures.ThreadPoolExecutor(50) as threads:
        results = list(threads.map(lambda each: each.add(config()), pods))
        list(threads.map(lambda each: each.delete(config()), pods))

    assert len({told["ips"][0]["address"] for told in results}) == 50
    assert node.traces() == before


def test_with_the_daemon_down_add_waits_for_it_and_del_is_done_by_the_next_one(node):
    pod, other = node.pod(), node.pod()
    before = node.traces()
    pod.add(config())
    node.daemon.kill9()

    status, told = other.cni("ADD", config())
    assert (status, told["code"]) == (1, 11)
    assert "ipamd" in json.dumps(told)
    status, told = other.cni("STATUS", config())
    assert (status, told["code"]) == (1, 50)
    pod.delete(config())
    node.start()

    assert node.traces() == before


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8), st.booleans())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_bytes_on_the_socket_end_the_daemon(node, parts, greeted):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(node.socket))
        with contextlib.suppress(OSError):
            if greeted:
                peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5))
            for part in parts:
                peer.sendall(part)

    assert node.daemon.running


@given(
    st.sampled_from(["Add", "Del", "Check", "Gc", "Status"]),
    st.text(max_size=20),
    st.text(max_size=20),
    st.text(max_size=20),
    st.binary(max_size=100) | st.just(b'{"cniVersion":"1.1.0","name":"fuzz"}'),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_request_ends_the_daemon_or_shows_a_traceback(  # noqa: PLR0917
    node, method, container_id, netns, ifname, raw
):
    request = ipamd_pb2.CniRequest(
        container_id=container_id, netns=netns, ifname=ifname, args=netns, config=raw
    )
    with grpc.insecure_channel(f"unix:{node.socket}") as channel:
        reply = getattr(ipamd_pb2_grpc.CniStub(channel), method)(request, timeout=20)

    told = json.loads(reply.stdout) if reply.stdout else {}
    assert reply.exit_status == (1 if "code" in told else 0)
    assert told.get("code") != 999
    assert node.daemon.running


def test_only_root_can_use_the_socket(node):
    assert node.socket.stat().st_mode & 0o777 == 0o600

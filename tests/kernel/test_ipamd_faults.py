"""ipamd killed at every step, its database lost, namespaces deleted: on the real kernel."""

import asyncio
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipamd.model import AddressState
from tests.kernel import ipamd_harness as harness
from tests.support import netns

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces"),
]


@pytest.fixture
def lab():
    with netns.lab() as made:
        yield made


@pytest.fixture
def node(lab, tmp_path):
    return harness.Node(lab, tmp_path)


def pod_of(node, number):
    return harness.Pod(f"web-{number}", f"c{number}", node.lab.netns())


async def living(node, work, *, cool_down_s=0.0):
    """Run *work* in one life of the daemon; whether it lived to the end of it."""
    daemon = harness.Daemon(node, cool_down_s=cool_down_s)
    try:
        await daemon.start()
        await work(daemon)
    except harness.Killed:
        return False
    finally:
        await daemon.stop()
    return True


def pod_traces(node):
    """Links, rules and routes of pods on the node."""
    links = [w for w in node.lab.node.sh("ip -br link").splitlines() if w.startswith("cali")]
    rules = [w for w in node.lab.node.sh("ip rule").splitlines() if w.startswith(("512", "2048"))]
    routes = [w for w in node.lab.node.sh("ip route").splitlines() if "cali" in w]
    return links + rules + routes


def test_a_pod_is_added_checked_and_deleted(node):
    pod = pod_of(node, 1)

    async def work(daemon):
        address = await daemon.add(pod)
        assert pod.address_inside() == address
        assert await daemon.add(pod) == address
        assert (await daemon.command("Check", pod, prevResult=pod.result))[0] == 0
        await daemon.delete(pod)
        await daemon.delete(pod)

    node.run(lambda: living(node, work))

    assert pod_traces(node) == []


def test_check_names_what_differs(node):
    pod = pod_of(node, 1)

    async def work(daemon):
        address = await daemon.add(pod)
        await asyncio.to_thread(node.lab.node.sh, f"ip route del {address}")
        status, told = await daemon.command("Check", pod, prevResult=pod.result)
        assert status == 1
        assert told["code"] == 101
        assert "route" in told["details"]
        await daemon.delete(pod)

    node.run(lambda: living(node, work))


@pytest.mark.parametrize("at", range(1, 5))
def test_an_add_that_is_killed_at_any_step_can_be_repeated(node, at):
    pod = pod_of(node, 1)
    node.steps.at = at

    assert not node.run(lambda: living(node, lambda daemon: daemon.add(pod)))

    async def again(daemon):
        address = await daemon.add(pod)
        assert pod.address_inside() == address
        assert (await daemon.command("Check", pod, prevResult=pod.result))[0] == 0
        await daemon.delete(pod)

    assert node.run(lambda: living(node, again))
    assert pod_traces(node) == []


@pytest.mark.parametrize("at", range(1, 5))
def test_an_add_that_is_killed_at_any_step_can_be_taken_back(node, at):
    pod = pod_of(node, 1)
    node.steps.at = at
    node.run(lambda: living(node, lambda daemon: daemon.add(pod)))

    async def take_back(daemon):
        await daemon.delete(pod)
        assert daemon.state.count(AddressState.LEASED) == 0

    assert node.run(lambda: living(node, take_back))
    assert pod_traces(node) == []


@pytest.mark.parametrize("at", range(1, 5))
def test_a_del_that_is_killed_at_any_step_can_be_repeated(node, at):
    pod = pod_of(node, 1)
    node.run(lambda: living(node, lambda daemon: daemon.add(pod)))
    node.steps.count, node.steps.at = 0, at

    node.run(lambda: living(node, lambda daemon: daemon.delete(pod)))

    async def again(daemon):
        await daemon.delete(pod)
        assert daemon.state.count(AddressState.LEASED) == 0

    assert node.run(lambda: living(node, again))
    assert pod_traces(node) == []


@pytest.mark.parametrize("damage", ["deleted", "truncated", "garbage"])
def test_leases_survive_the_loss_of_the_database(node, damage):
    pod, other = pod_of(node, 1), pod_of(node, 2)
    addresses = {}

    async def first(daemon):
        addresses[1] = await daemon.add(pod)

    node.run(lambda: living(node, first))
    for path in node.database.parent.glob("ipamd.db*"):
        if damage == "deleted":
            path.unlink()
        elif damage == "truncated":
            os.truncate(path, path.stat().st_size // 2)
        else:
            path.write_bytes(b"\x00garbage" * 1000)

    async def second(daemon):
        assert await daemon.add(pod) == addresses[1]
        taken = [await daemon.add(pod_of(node, 10 + n)) for n in range(harness.CAPACITY - 2)]
        taken.append(await daemon.add(other))
        assert addresses[1] not in taken
        assert len(set(taken)) == len(taken)

    assert node.run(lambda: living(node, second))


def test_a_cool_down_goes_on_after_a_restart(node):
    pods = [pod_of(node, n) for n in range(harness.CAPACITY)]

    async def fill(daemon):
        for pod in pods:
            await daemon.add(pod)
        await daemon.delete(pods[0])

    node.run(lambda: living(node, fill, cool_down_s=1000.0))

    async def look(daemon):
        assert daemon.state.count(AddressState.COOLING) == 1
        assert daemon.state.count(AddressState.WARM) == 0

    assert node.run(lambda: living(node, look, cool_down_s=1000.0))


def test_a_namespace_deleted_under_the_daemon_does_not_hold_its_address(node):
    pod = harness.Pod("web-1", "c1", netns.Netns())

    async def work(daemon):
        await daemon.add(pod)
        pod.netns.close()
        pod.netns = None
        await daemon.delete(pod)
        assert daemon.state.count(AddressState.LEASED) == 0

    node.run(lambda: living(node, work))
    assert pod_traces(node) == []


def test_a_link_of_that_name_in_the_pod_refuses_the_add_and_is_left_alone(node):
    pod = pod_of(node, 1)
    pod.netns.batch("link add eth0 type veth peer name other\n")

    async def work(daemon):
        status, told = await daemon.command("Add", pod)
        assert status == 1
        assert "eth0" in told["details"]
        assert daemon.state.count(AddressState.LEASED) == 0

    node.run(lambda: living(node, work))
    assert "other" in pod.netns.sh("ip -br link")
    assert pod_traces(node) == []


def test_gc_removes_what_the_runtime_no_longer_knows(node):
    kept, lost = pod_of(node, 1), pod_of(node, 2)

    async def work(daemon):
        await daemon.add(kept)
        await daemon.add(lost)
        valid = [{"containerID": kept.container_id, "ifname": "eth0"}]
        status, told = await daemon.command(
            "Gc", kept, cniVersion="1.1.0", **{"cni.dev/valid-attachments": valid}
        )
        assert (status, told) == (0, None)
        assert [key.container_id for key in daemon.leases] == [kept.container_id]
        status, told = await daemon.command("Gc", kept, cniVersion="1.1.0")
        assert told["code"] == 7
        await daemon.delete(kept)

    node.run(lambda: living(node, work))


def without_mark(node, pod):
    """Make the pod's link one of a stock Terway, which carries no mark, and forget the database."""
    (link,) = [w.split("@")[0].split()[0] for w in pod_traces(node) if w.startswith("cali")]
    node.lab.node.batch(f'link set dev {link} alias ""\n')
    for path in node.database.parent.glob("ipamd.db*"):
        path.unlink()


def test_a_del_of_an_earlier_sandbox_leaves_the_adopted_pod_alone(node):
    pod = pod_of(node, 1)
    node.run(lambda: living(node, lambda daemon: daemon.add(pod)))
    without_mark(node, pod)
    earlier = harness.Pod(pod.name, "an-earlier-sandbox", None)
    address = pod.address_inside()

    async def work(daemon):
        await daemon.delete(earlier)
        assert daemon.state.count(AddressState.LEASED) == 1
        taken = [await daemon.add(pod_of(node, 10 + n)) for n in range(harness.CAPACITY - 1)]
        assert address not in taken
        await daemon.delete(pod)
        assert daemon.state.count(AddressState.LEASED) == harness.CAPACITY - 1

    assert node.run(lambda: living(node, work))


def test_an_unexpected_error_in_the_kernel_work_leaks_no_address(node):
    pod = pod_of(node, 1)

    async def work(daemon):
        real = daemon.worker.wire

        async def broken(lease, wiring):
            raise OSError(24, "Too many open files")

        daemon.worker.wire = broken
        status, told = await daemon.command("Add", pod)
        assert (status, told["code"]) == (1, 999)
        daemon.worker.wire = real
        await daemon.delete(pod)
        assert daemon.state.count(AddressState.LEASED) == 0

    assert node.run(lambda: living(node, work))


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "del", "del", "restart", "lose database"]),
        st.integers(0, 5),
        st.integers(-1, 8),
    ),
    min_size=3,
    max_size=14,
)


@given(ACTIONS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_sequence_of_commands_kills_and_losses_gives_an_address_twice(tmp_path_factory, actions):
    """The third number says at which step the process is killed; -1 = it lives."""
    with netns.lab() as lab:
        node = harness.Node(lab, tmp_path_factory.mktemp("state"))
        pods = [pod_of(node, n) for n in range(6)]
        alive: set[int] = set()

        async def one(daemon, action, number):
            if action == "add":
                address = await daemon.add(pods[number])
                alive.add(number)
                assert pods[number].address_inside() == address
            elif action == "del":
                alive.discard(number)
                await daemon.delete(pods[number])

        for action, number, at in actions:
            if action == "lose database":
                for path in node.database.parent.glob("ipamd.db*"):
                    path.unlink()
                continue
            node.steps.count, node.steps.at = 0, at
            lived = node.run(
                lambda action=action, number=number: living(
                    node, lambda daemon: one(daemon, action, number)
                )
            )
            if not lived and action == "add":
                # The runtime takes back what it does not know to have worked.
                node.run(lambda number=number: living(node, lambda d: d.delete(pods[number])))
                alive.discard(number)
            inside = [pods[n].address_inside() for n in alive]
            assert len(set(inside)) == len(inside)
            assert all(inside)
        for number in range(6):
            node.run(lambda number=number: living(node, lambda d: d.delete(pods[number])))
        assert pod_traces(node) == []

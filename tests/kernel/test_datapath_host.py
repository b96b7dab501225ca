"""Namespaces and netlink sockets on the running kernel: what goes wrong, and that it is undone."""

import concurrent.futures
import contextlib
import errno
import ipaddress
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from core import errors
from host import netlink, rtnl, rtnl_read
from host import netns as host_netns
from ipamd.datapath import deleter
from tests.support import netns

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
]


@pytest.fixture
def space():
    made = netns.Netns()
    yield made
    made.close()


def test_a_namespace_is_told_from_other_things(space, tmp_path):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")

    assert host_netns.exists(space.path)
    for path in (
        tmp_path,
        tmp_path / "file",
        tmp_path / "fifo",
        tmp_path / "missing",
        pathlib.Path("/proc/self/ns/mnt"),
        pathlib.Path("/dev/null"),
    ):
        assert not host_netns.exists(path), path


def test_a_call_inside_leaves_the_thread_where_it_was(space):
    def links():
        return pathlib.Path("/proc/thread-self/net/dev").read_text()

    def work():
        home = host_netns.open_own()
        try:
            before = links()
            with host_netns.opened(space.path) as fd:
                assert not host_netns.is_same(fd, home)
                inside = host_netns.call_in(fd, home, links)
                with pytest.raises(ZeroDivisionError):
                    host_netns.call_in(fd, home, lambda: 1 // 0)
            assert links() == before
            return inside
        finally:
            os.close(home)

    # Not in pytest's own thread, should this fail.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        assert "eth0" not in thread.submit(work).result(timeout=10)


def test_a_thread_that_cannot_come_back_ends_the_process(space):
    script = (
        "import os, sys\n"
        "from host import netns\n"
        "not_home = os.open('/dev/null', os.O_RDONLY)\n"
        f"fd = os.open({str(space.path)!r}, os.O_RDONLY)\n"
        "try:\n"
        "    netns.call_in(fd, not_home, lambda: None)\n"
        "finally:\n"
        "    print('went on')\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )

    assert ended.returncode == 70
    assert "went on" not in ended.stdout
    assert "cannot return" in ended.stdout + ended.stderr


def test_entering_what_is_no_namespace_changes_nothing():
    with pathlib.Path("/dev/null").open() as nothing, pytest.raises(errors.Internal, match="setns"):
        host_netns.call_in(nothing.fileno(), nothing.fileno(), lambda: None)


def exchange(space, *requests):
    def work():
        with contextlib.closing(netlink.Socket()) as asking:
            return asking.exchange(requests)

    return space.run(work)


def test_each_request_gets_its_own_answer(space):
    acks = exchange(
        space,
        rtnl.set_up(1),
        rtnl.set_up(4711),
        rtnl.put_address(1, netns.POD_IP),
        netlink.Request(kind=255, body=b"", doing="nonsense"),
        rtnl.delete_route(netns.POD_IP, 1),
    )

    assert [ack.error for ack in acks] == [0, errno.ENODEV, 0, errno.EOPNOTSUPP, errno.ESRCH]
    assert "10.0.1.23" in space.sh("ip addr show dev lo")


def test_the_kernels_reason_is_told(space):
    (ack,) = exchange(
        space, rtnl.put_route(ipaddress.IPv4Network("0.0.0.0/0"), 1, gateway=netns.GATEWAY)
    )

    assert ack.error
    assert ack.told
    with pytest.raises(netlink.Refused, match=ack.told):
        netlink.require([ack])


def test_a_dump_longer_than_one_datagram_is_whole(space):
    space.batch(
        "".join(
            f"rule add from 10.7.{n // 250}.{n % 250} priority 2048 lookup 77\n"
            for n in range(1500)
        )
    )

    def read():
        with contextlib.closing(netlink.Socket()) as asking:
            return rtnl_read.read_rules(asking, 2)

    assert len({rule.source for rule in space.run(read) if rule.priority == 2048}) == 1500


def test_a_table_without_routes_is_empty(space):
    def read():
        with contextlib.closing(netlink.Socket()) as asking:
            return rtnl_read.read_routes(asking, 2, table=4711)

    assert space.run(read) == []


def test_no_answer_in_time_is_unavailable():
    with contextlib.closing(netlink.Socket(timeout_s=0.1)) as silent:
        silent._send = lambda *_: None

        with pytest.raises(errors.Unavailable, match=r"0\.1 s"):
            silent.exchange([rtnl.set_up(1)])


def test_late_answers_are_not_taken_for_others(space):
    def work():
        with contextlib.closing(netlink.Socket()) as asking:
            asking._send([rtnl.set_up(4711)], netlink.NLM_F_ACK)
            return asking.exchange([rtnl.set_up(1)])[0].error

    assert space.run(work) == 0


def in_node(space, call):
    with concurrent.futures.ThreadPoolExecutor(
        1, initializer=netns.enter, initargs=(space.fd,)
    ) as thread:
        return thread.submit(call).result(timeout=30)


def test_deletions_of_what_is_not_there_are_done(space):
    def work():
        with contextlib.closing(deleter.Deleter()) as background:
            background.delete(4711).result(timeout=5)

    in_node(space, work)


def test_deletions_that_are_refused_say_so(space):
    def work():
        with contextlib.closing(deleter.Deleter()) as background:
            return background.delete(1).exception(timeout=5)

    assert isinstance(in_node(space, work), netlink.Refused)


def test_a_link_that_leaves_a_bridge_is_not_taken_for_gone(space):
    space.batch(
        "link add br0 type bridge\n"
        "link add member index 77 type veth peer name other\n"
        "link add later index 88 type veth peer name later-other\n"
        "link set member master br0\n"
    )

    def work():
        with contextlib.closing(deleter.Deleter()) as background:
            waiting = background._pending[77] = [concurrent.futures.Future()]
            space.sh("ip link set member nomaster")
            # Notices come in order: with this one, that of the bridge has come too.
            background.delete(88).result(timeout=5)
            still_waiting = not waiting[0].done()
            background.delete(77).result(timeout=5)
            return still_waiting, space.sh("ip -br link")

    still_waiting, left = in_node(space, work)

    assert still_waiting
    assert "member" not in left


def test_closing_ends_every_thread(space):
    before = threading.active_count()

    def work():
        with contextlib.closing(deleter.Deleter()) as background:
            for index in range(4000, 4040):
                background.delete(index)

    in_node(space, work)

    assert threading.active_count() == before


def test_the_deletion_of_many_links_is_concurrent_and_complete(space):
    space.batch(
        "".join(f"link add v{n} index {1000 + n} type veth peer name w{n}\n" for n in range(64))
    )

    def work():
        with contextlib.closing(deleter.Deleter()) as background:
            for future in [background.delete(1000 + n) for n in range(64)]:
                future.result(timeout=20)
            with contextlib.closing(netlink.Socket()) as asking:
                return [link.ifname for link in rtnl_read.read_links(asking)]

    left = in_node(space, work)

    assert not [name for name in left if name[0] in "vw"]

"""Our bytes, read and written by pyroute2: both sides must mean the same."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from host import netlink, rtnl, rtnl_read

V4 = ipaddress.IPv4Address("10.0.1.23")
V6 = ipaddress.IPv6Address("fd00:1::23")
CREATE = 0x400
EXCL, REPLACE = CREATE | 0x200, CREATE | 0x100


def decoded(kind, request):
    """The request as pyroute2 reads it."""
    header = struct.pack("=IHHII", 16 + len(request.body), request.kind, request.flags, 1, 0)
    message = kind(header + request.body)
    message.decode()
    return message


def body(message):
    """What pyroute2 makes of a message, without its header."""
    message.encode()
    return bytes(message.data)[16:]


def test_pair():
    host = rtnl.End(ifname="cali0d7763386da", index=70_000, mac="02:00:00:00:00:01")
    pod = rtnl.End(ifname="eth0", index=70_001, mac="02:00:00:00:00:02")

    request = rtnl.make_veth(host, pod, mtu=1400, netns_fd=9)

    told = decoded(ifinfmsg, request)
    info = told.get_attr("IFLA_LINKINFO")
    peer = info.get_attr("IFLA_INFO_DATA").get_attr("VETH_INFO_PEER")
    assert (request.kind, request.flags) == (16, EXCL)
    assert info.get_attr("IFLA_INFO_KIND") == "veth"
    assert peer.get_attr("IFLA_NET_NS_FD") == 9
    for end, expected in ((told, host), (peer, pod)):
        assert end["index"] == expected.index
        assert (end["flags"], end["change"]) == (0, 0)
        assert end.get_attr("IFLA_IFNAME") == expected.ifname
        assert end.get_attr("IFLA_ADDRESS") == expected.mac
        assert end.get_attr("IFLA_MTU") == 1400
        assert end.get_attr("IFLA_NUM_TX_QUEUES") == end.get_attr("IFLA_NUM_RX_QUEUES") == 1


def test_link_switched_on_as_a_router():
    request = rtnl.set_up(7, mtu=1400, alias="n/c/eth0", router=True)

    told = decoded(ifinfmsg, request)
    assert (told["index"], told["flags"], told["change"]) == (7, 1, 1)
    assert told.get_attr("IFLA_MTU") == 1400
    assert told.get_attr("IFLA_IFALIAS") == "n/c/eth0"
    # pyroute2 reads this part as the kernel tells it, not as the kernel is told.
    per_family = netlink.attrs(netlink.attrs(request.body[16:])[26])
    conf = netlink.attrs(netlink.attrs(per_family[2])[1])
    assert conf == {1: struct.pack("=I", 1), 8: struct.pack("=I", 0)}


def test_link_switched_on_and_no_more():
    request = rtnl.set_up(7)

    assert (request.kind, decoded(ifinfmsg, request)["attrs"]) == (19, [])


def test_another_mtu_switches_nothing():
    request = rtnl.set_mtu(7, 8500)

    told = decoded(ifinfmsg, request)
    assert (request.kind, told["index"], told["change"]) == (19, 7, 0)
    assert [(each[0], each[1]) for each in told["attrs"]] == [("IFLA_MTU", 8500)]


def test_link_deleted():
    request = rtnl.delete_link(70_000)

    assert (request.kind, decoded(ifinfmsg, request)["index"]) == (17, 70_000)


@pytest.mark.parametrize(("address", "family", "flags"), [(V4, 2, 0), (V6, 10, 2)])
def test_address(address, family, flags):
    request = rtnl.put_address(7, address)

    told = decoded(ifaddrmsg, request)
    assert (request.kind, request.flags) == (20, REPLACE)
    assert (told["family"], told["prefixlen"]) == (family, address.max_prefixlen)
    assert (told["index"], told["scope"], told["flags"]) == (7, 0, flags)
    assert told.get_attr("IFA_LOCAL") == told.get_attr("IFA_ADDRESS") == str(address)


def test_address_deleted_with_its_prefix():
    request = rtnl.delete_address(7, ipaddress.IPv4Interface("10.0.2.9/24"))

    told = decoded(ifaddrmsg, request)
    assert (request.kind, told["prefixlen"]) == (21, 24)
    assert told.get_attr("IFA_LOCAL") == "10.0.2.9"


@pytest.mark.parametrize(("address", "family", "scope"), [(V4, 2, 253), (V6, 10, 0)])
def test_route_on_the_link(address, family, scope):
    request = rtnl.put_route(ipaddress.ip_network(address), 7)

    told = decoded(rtmsg, request)
    assert (request.kind, request.flags) == (24, REPLACE)
    assert (told["family"], told["dst_len"], told["scope"]) == (
        family,
        address.max_prefixlen,
        scope,
    )
    assert (told["table"], told["proto"], told["type"], told["flags"]) == (254, 3, 1, 0)
    assert told.get_attr("RTA_DST") == str(address)
    assert told.get_attr("RTA_OIF") == 7
    assert told.get_attr("RTA_GATEWAY") is None


def test_default_route_of_a_table_by_a_gateway_without_a_route():
    everything = ipaddress.IPv4Network("0.0.0.0/0")

    told = decoded(rtmsg, rtnl.put_route(everything, 7, gateway=V4, table=1003))

    assert (told["dst_len"], told["scope"], told["flags"], told["table"]) == (0, 0, 4, 0)
    assert told.get_attr("RTA_DST") is None
    assert told.get_attr("RTA_GATEWAY") == "10.0.1.23"
    assert told.get_attr("RTA_TABLE") == 1003


def test_route_deleted():
    request = rtnl.delete_route(V4, 7)

    told = decoded(rtmsg, request)
    assert (request.kind, told["dst_len"], told["table"], told["scope"]) == (25, 32, 254, 255)
    assert (told.get_attr("RTA_DST"), told.get_attr("RTA_OIF")) == ("10.0.1.23", 7)


def test_neighbour():
    request = rtnl.put_neighbour(7, V4, "02:00:00:00:00:01")

    told = decoded(ndmsg, request)
    assert (request.kind, request.flags) == (28, REPLACE)
    assert (told["family"], told["ifindex"], told["state"]) == (2, 7, 0x80)
    assert told.get_attr("NDA_DST") == "10.0.1.23"
    assert told.get_attr("NDA_LLADDR") == "02:00:00:00:00:01"


@pytest.mark.parametrize(
    ("make", "kind", "flags", "end"),
    [
        (rtnl.add_rule_to, 32, EXCL, "dst"),
        (rtnl.add_rule_from, 32, EXCL, "src"),
        (rtnl.delete_rule_to, 33, 0, "dst"),
        (rtnl.delete_rule_from, 33, 0, "src"),
    ],
)
@pytest.mark.parametrize("address", [V4, V6])
def test_rule(make, kind, flags, end, address):
    request = make(address, priority=2048, table=1003)

    told = decoded(fibmsg, request)
    other = "src" if end == "dst" else "dst"
    assert (request.kind, request.flags) == (kind, flags)
    assert (told["action"], told["table"], told["tos"]) == (1, 0, 0)
    assert (told[f"{end}_len"], told[f"{other}_len"]) == (address.max_prefixlen, 0)
    assert told.get_attr(f"FRA_{end.upper()}") == str(address)
    assert told.get_attr(f"FRA_{other.upper()}") is None
    assert (told.get_attr("FRA_PRIORITY"), told.get_attr("FRA_TABLE")) == (2048, 1003)


def test_rule_deleted_whatever_its_table():
    told = decoded(fibmsg, rtnl.delete_rule_from(V4, priority=2048))

    assert (told["table"], told.get_attr("FRA_TABLE")) == (0, None)


@pytest.mark.parametrize("rate", [1_250_000, 5_000_000_000])
def test_bucket(rate):
    bucket = rtnl.Tbf(rate_bytes_per_s=rate, burst_bytes=3000, limit_bytes=34_250, mtu=1500)

    request = rtnl.put_tbf(7, bucket)

    told = decoded(tcmsg, request)
    assert (request.kind, request.flags) == (36, REPLACE)
    assert (told["index"], told["handle"], told["parent"]) == (7, 0x10000, 0xFFFFFFFF)
    assert told.get_attr("TCA_KIND") == "tbf"
    parms = told.get_attr("TCA_OPTIONS").get_attr("TCA_TBF_PARMS")
    assert (parms["rate"], parms["rate___reserved"]) == (min(rate, 0xFFFFFFFF), 1)
    assert (parms["limit"], parms["mtu"]) == (34_250, 1500)
    options = netlink.attrs(netlink.attrs(request.body[20:])[2])
    assert struct.unpack("=I", options[6]) == (3000,)
    assert options.get(4) == (struct.pack("=Q", rate) if rate > 0xFFFFFFFF else None)


def test_link_is_read():
    message = ifinfmsg()
    message["index"], message["flags"] = 12, 1
    message["attrs"] = [
        ("IFLA_IFNAME", "cali0d7763386da"),
        ("IFLA_MTU", 1500),
        ("IFLA_LINK", 34),
        ("IFLA_QDISC", "tbf"),
        ("IFLA_IFALIAS", "n/c/eth0"),
        ("IFLA_ADDRESS", "02:00:00:00:00:01"),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "veth")]}),
    ]

    link = rtnl_read.parse_link(body(message))

    assert (link.index, link.ifname, link.kind, link.up) == (12, "cali0d7763386da", "veth", True)
    assert (link.mac, link.mtu, link.alias) == ("02:00:00:00:00:01", 1500, "n/c/eth0")
    assert (link.peer_index, link.qdisc) == (34, "tbf")


def test_route_is_read():
    message = rtmsg()
    message["family"], message["dst_len"], message["table"] = 2, 16, 254
    message["attrs"] = [
        ("RTA_DST", "192.168.0.0"),
        ("RTA_OIF", 7),
        ("RTA_GATEWAY", "10.0.1.253"),
        ("RTA_TABLE", 1003),
    ]

    assert rtnl_read.parse_route(body(message)) == rtnl_read.Route(
        network=ipaddress.IPv4Network("192.168.0.0/16"),
        index=7,
        table=1003,
        gateway=ipaddress.IPv4Address("10.0.1.253"),
    )


def test_rule_is_read():
    message = fibmsg()
    message["family"], message["src_len"], message["table"] = 2, 32, 252
    message["attrs"] = [
        ("FRA_SRC", "10.0.1.23"),
        ("FRA_PRIORITY", 2048),
        ("FRA_TABLE", 1003),
    ]

    assert rtnl_read.parse_rule(body(message)) == rtnl_read.Rule(
        priority=2048, table=1003, source=ipaddress.IPv4Network("10.0.1.23/32"), destination=None
    )


def test_address_of_a_family_we_do_not_know_is_none():
    assert rtnl_read.parse_address(struct.pack("=BBBBi", 28, 0, 0, 0, 1)) is None


@given(st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=40)))
def test_attributes_survive_the_way_there_and_back(told):
    data = b"".join(netlink.attr(kind, payload) for kind, payload in told.items())

    assert len(data) % 4 == 0
    assert netlink.attrs(data) == told


@given(st.binary(max_size=200))
def test_attributes_of_any_bytes_end(data):
    assert all(len(value) <= len(data) for value in netlink.attrs(data).values())


@given(st.integers(0, 23))
def test_cut_off_attributes_are_left_out(length):
    data = netlink.attr(1, b"abcd") + netlink.attr(2, b"efgh") + netlink.attr(3, b"ijkl")

    assert list(netlink.attrs(data[:length])) == list(range(1, length // 8 + 1))


def test_a_refusal_says_what_was_asked_and_why():
    request = netlink.Request(kind=16, body=b"", doing="make cali1")
    acks = [
        netlink.Ack(request=request, error=0),
        netlink.Ack(request=request, error=17, told="name taken"),
    ]

    with pytest.raises(netlink.Refused, match=r"make cali1: File exists \(name taken\)"):
        netlink.require(acks)
    netlink.require(acks, fine=frozenset((17,)))

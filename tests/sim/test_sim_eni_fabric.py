"""What the network is asked for, and what becomes of an interface when it refuses."""

import pytest

from sim import errors
from sim.hardware import api, network_api
from tests.sim.sim_ecs_harness import NODE_1, Ecs, world_of

VSWITCH = "vsw-bp1sim000000000003"
GROUP = "sg-bp1sim000000000001"


class Recorder:
    """A network that keeps the last fabric it was given, and fails when told to."""

    def __init__(self):
        self.fabric = None
        self.failing = False

    def sync(self, fabric):
        if self.failing:
            raise api.HardwareError("no room for a link")
        self.fabric = fabric

    def drops(self):
        return network_api.Drops(spoofed=0, unassigned=0)

    def release(self):
        self.fabric = None

    def port(self, eni_id):
        """The interface's port, None when it is not plugged."""
        return next((port for port in self.fabric.ports if port.eni_id == eni_id), None)


@pytest.fixture
def network():
    return Recorder()


@pytest.fixture
def ecs(tmp_path, network):
    made = Ecs(tmp_path, network=network)
    yield made
    made.cloud.close()


def create(ecs):
    values = {"VSwitchId": VSWITCH, "SecurityGroupIds": [GROUP]}
    eni_id = ecs("CreateNetworkInterface", **values)["NetworkInterfaceId"]
    ecs.wait()
    return eni_id


def attach(ecs, eni_id):
    ecs("AttachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1)


def attribute(ecs, eni_id, name):
    return ecs("DescribeNetworkInterfaceAttribute", NetworkInterfaceId=eni_id)[name]


def test_the_primary_interfaces_are_plugged_from_the_start(ecs, network):
    assert [(port.primary, port.addresses) for port in network.fabric.ports] == [
        (True, ("192.168.1.11",)),
        (True, ("192.168.1.12",)),
    ]
    assert network.fabric.instances[NODE_1] == "node-1"


def test_an_interface_is_plugged_from_the_end_of_attaching_to_the_end_of_detaching(ecs, network):
    eni_id = create(ecs)
    attach(ecs, eni_id)
    seen = [network.port(eni_id)]
    ecs.wait()
    port = network.port(eni_id)
    ecs("DetachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1)
    ecs.cloud.settle()
    still = network.port(eni_id)
    ecs.wait()
    seen.append(network.port(eni_id))

    assert seen == [None, None]
    assert port == still
    assert (port.instance_id, port.primary, port.gateway, port.prefix_length) == (
        NODE_1,
        False,
        "192.168.2.253",
        24,
    )


def test_an_interface_stays_attaching_until_the_network_takes_it(ecs, network):
    eni_id = create(ecs)
    attach(ecs, eni_id)

    network.failing = True
    ecs.wait()
    refused = attribute(ecs, eni_id, "Status")
    network.failing = False
    ecs.wait()

    assert (refused, attribute(ecs, eni_id, "Status")) == ("Attaching", "InUse")
    assert network.port(eni_id) is not None


def test_an_interface_stays_detaching_until_the_network_lets_it_go(ecs, network):
    eni_id = create(ecs)
    attach(ecs, eni_id)
    ecs.wait()
    ecs("DetachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1)

    network.failing = True
    ecs.wait()
    refused = attribute(ecs, eni_id, "Status")
    network.failing = False
    ecs.wait()

    assert (refused, attribute(ecs, eni_id, "Status")) == ("Detaching", "Available")


def test_an_assignment_that_the_network_refuses_leaves_no_address(ecs, network):
    eni_id = create(ecs)
    attach(ecs, eni_id)
    ecs.wait()
    wanted = {"NetworkInterfaceId": eni_id, "SecondaryPrivateIpAddressCount": 2}

    network.failing = True
    with pytest.raises(errors.ApiError) as caught:
        ecs("AssignPrivateIpAddresses", **wanted)
    network.failing = False

    assert (caught.value.code, caught.value.http_status) == ("InternalError", 500)
    assert len(attribute(ecs, eni_id, "PrivateIpSets")["PrivateIpSet"]) == 1
    ecs("AssignPrivateIpAddresses", **wanted)
    assert len(network.port(eni_id).addresses) == 3


def test_late_addresses_are_tried_again_when_the_network_fails(ecs, network):
    ecs.cloud.change_world({"latencies": {"assign_private_ip": 5}})
    eni_id = create(ecs)
    attach(ecs, eni_id)
    ecs.wait()
    wanted = {"NetworkInterfaceId": eni_id, "SecondaryPrivateIpAddressCount": 2}
    ecs("AssignPrivateIpAddresses", **wanted)

    network.failing = True
    ecs.wait()
    network.failing = False
    before = len(network.port(eni_id).addresses)
    ecs.wait()

    assert (before, len(network.port(eni_id).addresses)) == (1, 3)


def test_the_network_learns_of_source_dest_check_and_of_addresses_given_back(ecs, network):
    eni_id = create(ecs)
    attach(ecs, eni_id)
    ecs.wait()
    which = {"NetworkInterfaceId": eni_id}
    answer = ecs("AssignPrivateIpAddresses", **which, SecondaryPrivateIpAddressCount=1)
    added = answer["AssignedPrivateIpAddressesSet"]["PrivateIpSet"]["PrivateIpAddress"]

    had = network.port(eni_id)
    ecs("ModifyNetworkInterfaceAttribute", **which, SourceDestCheck=False)
    ecs("UnassignPrivateIpAddresses", **which, PrivateIpAddress=added)

    has = network.port(eni_id)
    assert (had.source_dest_check, has.source_dest_check) == (True, False)
    assert set(had.addresses) - set(has.addresses) == set(added)


def test_a_world_change_that_the_network_refuses_changes_nothing(ecs, network):
    row = {"instance_id": "i-new", "name": "node-3", "zone_id": "cn-hangzhou-k"}
    row |= {"instance_type_id": "ecs.g7.large", "vswitch_id": VSWITCH, "mac": "00:16:3e:00:00:03"}
    row |= {"security_group_ids": [GROUP], "private_ip": "192.168.2.11", "eni_id": "eni-new"}

    network.failing = True
    with pytest.raises(api.HardwareError):
        ecs.cloud.change_world({"instances": [row]})
    network.failing = False

    assert ecs.cloud.world.instance("i-new") is None
    assert ecs.cloud.setting("world") == {}
    ecs.cloud.change_world({"instances": [row]})
    assert network.port("eni-new").addresses == ("192.168.2.11",)


def test_the_network_learns_of_ipv6_and_prefixes_once_they_work(tmp_path, network):
    ecs = Ecs(tmp_path, declared=world_of(), network=network)
    ecs.cloud.change_world({"latencies": {"assign_private_ip": 5}})
    eni_id = create(ecs)
    attach(ecs, eni_id)
    ecs.wait()
    before = network.port(eni_id)
    which = {"NetworkInterfaceId": eni_id}
    ecs("AssignPrivateIpAddresses", **which, Ipv4PrefixCount=1)
    ecs("AssignIpv6Addresses", **which, Ipv6PrefixCount=1)
    ecs("AssignIpv6Addresses", **which, Ipv6Address=["2408:4005:0:2:ff::1"])
    early = network.port(eni_id)
    ecs.wait()
    late = network.port(eni_id)

    assert (before.ipv6_gateway, early.prefixes, len(early.addresses)) == ("", (), 1)
    assert late.prefixes == ("192.168.2.16/28", "2408:4005:0:2:1::/80")
    assert late.addresses[1:] == ("2408:4005:0:2:ff::1",)
    assert late.ipv6_gateway == "2408:4005:0:2:ffff:ffff:ffff:fffd"
    vpc_id = ecs.cloud.world.vpcs[0].vpc_id
    assert network.fabric.vpc_cidrs[vpc_id] == ("192.168.0.0/16", "2408:4005::/56")
    ecs.cloud.close()

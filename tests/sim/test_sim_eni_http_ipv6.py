"""IPv6, prefixes, trunks, rules and routes through HTTP and the real SDKs, and the metadata."""

import dataclasses
import json

import pytest
from alibabacloud_ecs20140526 import models
from alibabacloud_tea_openapi import exceptions
from alibabacloud_vpc20160428 import client as vpc_client
from alibabacloud_vpc20160428 import models as vpc_models

from tests.sim.conftest import Sim
from tests.sim.sim_ecs_harness import NODE_1, world_of

VSWITCH, GROUP = "vsw-bp1sim000000000003", "sg-bp1sim000000000001"
GATEWAY = "2408:4005:0:2:ffff:ffff:ffff:fffd"
REGION = {"region_id": "cn-hangzhou"}
MACS = "/latest/meta-data/network/interfaces/macs/"


@pytest.fixture(scope="module")
def running_sim(tmp_path_factory):
    """The simulator of this module's tests, with IPv6 in every vSwitch but the first."""
    made = world_of(first_vswitches={"ipv6_cidr_block": ""})
    directory = tmp_path_factory.mktemp("sim")
    sections = ("vpcs", "vswitches")
    plain = {name: [dataclasses.asdict(row) for row in getattr(made, name)] for name in sections}
    (directory / "world.yaml").write_text(json.dumps(plain))
    running = Sim(directory / "state", "--world", str(directory / "world.yaml"))
    running.start()
    yield running
    assert running.stop() == 0, running.log.read_text()


def advance(sim):
    sim.control("POST", "clock", {"freeze": True, "advance_s": 10})


def create(sim, **fields):
    request = models.CreateNetworkInterfaceRequest(
        **REGION, v_switch_id=VSWITCH, security_group_ids=[GROUP], **fields
    )
    made = sim.ecs().create_network_interface(request).body
    advance(sim)
    return made


def attach(sim, made, **fields):
    request = models.AttachNetworkInterfaceRequest(
        **REGION, network_interface_id=made.network_interface_id, instance_id=NODE_1, **fields
    )
    sim.ecs().attach_network_interface(request)
    advance(sim)


def shown(sim, eni_id):
    request = models.DescribeNetworkInterfacesRequest(**REGION, network_interface_id=[eni_id])
    body = sim.ecs().describe_network_interfaces(request).body
    return body.network_interface_sets.network_interface_set[0]


def told(sim, made, name):
    return sim.http("GET", f"{MACS}{made.mac_address}/{name}")


def test_ipv6_addresses_reach_the_metadata_service_in_brackets(sim):
    made = create(sim)
    attach(sim, made)
    assert told(sim, made, "ipv6s").status == 404
    request = models.AssignIpv6AddressesRequest(
        **REGION,
        network_interface_id=made.network_interface_id,
        ipv_6address_count=2,
        client_token="t-1",
    )

    first = sim.ecs().assign_ipv_6addresses(request).body.ipv_6sets.ipv_6address
    again = sim.ecs().assign_ipv_6addresses(request).body.ipv_6sets.ipv_6address

    assert first == again
    assert told(sim, made, "ipv6s").text == f"[{first[0]},{first[1]}]"
    assert told(sim, made, "ipv6-gateway").text == GATEWAY
    assert told(sim, made, "vswitch-ipv6-cidr-block").text == "2408:4005:0:2::/64"
    row = shown(sim, made.network_interface_id)
    assert [each.ipv_6address for each in row.ipv_6sets.ipv_6set] == first
    (instance,) = (
        sim.ecs()
        .describe_instances(
            models.DescribeInstancesRequest(**REGION, instance_ids=json.dumps([NODE_1]))
        )
        .body.instances.instance
    )
    seen = instance.network_interfaces.network_interface[1].ipv_6sets.ipv_6set
    assert [each.ipv_6address for each in seen] == first


def test_a_vswitch_without_ipv6_is_told_by_its_code_and_in_the_metadata(sim):
    request = models.CreateNetworkInterfaceRequest(
        **REGION,
        v_switch_id="vsw-bp1sim000000000001",
        security_group_ids=[GROUP],
        ipv_6address_count=1,
    )

    with pytest.raises(exceptions.ClientException) as caught:
        sim.ecs().create_network_interface(request)

    assert (caught.value.code, caught.value.status_code) == ("InvalidVSwitch.Ipv6NotTurnOn", 403)


def test_prefixes_are_made_with_the_interface_and_late_ones_work_later(sim):
    sim.control("POST", "latency", {"assign_private_ip": 5})
    made = create(sim, ipv_4prefix_count=1, ipv_6prefix_count=1, ipv_6address_count=1)
    attach(sim, made)

    assert [each.ipv_4prefix for each in made.ipv_4prefix_sets.ipv_4prefix_set] == [
        "192.168.2.16/28"
    ]
    assert [each.ipv_6prefix for each in made.ipv_6prefix_sets.ipv_6prefix_set] == [
        "2408:4005:0:2:1::/80"
    ]
    before = told(sim, made, "ipv6s").text
    request = models.AssignIpv6AddressesRequest(
        **REGION, network_interface_id=made.network_interface_id, ipv_6address_count=1
    )
    (late,) = sim.ecs().assign_ipv_6addresses(request).body.ipv_6sets.ipv_6address
    assert told(sim, made, "ipv6s").text == before
    advance(sim)
    assert told(sim, made, "ipv6s").text == f"{before[:-1]},{late}]"


def test_a_member_is_not_in_the_metadata_and_goes_with_its_trunk(sim):
    trunk, member = create(sim, instance_type="Trunk"), create(sim)
    attach(sim, trunk)
    attach(sim, member, trunk_network_instance_id=trunk.network_interface_id)

    row = shown(sim, member.network_interface_id)
    assert (row.type, row.attachment.device_index) == ("Member", 1)
    assert row.attachment.trunk_network_interface_id == trunk.network_interface_id
    macs = sim.http("GET", MACS).text
    assert trunk.mac_address in macs
    assert member.mac_address not in macs

    sim.control("POST", f"enis/{trunk.network_interface_id}", {"detach": True})
    row = shown(sim, member.network_interface_id)
    assert (row.type, row.status, row.instance_id) == ("Secondary", "Available", "")


def test_prefixes_and_ipv6_addresses_are_lost_behind_the_users_back(sim):
    made = create(sim, ipv_4prefix_count=1, ipv_6address_count=1)
    eni_id = made.network_interface_id
    lost = [made.ipv_6sets.ipv_6set[0].ipv_6address, "192.168.2.16/28"]

    sim.control("POST", f"enis/{eni_id}", {"unassign": lost})

    row = shown(sim, eni_id)
    assert (row.ipv_6sets.ipv_6set, row.ipv_4prefix_sets.ipv_4prefix_set) == ([], [])


def test_rules_and_routes_are_changed_with_the_sdks(sim):
    permission = models.AuthorizeSecurityGroupRequestPermissions(
        ip_protocol="TCP", port_range="22/22", source_cidr_ip="10.0.0.0/8", description="ssh"
    )
    sim.ecs().authorize_security_group(
        models.AuthorizeSecurityGroupRequest(
            **REGION, security_group_id=GROUP, permissions=[permission]
        )
    )
    (rule,) = (
        sim.ecs()
        .describe_security_group_attribute(
            models.DescribeSecurityGroupAttributeRequest(**REGION, security_group_id=GROUP)
        )
        .body.permissions.permission
    )
    vpc = vpc_client.Client(sim._config({}))
    entry = vpc.create_route_entry(
        vpc_models.CreateRouteEntryRequest(
            **REGION,
            route_table_id="vtb-bp1sim000000000001",
            destination_cidr_block="172.16.0.0/16",
            next_hop_id=NODE_1,
        )
    ).body
    vpc.delete_route_entry(
        vpc_models.DeleteRouteEntryRequest(**REGION, route_entry_id=entry.route_entry_id)
    )

    assert (rule.ip_protocol, rule.port_range, rule.description) == ("TCP", "22/22", "ssh")
    assert entry.route_entry_id.startswith("rte-")

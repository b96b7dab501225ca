"""Interfaces through HTTP and the real SDK: ClientToken, paging, metadata, restart, control."""

import signal

import pytest
from alibabacloud_ecs20140526 import models
from alibabacloud_tea_openapi import exceptions

from tests.sim.conftest import Sim

NODE_1 = "i-bp1sim000000000001"
NODE_2 = "i-bp1sim000000000002"
VSWITCH = "vsw-bp1sim000000000003"
GROUP = "sg-bp1sim000000000001"
REGION = {"region_id": "cn-hangzhou"}
MACS = "/latest/meta-data/network/interfaces/macs/"


def create(sim: Sim, **fields):
    request = models.CreateNetworkInterfaceRequest(
        **REGION, v_switch_id=VSWITCH, security_group_ids=[GROUP], **fields
    )
    return sim.ecs().create_network_interface(request).body


def describe(sim: Sim, **fields):
    request = models.DescribeNetworkInterfacesRequest(**REGION, **fields)
    body = sim.ecs().describe_network_interfaces(request).body
    return body.network_interface_sets.network_interface_set, body.next_token


def attach(sim: Sim, eni_id: str, instance_id: str = NODE_1) -> None:
    advance(sim)
    sim.ecs().attach_network_interface(
        models.AttachNetworkInterfaceRequest(
            **REGION, network_interface_id=eni_id, instance_id=instance_id
        )
    )
    advance(sim)


def assign(sim: Sim, eni_id: str, **fields):
    request = models.AssignPrivateIpAddressesRequest(
        **REGION, network_interface_id=eni_id, **fields
    )
    body = sim.ecs().assign_private_ip_addresses(request).body
    return body.assigned_private_ip_addresses_set.private_ip_set.private_ip_address


def advance(sim: Sim, seconds: float = 10) -> None:
    sim.control("POST", "clock", {"freeze": True, "advance_s": seconds})


def macs(sim: Sim) -> list[str]:
    return sim.http("GET", MACS).text.split("\n")


def private_ips(sim: Sim, mac: str) -> str:
    return sim.http("GET", f"{MACS}{mac}/private-ipv4s").text


def test_the_same_client_token_makes_one_interface_and_one_assignment(sim):
    first = create(sim, client_token="t-1")
    again = create(sim, client_token="t-1")
    advance(sim)
    added = assign(
        sim, first.network_interface_id, secondary_private_ip_address_count=2, client_token="t-2"
    )

    assert again.network_interface_id == first.network_interface_id
    assert added == assign(
        sim, first.network_interface_id, secondary_private_ip_address_count=2, client_token="t-2"
    )
    (row,), _ = describe(sim, network_interface_id=[first.network_interface_id])
    assert len(row.private_ip_sets.private_ip_set) == 3
    with pytest.raises(exceptions.ClientException) as caught:
        create(sim, client_token="t-1", description="another")
    assert caught.value.code == "IdempotentParameterMismatch"


def test_pages_by_token_show_every_interface_once(sim):
    made = {create(sim).network_interface_id for _ in range(24)}

    seen, token = [], ""
    for _ in range(3):
        rows, token = describe(sim, max_results=10, next_token=token, type="Secondary")
        seen += [row.network_interface_id for row in rows]

    assert token == ""
    assert sorted(seen) == sorted(made)


def test_the_metadata_service_tells_interfaces_and_addresses(sim):
    made = create(sim)
    attach(sim, made.network_interface_id)
    (added,) = assign(sim, made.network_interface_id, secondary_private_ip_address_count=1)
    values = {
        "network-interface-id": made.network_interface_id,
        "primary-ip-address": made.private_ip_address,
        "netmask": "255.255.255.0",
        "gateway": "192.168.2.253",
        "vswitch-id": VSWITCH,
        "vswitch-cidr-block": "192.168.2.0/24",
        "vpc-id": "vpc-bp1sim000000000001",
        "vpc-cidr-block": "192.168.0.0/16",
    }

    told = {name: sim.http("GET", f"{MACS}{made.mac_address}/{name}").text for name in values}

    assert made.mac_address.startswith("00:16:3e:")
    assert macs(sim) == ["00:16:3e:00:00:01/", f"{made.mac_address}/"]
    assert told == values
    assert private_ips(sim, made.mac_address) == f'["{made.private_ip_address}", "{added}"]'
    assert sim.http("GET", f"{MACS}{made.mac_address}/ipv6s").status == 404


def test_the_metadata_service_lags_behind_when_the_world_says_so(sim):
    sim.control("POST", "latency", {"metadata_lag": 30})
    made = create(sim)
    attach(sim, made.network_interface_id)

    early = macs(sim)
    advance(sim, 31)
    late = macs(sim)
    assign(sim, made.network_interface_id, secondary_private_ip_address_count=1)

    assert (len(early), len(late)) == (1, 2)
    assert private_ips(sim, made.mac_address) == f'["{made.private_ip_address}"]'
    advance(sim, 31)
    assert private_ips(sim, made.mac_address).count(".") == 6


def test_assigned_addresses_reach_the_metadata_service_after_their_latency(sim):
    sim.control("POST", "latency", {"assign_private_ip": 5})
    made = create(sim)
    attach(sim, made.network_interface_id)

    assign(sim, made.network_interface_id, secondary_private_ip_address_count=1)

    assert private_ips(sim, made.mac_address) == f'["{made.private_ip_address}"]'
    advance(sim, 6)
    assert private_ips(sim, made.mac_address).count(".") == 6


def test_a_killed_cloud_knows_its_interfaces_and_ends_what_was_under_way(own_sim):
    kept = create(own_sim, secondary_private_ip_address_count=2)
    attach(own_sim, kept.network_interface_id)
    moving = create(own_sim)
    advance(own_sim)
    own_sim.ecs().attach_network_interface(
        models.AttachNetworkInterfaceRequest(
            **REGION, network_interface_id=moving.network_interface_id, instance_id=NODE_2
        )
    )
    before, _ = describe(own_sim)

    own_sim.stop(signal.SIGKILL)
    own_sim.start()

    after, _ = describe(own_sim)
    assert [row.to_map() for row in after] == [row.to_map() for row in before]
    advance(own_sim)
    (row,), _ = describe(own_sim, network_interface_id=[moving.network_interface_id])
    assert (row.status, row.instance_id) == ("InUse", NODE_2)


def test_what_happens_behind_the_users_back_shows_in_the_api(sim):
    eni_id = create(sim, secondary_private_ip_address_count=2).network_interface_id
    attach(sim, eni_id)
    (row,), _ = describe(sim, network_interface_id=[eni_id])
    first, second, third = (each.private_ip_address for each in row.private_ip_sets.private_ip_set)

    sim.control("POST", f"enis/{eni_id}", {"unassign": [second]})
    (row,), _ = describe(sim, network_interface_id=[eni_id])
    left = [each.private_ip_address for each in row.private_ip_sets.private_ip_set]
    sim.control("POST", f"enis/{eni_id}", {"detach": True})
    (row,), _ = describe(sim, network_interface_id=[eni_id])
    sim.control("POST", f"enis/{eni_id}", {"delete": True})

    assert left == [first, third]
    assert (row.status, row.instance_id) == ("Available", "")
    assert describe(sim, network_interface_id=[eni_id])[0] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"detach": True},
        {"delete": True},
        {"unassign": ["192.168.1.11"]},
        {"unassign": "192.168.1.11"},
        {"detach": True, "delete": True},
    ],
)
def test_a_primary_interface_stays_whatever_the_control_api_is_asked(sim, body):
    sim.control("POST", "enis/eni-bp1sim000000000001", body, status=400)

    (row,), _ = describe(sim, network_interface_id=["eni-bp1sim000000000001"])
    assert (row.status, row.private_ip_address) == ("InUse", "192.168.1.11")


def test_an_instance_does_not_take_an_address_that_was_handed_out(sim):
    taken = create(sim).private_ip_address
    instance = {
        "instance_id": "i-new",
        "name": "node-3",
        "zone_id": "cn-hangzhou-k",
        "instance_type_id": "ecs.g7.8xlarge",
        "vswitch_id": VSWITCH,
        "security_group_ids": [GROUP],
        "private_ip": taken,
        "mac": "00:16:3e:00:00:03",
        "eni_id": "eni-new",
    }

    told = sim.control("POST", "world", {"instances": [instance]}, status=400)
    primary, _ = describe(sim, instance_id="i-new")

    assert taken in told["error"]
    assert primary == []
    free = {**instance, "private_ip": "192.168.2.99"}
    sim.control("POST", "world", {"instances": [free]})
    (row,), _ = describe(sim, instance_id="i-new")
    assert (row.type, row.private_ip_address) == ("Primary", "192.168.2.99")

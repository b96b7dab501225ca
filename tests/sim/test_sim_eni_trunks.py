"""Trunk, member and RDMA interfaces: life cycle, limits, refusals."""

import pytest

from sim import errors
from tests.sim.sim_ecs_harness import NODE_1, NODE_2, Ecs, world_of
from tests.sim.test_sim_eni_fabric import Recorder

VSWITCH = "vsw-bp1sim000000000002"
GROUP = "sg-bp1sim000000000001"


@pytest.fixture
def ecs(tmp_path):
    made = Ecs(tmp_path)
    yield made
    made.cloud.close()


def create(ecs, **changes):
    values = {"VSwitchId": VSWITCH, "SecurityGroupIds": [GROUP], **changes}
    eni_id = ecs("CreateNetworkInterface", **values)["NetworkInterfaceId"]
    ecs.wait()
    return eni_id


def attach(ecs, eni_id, instance_id=NODE_1, **more):
    ecs("AttachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=instance_id, **more)
    ecs.wait()
    return eni_id


def trunk(ecs):
    return attach(ecs, create(ecs, InstanceType="Trunk"))


def member(ecs, trunk_id):
    return attach(ecs, create(ecs), TrunkNetworkInstanceId=trunk_id)


def shown(ecs, eni_id):
    return ecs("DescribeNetworkInterfaceAttribute", NetworkInterfaceId=eni_id)


def test_a_member_has_the_lowest_free_vlan_of_its_trunk(ecs):
    trunk_id = trunk(ecs)
    first, second = member(ecs, trunk_id), member(ecs, trunk_id)

    row = shown(ecs, second)
    assert (row["Type"], row["Status"], row["InstanceId"]) == ("Member", "InUse", NODE_1)
    assert row["Attachment"]["TrunkNetworkInterfaceId"] == trunk_id
    assert row["Attachment"]["DeviceIndex"] == 2
    members = shown(ecs, trunk_id)["Attachment"]["MemberNetworkInterfaceIds"]
    assert members == {"MemberNetworkInterfaceId": [first, second]}

    ecs("DetachNetworkInterface", NetworkInterfaceId=first, InstanceId=NODE_1)
    assert shown(ecs, first)["Type"] == "Member"
    ecs.wait()
    row = shown(ecs, first)
    assert (row["Type"], row["Status"]) == ("Secondary", "Available")
    assert row["Attachment"] == {
        "InstanceId": "",
        "TrunkNetworkInterfaceId": "",
        "DeviceIndex": 0,
        "NetworkCardIndex": 0,
        "MemberNetworkInterfaceIds": {"MemberNetworkInterfaceId": []},
    }
    assert shown(ecs, member(ecs, trunk_id))["Attachment"]["DeviceIndex"] == 1


def test_members_have_what_the_total_leaves_and_no_slot(ecs):
    trunk_id = trunk(ecs)
    for _ in range(6):
        member(ecs, trunk_id)
    late = create(ecs)
    values = {"NetworkInterfaceId": late, "InstanceId": NODE_1}
    full = (403, "EniPerInstanceLimitExceeded")

    assert ecs.refused("AttachNetworkInterface", **values, TrunkNetworkInstanceId=trunk_id) == full
    assert ecs.refused("AttachNetworkInterface", **values) == full
    rows = ecs("DescribeNetworkInterfaces", Type="Member")["NetworkInterfaceSets"]
    assert len(rows["NetworkInterfaceSet"]) == 6


def test_a_trunk_with_members_stays_and_a_member_leaves_only_its_own_trunk(ecs):
    trunk_id = trunk(ecs)
    eni_id = member(ecs, trunk_id)

    assert ecs.refused(
        "DetachNetworkInterface", NetworkInterfaceId=trunk_id, InstanceId=NODE_1
    ) == (400, "InvalidOperation.HasMemberEniAttached")
    assert ecs.refused(
        "DetachNetworkInterface",
        NetworkInterfaceId=eni_id,
        InstanceId=NODE_1,
        TrunkNetworkInstanceId="eni-no",
    ) == (400, "InvalidOperation.InvalidEniState")
    for each in (eni_id, trunk_id):
        ecs("DetachNetworkInterface", NetworkInterfaceId=each, InstanceId=NODE_1)
        ecs.wait()
    assert shown(ecs, trunk_id)["Type"] == "Trunk"


def test_an_interface_joins_only_a_trunk_that_is_in_use_on_the_instance(ecs):
    trunk_id, eni_id = trunk(ecs), create(ecs)
    plain, free = attach(ecs, create(ecs)), create(ecs, InstanceType="Trunk")

    def refused(trunk_id, eni_id=eni_id, instance_id=NODE_1):
        values = {"NetworkInterfaceId": eni_id, "InstanceId": instance_id}
        return ecs.refused("AttachNetworkInterface", **values, TrunkNetworkInstanceId=trunk_id)

    assert refused("eni-no") == (404, "InvalidEniId.NotFound")
    assert refused(plain) == (403, "InvalidOperation.InvalidEniType")
    assert refused(free) == (400, "InvalidOperation.InvalidEniState")
    assert refused(trunk_id, instance_id=NODE_2) == (400, "InvalidOperation.InvalidEniState")


def test_an_instance_has_one_trunk_and_its_type_must_take_them(ecs, tmp_path):
    trunk(ecs)
    second = create(ecs, InstanceType="Trunk")
    values = {"NetworkInterfaceId": second, "InstanceId": NODE_1}
    assert ecs.refused("AttachNetworkInterface", **values) == (403, "EniPerInstanceLimitExceeded")

    old = world_of(first_instance_types={"eni_trunk_supported": False})
    other = Ecs(tmp_path / "other", declared=old)
    eni_id = create(other, InstanceType="Trunk")
    values = {"NetworkInterfaceId": eni_id, "InstanceId": NODE_1}
    assert other.refused("AttachNetworkInterface", **values) == (
        403,
        "InvalidOperation.InvalidEniType",
    )
    other.cloud.close()


def test_network_hardware_refuses_a_member_and_works_on(tmp_path):
    network = Recorder()
    ecs = Ecs(tmp_path, network=network)
    trunk_id, eni_id = trunk(ecs), create(ecs)

    with pytest.raises(errors.ApiError, match="has no member interfaces") as caught:
        attach(ecs, eni_id, TrunkNetworkInstanceId=trunk_id)

    assert (caught.value.http_status, caught.value.code) == (500, "InternalError")
    row = shown(ecs, eni_id)
    assert (row["Status"], row["Type"]) == ("Available", "Secondary")
    attach(ecs, eni_id)
    assert network.port(eni_id).vlan_id == 0
    ecs.cloud.close()


def test_rdma_interfaces_go_to_types_that_take_them(ecs, tmp_path):
    rdma = {"NetworkInterfaceTrafficMode": "HighPerformance"}
    wanted = {"VSwitchId": VSWITCH, "SecurityGroupIds": [GROUP], **rdma}
    assert ecs.refused("CreateNetworkInterface", **wanted) == (400, "InvalidParameter")

    other = Ecs(tmp_path / "other", declared=world_of(first_instance_types={"eri_quantity": 1}))
    first, second = create(other, **rdma), create(other, **rdma)
    attach(other, first)
    assert shown(other, first)["NetworkInterfaceTrafficMode"] == "HighPerformance"
    values = {"NetworkInterfaceId": second, "InstanceId": NODE_1}
    assert other.refused("AttachNetworkInterface", **values) == (403, "EniPerInstanceLimitExceeded")
    told = other("DescribeInstanceTypes", InstanceTypes=["ecs.g7.large"])["InstanceTypes"]
    assert told["InstanceType"][0]["EriQuantity"] == 1
    other.cloud.close()

"""What interface actions refuse: the code, the HTTP status, and that nothing has changed."""

import dataclasses

import pytest

from sim import world as world_module
from tests.sim.sim_ecs_harness import NODE_1, NODE_2, Ecs

VSWITCH = "vsw-bp1sim000000000002"
OTHER_ZONE = "vsw-bp1sim000000000001"
FOREIGN_VSWITCH = "vsw-foreign"
GROUP = "sg-bp1sim000000000001"
OTHER_GROUP = "sg-other"
FOREIGN_GROUP = "sg-foreign"


def two_vpcs():
    """The default world, a second VPC in the instances' zone, and a second group in the first."""
    world = world_module.load()
    zone_id = "cn-hangzhou-k"
    foreign = world_module.VSwitch(
        vswitch_id=FOREIGN_VSWITCH, vpc_id="vpc-foreign", zone_id=zone_id, cidr_block="10.1.0.0/24"
    )
    groups = [
        world_module.SecurityGroup(security_group_id=OTHER_GROUP, vpc_id=world.vpcs[0].vpc_id),
        world_module.SecurityGroup(security_group_id=FOREIGN_GROUP, vpc_id="vpc-foreign"),
    ]
    return dataclasses.replace(
        world,
        vpcs=(*world.vpcs, world_module.Vpc(vpc_id="vpc-foreign", cidr_block="10.1.0.0/16")),
        vswitches=(*world.vswitches, foreign),
        security_groups=(*world.security_groups, *groups),
    )


@pytest.fixture
def ecs(tmp_path):
    made = Ecs(tmp_path, declared=two_vpcs())
    yield made
    made.cloud.close()


def create(ecs, **changes):
    values = {"VSwitchId": VSWITCH, "SecurityGroupIds": [GROUP], **changes}
    eni_id = ecs("CreateNetworkInterface", **values)["NetworkInterfaceId"]
    ecs.wait()
    return eni_id


def attached(ecs, instance_id=NODE_1, **changes):
    eni_id = create(ecs, **changes)
    ecs("AttachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=instance_id)
    ecs.wait()
    return eni_id


def primary(ecs):
    rows = ecs("DescribeNetworkInterfaces", InstanceId=NODE_1, Type="Primary")
    return rows["NetworkInterfaceSets"]["NetworkInterfaceSet"][0]["NetworkInterfaceId"]


def with_quota(ecs, **quotas):
    ecs.cloud.change_world({"quotas": quotas})


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"VSwitchId": "vsw-no"}, (404, "InvalidVSwitchId.NotFound")),
        ({"SecurityGroupIds": ["sg-no"]}, (404, "InvalidSecurityGroupId.NotFound")),
        ({"SecurityGroupIds": [FOREIGN_GROUP]}, (403, "InvalidOperation.VpcMismatch")),
        ({"SecurityGroupIds": []}, (400, "MissingParameter")),
        ({"SecurityGroupIds": [f"sg-{n}" for n in range(11)]}, (400, "InvalidParameter")),
        ({"PrimaryIpAddress": "192.168.1.11"}, (403, "InvalidIp.IpAssigned")),
        ({"PrimaryIpAddress": "192.168.1.253"}, (403, "InvalidVSwitchId.IpInvalid")),
        ({"PrivateIpAddress": ["192.168.2.4"]}, (403, "InvalidVSwitchId.IpInvalid")),
        (
            {"PrimaryIpAddress": "192.168.1.9", "PrivateIpAddress": ["192.168.1.9"]},
            (403, "InvalidIp.IpAssigned"),
        ),
        (
            {"PrivateIpAddress": ["192.168.1.9"], "SecondaryPrivateIpAddressCount": 1},
            (400, "InvalidParameter"),
        ),
        ({"Description": "x"}, (400, "InvalidDescription.Malformed")),
        ({"NetworkInterfaceName": "1"}, (400, "InvalidParameter")),
        ({"Ipv6Address": ["fd00::1"]}, (403, "InvalidVSwitch.Ipv6NotTurnOn")),
        ({"Ipv4Prefix": ["192.168.1.16/30"]}, (400, "InvalidParameter")),
        ({"SecondaryPrivateIpAddressCount": 50}, (400, "InvalidParameter")),
    ],
)
def test_an_interface_that_cannot_be_is_not_created(ecs, changes, verdict):
    values = {"VSwitchId": VSWITCH, "SecurityGroupIds": [GROUP], **changes}

    status, code = ecs.refused("CreateNetworkInterface", **values)

    assert (status, code.removesuffix(".NetworkInterfaceName")) == verdict


@pytest.mark.parametrize(
    ("quota", "limit", "verdict"),
    [
        ("enis", 2, (403, "MaxEniCountExceeded")),
        ("security_group_enis", 2, (403, "SecurityGroupInstanceLimitExceed")),
        ("vpc_private_ips", 2, (400, "QuotaExceeded.PrivateIpAddress")),
    ],
)
def test_a_quota_that_is_used_up_refuses_the_next_interface(ecs, quota, limit, verdict):
    with_quota(ecs, **{quota: limit})
    wanted = {"VSwitchId": VSWITCH, "SecurityGroupIds": [GROUP]}

    assert ecs.refused("CreateNetworkInterface", **wanted) == verdict
    with_quota(ecs, **{quota: limit + 1})
    assert create(ecs)


def test_the_quota_of_a_vpc_counts_its_own_addresses_only(ecs):
    eni_id = create(ecs)
    with_quota(ecs, vpc_private_ips=3)
    wanted = {"NetworkInterfaceId": eni_id, "SecondaryPrivateIpAddressCount": 1}

    assert ecs.refused("AssignPrivateIpAddresses", **wanted) == (
        400,
        "QuotaExceeded.PrivateIpAddress",
    )
    assert create(ecs, VSwitchId=FOREIGN_VSWITCH, SecurityGroupIds=[FOREIGN_GROUP])


@pytest.mark.parametrize(
    ("vswitch", "group", "verdict"),
    [
        (OTHER_ZONE, GROUP, (403, "InvalidOperation.AvailabilityZoneMismatch")),
        (FOREIGN_VSWITCH, FOREIGN_GROUP, (403, "InvalidOperation.VpcMismatch")),
    ],
)
def test_an_interface_of_elsewhere_is_not_attached(ecs, vswitch, group, verdict):
    eni_id = create(ecs, VSwitchId=vswitch, SecurityGroupIds=[group])

    assert (
        ecs.refused("AttachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1)
        == verdict
    )


@pytest.mark.parametrize(
    ("action", "changes", "verdict"),
    [
        ("AttachNetworkInterface", {"InstanceId": "i-no"}, (404, "InvalidEcsId.NotFound")),
        (
            "AttachNetworkInterface",
            {"NetworkInterfaceId": "eni-no"},
            (404, "InvalidEniId.NotFound"),
        ),
        ("AttachNetworkInterface", {"InstanceId": None}, (400, "MissingParameter")),
        (
            "AttachNetworkInterface",
            {"TrunkNetworkInstanceId": "eni-trunk"},
            (404, "InvalidEniId.NotFound"),
        ),
        (
            "DetachNetworkInterface",
            {"NetworkInterfaceId": "eni-no"},
            (404, "InvalidEniId.NotFound"),
        ),
        ("DetachNetworkInterface", {"InstanceId": "i-no"}, (404, "InvalidEcsId.NotFound")),
        (
            "DescribeNetworkInterfaceAttribute",
            {"NetworkInterfaceId": "eni-no"},
            (404, "InvalidEniId.NotFound"),
        ),
        ("DescribeNetworkInterfaceAttribute", {"Attribute": "x"}, (400, "InvalidParameter")),
        ("ModifyNetworkInterfaceAttribute", {}, (400, "MissingParameter")),
        (
            "ModifyNetworkInterfaceAttribute",
            {"SecurityGroupId": [FOREIGN_GROUP]},
            (403, "InvalidOperation.VpcMismatch"),
        ),
        ("AssignPrivateIpAddresses", {}, (400, "MissingParameter")),
        (
            "AssignPrivateIpAddresses",
            {"PrivateIpAddress": ["192.168.1.9", "192.168.1.9"]},
            (403, "InvalidIp.IpAssigned"),
        ),
        ("UnassignPrivateIpAddresses", {}, (400, "MissingParameter")),
        (
            "UnassignPrivateIpAddresses",
            {"PrivateIpAddress": ["192.168.1.99"]},
            (403, "InvalidIp.IpUnassigned"),
        ),
    ],
)
def test_calls_about_what_is_not_there_are_refused(ecs, action, changes, verdict):
    eni_id = create(ecs)
    values = {"NetworkInterfaceId": eni_id}
    if action in {"AttachNetworkInterface", "DetachNetworkInterface"}:
        values["InstanceId"] = NODE_1
    wanted = {name: value for name, value in (values | changes).items() if value is not None}

    assert ecs.refused(action, **wanted) == verdict


def test_nothing_but_attach_detach_and_delete_is_taken_in_passing_states(ecs):
    wanted = {"VSwitchId": VSWITCH, "SecurityGroupIds": [GROUP]}
    eni_id = ecs("CreateNetworkInterface", **wanted)["NetworkInterfaceId"]
    late = (400, "InvalidOperation.InvalidEniState")
    calls = [
        ("AttachNetworkInterface", {"InstanceId": NODE_1}),
        ("DeleteNetworkInterface", {}),
        ("AssignPrivateIpAddresses", {"SecondaryPrivateIpAddressCount": 1}),
        ("ModifyNetworkInterfaceAttribute", {"Description": "text"}),
    ]

    for action, values in calls:
        assert ecs.refused(action, NetworkInterfaceId=eni_id, **values) == late, action


def test_an_instance_that_starts_takes_no_interface(ecs):
    eni_id = create(ecs)
    ecs("StopInstance", InstanceId=NODE_2)

    assert ecs.refused("AttachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_2) == (
        400,
        "InvalidOperation.InvalidEcsState",
    )


def test_a_primary_interface_is_neither_detached_nor_deleted(ecs):
    eni_id = primary(ecs)

    assert ecs.refused("DetachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1) == (
        400,
        "InvalidOperation.DetachPrimaryEniNotAllowed",
    )
    assert ecs.refused("DeleteNetworkInterface", NetworkInterfaceId=eni_id) == (
        400,
        "InvalidOperation.InvalidEniState",
    )


def test_detaching_from_the_wrong_instance_is_refused(ecs):
    eni_id = attached(ecs)

    assert ecs.refused("DetachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_2) == (
        400,
        "InvalidOperation.InvalidEniState",
    )


def test_an_interface_with_more_addresses_than_the_type_allows_is_not_attached(ecs):
    eni_id = create(ecs, SecondaryPrivateIpAddressCount=6)

    assert ecs.refused("AttachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1) == (
        403,
        "InvalidOperation.Ipv4CountExceeded",
    )


def test_modify_changes_what_it_is_given_and_nothing_else(ecs):
    eni_id = create(ecs, NetworkInterfaceName="before", Description="as it was")

    ecs(
        "ModifyNetworkInterfaceAttribute",
        NetworkInterfaceId=eni_id,
        NetworkInterfaceName="after",
        SecurityGroupId=[GROUP, OTHER_GROUP, GROUP],
        SourceDestCheck=False,
    )

    row = ecs("DescribeNetworkInterfaceAttribute", NetworkInterfaceId=eni_id, Attribute="basic")
    assert row["NetworkInterfaceName"] == "after"
    assert row["Description"] == "as it was"
    assert row["SecurityGroupIds"] == {"SecurityGroupId": [GROUP, OTHER_GROUP]}
    assert (row["SourceDestCheck"], row["DeleteOnRelease"]) == (False, True)


def test_a_member_of_a_full_group_may_keep_it(ecs):
    eni_id = create(ecs)
    with_quota(ecs, security_group_enis=3)
    wanted = {"NetworkInterfaceId": eni_id, "SecurityGroupId": [GROUP, OTHER_GROUP]}

    assert ecs("ModifyNetworkInterfaceAttribute", **wanted) == {}


def test_security_groups_are_found_by_id_vpc_and_name(ecs):
    def found(**filters):
        rows = ecs("DescribeSecurityGroups", **filters)["SecurityGroups"]["SecurityGroup"]
        return [row["SecurityGroupId"] for row in rows]

    assert found() == [GROUP, OTHER_GROUP, FOREIGN_GROUP]
    assert found(SecurityGroupIds=f'["{GROUP}", "sg-no"]') == [GROUP]
    assert found(SecurityGroupId=OTHER_GROUP) == [OTHER_GROUP]
    assert found(VpcId="vpc-foreign") == [FOREIGN_GROUP]
    assert found(SecurityGroupName="sim") == [GROUP]
    assert found(Tag=[{"Key": "a"}]) == []


def test_interfaces_are_tagged_like_other_resources(ecs):
    eni_id = create(ecs)
    which = {"ResourceType": "eni", "ResourceId": [eni_id]}

    ecs("TagResources", **which, Tag=[{"Key": "owner", "Value": "me"}])

    (row,) = ecs("ListTagResources", **which)["TagResources"]["TagResource"]
    assert (row["ResourceId"], row["TagKey"], row["TagValue"]) == (eni_id, "owner", "me")
    ecs("UntagResources", **which, TagKey=["owner"])
    assert ecs("ListTagResources", **which)["TagResources"]["TagResource"] == []


def test_an_instance_tells_all_its_interfaces_the_primary_one_first(ecs):
    eni_id = attached(ecs, SecondaryPrivateIpAddressCount=1)

    (row,) = ecs("DescribeInstances", InstanceIds=f'["{NODE_1}"]')["Instances"]["Instance"]

    first, second = row["NetworkInterfaces"]["NetworkInterface"]
    assert (first["Type"], first["NetworkInterfaceId"]) == ("Primary", primary(ecs))
    assert (second["Type"], second["NetworkInterfaceId"]) == ("Secondary", eni_id)
    assert len(second["PrivateIpSets"]["PrivateIpSet"]) == 2

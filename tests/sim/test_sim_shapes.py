"""Every answer of the ECS side against the SDK's own response models: keys, completeness, types.

First with handlers called directly over one scenario, then with the real SDK client over HTTP
against a running simulator.
"""

import inspect
import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from alibabacloud_ecs20140526 import client, models
from alibabacloud_tea_openapi import exceptions, utils_models

from sim import actions
from tests.sim.sim_ecs_harness import NODE_1, NODE_2, Ecs, tags, world_of

VPC = "vpc-bp1sim000000000001"
SCALARS = {"str": str, "int": int, "bool": bool, "float": float}


class Recorder(Ecs):
    """Keeps every answer by action."""

    def __init__(self, state_dir: pathlib.Path) -> None:
        self.answers: dict[str, list[dict[str, Any]]] = {}
        super().__init__(
            state_dir,
            declared=world_of(security_groups=[{"security_group_id": "sg-2", "vpc_id": VPC}]),
        )

    def call(self, action, parameters):
        answer = {"RequestId": "R", **super().call(action, parameters)}
        self.answers.setdefault(action, []).append(answer)
        return answer


def run_every_action(ecs: Ecs) -> None:
    """At least one answer of each action with every list filled."""
    disk_id = ecs.attached_disk(
        DiskCategory="cloud_auto",
        Size=40,
        DiskName="pv-1",
        Tag=tags({"k": "v"}),
        ProvisionedIops=10,
    )
    with ecs.cloud.store.transaction():
        row = ecs.cloud.store.get("disk", disk_id)
        ecs.cloud.store.put("disk", disk_id, {**row, "operation_locks": ["financial"]})
        row = ecs.cloud.store.get("instance", NODE_1)
        locked = {**row, "tags": {"k": "v"}, "operation_locks": ["financial"]}
        ecs.cloud.store.put("instance", NODE_1, locked)
        event = {"instance_id": NODE_1, "reason": "why", "event_publish_time": "2026-01-01T00:00Z"}
        ecs.cloud.store.put("history_event", "e-1", event)
    snapshot_id = ecs.new_snapshot(disk_id, SnapshotName="snap", Tag=tags({"k": "v"}))
    copy_id = ecs.new_disk(SnapshotId=snapshot_id, Size=40)
    group_id = ecs("CreateSnapshotGroup", DiskId=[disk_id], Name="gr", Tag=tags({"k": "v"}))[
        "SnapshotGroupId"
    ]
    ecs.wait()
    ecs("ResizeDisk", DiskId=disk_id, NewSize=50, Type="online")
    task_id = ecs("ModifyDiskSpec", DiskId=disk_id, ProvisionedIops=20)["TaskId"]
    ecs.wait()
    ecs("ModifyDiskAttribute", DiskId=disk_id, BurstingEnabled=True)
    ecs.disk(disk_id)
    ecs.disk(copy_id)
    ecs.snapshot(snapshot_id)
    ecs("DescribeTasks", TaskIds=task_id)
    ecs("DescribeTaskAttribute", TaskId=task_id)
    member = ecs("DescribeSnapshotGroups", SnapshotGroupId=[group_id])["SnapshotGroups"]
    which = {"ResourceType": "snapshot"}
    (member_row,) = member["SnapshotGroup"][0]["Snapshots"]["Snapshot"]
    ecs("TagResources", **which, ResourceId=[member_row["SnapshotId"]], Tag=tags({"k": "v"}))
    ecs("DescribeSnapshotGroups")
    ecs("ListTagResources", **which, ResourceId=[snapshot_id])
    ecs("AddTags", ResourceType="disk", ResourceId=disk_id, Tag=tags({"x": "y"}))
    ecs("DescribeTags", ResourceType="disk")
    ecs("RemoveTags", ResourceType="disk", ResourceId=disk_id, Tag=tags({"x": "y"}))
    ecs("UntagResources", ResourceType="disk", ResourceId=[disk_id], TagKey=["k"])
    ecs("DescribeInstances", AdditionalAttributes=["META_OPTIONS"])
    ecs("DescribeInstanceTypes")
    ecs("DescribeInstanceHistoryEvents", ResourceId=[NODE_1])
    ecs("DescribeAvailableResource", DestinationResource="DataDisk")
    ecs("DescribeZones")
    ecs("DescribeRegions")
    for action in ("StopInstance", "StartInstance", "RebootInstance"):
        ecs(action, InstanceId=NODE_2)
        ecs.wait()
        ecs.wait()
    run_every_eni_action(ecs)
    ecs("DetachDisk", DiskId=disk_id, InstanceId=NODE_1)
    ecs.wait()
    ecs("DeleteDisk", DiskId=disk_id)
    ecs("DeleteSnapshotGroup", SnapshotGroupId=group_id)
    ecs("DeleteSnapshot", SnapshotId=snapshot_id, Force=True)
    ecs("DeleteInstance", InstanceId=NODE_2, Force=True)


def run_every_eni_action(ecs: Ecs) -> None:
    eni_id = ecs(
        "CreateNetworkInterface",
        VSwitchId="vsw-bp1sim000000000002",
        SecurityGroupIds=["sg-bp1sim000000000001"],
        SecondaryPrivateIpAddressCount=1,
        Ipv6AddressCount=1,
        Ipv4PrefixCount=1,
        Ipv6PrefixCount=1,
        Tag=[{"Key": "a", "Value": "1"}],
    )["NetworkInterfaceId"]
    ecs.wait()
    ecs("AttachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1)
    ecs.wait()
    assigned = ecs(
        "AssignPrivateIpAddresses", NetworkInterfaceId=eni_id, SecondaryPrivateIpAddressCount=2
    )["AssignedPrivateIpAddressesSet"]["PrivateIpSet"]["PrivateIpAddress"]
    six = ecs("AssignIpv6Addresses", NetworkInterfaceId=eni_id, Ipv6AddressCount=1)
    six |= ecs("AssignIpv6Addresses", NetworkInterfaceId=eni_id, Ipv6PrefixCount=1)
    ecs(
        "UnassignIpv6Addresses",
        NetworkInterfaceId=eni_id,
        Ipv6Prefix=six["Ipv6PrefixSets"]["Ipv6Prefix"],
    )
    ecs("AssignPrivateIpAddresses", NetworkInterfaceId=eni_id, Ipv4PrefixCount=1)
    run_every_rule_action(ecs)
    ecs("DescribeNetworkInterfaces", InstanceId=NODE_1)
    ecs("DescribeNetworkInterfaceAttribute", NetworkInterfaceId=eni_id, Attribute="basic")
    ecs("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=eni_id, SourceDestCheck=False)
    ecs("DescribeSecurityGroups", VpcId="vpc-bp1sim000000000001")
    ecs("DescribeInstances", InstanceIds=json.dumps([NODE_1]))
    ecs("UnassignPrivateIpAddresses", NetworkInterfaceId=eni_id, PrivateIpAddress=assigned)
    ecs("DetachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1)
    ecs.wait()
    ecs("DeleteNetworkInterface", NetworkInterfaceId=eni_id)


def run_every_rule_action(ecs: Ecs) -> None:
    which = {"SecurityGroupId": "sg-bp1sim000000000001"}
    rule = {"IpProtocol": "tcp", "PortRange": "80/80", "Description": "why"}
    into = [{**rule, "SourceCidrIp": "10.0.0.0/8"}, {**rule, "SourceGroupId": "sg-2"}]
    out = [{**rule, "Ipv6DestCidrIp": "fd00::/8"}]
    ecs("AuthorizeSecurityGroup", **which, Permissions=into)
    ecs("AuthorizeSecurityGroupEgress", **which, Permissions=out)
    ecs("DescribeSecurityGroupAttribute", **which)
    ecs("DescribeSecurityGroups")
    ecs("RevokeSecurityGroup", **which, Permissions=into)
    ecs("RevokeSecurityGroupEgress", **which, Permissions=out)


OF_STORAGE_CHANNELS = {"CreateVsc", "DescribeVscs", "DeleteVsc"}
"""Those of ECS that belong to CPFS: test_sim_nas.py."""
ACTIONS = sorted(
    {name.removeprefix("ecs:") for name in actions.names() if name.startswith("ecs:")}
    - OF_STORAGE_CHANNELS
)


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> Iterator[dict[str, list[dict[str, Any]]]]:
    ecs = Recorder(tmp_path_factory.mktemp("shapes"))
    run_every_action(ecs)
    yield ecs.answers
    ecs.cloud.close()


@pytest.mark.parametrize("action", ACTIONS)
def test_the_sdk_model_keeps_every_key_of_the_answer(answers, action):
    model = getattr(models, f"{action}ResponseBody")

    for answer in answers[action]:
        assert model().from_map(answer).to_map() == answer


@pytest.mark.parametrize("action", ACTIONS)
def test_the_answer_has_every_key_of_the_sdk_model_in_its_type(answers, action):
    model = getattr(models, f"{action}ResponseBody")

    faults = [
        fault
        for answer in answers[action]
        for fault in describe_faults(model().from_map(answer), action)
    ]

    assert faults == []


def describe_faults(value: Any, where: str) -> Iterator[str]:
    """Missing fields and wrong scalar types, recursively."""
    for name, parameter in inspect.signature(type(value).__init__).parameters.items():
        if name != "self":
            yield from field_faults(
                getattr(value, name), str(parameter.annotation), f"{where}.{name}"
            )


def field_faults(field: Any, kind: str, path: str) -> Iterator[str]:
    """kind: the annotation as the SDK writes it, `str` or `List[…]` or a model's name."""
    wanted = SCALARS.get(kind.removeprefix("<class '").removesuffix("'>"))
    if field is None:
        yield f"{path} is missing"
    elif wanted is not None and type(field) is not wanted:
        yield f"{path} is {type(field).__name__}, not {wanted.__name__}"
    for n, item in enumerate(field if isinstance(field, list) else [field]):
        if hasattr(item, "to_map"):
            yield from describe_faults(item, f"{path}[{n}]")


def test_a_missing_and_a_mistyped_field_would_be_noticed():
    body = {"TotalCount": "1", "TaskSet": {"Task": [{"TaskId": "t"}]}}

    faults = list(describe_faults(models.DescribeTasksResponseBody().from_map(body), "T"))

    assert "T.total_count is str, not int" in faults
    assert "T.page_size is missing" in faults
    assert "T.task_set[0].task[0].task_status is missing" in faults


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    """A running simulator without latencies; its address."""
    state_dir = tmp_path_factory.mktemp("server")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "sim", "serve", "--listen", "127.0.0.1:0"),
            *("--state-dir", str(state_dir), "--time-scale", "0", "--log-level", "warning"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=pathlib.Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready.startswith("cloudsim ready http://"), ready
        yield ready.split("http://")[1].strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


class Sdk(Ecs):
    """The same calls through the real SDK client."""

    def __init__(self, address: str) -> None:  # no cloud of its own
        self.used: set[str] = set()
        self._client = client.Client(
            utils_models.Config(
                endpoint=address,
                protocol="http",
                region_id="cn-hangzhou",
                access_key_id="LTAIsimulated",
                access_key_secret="simulated-secret",
            )
        )

    def call(self, action, parameters):
        self.used.add(action)
        given = {name: value for name, value in parameters.items() if value is not None}
        request = getattr(models, f"{action}Request")().from_map(
            {"RegionId": "cn-hangzhou", **given}
        )
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in action).lstrip("_")
        body = getattr(self._client, snake)(request).body
        assert type(body).__name__ == f"{action}ResponseBody"
        assert body.request_id
        return json.loads(json.dumps(body.to_map()))

    def wait(self, seconds: float = 10.0) -> None:
        """Latencies are 0: the next call settles what is due."""


def test_the_real_sdk_drives_a_disk_through_its_life(server, monkeypatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    ecs = Sdk(server)

    disk_id = ecs.attached_disk(
        DiskCategory="cloud_auto", Size=40, Encrypted=True, Tag=tags({"csi/pv": "pv 1"})
    )
    assert ecs.disk(disk_id)["Attachments"]["Attachment"][0]["InstanceId"] == NODE_1
    assert ecs.disk_ids(Tag=tags({"csi/pv": "pv 1"}), PageSize=None, MaxResults=100) == [disk_id]
    snapshot_id = ecs.new_snapshot(disk_id, RetentionDays=3)
    assert ecs.snapshot(snapshot_id)["SourceDiskSize"] == "40"
    restored = ecs.new_disk(SnapshotId=snapshot_id, Size=41, ClientToken="t-1")
    assert ecs.new_disk(SnapshotId=snapshot_id, Size=41, ClientToken="t-1") == restored
    ecs("ResizeDisk", DiskId=disk_id, NewSize=50, Type="online")
    task_id = ecs("ModifyDiskSpec", DiskId=disk_id, ProvisionedIops=100)["TaskId"]
    (task,) = ecs("DescribeTasks", TaskIds=task_id)["TaskSet"]["Task"]
    assert task["TaskStatus"] == "Finished"
    group_id = ecs("CreateSnapshotGroup", DiskId=[disk_id], Name="group")["SnapshotGroupId"]
    (group,) = ecs("DescribeSnapshotGroups", SnapshotGroupId=[group_id])["SnapshotGroups"][
        "SnapshotGroup"
    ]
    assert group["Status"] == "accomplished"
    ecs("DeleteSnapshotGroup", SnapshotGroupId=group_id)
    ecs("DeleteSnapshot", SnapshotId=snapshot_id, Force=True)
    ecs("DetachDisk", DiskId=disk_id, InstanceId=NODE_1)
    ecs("DeleteDisk", DiskId=disk_id)
    ecs("DeleteDisk", DiskId=restored)
    assert ecs.disk_ids() == []


def test_the_real_sdk_gets_code_and_status_of_a_refusal(server, monkeypatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    with pytest.raises(exceptions.ClientException) as caught:
        Sdk(server)("DeleteDisk", DiskId="d-none")

    assert (caught.value.code, caught.value.status_code) == ("InvalidDiskId.NotFound", 404)


def test_every_registered_action_is_in_the_sdk():
    assert [name for name in ACTIONS if not hasattr(models, f"{name}Request")] == []

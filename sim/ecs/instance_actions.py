"""DescribeInstances, DescribeInstanceTypes, StartInstance, StopInstance, RebootInstance."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from sim import actions, errors, paging
from sim import cloud as cloud_module
from sim import params as params_module
from sim.ecs import (
    disks,
    eni_model,
    enis,
    hands,
    instance_release,
    instance_view,
    instances,
    lists,
    names,
)
from sim.ecs.disk_model import AttachmentState
from sim.ecs.instances import Instance

VERSION = "2014-05-26"
_MAX_IDS = 100
_MAX_TYPES = 10
_MAX_TYPE_RESULTS = 1600
"""Also the default."""
_POWER_S = 0.2
"""Simulated seconds of Stopping and Starting; the world has no latency for them."""

_FILTERS: Mapping[str, Callable[[Instance], str]] = {
    "InstanceName": lambda row: row.declared.name,
    "InstanceType": lambda row: row.declared.instance_type_id,
    "InstanceTypeFamily": lambda row: row.type.family,
    "Status": lambda row: row.state.status,
    "ZoneId": lambda row: row.declared.zone_id,
    "VSwitchId": lambda row: row.declared.vswitch_id,
    "ImageId": lambda row: row.declared.image_id,
    "InstanceChargeType": lambda _: "PostPaid",
    "InstanceNetworkType": lambda _: "vpc",
    "HttpTokens": lambda row: row.declared.http_tokens,
    "ResourceGroupId": lambda _: "",
    "KeyPairName": lambda _: "",
}


@actions.action(VERSION, "DescribeInstances")
def describe_instances(call: actions.Call) -> dict[str, Any]:
    """Instances that pass all filters; unknown ids are absent from the answer."""
    cloud, params = call.cloud, call.params
    lists.refuse_dry_run(params)
    ids = lists.id_filter(params, "InstanceIds", maximum=_MAX_IDS)
    rows = [instances.join(cloud.world, row) for row in cloud.view.all(instances.KIND)]
    found = [
        row
        for row in rows
        if row is not None
        and (ids is None or row.instance_id in ids)
        and _passes(cloud, params, row)
    ]
    page = paging.either(params, found, lambda row: row.instance_id, clamps=True)
    shown = [
        instance_view.to_api(cloud.world, row, _plugged(cloud, row.instance_id))
        for row in page.items
    ]
    return {**page.fields, "Instances": {"Instance": shown}}


def _plugged(cloud: cloud_module.Cloud, instance_id: str) -> list[eni_model.Eni]:
    """Interfaces as DescribeInstances tells them: InUse and Detaching."""
    rows = cloud.view.by(eni_model.KIND, "instance_id", instance_id)
    found = enis.primary_first(eni_model.Eni.from_row(row) for row in rows)
    return [eni for eni in found if eni.status in eni_model.PLUGGED]


def _passes(cloud: cloud_module.Cloud, params: params_module.Params, row: Instance) -> bool:
    vswitch = cloud.world.vswitch(row.declared.vswitch_id)
    addresses = lists.id_filter(params, "PrivateIpAddresses", maximum=_MAX_IDS)
    vpc_id, group_id = params.text("VpcId"), params.text("SecurityGroupId")
    return (
        all(value(row) == params.text(name) for name, value in _FILTERS.items() if name in params)
        and names.match(row.state.tags, names.parse_filter(params.structs("Tag")))
        and (not vpc_id or (vswitch is not None and vswitch.vpc_id == vpc_id))
        and (not group_id or group_id in row.declared.security_group_ids)
        and (addresses is None or row.declared.private_ip in addresses)
        and lists.created_in(params, row.state.creation_time)
    )


@actions.action(VERSION, "DescribeInstanceTypes")
def describe_instance_types(call: actions.Call) -> dict[str, Any]:
    """Instance types by id, family, and the numeric bounds a driver may ask for."""
    params = call.params
    wanted = params.strings("InstanceTypes")
    if len(wanted) > _MAX_TYPES:
        raise errors.invalid_parameter(
            "InstanceTypes.N", f"{len(wanted)} types", f"up to {_MAX_TYPES}"
        )
    families = [*params.strings("InstanceTypeFamilies")]
    if "InstanceTypeFamily" in params:
        families.append(params.text("InstanceTypeFamily"))
    least_disks = params.integer("MinimumDiskQuantity", 0) or 0
    least_cores = params.integer("MinimumCpuCoreCount", 0) or 0
    nvme = params.text("NvmeSupport")
    found = [
        kind
        for kind in call.cloud.world.instance_types
        if (not wanted or kind.instance_type_id in wanted)
        and (not families or kind.family in families)
        and kind.disk_quantity >= least_disks
        and kind.cpu_cores >= least_cores
        and nvme in ("", kind.nvme)
    ]
    least = 1 if "MaxResults" in params else _MAX_TYPE_RESULTS
    page = paging.by_token(
        params,
        found,
        lambda kind: kind.instance_type_id,
        maximum=_MAX_TYPE_RESULTS,
        minimum=least,
    )
    rows = [instance_view.type_to_api(kind) for kind in page.items]
    return {**page.fields, "InstanceTypes": {"InstanceType": rows}}


@actions.action(VERSION, "StartInstance")
def start_instance(call: actions.Call) -> dict[str, Any]:
    """Stopped → Starting → Running."""
    instance = _power(call, expected=instances.STOPPED)
    _begin(call, instance, "Starting")
    return {}


@actions.action(VERSION, "StopInstance")
def stop_instance(call: actions.Call) -> dict[str, Any]:
    """Running → Stopping → Stopped."""
    instance = _power(call, expected=instances.RUNNING)
    _begin(call, instance, "Stopping")
    return {}


@actions.action(VERSION, "RebootInstance")
def reboot_instance(call: actions.Call) -> dict[str, Any]:
    """Running → Stopping → Starting → Running; offline resizes are seen afterwards."""
    instance = _power(call, expected=instances.RUNNING)
    _begin(call, instance, "Stopping", reboot=True)
    return {}


def _power(call: actions.Call, *, expected: str) -> Instance:
    instance_id = call.params.required("InstanceId")
    instance = instances.require(call.cloud, instance_id)
    if "security" in instance.state.operation_locks:
        instances.require_running_or_stopped(call.cloud, instance_id)
    if instance.state.status != expected:
        raise instances.incorrect_status(instance, expected)
    return instance


def _begin(call: actions.Call, instance: Instance, status: str, *, reboot: bool = False) -> None:
    due_s = call.cloud.clock.now_s() + _POWER_S
    instances.put(
        call.cloud,
        dataclasses.replace(instance.state, status=status, due_s=due_s, reboot=reboot),
    )


@actions.settler
def settle(cloud: cloud_module.Cloud, now_s: float) -> float | None:
    """End starts and stops that are due."""
    next_due_s: float | None = None
    for row in cloud.store.all(instances.KIND):
        due_s = row["due_s"]
        if due_s is not None and due_s <= now_s:
            due_s = _settle_power(cloud, instances.InstanceState.from_row(row), now_s)
        if due_s is not None and (next_due_s is None or due_s < next_due_s):
            next_due_s = due_s
    return next_due_s


def _settle_power(
    cloud: cloud_module.Cloud, state: instances.InstanceState, now_s: float
) -> float | None:
    if state.releasing:
        return instance_release.settle(cloud, state, now_s)
    if state.status == "Stopping" and state.reboot:
        state = dataclasses.replace(state, status="Starting", due_s=now_s + _POWER_S)
    elif state.status == "Stopping":
        state = dataclasses.replace(state, status=instances.STOPPED, due_s=None, start_time="")
    else:
        at = cloud.clock.timestamp(now_s)
        state = dataclasses.replace(
            state, status=instances.RUNNING, due_s=None, start_time=at, reboot=False
        )
        _show_new_sizes(cloud, state.instance_id)
    instances.put(cloud, state)
    return state.due_s


def _show_new_sizes(cloud: cloud_module.Cloud, instance_id: str) -> None:
    """A booted instance sees what offline resizes have done."""
    for disk in disks.on_instance(cloud, instance_id):
        attachment = disk.on(instance_id)
        if not disk.stale_size or attachment is None:
            continue
        if attachment.state is AttachmentState.ATTACHED and _refresh(cloud, disk.disk_id):
            disks.put(cloud, dataclasses.replace(disk, stale_size=False))


def _refresh(cloud: cloud_module.Cloud, disk_id: str) -> bool:
    return hands.settle(cloud, lambda hardware: hardware.refresh(disk_id))

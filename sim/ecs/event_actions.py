"""DescribeInstanceHistoryEvents: system events, which only tests put there."""

from collections.abc import Mapping
from typing import Any

from sim import actions, clock, paging
from sim import cloud as cloud_module
from sim.ecs import behaviour

VERSION = "2014-05-26"
KIND = "history_event"

_ATTRIBUTES = (
    *("CanAccept", "Code", "Device", "DiskId", "HostId", "HostType", "InitialNotBefore"),
    *("MetricName", "MetricValue", "OnlineRepairPolicy", "PunishDomain", "PunishType"),
    *("PunishUrl", "Rack", "ResponseResult"),
)


@actions.action(VERSION, "DescribeInstanceHistoryEvents")
def describe_instance_history_events(call: actions.Call) -> dict[str, Any]:
    """System events of instances, newest first.

    Injected as rows of kind "history_event" or in the setting "ecs": instance_id, reason, and
    optionally event_id, event_type, event_cycle_status, event_publish_time (API time text).
    """
    params = call.params
    resource_ids = params.strings("ResourceId") or [
        item for item in [params.text("InstanceId")] if item
    ]
    statuses = params.strings("InstanceEventCycleStatus") or [
        item for item in [params.text("EventCycleStatus")] if item
    ]
    types = params.strings("InstanceEventType") or [
        item for item in [params.text("EventType")] if item
    ]
    event_ids = params.strings("EventId")
    since_s = clock.parse(params.text("EventPublishTime.Start"))
    until_s = clock.parse(params.text("EventPublishTime.End"))
    found = [
        event
        for event in (_event(row_id, row) for row_id, row in _event_rows(call.cloud))
        if (not resource_ids or event["InstanceId"] in resource_ids)
        and (not statuses or event["EventCycleStatus"]["Name"] in statuses)
        and (not types or event["EventType"]["Name"] in types)
        and (not event_ids or event["EventId"] in event_ids)
        and params.text("ResourceType", "instance") == "instance"
        and _published_between(event["EventPublishTime"], since_s, until_s)
    ]
    page = paging.either(params, found[::-1], lambda event: str(event["EventId"]), clamps=True)
    return {**page.fields, "InstanceSystemEventSet": {"InstanceSystemEventType": page.items}}


def _event_rows(cloud: cloud_module.Cloud) -> list[tuple[str, Mapping[str, Any]]]:
    """Events with their row ids; injected events are not subject to eventual consistency."""
    switched = behaviour.of(cloud).history_events
    return [
        *cloud.store.items(KIND),
        *((f"e-setting{n}", row) for n, row in enumerate(switched, start=1)),
    ]


def _event(row_id: str, row: Mapping[str, Any]) -> dict[str, Any]:
    status = row.get("event_cycle_status", "Executed")
    kind = row.get("event_type", "InstanceFailure.Reboot")
    at = row.get("event_publish_time", "")
    return {
        "EventId": row.get("event_id", row_id),
        "InstanceId": row["instance_id"],
        "ResourceType": "instance",
        "EventType": {"Code": 0, "Name": kind},
        "EventCycleStatus": {"Code": 0, "Name": status},
        "EventPublishTime": at,
        "EventFinishTime": at,
        "NotBefore": at,
        "Reason": row["reason"],
        "ReasonCode": "",
        "ImpactLevel": "",
        "ExtendedAttribute": {
            **dict.fromkeys(_ATTRIBUTES, ""),
            "InactiveDisks": {"InactiveDisk": []},
            "MigrationOptions": {"MigrationOption": []},
        },
    }


def _published_between(at: str, since_s: float | None, until_s: float | None) -> bool:
    """Events without a time pass every window."""
    at_s = clock.parse(at)
    if at_s is None:
        return True
    return (since_s is None or at_s >= since_s) and (until_s is None or at_s <= until_s)

"""Which RAM resources a request is about. Pure; the verdict is policy.py's."""

import re

from sim import params

# Parameter → resource type. Lists (`.N`) and JSON arrays are looked up under the same names.
_BY_PARAMETER = {
    "DiskId": "disk",
    "DiskIds": "disk",
    "SnapshotId": "snapshot",
    "SnapshotIds": "snapshot",
    "SnapshotGroupId": "snapshotgroup",
    "InstanceId": "instance",
    "InstanceIds": "instance",
    "NetworkInterfaceId": "eni",
    "VSwitchId": "vswitch",
}
_BY_ACTION = (
    ("SnapshotGroup", "snapshotgroup"),
    ("Snapshot", "snapshot"),
    ("Disk", "disk"),
    ("NetworkInterface", "eni"),
    ("Instances", "instance"),
    ("InstanceHistory", "instance"),
)
_INDEX = re.compile(r"\.[1-9][0-9]*$")


def of(
    *, product: str, action: str, request: params.Params, region_id: str, account_id: str
) -> list[str]:
    """ARNs the request needs permission for, at least one.

    A request that names no resource is about all of the kind its action is named after
    (`acs:ecs:cn-hangzhou:1234567890123456:disk/*`), or about `*`.
    """
    if product == "sts":
        return [request.text("RoleArn", "*")]
    prefix = f"acs:{product}:{region_id}:{account_id}:"
    names = _named(request)
    if not names:
        kind = next((kind for word, kind in _BY_ACTION if word in action), "")
        names = [f"{kind}/*" if kind else "*"]
    elif action == "CreateDisk":
        names.append("disk/*")
    return [prefix + name for name in dict.fromkeys(names)]


def _named(request: params.Params) -> list[str]:
    found: list[str] = []
    tagged = request.text("ResourceType")
    for name in request:
        base = _INDEX.sub("", name)
        kind = tagged if base == "ResourceId" else _BY_PARAMETER.get(base, "")
        if not kind or not request.text(name):
            continue
        if base in {"DiskIds", "SnapshotIds", "InstanceIds"} and base == name:
            ids = request.json_strings(name) or []
        else:
            ids = [request.text(name)]
        found.extend(f"{kind}/{row}" for row in ids)
    return found

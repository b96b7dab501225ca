"""ContainerNetworkFileSystem objects, which name a file system or a bucket for many volumes. Pure.

The storage operator of the cluster makes them (storage.alibabacloud.com/v1beta1); they are only
read here. Source: spec/csi-driver.md 3.6.
"""

import dataclasses
import enum
from typing import Any, TypeVar

from core import errors
from kube import api


class Strategy(enum.StrEnum):
    """When another object's file system is mounted instead."""

    NEVER = ""
    ALWAYS = "Always"
    IF_CONNECT_FAILED = "IfConnectFailed"
    IF_UNHEALTHY = "IfMountTargetUnhealthy"


class UseClient(enum.StrEnum):
    """Which client mounts it."""

    NFS = "NFSClient"
    EFC = "EFCClient"
    NATIVE = "NativeClient"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cnfs:
    """What `status` tells; "" = nothing.

    kind: nas, cpfs or oss. file_system_type: standard, extreme, cpfs.
    protocol_server: of a protocol service of CPFS. fallback: name of another object.
    """

    name: str
    kind: str
    status: str
    region_id: str
    zone_id: str
    vpc_id: str
    vswitch_id: str
    file_system_id: str
    file_system_type: str
    server: str
    protocol_server: str
    bucket: str
    internal_endpoint: str
    external_endpoint: str
    access_group: str
    use_client: UseClient
    fallback: str
    strategy: Strategy

    @property
    def is_unavailable(self) -> bool:
        """Whether the operator says that its mount target cannot be used."""
        return self.status == "Unavailable"


E = TypeVar("E", bound=enum.StrEnum)


def parse(found: api.Object) -> Cnfs:
    """Raises Precondition for an object that makes no sense, naming what does not."""
    name = str((found.get("metadata") or {}).get("name") or "")
    spec, status = found.get("spec") or {}, found.get("status") or {}
    told = status.get("fsAttributes") or {}
    endpoint, fallback = told.get("endPoint") or {}, spec.get("fallback") or {}
    elastic = _text(told, "useElasticAccelerationClient").lower() == "true"
    default = UseClient.EFC if elastic else UseClient.NFS
    strategy = _choice(name, "spec.fallback.strategy", _text(fallback, "strategy"), Strategy)
    return Cnfs(
        name=name,
        kind=_text(spec, "type"),
        status=_text(status, "status"),
        region_id=_text(told, "regionId"),
        zone_id=_text(told, "zoneId"),
        vpc_id=_text(told, "vpcId"),
        vswitch_id=_text(told, "vSwitchId"),
        file_system_id=_text(told, "filesystemId"),
        file_system_type=_text(told, "filesystemType").lower(),
        server=_text(told, "server"),
        protocol_server=_text(told, "protocolServer"),
        bucket=_text(told, "bucketName"),
        internal_endpoint=_text(endpoint, "internal"),
        external_endpoint=_text(endpoint, "extranet"),
        access_group=_text(told, "accessGroupName"),
        use_client=_choice(
            name,
            "status.fsAttributes.useClient",
            _text(told, "useClient") or default.value,
            UseClient,
        ),
        fallback=_text(fallback, "name") if strategy else "",
        strategy=strategy,
    )


async def read(kubernetes: api.Api, name: str) -> Cnfs | None:
    """Object *name*, None when there is none. Raises what `api.Api.read` and `parse` raise."""
    found = await kubernetes.read(api.Kind.CNFS, name)
    return None if found is None else parse(found)


def _text(told: Any, key: str) -> str:
    value = told.get(key)
    return "" if value is None else str(value)


def _choice(name: str, field: str, text: str, kind: type[E]) -> E:
    try:
        return kind(text)
    except ValueError as e:
        allowed = ", ".join(each for each in kind if each)
        raise errors.Precondition(
            f"ContainerNetworkFileSystem {name}: {field} {text!r} is not known; known: {allowed}"
        ) from e

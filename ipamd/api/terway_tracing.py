"""`rpc.TerwayTracing`: the stock `terway-cli` works against this daemon.

Source: spec/terway.md 2.2. It knows one resource, `network_service` / `default`, as Terway does.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from core import errors
from ipamd._pb import terway_pb2, terway_pb2_grpc
from ipamd.api import views
from ipamd.attachments import leases
from ipamd.pool import pool

_TYPE, _NAME = "network_service", "default"


class TerwayTracing(terway_pb2_grpc.TerwayTracingServicer):
    """config: what `GetResourceConfig` shows."""

    def __init__(
        self, addresses: pool.Pool, held: leases.Leases, config: Mapping[str, str]
    ) -> None:
        self._pool = addresses
        self._leases = held
        self._config = dict(config)

    async def GetResourceTypes(self, request: Any, context: Any) -> Any:
        return terway_pb2.ResourcesTypesReply(TypeNames=[_TYPE])

    async def GetResources(self, request: Any, context: Any) -> Any:
        _require(request.Name, _NAME)
        return terway_pb2.ResourcesReply(ResourceNames=[_NAME])

    async def GetResourceConfig(self, request: Any, context: Any) -> Any:
        _require(request.Type, request.Name)
        return terway_pb2.ResourceConfigReply(Config=_entries(self._config))

    async def GetResourceTrace(self, request: Any, context: Any) -> Any:
        _require(request.Type, request.Name)
        trace = {"pending_pods_count": str(self._pool.waiting)}
        for lease in self._leases.values():
            key = f"pods/{lease.pod.namespace}/{lease.pod.name}/resources"
            trace[key] = f"(eniIp) {lease.eni_id} {lease.ipv4}"
        return terway_pb2.ResourceTraceReply(Trace=_entries(trace))

    async def ResourceExecute(self, request: Any, context: Any) -> AsyncIterator[Any]:
        _require(request.Type, request.Name)
        if request.Command not in ("mapping", "resdb"):
            raise errors.InvalidField(
                "Command", "is not known", value=request.Command, allowed="mapping, resdb"
            )
        if request.Command == "mapping":
            for eni in views.pool_view(self._pool, self._leases)["enis"]:
                for line in _lines(eni):
                    yield terway_pb2.ResourceExecuteReply(Message=f"{eni['eni_id']} {line}\n")
        else:
            for view in views.attachment_views(self._leases):
                text = f"{view['pod_namespace']}/{view['pod_name']} {view['ipv4']}\n"
                yield terway_pb2.ResourceExecuteReply(Message=text)

    async def GetResourceMapping(self, request: Any, context: Any) -> Any:
        view = views.pool_view(self._pool, self._leases)
        macs = {eni["eni_id"]: eni["mac"] for eni in view["enis"]}
        return terway_pb2.ResourceMappingReply(
            info=[
                terway_pb2.ResourceMapping(
                    NetworkInterfaceID=eni["eni_id"],
                    MAC=eni["mac"],
                    Type="secondary",
                    AllocInhibitExpireAt=view["growth_blocked"],
                    Status=eni["state"],
                    Info=_lines(eni),
                )
                for eni in view["enis"]
            ],
            resource_db=[
                terway_pb2.ResourceDBEntry(
                    pod_name=lease.pod.name,
                    pod_namespace=lease.pod.namespace,
                    eni_id=lease.eni_id,
                    eni_mac=macs.get(lease.eni_id, ""),
                    ipv4=str(lease.ipv4),
                    type="eniIp",
                )
                for lease in self._leases.values()
            ],
        )


def _lines(eni: Mapping[str, Any]) -> list[str]:
    return [f"{each['ip']} {each['state']} {each['pod']}".strip() for each in eni["addresses"]]


def _entries(values: Mapping[str, str]) -> list[Any]:
    return [terway_pb2.MapKeyValueEntry(Key=k, Value=v) for k, v in values.items()]


def _require(type_: str, name: str) -> None:
    if (type_, name) != (_TYPE, _NAME):
        raise errors.NotFound(f"there is no resource {type_}/{name}; there is {_TYPE}/{_NAME}")

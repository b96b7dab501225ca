"""`rpc.TerwayBackend`: the stock CNI executable works against this daemon and wires the pod itself.

Source: spec/terway.md 2. Its pods are leases like ours, under the network of that executable, whose
interfaces this daemon does not touch.
"""

from typing import Any

from core import errors
from ipamd import events, model, readiness
from ipamd._pb import terway_pb2, terway_pb2_grpc
from ipamd.attachments import attachments, leases
from ipamd.cni import cni_config
from ipamd.pool import pool

NETWORK = ".terway-rpc"
"""No network configuration can have this name."""
_DEFAULT_IFNAME = "eth0"


class TerwayBackend(terway_pb2_grpc.TerwayBackendServicer):
    """service_cidr: of the cluster, told to the executable."""

    def __init__(
        self,
        addresses: pool.Pool,
        served: attachments.Attachments,
        held: leases.Leases,
        ready: readiness.Readiness,
        tell: events.Events,
        *,
        service_cidr: str,
    ) -> None:
        self._pool = addresses
        self._attachments = served
        self._leases = held
        self._ready = ready
        self._tell = tell
        self._service_cidr = service_cidr

    async def AllocIP(self, request: Any, context: Any) -> Any:
        self._ready.require_serving()
        asked = _asked(request, request.IfName or _DEFAULT_IFNAME)
        lease = await self._attachments.lease_only(asked)
        return terway_pb2.AllocIPReply(
            Success=True,
            IPType=terway_pb2.TypeENIMultiIP,
            IPv4=True,
            NetConfs=[self._net_conf(lease)],
        )

    async def ReleaseIP(self, request: Any, context: Any) -> Any:
        self._ready.require_recovered()
        for key in self._keys(request.K8sPodInfraContainerId):
            await self._attachments.end(key)
        return terway_pb2.ReleaseIPReply(Success=True, IPv4=True)

    async def GetIPInfo(self, request: Any, context: Any) -> Any:
        self._ready.require_recovered()
        return terway_pb2.GetInfoReply(
            Success=True,
            IPType=terway_pb2.TypeENIMultiIP,
            IPv4=True,
            NetConfs=[
                self._net_conf(self._leases[key])
                for key in self._keys(request.K8sPodInfraContainerId)
            ],
        )

    async def RecordEvent(self, request: Any, context: Any) -> Any:
        try:
            reason = events.Reason(request.Reason)
        except ValueError:
            return terway_pb2.EventReply(Succeed=False, Error=f"unknown reason {request.Reason!r}")
        warning = request.EventType == terway_pb2.EventTypeWarning
        if request.EventTarget == terway_pb2.EventTargetPod:
            pod = model.Pod(namespace=request.K8sPodNamespace, name=request.K8sPodName)
            self._tell.pod(pod, reason, request.Message, warning=warning)
        else:
            self._tell.node(reason, request.Message, warning=warning)
        return terway_pb2.EventReply(Succeed=True)

    def _keys(self, container_id: str) -> list[model.AttachmentKey]:
        return [
            key
            for key in self._leases
            if key.network == NETWORK and key.container_id == container_id
        ]

    def _net_conf(self, lease: model.Lease) -> Any:
        eni = self._pool.state.enis.get(lease.eni_id)
        if eni is None:
            raise errors.Unavailable(f"interface {lease.eni_id} of {lease.ipv4} is not here")
        gateway = terway_pb2.IPSet(IPv4=str(eni.gateway))
        return terway_pb2.NetConf(
            BasicInfo=terway_pb2.BasicInfo(
                PodIP=terway_pb2.IPSet(IPv4=str(lease.ipv4)),
                PodCIDR=terway_pb2.IPSet(IPv4=str(eni.cidr_block or f"{lease.ipv4}/32")),
                GatewayIP=gateway,
                ServiceCIDR=terway_pb2.IPSet(IPv4=self._service_cidr.partition(",")[0]),
            ),
            ENIInfo=terway_pb2.ENIInfo(MAC=eni.mac, GatewayIP=gateway),
            Pod=terway_pb2.Pod(
                Ingress=lease.bandwidth.ingress_bytes_per_s,
                Egress=lease.bandwidth.egress_bytes_per_s,
            ),
            IfName=lease.key.ifname,
            DefaultRoute=True,
        )


def _asked(request: Any, ifname: str) -> cni_config.Attachment:
    if not request.K8sPodInfraContainerId:
        raise errors.InvalidField("K8sPodInfraContainerId", "is missing")
    return cni_config.Attachment(
        key=model.AttachmentKey(
            network=NETWORK, container_id=request.K8sPodInfraContainerId, ifname=ifname
        ),
        netns_path=None,
        pod=model.Pod(namespace=request.K8sPodNamespace, name=request.K8sPodName),
    )

"""Calls of `terway-cli`, with plain data for answers."""

from typing import Any, Self

import grpc

from ipamd._pb import ipamd_pb2, ipamd_pb2_grpc, terway_pb2, terway_pb2_grpc

SOCKET = "/var/run/eni/eni.socket"


class Client:
    """A connection to ipamd. Raises grpc.RpcError."""

    def __init__(self, socket: str, timeout_s: float) -> None:
        self._channel = grpc.insecure_channel(f"unix:{socket}")
        self._timeout_s = timeout_s
        self._own = ipamd_pb2_grpc.IntrospectionStub(self._channel)
        self._tracing = terway_pb2_grpc.TerwayTracingStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def pool(self) -> list[dict[str, Any]]:
        """One row for each address, and one for an interface without any."""
        reply = self._own.GetPool(ipamd_pb2.GetPoolRequest(), timeout=self._timeout_s)
        rows = []
        for eni in reply.enis:
            about = {
                "eni": eni.eni_id,
                "mac": eni.mac,
                "ifname": eni.ifname,
                "eni_state": eni.state,
            }
            none = [ipamd_pb2.Address()]
            rows += [
                {
                    **about,
                    "ip": address.ip,
                    "state": address.state,
                    "age_s": round(address.state_age_s),
                    "pod": address.pod,
                }
                for address in list(eni.addresses) or none
            ]
        return rows

    def attachments(self) -> list[dict[str, Any]]:
        """One row for each pod interface."""
        reply = self._own.ListAttachments(
            ipamd_pb2.ListAttachmentsRequest(), timeout=self._timeout_s
        )
        return [
            {
                "pod": f"{each.pod_namespace}/{each.pod_name}" if each.pod_name else "",
                "ip": each.ipv4,
                "ifname": each.ifname,
                "host_ifname": each.host_ifname,
                "eni": each.eni_id,
                "age_s": round(each.age_s),
                "container": each.container_id,
            }
            for each in reply.attachments
        ]

    def diagnose(self, namespace: str, name: str) -> list[dict[str, Any]]:
        """What was looked at and what was found."""
        reply = self._own.Diagnose(
            ipamd_pb2.DiagnoseRequest(pod_namespace=namespace, pod_name=name),
            timeout=self._timeout_s,
        )
        return [
            {
                "severity": ipamd_pb2.Finding.Severity.Name(each.severity),
                "subject": each.subject,
                "message": each.message,
                "advice": each.advice,
            }
            for each in reply.findings
        ]

    def resources(self, kind: str) -> list[dict[str, Any]]:
        """Names of the resources of a kind, as Terway's tool lists them."""
        reply = self._tracing.GetResources(
            terway_pb2.ResourceTypeRequest(Name=kind), timeout=self._timeout_s
        )
        return [{"name": name} for name in reply.ResourceNames]

    def resource(self, kind: str, name: str) -> list[dict[str, Any]]:
        """Configuration and trace of one resource."""
        request = terway_pb2.ResourceTypeNameRequest(Type=kind, Name=name)
        config = self._tracing.GetResourceConfig(request, timeout=self._timeout_s)
        trace = self._tracing.GetResourceTrace(request, timeout=self._timeout_s)
        return [
            *({"part": "config", "key": e.Key, "value": e.Value} for e in config.Config),
            *({"part": "trace", "key": e.Key, "value": e.Value} for e in trace.Trace),
        ]

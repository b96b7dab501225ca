"""The gRPC service `ipamd.v1.Introspection`, for `terway-cli`."""

from typing import Any

from ipamd._pb import ipamd_pb2, ipamd_pb2_grpc
from ipamd.api import diagnose, views
from ipamd.attachments import leases
from ipamd.pool import pool


class IntrospectionService(ipamd_pb2_grpc.IntrospectionServicer):
    """Shows what the daemon holds; changes nothing."""

    def __init__(
        self, addresses: pool.Pool, held: leases.Leases, diagnosis: diagnose.Diagnosis
    ) -> None:
        self._pool = addresses
        self._leases = held
        self._diagnosis = diagnosis

    async def GetPool(self, request: Any, context: Any) -> Any:
        return ipamd_pb2.GetPoolReply(**views.pool_view(self._pool, self._leases))

    async def ListAttachments(self, request: Any, context: Any) -> Any:
        return ipamd_pb2.ListAttachmentsReply(
            attachments=[
                ipamd_pb2.Attachment(**view)
                for view in views.attachment_views(
                    self._leases, namespace=request.pod_namespace, name=request.pod_name
                )
            ]
        )

    async def Diagnose(self, request: Any, context: Any) -> Any:
        if request.pod_name:
            findings = await self._diagnosis.pod(request.pod_namespace, request.pod_name)
        else:
            findings = await self._diagnosis.node()
        return ipamd_pb2.DiagnoseReply(
            findings=[
                ipamd_pb2.Finding(
                    severity=ipamd_pb2.Finding.Severity.Name(each.severity),
                    subject=each.subject,
                    message=each.message,
                    advice=each.advice,
                )
                for each in findings
            ]
        )

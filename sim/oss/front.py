"""One OSS request from HTTP to its answer.

Order: parse → signature and credentials → operation → faults before the effect → bucket and
permission → the body → the operation in one transaction → faults after the effect.
"""

import base64
import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import structlog
from aiohttp import web

from sim import calllog, faults, identity, service
from sim import cloud as cloud_module
from sim import errors as api_errors
from sim.oss import authenticate, blobs, bodies, calls, errors, model, wire

log = structlog.get_logger()

_UNKNOWN = "(unknown oss)"
_LONGEST_NAME = 64
_NOT_MODIFIED = 304


@dataclasses.dataclass(slots=True, kw_only=True)
class _Trace:
    """What is known of a request so far; becomes its entry in the call log."""

    sequence: int
    began_s: float
    request_id: str
    parameters: Mapping[str, str]
    action: str = _UNKNOWN
    access_key_id: str = ""
    status: int = 0
    code: str = "OK"
    effect: bool = False
    fault: str = ""


class Front:
    """Object storage of one cloud. Shares fault rules and the call log with the API front."""

    def __init__(
        self, cloud: cloud_module.Cloud, fault_rules: faults.Faults, call_log: calllog.CallLog
    ) -> None:
        self._cloud = cloud
        self._faults = fault_rules
        self._calls = call_log
        self._rows = model.Rows(cloud.store)
        self._blobs = blobs.of(cloud.state_dir)
        gone = self._blobs.sweep(self._rows.blobs(), unfinished=True)
        if gone:
            log.info("removed bytes of unfinished uploads", files=gone)

    def describe(self) -> dict[str, Any]:
        """What is there: per bucket its objects, bytes and uploads."""
        about = {}
        for bucket in self._rows.buckets():
            objects = self._rows.objects(bucket.name)
            about[bucket.name] = {
                "region_id": bucket.region_id,
                "acl": bucket.acl,
                "objects": len(objects),
                "size_bytes": sum(row["size_bytes"] for row in objects),
                "uploads": len(self._rows.uploads(bucket.name)),
            }
        return {"buckets": about}

    async def serve(self, http: web.Request, target: str) -> web.StreamResponse:
        """Answer *http*. target: its path and query as they were sent."""
        trace = _Trace(
            sequence=0,
            began_s=time.monotonic(),
            request_id=self._cloud.ids.secret(24).upper(),
            parameters={},
        )
        try:
            return await self._answer(http, target, trace)
        except errors.OssError as e:
            return self._refuse(http, trace, e)
        except api_errors.ApiError as e:
            return self._refuse(http, trace, errors.OssError(e.code, e.http_status, e.message))
        except faults.HtmlAnswer as e:
            trace.code, trace.status = f"HTTP{e.http_status}", e.http_status
            page = service.html_answer(e)
            return web.Response(
                status=page.status,
                body=page.body,
                headers={**page.headers, "Content-Type": page.content_type},
            )
        except (faults.DropConnection, ConnectionError):
            trace.code = "ConnectionClosed"
            if http.transport is not None:
                http.transport.close()
            return web.Response(status=500)
        except Exception:
            log.exception("unhandled error", action=trace.action, request_id=trace.request_id)
            failed = errors.OssError(
                "InternalError", 500, "We encountered an internal error. Please try again."
            )
            return self._refuse(http, trace, failed)
        finally:
            self._ended(trace)

    async def _answer(self, http: web.Request, target: str, trace: _Trace) -> web.StreamResponse:
        headers = [(k.decode(), v.decode("utf-8", "surrogateescape")) for k, v in http.raw_headers]
        ask = wire.parse(method=http.method, target=target, headers=headers)
        operation = self._arrived(ask, trace)
        await self._fault(operation, trace, after_effect=False)
        caller = authenticate.authenticate(self._cloud, ask)
        trace.access_key_id = caller.access_key_id[:_LONGEST_NAME]
        if isinstance(operation, errors.OssError):
            raise operation
        self._admit(ask, operation, caller.principal)
        call = calls.Call(
            cloud=self._cloud,
            blobs=self._blobs,
            rows=self._rows,
            ask=ask,
            principal=caller.principal,
            now_s=self._cloud.clock.now_s(),
        )
        try:
            await bodies.read(http, operation, call, caller.seal)
            answer = self._perform(operation, call)
        except BaseException:
            if call.written is not None:
                call.written.discard()
            for blob in call.made:
                self._blobs.remove(blob)
            raise
        trace.effect = operation.changes
        return await self._send(http, operation, answer, trace)

    def _arrived(self, ask: wire.OssRequest, trace: _Trace) -> calls.Operation | errors.OssError:
        """The operation, or why there is none, which only who is known gets told."""
        trace.parameters = {
            "Method": ask.method,
            "Bucket": ask.bucket,
            "Key": ask.key,
            **calllog.redact(ask.values),
        }
        found: calls.Operation | errors.OssError
        try:
            found = calls.find(ask)
            trace.action = found.name
        except errors.OssError as e:
            found = e
        trace.sequence = self._calls.arrived(trace.action, trace.began_s)
        return found

    async def _fault(
        self, operation: calls.Operation | errors.OssError, trace: _Trace, *, after_effect: bool
    ) -> None:
        if isinstance(operation, errors.OssError):
            return
        outcome = await self._faults.apply(
            operation.name, trace.parameters, after_effect=after_effect
        )
        if outcome is not None:
            trace.fault = outcome.fault_id
            if outcome.end is not None:
                raise outcome.end

    def _admit(
        self, ask: wire.OssRequest, operation: calls.Operation, principal: identity.Principal
    ) -> None:
        """Raise OssError unless the bucket is here and the caller may."""
        if operation.name == "PutBucket":
            calls.require(principal, operation.ram, bucket=self._rows.bucket(ask.bucket))
            return
        if operation.level is calls.Level.SERVICE:
            calls.require(principal, operation.ram, bucket=None)
            return
        bucket = calls.find_bucket(self._rows, self._cloud, ask.bucket)
        if operation.name == "DeleteMultipleObjects":
            return  # each key's permission is checked for itself
        calls.require(
            principal,
            operation.ram,
            bucket=bucket,
            key=ask.key,
            found=self._rows.object(bucket.name, ask.key) if ask.key else None,
            access=operation.access,
        )

    def _perform(self, operation: calls.Operation, call: calls.Call) -> calls.Answer:
        with self._cloud.store.transaction(news=False):
            answer = operation.handler(call)
        for blob in call.unused:
            self._blobs.remove(blob)
        return answer

    async def _send(
        self,
        http: web.Request,
        operation: calls.Operation,
        answer: calls.Answer,
        trace: _Trace,
    ) -> web.StreamResponse:
        body = answer.body
        # Opened before anything waits: another request may remove the object meanwhile.
        file = self._blobs.open(body.blob) if isinstance(body, calls.Slice) else None
        try:
            await self._fault(operation, trace, after_effect=True)
            trace.status = answer.status
            headers = {**_identified(trace.request_id), **answer.headers}
            if answer.status != _NOT_MODIFIED and (body or http.method == "HEAD"):
                headers["Content-Type"] = answer.content_type
            if file is None or not isinstance(body, calls.Slice):
                return web.Response(
                    status=answer.status,
                    headers=headers,
                    body=body if isinstance(body, bytes) and body else None,
                )
            response = web.StreamResponse(status=answer.status, headers=headers)
            response.content_length = body.length
            await response.prepare(http)
            file.seek(body.start)
            left = body.length
            while left and (chunk := file.read(min(left, blobs.CHUNK_BYTES))):
                await response.write(chunk)
                left -= len(chunk)
            await response.write_eof()
            return response
        finally:
            if file is not None:
                file.close()

    def _refuse(self, http: web.Request, trace: _Trace, e: errors.OssError) -> web.Response:
        trace.code, trace.status = e.code, e.http_status
        body = e.body(request_id=trace.request_id, host=http.host)
        headers = {**_identified(trace.request_id), "Content-Type": "application/xml"}
        if e.ec:
            headers["x-oss-ec"] = e.ec
        if http.method == "HEAD":
            headers["x-oss-err"] = base64.b64encode(body).decode()
            return web.Response(status=e.http_status, headers=headers)
        return web.Response(status=e.http_status, headers=headers, body=body)

    def _ended(self, trace: _Trace) -> None:
        if trace.sequence == 0:
            trace.sequence = self._calls.arrived(trace.action, trace.began_s)
        entry = calllog.Entry(
            sequence=trace.sequence,
            at_s=self._cloud.clock.now_s(),
            elapsed_s=round(time.monotonic() - trace.began_s, 6),
            action=trace.action,
            version="oss",
            access_key_id=trace.access_key_id,
            parameters=trace.parameters,
            request_id=trace.request_id,
            http_status=trace.status,
            code=trace.code,
            effect=trace.effect,
            replayed=False,
            fault=trace.fault,
        )
        self._calls.add(entry)
        log.debug("call", action=entry.action, code=entry.code, request_id=entry.request_id)


def _identified(request_id: str) -> dict[str, str]:
    return {
        "Server": "AliyunOSS",
        "x-oss-request-id": request_id,
        "x-amz-request-id": request_id,
    }

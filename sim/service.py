"""One API request from the wire to its answer, without any HTTP.

Order: parse → faults before the effect → signature and credentials → action known → region →
throttle → permission → ClientToken → the action in one transaction → faults after the effect.
"""

import dataclasses
import json
import time
from collections.abc import Mapping
from typing import Any

import structlog

from sim import (
    actions,
    calllog,
    errors,
    faults,
    idempotency,
    identity,
    nonces,
    params,
    request,
    resources,
    signature,
    throttle,
)
from sim import cloud as cloud_module

log = structlog.get_logger()

_JSON = "application/json;charset=utf-8"
_UNKNOWN = "(unknown)"
_LONGEST_NAME = 64


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back to the client."""

    status: int
    content_type: str
    headers: Mapping[str, str]
    body: bytes


@dataclasses.dataclass(slots=True, kw_only=True)
class _Trace:
    """What is known about a request so far; becomes its entry in the call log."""

    sequence: int
    at_s: float
    began_s: float
    request_id: str
    product: str
    code: str = "OK"
    status: int = 0
    access_key_id: str = ""
    effect: bool = False
    replayed: bool = False
    fault: str = ""
    token_key: str = ""


class Service:
    """The API front of one cloud, and everything the control API may look at or change."""

    def __init__(self, cloud: cloud_module.Cloud) -> None:
        self.cloud = cloud
        self.faults = faults.Faults()
        self.calls = calllog.CallLog()
        self.throttler = throttle.Throttler()
        self._tokens = idempotency.Tokens(cloud.store, cloud.clock)
        self._nonces = nonces.Nonces(cloud.store)

    async def answer(self, ask: request.ApiRequest) -> Answer:
        """The answer to *ask*; raises faults.DropConnection when there is to be none."""
        known = actions.find(ask.version, ask.action)
        trace = self._arrived(known, ask)
        try:
            body = await self._process(known, ask, trace)
            return self._reply(trace, 200, body)
        except errors.ApiError as e:
            return self._refuse(trace, e)
        except faults.HtmlAnswer as e:
            trace.code, trace.status = f"HTTP{e.http_status}", e.http_status
            return html_answer(e)
        except faults.DropConnection:
            trace.code = "ConnectionClosed"
            raise
        except Exception:
            log.exception("unhandled error", action=ask.action, request_id=trace.request_id)
            failed = errors.ApiError("InternalError", 500, "The request processing has failed.")
            return self._refuse(trace, failed)
        finally:
            self._tokens.end(trace.token_key)
            self._ended(ask, trace)

    def _arrived(self, known: actions.Action | None, ask: request.ApiRequest) -> _Trace:
        began_s = time.monotonic()
        return _Trace(
            sequence=self.calls.arrived(known.name if known else _UNKNOWN, began_s),
            at_s=self.cloud.clock.now_s(),
            began_s=began_s,
            request_id=self.cloud.ids.request_id(),
            product=known.product if known else actions.PRODUCTS.get(ask.version, "ecs"),
        )

    async def _process(
        self, known: actions.Action | None, ask: request.ApiRequest, trace: _Trace
    ) -> dict[str, Any]:
        if known is not None and known.idempotent:
            trace.token_key = self._tokens.begin(known.name, ask.values)
        await self._fault(ask, trace, after_effect=False)
        principal = self._authenticate(known, ask, trace)
        if known is None:
            raise _unknown_action(ask)
        if known.idempotent:
            idempotency.require_valid(ask.values)
        call = self._admit(known, ask, trace, principal)
        body = self._perform(known, call, trace)
        # From here on a repetition is answered from the store, even while this answer is held.
        self._tokens.end(trace.token_key)
        trace.token_key = ""
        await self._fault(ask, trace, after_effect=True)
        return body

    async def _fault(self, ask: request.ApiRequest, trace: _Trace, *, after_effect: bool) -> None:
        outcome = await self.faults.apply(ask.action, ask.values, after_effect=after_effect)
        if outcome is not None:
            trace.fault = outcome.fault_id
            if outcome.end is not None:
                raise outcome.end

    def _authenticate(
        self, known: actions.Action | None, ask: request.ApiRequest, trace: _Trace
    ) -> identity.Principal:
        claim = signature.read(ask)
        if claim is None:
            if known is not None and known.anonymous:
                return identity.anonymous(self.cloud.world)
            raise errors.ApiError(
                "IncompleteSignature",
                400,
                "The request signature does not conform to Aliyun standards: it is not signed.",
            )
        trace.access_key_id = claim.access_key_id[:_LONGEST_NAME]
        key = identity.find_key(self.cloud, claim.access_key_id)
        signature.verify(
            claim, key.secret, now_s=self.cloud.clock.signing_s(), use_nonce=self._nonces.use
        )
        identity.check_security_token(key, claim.security_token, self.cloud.clock.now_s())
        return key.principal

    def _admit(
        self,
        known: actions.Action,
        ask: request.ApiRequest,
        trace: _Trace,
        principal: identity.Principal,
    ) -> actions.Call:
        """Region, throttle and permission; the call that the action gets to see."""
        world = self.cloud.world
        values = params.Params(ask.values)
        region_id = values.text("RegionId", world.region_id)
        if region_id != world.region_id:
            raise errors.ApiError(
                "InvalidRegionId.NotFound",
                404,
                f"The specified RegionId does not exist: {region_id} (this cloud has "
                f"{world.region_id}).",
            )
        self.throttler.take(world.throttle, known.name, region_id, self.cloud.clock.now_s())
        wanted = resources.of(
            product=known.product,
            action=known.name,
            request=values,
            region_id=region_id,
            account_id=world.account_id,
        )
        identity.require_permission(
            principal, product=known.product, action=known.name, resources=wanted
        )
        return actions.Call(
            params=values,
            cloud=self.cloud,
            principal=principal,
            region_id=region_id,
            request_id=trace.request_id,
        )

    def _perform(self, known: actions.Action, call: actions.Call, trace: _Trace) -> dict[str, Any]:
        self.cloud.settle()
        values = call.params.raw()
        with self.cloud.store.transaction():
            if trace.token_key:
                earlier = self._tokens.recall(trace.token_key, values)
                if earlier is not None:
                    trace.replayed = True
                    return earlier
            body = known.handler(call)
            if trace.token_key:
                self._tokens.store(trace.token_key, values, body)
        trace.effect = True
        return body

    def _refuse(self, trace: _Trace, e: errors.ApiError) -> Answer:
        trace.code = e.code
        host_id = f"{trace.product}.{self.cloud.world.region_id}.aliyuncs.com"
        body = e.body(request_id=trace.request_id, host_id=host_id)
        return self._reply(trace, e.http_status, body, e.headers)

    def _reply(
        self,
        trace: _Trace,
        status: int,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        trace.status = status
        whole = {"RequestId": trace.request_id, **body}
        return Answer(
            status=status,
            content_type=_JSON,
            headers={"x-acs-request-id": trace.request_id, **(headers or {})},
            body=json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode(),
        )

    def _ended(self, ask: request.ApiRequest, trace: _Trace) -> None:
        known = actions.find(ask.version, ask.action)
        entry = calllog.Entry(
            sequence=trace.sequence,
            at_s=trace.at_s,
            elapsed_s=round(time.monotonic() - trace.began_s, 6),
            action=known.name if known else _UNKNOWN,
            version=ask.version[:_LONGEST_NAME],
            access_key_id=trace.access_key_id,
            parameters=calllog.redact(ask.values),
            request_id=trace.request_id,
            http_status=trace.status,
            code=trace.code,
            effect=trace.effect,
            replayed=trace.replayed,
            fault=trace.fault,
        )
        self.calls.add(entry)
        log.debug(
            "call",
            action=entry.action,
            code=entry.code,
            status=entry.http_status,
            request_id=entry.request_id,
            elapsed_s=entry.elapsed_s,
        )


def html_answer(e: faults.HtmlAnswer) -> Answer:
    """The page of a load balancer whose servers are away."""
    return Answer(
        status=e.http_status,
        content_type="text/html;charset=utf-8",
        headers=e.headers,
        body=f"<html><body><h1>{e.http_status} Service Unavailable</h1></body></html>".encode(),
    )


def _unknown_action(ask: request.ApiRequest) -> errors.ApiError:
    if not ask.action:
        return errors.missing_parameter("Action")
    return errors.ApiError(
        "InvalidAction.NotFound",
        404,
        f"Specified api is not found, please check your url and method: {ask.action[:64]} of "
        f"version {ask.version[:64] or '(none)'}.",
    )

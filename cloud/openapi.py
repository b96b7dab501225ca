"""The one seam over the Alibaba Cloud SDKs.

Sync SDK clients in a bounded executor: the async ones open a connection and a TLS context per call
(measured, spec/cloud-api.md 1.4). The SDK is imported at the first call, in the executor, so that a
process that never calls the cloud never loads it. `Any` is allowed here and nowhere else: the SDKs
have no types.
"""

import dataclasses
import importlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from cloud import credentials, throttle
from cloud import errors as cloud_errors
from cloud import settings as cloud_settings
from core import call, clock, errors, executor, metrics, version

log = structlog.get_logger()

_THREADS = 8
_MS = 1000
_MIN_READ_TIMEOUT_S = 0.2
_USER_AGENT = f"Kubernetes.Alicloud/CsiProvision.Disk-{version.VERSION}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Where the SDK of one product is. module: its package; name: for endpoints and metrics."""

    name: str
    module: str


ECS = Product(name="ecs", module="alibabacloud_ecs20140526")
STS = Product(name="sts", module="alibabacloud_sts20150401")

Region = Callable[[], str]


class OpenApi:
    """Calls actions: throttle gate, executor, error mapping, metrics, log.

    region: gives the region id; called in an executor thread, may block.
    """

    def __init__(
        self,
        settings: cloud_settings.CloudSettings,
        registry: metrics.Metrics,
        time_: clock.Clock,
        *,
        region: Region,
    ) -> None:
        self._settings = settings
        self._region = region
        self._pool = executor.BoundedExecutor("openapi", _THREADS)
        self._throttle = throttle.Throttle(time_)
        self._clients: dict[str, Any] = {}
        self._chain: credentials.CredentialChain | None = None
        self._requests = registry.counter(
            "alibaba_cloud_api_requests_total",
            "calls of the Alibaba Cloud OpenAPI",
            ("product", "action", "code"),
        )
        self._duration = registry.histogram(
            "alibaba_cloud_api_request_duration_seconds",
            "duration of OpenAPI calls",
            ("product", "action"),
        )

    async def call(self, product: Product, action: str, parameters: Mapping[str, Any]) -> Any:
        """Body of the answer to *action*, as the SDK's response model.

        parameters: OpenAPI names → values; None is left out; lists of mappings become structs.
        RegionId is added where the action has it and none is given.
        Raises CloudError subclasses.
        """

        async def attempt() -> Any:
            timeout_s = max(
                _MIN_READ_TIMEOUT_S,
                min(self._settings.read_timeout_s, call.remaining_s(self._settings.read_timeout_s)),
            )
            return await self._pool.run(self._call, product, action, parameters, timeout_s)

        call.doing(f"calling {action}")
        return await self._throttle.gate(f"{product.name}:{action}").run(attempt)

    async def region_id(self) -> str:
        """The region of this client."""
        return await self._pool.run(self._region)

    def close(self) -> None:
        """Take no more calls."""
        self._pool.close()

    def _call(
        self, product: Product, action: str, parameters: Mapping[str, Any], timeout_s: float
    ) -> Any:
        """One attempt, in a thread."""
        started_s = time.monotonic()
        code, request_id = "OK", ""
        try:
            body = self._send(product, action, parameters, timeout_s)
            request_id = body.request_id or ""
        except cloud_errors.CloudError as e:
            code, request_id = e.code, e.request_id
            raise
        except errors.Error as e:
            code = type(e).__name__
            raise
        else:
            return body
        finally:
            elapsed_s = time.monotonic() - started_s
            self._requests.inc(product.name, action, code)
            self._duration.observe(elapsed_s, product.name, action)
            log.debug(
                "cloud called",
                action=action,
                code=code,
                request_id=request_id,
                elapsed_s=round(elapsed_s, 4),
            )

    def _send(
        self, product: Product, action: str, parameters: Mapping[str, Any], timeout_s: float
    ) -> Any:
        client = self._client(product)
        models = importlib.import_module(f"{product.module}.models")
        runtime_models = importlib.import_module("darabonba.runtime")
        request_class = getattr(models, f"{action}Request", None)
        runtime = runtime_models.RuntimeOptions(read_timeout=int(timeout_s * _MS))
        method = getattr(client, f"{_snake(action)}_with_options")
        try:
            if request_class is None:
                response = method(runtime)
            else:
                response = method(self._request(request_class, parameters), runtime)
        except errors.Error:
            raise
        except Exception as e:
            raise _translate(action, e) from e
        if response.body is None:
            raise cloud_errors.CloudUnavailable(
                action=action, code="BadAnswer", status=0, message="the answer was not understood"
            )
        return response.body

    def _request(self, request_class: Any, parameters: Mapping[str, Any]) -> Any:
        request = request_class()
        wanted = {k: v for k, v in parameters.items() if v is not None}
        if hasattr(request, "region_id"):
            wanted.setdefault("RegionId", self._region())
        request.from_map(wanted)
        return request

    def _client(self, product: Product) -> Any:
        client = self._clients.get(product.name)
        if client is None:
            client = self._clients[product.name] = self._make_client(product)
        return client

    def _make_client(self, product: Product) -> Any:
        # The SDK sends loopback traffic through a proxy too and knows no NO_PROXY; we use neither.
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            os.environ.pop(name, None)
        sdk = importlib.import_module(f"{product.module}.client")
        models = importlib.import_module("alibabacloud_tea_openapi.models")
        region_id = self._region()
        if self._chain is None:
            self._chain = credentials.make_chain(self._settings, region_id)
        config = models.Config(
            credential=self._chain,
            endpoint=self._settings.endpoint(product.name, region_id),
            protocol=self._settings.scheme,
            region_id=region_id,
            connect_timeout=int(self._settings.connect_timeout_s * _MS),
            read_timeout=int(self._settings.read_timeout_s * _MS),
            user_agent=_USER_AGENT,
            max_idle_conns=_THREADS,
        )
        if product is ECS and self._settings.ecs_headers:
            config.global_parameters = models.GlobalParameters(
                headers=dict(self._settings.ecs_headers)
            )
        return sdk.Client(config)


def _translate(action: str, error: Exception) -> errors.Error:
    """Our error for what the SDK raised. Source: spec/cloud-api.md 4.1."""
    inner = getattr(error, "inner_exception", None)
    if inner is not None and not getattr(error, "code", None):
        if isinstance(inner, errors.Error):
            return inner
        error = inner
    code = getattr(error, "code", None)
    status = getattr(error, "status_code", None) or getattr(error, "statusCode", None)
    if not code or status is None:
        # No answer, or one that is no JSON: time-out, refused, reset, a proxy's page.
        return cloud_errors.CloudUnavailable(
            action=action, code="NoAnswer", status=0, message=f"{type(error).__name__}: {error}"
        )
    data = getattr(error, "data", None) or {}
    made = cloud_errors.make(
        action=action,
        code=str(code),
        status=int(status),
        message=str(data.get("Message") or getattr(error, "message", "")),
        request_id=str(data.get("RequestId") or getattr(error, "request_id", "") or ""),
    )
    retry_after_ms = getattr(error, "retry_after", None)
    if isinstance(made, cloud_errors.Throttled) and retry_after_ms:
        made.retry_after_s = float(retry_after_ms) / _MS
    return made


def _snake(action: str) -> str:
    """Name of the SDK's method for *action*."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in action).lstrip("_")

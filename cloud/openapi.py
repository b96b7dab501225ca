"""The one seam over the Alibaba Cloud SDKs.

Sync SDK clients in a bounded executor: the async ones open a connection and a TLS context per call
(measured, spec/cloud-api.md 1.4). The SDK is imported at the first call, in the executor, so that a
process that never calls the cloud never loads it. `Any` is allowed here and where answers are read,
and nowhere else: the SDKs have no types. What SDK errors become is in `cloud.sdk_errors`.
"""

import dataclasses
import functools
import importlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from cloud import credentials, lazy_models, proxies, sdk_errors, sync_sdk, throttle
from cloud import errors as cloud_errors
from cloud import settings as cloud_settings
from core import call, clock, errors, executor, metrics, version

log = structlog.get_logger()

_THREADS = 8
_MS = 1000
_MIN_CALL_S = 0.2
"""With less time left no call is started: its effect would come without its answer."""
_READS = ("Describe", "List", "Get")
_USER_AGENT = f"Kubernetes.Alicloud/CsiProvision.Disk-{version.VERSION}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Where the SDK of one product is. module: its package; name: for endpoints and metrics."""

    name: str
    module: str


ECS = Product(name="ecs", module="alibabacloud_ecs20140526")
STS = Product(name="sts", module="alibabacloud_sts20150401")
VPC = Product(name="vpc", module="alibabacloud_vpc20160428")
NAS = Product(name="nas", module="alibabacloud_nas20170626")
EFLO = Product(name="eflo-controller", module="alibabacloud_eflo_controller20221215")

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
        # As many calls as threads: nothing queues in the pool, where a caller that gave up could
        # not take its call back.
        self._throttle = throttle.Throttle(time_, max_calls=_THREADS)
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()
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
        Nothing but throttled calls is repeated. Raises CloudError subclasses; Unauthenticated
        without credentials; DeadlineExceeded when the caller's time is up before the call.
        """

        async def attempt() -> Any:
            call.doing(f"calling {action}")
            return await self._pool.run(self._call, product, action, parameters)

        return await self._throttle.gate(f"{product.name}:{action}").run(attempt)

    async def region_id(self) -> str:
        """The region of this client."""
        return await self._pool.run(self._region)

    def credential(self) -> credentials.Credentials:
        """Who we are, for what is no OpenAPI. Blocking. Raises like the chain."""
        with self._making:
            chain = self._credential_chain()
        return chain.get_credential()

    def close(self) -> None:
        """Take no more calls."""
        self._pool.close()

    def _credential_chain(self) -> credentials.CredentialChain:
        """The chain of this process; the callers hold the lock."""
        if self._chain is None:
            self._chain = credentials.make_chain(self._settings, self._region())
        return self._chain

    def _call(self, product: Product, action: str, parameters: Mapping[str, Any]) -> Any:
        """One attempt, in a thread."""
        started_s = time.monotonic()
        code, request_id = "OK", ""
        try:
            body = self._send(product, action, parameters)
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
            # What changes something is worth a line at any time: its request id is what the cloud's
            # support and its audit trail (ActionTrail) know it by.
            tell = log.debug if action.startswith(_READS) else log.info
            tell(
                "cloud called",
                action=action,
                code=code,
                request_id=request_id,
                elapsed_s=round(elapsed_s, 4),
            )

    def _send(self, product: Product, action: str, parameters: Mapping[str, Any]) -> Any:
        client = self._client(product)
        models = importlib.import_module(f"{product.module}.models")
        request_class = _request_class(models, action)
        arguments = [self._request(request_class, parameters)] if request_class else []
        method = getattr(client, _method_name(product.module, action))
        runtime = self._runtime(action)
        try:
            response = method(*arguments, runtime)
        except Exception as e:  # noqa: BLE001  # the SDK raises bare ones
            raised = sdk_errors.translate(action, self._endpoint(product), e)
            # The SDK's own text of such a fault holds what was signed.
            secret = isinstance(raised, cloud_errors.CloudUnauthenticated)
            raise raised from (None if secret else e)
        if response.body is None:
            raise cloud_errors.CloudUnavailable(
                action=action, code="BadAnswer", status=0, message="the answer was not understood"
            )
        return response.body

    def _runtime(self, action: str) -> Any:
        """Time-outs of one call: the settings', but no longer than its caller has."""
        remaining_s = call.remaining_s(self._settings.read_timeout_s)
        if remaining_s < _MIN_CALL_S:
            raise errors.DeadlineExceeded(f"time is up before {action} was called; retry")
        return importlib.import_module("darabonba.runtime").RuntimeOptions(
            connect_timeout=int(min(self._settings.connect_timeout_s, remaining_s) * _MS),
            read_timeout=int(min(self._settings.read_timeout_s, remaining_s) * _MS),
        )

    def _request(self, request_class: Any, parameters: Mapping[str, Any]) -> Any:
        request = request_class()
        wanted = {k: v for k, v in parameters.items() if v is not None}
        if hasattr(request, "region_id"):
            wanted.setdefault("RegionId", self._region())
        request.from_map(wanted)
        return request

    def _client(self, product: Product) -> Any:
        with self._making:
            client = self._clients.get(product.name)
            if client is None:
                client = self._clients[product.name] = self._make_client(product)
            return client

    def _make_client(self, product: Product) -> Any:
        sync_sdk.load()
        lazy_models.install(product.module)
        sdk = importlib.import_module(f"{product.module}.client")
        sync_sdk.drop_async(sdk.Client)
        models = importlib.import_module("alibabacloud_tea_openapi.models")
        region_id = self._region()
        endpoint = self._settings.endpoint(product.name, region_id)
        chain = self._credential_chain()
        proxy = proxies.take_over().for_host(endpoint)
        config = models.Config(
            credential=chain,
            endpoint=endpoint,
            protocol=self._settings.scheme_of(product.name),
            region_id=region_id,
            connect_timeout=int(self._settings.connect_timeout_s * _MS),
            read_timeout=int(self._settings.read_timeout_s * _MS),
            user_agent=_USER_AGENT,
            max_idle_conns=_THREADS,
            http_proxy=proxy.http or None,
            https_proxy=proxy.https or None,
        )
        headers = self._settings.headers(product.name)
        if headers:
            config.global_parameters = models.GlobalParameters(headers=dict(headers))
        return sdk.Client(config)

    def _endpoint(self, product: Product) -> str:
        return self._settings.endpoint(product.name, self._region())


def _request_class(models: Any, action: str) -> Any:
    """The SDK's class for the input of *action*, None for an action without input."""
    return getattr(models, f"{action}Request", None)


@functools.cache
def _method_name(module: str, action: str) -> str:
    """Name of the SDK's method for *action*.

    Where the generator puts underscores follows no rule one could rely on: DescribeVSwitches is
    `describe_vswitches`, AssignIpv6Addresses `assign_ipv_6addresses`.
    """
    wanted = f"{action.lower()}withoptions"
    names: list[str] = list(vars(importlib.import_module(f"{module}.client").Client))
    for name in names:
        if name.replace("_", "") == wanted:
            return name
    raise errors.Internal(f"{module} has no action {action}")

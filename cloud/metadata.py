"""Who and where this process is: region, zone, instance, account.

Providers are asked in a fixed order; the first that knows a key wins. Source: spec/csi-driver.md
1.7. The Kubernetes Node object is one more provider, put between IMDS and the OpenAPI by whoever
has a Kubernetes client.
"""

import contextlib
import enum
import json
import pathlib
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Protocol

import structlog

from cloud import ecs_model
from cloud import imds as cloud_imds
from cloud import settings as cloud_settings
from core import call, clock, errors, executor

log = structlog.get_logger()

LINGJUN_CONFIG = pathlib.Path("/host/etc/eflo_config/lingjun_config")
_FAILURE_MEMORY_S = 5.0
"""A provider that failed is not asked again for this long: one slow answer is enough."""


class Key(enum.StrEnum):
    """What can be asked for."""

    REGION_ID = "region_id"
    ZONE_ID = "zone_id"
    INSTANCE_ID = "instance_id"
    INSTANCE_TYPE = "instance_type"
    ACCOUNT_ID = "account_id"
    CLUSTER_ID = "cluster_id"
    RAM_ROLE_NAME = "ram_role_name"
    RRSA_TOKEN_FILE = "rrsa_token_file"  # noqa: S105  # a file's name
    LINGJUN_NODE = "lingjun_node"
    LINGJUN_HPN_ZONE = "lingjun_hpn_zone"
    VSC_ENABLED = "vsc_enabled"


_BY_INSTANCE_ID = (Key.ZONE_ID, Key.INSTANCE_TYPE, Key.LINGJUN_NODE, Key.LINGJUN_HPN_ZONE)
"""What a source may find by the instance's id."""


class MetadataProvider(Protocol):
    """One source of metadata. keys: what it may know; it is not asked for others."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def keys(self) -> Container[Key]:
        """What it may know."""
        ...

    async def read(self, key: Key, known: Mapping[Key, str]) -> str | None:
        """Value of *key*, None when this source does not have it. *known*: found so far."""
        ...


class UnknownMetadata(errors.Precondition):
    """No provider knows a key."""

    def __init__(self, key: Key, reasons: Sequence[str]) -> None:
        told = "; ".join(reasons) or "no source is configured"
        super().__init__(f"{key} of this machine is unknown: {told}")
        self.key = key


class Metadata:
    """Asks *providers* in order, remembers answers for good and failures for some seconds."""

    def __init__(self, providers: Sequence[MetadataProvider], time: clock.Clock) -> None:
        self._providers = tuple(providers)
        self._clock = time
        self._known: dict[Key, str] = {}
        self._failed: dict[str, tuple[float, errors.Error]] = {}

    def close(self) -> None:
        """Ask no more; threads of the providers end."""
        for provider in self._providers:
            if isinstance(provider, ImdsProvider):
                provider.close()

    async def get(self, key: Key) -> str:
        """Value of *key*.

        Raises UnknownMetadata naming who was asked, Unavailable when a source that may know does
        not answer.
        """
        if key in self._known:
            return self._known[key]
        if key in _BY_INSTANCE_ID and Key.INSTANCE_ID not in self._known:
            with contextlib.suppress(errors.Error):  # told by whoever needs it
                await self.get(Key.INSTANCE_ID)
        reasons: list[str] = []
        failure: errors.Error | None = None
        for provider in self._providers:
            if key not in provider.keys:
                reasons.append(f"{provider.name} does not tell it")
                continue
            try:
                value = await self._ask(provider, key)
            except errors.Error as e:
                log.warning("metadata source failed", source=provider.name, error=str(e))
                failure = e
                reasons.append(f"{provider.name}: {e}")
                continue
            if value:
                self._known[key] = value
                return value
            reasons.append(f"{provider.name} does not have it")
        if failure is not None and failure.kind is errors.Kind.UNAVAILABLE:
            raise errors.Unavailable(f"{key} of this machine is unknown yet: {'; '.join(reasons)}")
        raise UnknownMetadata(key, reasons)

    async def find(self, key: Key) -> str:
        """Value of *key*, "" when nobody knows it. Raises Unavailable like `get`."""
        try:
            return await self.get(key)
        except UnknownMetadata:
            return ""

    async def _ask(self, provider: MetadataProvider, key: Key) -> str | None:
        failed = self._failed.get(provider.name)
        if failed is not None and self._clock.monotonic_s() < failed[0] + _FAILURE_MEMORY_S:
            raise failed[1]
        call.doing(f"asking {provider.name} for {key}")
        try:
            return await provider.read(key, self._known)
        except errors.Error as e:
            self._failed[provider.name] = (self._clock.monotonic_s(), e)
            raise


class EnvironmentProvider:
    """Environment variables of the reference."""

    name = "environment"
    _VARIABLES: Mapping[Key, str] = {
        Key.REGION_ID: "REGION_ID",
        Key.ACCOUNT_ID: "ALIBABA_CLOUD_ACCOUNT_ID",
        Key.CLUSTER_ID: "CLUSTER_ID",
        Key.RRSA_TOKEN_FILE: "RRSA_TOKEN_FILE",
    }

    keys = frozenset(_VARIABLES)

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    async def read(self, key: Key, known: Mapping[Key, str]) -> str | None:  # noqa: ARG002
        """Value of the variable of *key*."""
        return self._environ.get(self._VARIABLES.get(key, ""))


class LingjunProvider:
    """The file that Lingjun machines have instead of a metadata service."""

    name = "Lingjun configuration"
    _FIELDS: Mapping[Key, str] = {
        Key.REGION_ID: "RegionId",
        Key.ZONE_ID: "ZoneId",
        Key.INSTANCE_ID: "NodeId",
        Key.INSTANCE_TYPE: "InstanceType",
    }

    keys = frozenset({*_FIELDS, Key.LINGJUN_NODE})

    def __init__(self, path: pathlib.Path = LINGJUN_CONFIG) -> None:
        self._path = path

    async def read(self, key: Key, known: Mapping[Key, str]) -> str | None:  # noqa: ARG002
        """Value of the field of *key*, None on a machine without the file."""
        document = read_lingjun(self._path)
        if key is Key.LINGJUN_NODE:
            return "true" if document else None
        return document.get(self._FIELDS.get(key, "")) or None


class ImdsProvider:
    """The metadata service of an ECS instance."""

    name = "metadata service"
    _DOCUMENT: Mapping[Key, str] = {
        Key.REGION_ID: "region-id",
        Key.ZONE_ID: "zone-id",
        Key.INSTANCE_ID: "instance-id",
        Key.INSTANCE_TYPE: "instance-type",
        Key.ACCOUNT_ID: "owner-account-id",
    }
    _PATHS: Mapping[Key, str] = {
        Key.RAM_ROLE_NAME: "meta-data/ram/security-credentials/",
        Key.VSC_ENABLED: "meta-data/instance/vsc-options/enabled",
    }

    keys = frozenset({*_DOCUMENT, *_PATHS})

    def __init__(self, imds: cloud_imds.Imds, pool: executor.BoundedExecutor) -> None:
        self._imds = imds
        self._pool = pool
        self._document: Mapping[str, str] | None = None

    def close(self) -> None:
        """End the threads that ask."""
        self._pool.close()

    async def read(self, key: Key, known: Mapping[Key, str]) -> str | None:  # noqa: ARG002
        """Value of *key* from the identity document or a path of its own."""
        if key in self._DOCUMENT:
            if self._document is None:
                text = await self._pool.run(self._imds.read, "dynamic/instance-identity/document")
                self._document = _parse_document(text)
            return self._document.get(self._DOCUMENT[key])
        path = self._PATHS.get(key)
        return None if path is None else await self._pool.run(self._imds.read, path)


class InstanceApi(Protocol):
    """What is needed of `cloud.ecs_instance.Instances`."""

    async def read(self, instance_id: str) -> ecs_model.Instance | None:
        """The instance."""
        ...


class AccountApi(Protocol):
    """What is needed of `cloud.sts.Sts`."""

    async def account_id(self) -> str:
        """Account of the caller."""
        ...


class Cloud(Protocol):
    """What is needed of `cloud.client.Alibaba`, which is not imported here."""

    @property
    def instances(self) -> InstanceApi:
        """Instances."""
        ...

    @property
    def sts(self) -> AccountApi:
        """Who we are."""
        ...


class OpenApiProvider:
    """ECS and STS: dear, so asked last, and only where the SDK is loaded anyway.

    cloud: makes the client on first use.
    """

    name = "OpenAPI"
    keys = frozenset({Key.ACCOUNT_ID, Key.ZONE_ID, Key.INSTANCE_TYPE})

    def __init__(self, cloud: Callable[[], Cloud]) -> None:
        self._cloud = cloud

    async def read(self, key: Key, known: Mapping[Key, str]) -> str | None:
        """Zone and type by the instance id that is known already; the account by STS."""
        if key is Key.ACCOUNT_ID:
            return await self._cloud().sts.account_id()
        instance_id = known.get(Key.INSTANCE_ID)
        if instance_id is None:
            return None
        instance = await self._cloud().instances.read(instance_id)
        if instance is None:
            return None
        return instance.zone_id if key is Key.ZONE_ID else instance.instance_type


def make(
    settings: cloud_settings.CloudSettings,
    *,
    environ: Mapping[str, str],
    openapi: Callable[[], Cloud] | None,
    extra: Sequence[MetadataProvider] = (),
) -> Metadata:
    """The chain of this process. openapi: None where no SDK may be loaded."""
    providers: list[MetadataProvider] = [EnvironmentProvider(environ), LingjunProvider()]
    if settings.use_imds:
        pool = executor.BoundedExecutor("imds", 2)
        providers.append(ImdsProvider(cloud_imds.Imds(settings.imds_endpoint), pool))
    providers += extra
    if openapi is not None:
        providers.append(OpenApiProvider(openapi))
    return Metadata(providers, clock.SystemClock())


def read_lingjun(path: pathlib.Path = LINGJUN_CONFIG) -> Mapping[str, str]:
    """What a Lingjun machine's file says; {} on other machines. Blocking.

    Raises Unavailable for one that makes no sense: it may be written just now, and a machine that
    took itself for another kind would be registered as such.
    """
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as e:
        raise errors.Unavailable(f"{path} cannot be read: {e}") from e
    if not isinstance(document, dict):
        raise errors.Unavailable(f"{path} does not hold a JSON object")
    return {str(k): str(v) for k, v in document.items() if v}


def _parse_document(text: str | None) -> Mapping[str, str]:
    if text is None:
        return {}
    try:
        document = json.loads(text)
    except ValueError as e:
        raise errors.Internal(f"the instance identity document is not JSON: {e}") from e
    if not isinstance(document, dict):
        raise errors.Internal("the instance identity document is not a JSON object")
    return {str(k): str(v) for k, v in document.items()}

"""Settings of everything that talks to Alibaba Cloud. Source: spec/csi-driver.md 1.8."""

import dataclasses
import email.parser
import re
from collections.abc import Mapping

from cloud import imds
from core import settings

_HOST = re.compile(r"[A-Za-z0-9._-]*(:\d+)?|\[[0-9a-fA-F:]+\](:\d+)?")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CloudSettings:
    """Where the cloud is and who we are.

    region_id: "" = ask the metadata service. *_endpoint: host[:port], "" = by region; with
    "http://" or "https://" in front it overrides the scheme for its product.
    scheme: "https" or "http". *_headers: sent with every call of the product.
    describe_qps: Describe calls a second, for each kind of resource, that look-ups may cost.
    Secrets are held here and nowhere else; none is ever logged.
    """

    region_id: str
    ecs_endpoint: str
    sts_endpoint: str
    vpc_endpoint: str
    nas_endpoint: str
    eflo_endpoint: str
    scheme: str
    vpc_network: bool
    imds_endpoint: str
    use_imds: bool
    common_headers: Mapping[str, str] = dataclasses.field(repr=False)
    ecs_headers: Mapping[str, str] = dataclasses.field(repr=False)
    access_key_id: str
    access_key_secret: str = dataclasses.field(repr=False)
    security_token: str = dataclasses.field(repr=False)
    role_arn: str
    oidc_provider_arn: str
    oidc_token_file: str
    role_session_name: str
    addon_token_path: str
    describe_qps: int
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 20.0

    def endpoint(self, product: str, region_id: str) -> str:
        """Host of *product* ("ecs", "sts", "vpc", "nas", "eflo-controller") for *region_id*."""
        given = self._given(product)
        if given:
            return given.rpartition("://")[2].rstrip("/")
        network = "-vpc" if self.vpc_network else ""
        return f"{product}{network}.{region_id}.aliyuncs.com"

    def scheme_of(self, product: str) -> str:
        """Scheme of calls of *product*."""
        return self._given(product).rpartition("://")[0] or self.scheme

    def headers(self, product: str) -> Mapping[str, str]:
        """Extra headers of *product*'s calls."""
        own = {"ecs": self.ecs_headers}.get(product, {})
        return {**self.common_headers, **own}

    def _given(self, product: str) -> str:
        return {
            "ecs": self.ecs_endpoint,
            "sts": self.sts_endpoint,
            "vpc": self.vpc_endpoint,
            "nas": self.nas_endpoint,
            "eflo-controller": self.eflo_endpoint,
        }[product]


def read_cloud(reader: settings.Reader) -> CloudSettings:
    """Effective settings; faults are left in *reader*."""
    access_key_id, access_key_secret = _access_key(reader)
    return CloudSettings(
        region_id=reader.text("REGION_ID"),
        ecs_endpoint=_endpoint(reader, "ECS_ENDPOINT"),
        sts_endpoint=_endpoint(reader, "STS_ENDPOINT"),
        vpc_endpoint=_endpoint(reader, "VPC_ENDPOINT"),
        nas_endpoint=_endpoint(reader, "NAS_ENDPOINT"),
        eflo_endpoint=_endpoint(reader, "EFLO_CONTROLLER_ENDPOINT"),
        scheme=reader.choice("ALICLOUD_CLIENT_SCHEME", "https", ("https", "http")),
        vpc_network=reader.choice("ALIBABA_CLOUD_NETWORK_TYPE", "public", ("vpc", "public"))
        == "vpc",
        imds_endpoint=reader.text("IMDS_ENDPOINT", imds.DEFAULT_ENDPOINT),
        use_imds=not reader.boolean("ALIBABA_CLOUD_NO_ECS_METADATA", default=False),
        common_headers=_headers(reader, "ALIBABA_CLOUD_HTTP_HEADERS"),
        ecs_headers=_headers(reader, "ECS_HEADERS"),
        access_key_id=access_key_id,
        access_key_secret=access_key_secret,
        security_token=reader.text("ALIBABA_CLOUD_SECURITY_TOKEN", secret=True),
        role_arn=reader.text("ALIBABA_CLOUD_ROLE_ARN"),
        oidc_provider_arn=reader.text("ALIBABA_CLOUD_OIDC_PROVIDER_ARN"),
        oidc_token_file=reader.text("ALIBABA_CLOUD_OIDC_TOKEN_FILE"),
        role_session_name=reader.text("ALIBABA_CLOUD_ROLE_SESSION_NAME", "alibaba-cloud-k8s"),
        addon_token_path=reader.text(
            "ALIBABA_CLOUD_ACK_ADDON_TOKEN_PATH", "/var/addon/token-config"
        ),
        describe_qps=reader.integer("ALIBABA_CLOUD_DESCRIBE_QPS", 4, minimum=1, maximum=1000),
    )


def _access_key(reader: settings.Reader) -> tuple[str, str]:
    """Id and secret, both from the new names or both from the old ones."""
    new = (
        reader.text("ALIBABA_CLOUD_ACCESS_KEY_ID"),
        reader.text("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret=True),
    )
    old = (reader.text("ACCESS_KEY_ID"), reader.text("ACCESS_KEY_SECRET", secret=True))
    return new if any(new) else old


def _endpoint(reader: settings.Reader, name: str) -> str:
    """host[:port] with an optional scheme; anything more would be signed wrongly by the SDK."""
    raw = reader.text(name).strip().rstrip("/")
    scheme, _, host = raw.rpartition("://")
    if scheme not in ("", "http", "https") or _HOST.fullmatch(host) is None:
        reader.fault(f"{name}: {raw!r} is not allowed; allowed: [http:// or https://]host[:port]")
        return ""
    return raw


def _headers(reader: settings.Reader, name: str) -> Mapping[str, str]:
    """Headers from a block of `Name: value` lines, as in a MIME message."""
    raw = reader.text(name, secret=True)
    if not raw.strip():
        return {}
    message = email.parser.HeaderParser().parsestr(raw)
    if message.defects:
        reader.fault(f"{name}: is not a block of `Name: value` lines")
    return {key: str(value) for key, value in message.items()}

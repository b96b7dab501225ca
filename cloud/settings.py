"""Settings of everything that talks to Alibaba Cloud. Source: spec/csi-driver.md 1.8."""

import dataclasses
import email.parser
from collections.abc import Mapping

from cloud import imds
from core import settings

FALLBACK_REGION = "cn-hangzhou"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CloudSettings:
    """Where the cloud is and who we are.

    region_id: "" = ask the metadata service. *_endpoint: host[:port], "" = by region.
    scheme: "https" or "http". headers: sent with every call of a product.
    Secrets are held here and nowhere else; none is ever logged.
    """

    region_id: str
    ecs_endpoint: str
    sts_endpoint: str
    scheme: str
    vpc_network: bool
    imds_endpoint: str
    use_imds: bool
    ecs_headers: Mapping[str, str]
    access_key_id: str
    access_key_secret: str = dataclasses.field(repr=False)
    security_token: str = dataclasses.field(repr=False)
    role_arn: str
    oidc_provider_arn: str
    oidc_token_file: str
    role_session_name: str
    addon_token_path: str
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 20.0

    def endpoint(self, product: str, region_id: str) -> str:
        """Host of *product* ("ecs", "sts") for *region_id*."""
        given = {"ecs": self.ecs_endpoint, "sts": self.sts_endpoint}[product]
        if given:
            return given
        network = "-vpc" if self.vpc_network else ""
        return f"{product}{network}.{region_id}.aliyuncs.com"


def read_cloud(reader: settings.Reader) -> CloudSettings:
    """Effective settings; faults are left in *reader*."""
    common = _headers(reader, "ALIBABA_CLOUD_HTTP_HEADERS")
    return CloudSettings(
        region_id=reader.text("REGION_ID"),
        ecs_endpoint=_host(reader.text("ECS_ENDPOINT")),
        sts_endpoint=_host(reader.text("STS_ENDPOINT")),
        scheme=reader.choice("ALICLOUD_CLIENT_SCHEME", "https", ("https", "http")),
        vpc_network=reader.choice("ALIBABA_CLOUD_NETWORK_TYPE", "public", ("vpc", "public"))
        == "vpc",
        imds_endpoint=reader.text("IMDS_ENDPOINT", imds.DEFAULT_ENDPOINT),
        use_imds=not reader.boolean("ALIBABA_CLOUD_NO_ECS_METADATA", default=False),
        ecs_headers={**common, **_headers(reader, "ECS_HEADERS")},
        access_key_id=reader.text("ALIBABA_CLOUD_ACCESS_KEY_ID") or reader.text("ACCESS_KEY_ID"),
        access_key_secret=reader.text("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret=True)
        or reader.text("ACCESS_KEY_SECRET", secret=True),
        security_token=reader.text("ALIBABA_CLOUD_SECURITY_TOKEN", secret=True),
        role_arn=reader.text("ALIBABA_CLOUD_ROLE_ARN"),
        oidc_provider_arn=reader.text("ALIBABA_CLOUD_OIDC_PROVIDER_ARN"),
        oidc_token_file=reader.text("ALIBABA_CLOUD_OIDC_TOKEN_FILE"),
        role_session_name=reader.text("ALIBABA_CLOUD_ROLE_SESSION_NAME", "alibaba-cloud-k8s"),
        addon_token_path=reader.text(
            "ALIBABA_CLOUD_ACK_ADDON_TOKEN_PATH", "/var/addon/token-config"
        ),
    )


def _host(text: str) -> str:
    """Host and port of an endpoint that may carry a scheme."""
    return text.partition("://")[2].rstrip("/") if "://" in text else text.rstrip("/")


def _headers(reader: settings.Reader, name: str) -> Mapping[str, str]:
    """Headers from a block of `Name: value` lines, as in a MIME message."""
    raw = reader.text(name, secret=True)
    if not raw.strip():
        return {}
    message = email.parser.HeaderParser().parsestr(raw)
    if message.defects:
        reader.fault(f"{name}: is not a block of `Name: value` lines")
    return {key: str(value) for key, value in message.items()}

"""The places credentials come from: token file, access key, RRSA, RAM role of the instance.

Each is asked by `cloud.credentials`, which keeps what it gets. All block. No error text holds a
secret: texts of the SDK, of files and of answers are never passed on.
"""

import base64
import dataclasses
import datetime
import json
import pathlib
import re
import time
from typing import Any

from cloud import imds, proxies
from cloud import settings as cloud_settings
from core import errors

_REFRESH_BEFORE_S = 600.0
_RELOAD_S = 300.0
_OIDC_ASK_S = 60.0
_IMDS_TOTAL_S = 5.0
_NEVER_S = float("inf")
_AES_BLOCK_BYTES = 16
_SERVER_ERROR = 500
_HTTP_CODE = re.compile(r"http_code: (\d{3})")
_API_CODE = re.compile(r'"Code"\s*:\s*"([\w.]+)"')


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """One set of credentials; field names are those the SDK reads.

    type: "access_key" or "sts". renew_at_s, expires_at_s: on the wall clock, when to ask the source
    again, and when they end.
    """

    access_key_id: str
    access_key_secret: str = dataclasses.field(repr=False)
    security_token: str = dataclasses.field(default="", repr=False)
    type: str = "access_key"
    provider_name: str = "static_ak"
    renew_at_s: float = _NEVER_S
    expires_at_s: float = _NEVER_S


class StaticKey:
    """An access key, or an STS token, from the environment."""

    absent = "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET are not both set"

    def __init__(self, settings: cloud_settings.CloudSettings) -> None:
        self._settings = settings

    def load(self) -> Credentials | None:
        """The key; None without one."""
        s = self._settings
        if not (s.access_key_id and s.access_key_secret):
            return None
        return Credentials(
            access_key_id=s.access_key_id,
            access_key_secret=s.access_key_secret,
            security_token=s.security_token,
            type="sts" if s.security_token else "access_key",
            provider_name="static_sts" if s.security_token else "static_ak",
        )


class AddonTokenFile:
    """The token file ACK manages for add-ons: JSON with encrypted fields, rotated by ACK."""

    def __init__(self, path: str) -> None:
        self._path = pathlib.Path(path)
        self.absent = f"there is no {path}"

    def load(self) -> Credentials | None:
        """The file's credentials; None without the file. To be read again every 5 minutes."""
        try:
            document = json.loads(self._path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as e:
            raise errors.Unauthenticated(
                f"{self._path} cannot be read ({type(e).__name__})"
            ) from None
        try:
            key = document["keyring"].encode()
            key_id, secret, token = (
                decrypt(document[name], key)
                for name in ("access.key.id", "access.key.secret", "security.token")
            )
            expires_at_s = _parse_time_s(document["expiration"])
        except (KeyError, ValueError, AttributeError, TypeError) as e:
            raise errors.Unauthenticated(
                f"{self._path} is not a managed token file ({type(e).__name__})"
            ) from None
        return Credentials(
            access_key_id=key_id,
            access_key_secret=secret,
            security_token=token,
            type="sts",
            provider_name="static_sts",
            renew_at_s=min(time.time() + _RELOAD_S, expires_at_s - _REFRESH_BEFORE_S),
            expires_at_s=expires_at_s,
        )


class OidcRole:
    """RRSA: the pod's service-account token for a RAM role, through the SDK's own provider."""

    absent = (
        "ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN and "
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE are not all set"
    )

    def __init__(self, settings: cloud_settings.CloudSettings, region_id: str) -> None:
        self._settings = settings
        self._region_id = region_id
        self._provider: Any = None

    def load(self) -> Credentials | None:
        """Credentials of the role; None unless all three variables are set."""
        s = self._settings
        if not (s.role_arn and s.oidc_provider_arn and s.oidc_token_file):
            return None
        try:
            if self._provider is None:
                self._provider = self._make_provider()
            found = self._provider.get_credentials()
        except FileNotFoundError:
            raise errors.Unauthenticated(
                f"ALIBABA_CLOUD_OIDC_TOKEN_FILE: there is no {s.oidc_token_file}"
            ) from None
        except Exception as e:  # noqa: BLE001  # the SDK raises bare ones
            raise self._failure(e) from None  # its text quotes the request, token included
        return Credentials(
            access_key_id=found.get_access_key_id(),
            access_key_secret=found.get_access_key_secret(),
            security_token=found.get_security_token(),
            type="sts",
            provider_name="oidc_role_arn",
            # The provider caches and renews by itself, 15 minutes before the end.
            renew_at_s=time.time() + _OIDC_ASK_S,
            expires_at_s=time.time() + _OIDC_ASK_S,
        )

    def _make_provider(self) -> Any:
        # Imported here, with the SDK that asks us: a node process must not load it.
        from alibabacloud_credentials import http  # noqa: PLC0415
        from alibabacloud_credentials.provider import (  # noqa: PLC0415
            OIDCRoleArnCredentialsProvider,
        )

        s = self._settings
        host = s.endpoint("sts", self._region_id)
        plain = s.scheme_of("sts") == "http"
        proxy = proxies.take_over().for_host(host)
        return OIDCRoleArnCredentialsProvider(
            role_arn=s.role_arn,
            oidc_provider_arn=s.oidc_provider_arn,
            oidc_token_file_path=s.oidc_token_file,
            role_session_name=s.role_session_name,
            # It takes the scheme from the endpoint, and uses HTTPS without one.
            sts_endpoint=f"http://{host}" if plain else host,
            http_options=http.HttpOptions(proxy=proxy.https or None),
        )

    def _failure(self, error: Exception) -> errors.Error:
        """What went wrong, told by codes only."""
        text = str(error)
        status = _HTTP_CODE.search(text)
        host = self._settings.endpoint("sts", self._region_id)
        if status is None and type(error).__name__ != "CredentialException":
            return errors.Unavailable(f"STS at {host} does not answer ({type(error).__name__})")
        if status is not None and int(status[1]) >= _SERVER_ERROR:
            return errors.Unavailable(f"STS at {host} answers HTTP {status[1]}")
        code = _API_CODE.search(text)
        return errors.Unauthenticated(
            f"STS refused the role {self._settings.role_arn}"
            f" ({code[1] if code else type(error).__name__}); check the role's trust policy, "
            f"{self._settings.oidc_provider_arn} and the token in {self._settings.oidc_token_file}"
        )


class InstanceRole:
    """The RAM role of the ECS instance, from the metadata service."""

    def __init__(self, settings: cloud_settings.CloudSettings) -> None:
        self._imds: imds.Imds | None = None
        self.absent = "the metadata service is not to be used (ALIBABA_CLOUD_NO_ECS_METADATA)"
        if settings.use_imds:
            self._imds = imds.Imds(settings.imds_endpoint, total_s=_IMDS_TOTAL_S)
            self.absent = "the instance has no RAM role"

    def load(self) -> Credentials | None:
        """Credentials of the role; None without a metadata service or a role."""
        if self._imds is None:
            return None
        role = (self._imds.read("meta-data/ram/security-credentials/") or "").strip()
        if not role:
            return None
        role = role.splitlines()[0].rstrip("/")
        text = self._imds.read(f"meta-data/ram/security-credentials/{role}")
        try:
            document = json.loads(text or "")
            expires_at_s = _parse_time_s(document["Expiration"])
            return Credentials(
                access_key_id=document["AccessKeyId"],
                access_key_secret=document["AccessKeySecret"],
                security_token=document["SecurityToken"],
                type="sts",
                provider_name="ecs_ram_role",
                renew_at_s=expires_at_s - _REFRESH_BEFORE_S,
                expires_at_s=expires_at_s,
            )
        except (KeyError, ValueError, TypeError) as e:
            raise errors.Unauthenticated(
                f"the metadata service gives no credentials for role {role} ({type(e).__name__})"
            ) from None


def decrypt(text: str, key: bytes) -> str:
    """AES-CBC of base64(IV + cipher text) with PKCS#5 padding. Raises ValueError."""
    from cryptography.hazmat.primitives import padding  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers import (  # noqa: PLC0415
        Cipher,
        algorithms,
        modes,
    )

    raw = base64.b64decode(text)
    initial, body = raw[:_AES_BLOCK_BYTES], raw[_AES_BLOCK_BYTES:]
    decryptor = Cipher(algorithms.AES(key), modes.CBC(initial)).decryptor()
    padded = decryptor.update(body) + decryptor.finalize()
    unpadder = padding.PKCS7(algorithms.AES.block_size).unpadder()
    return (unpadder.update(padded) + unpadder.finalize()).decode()


def _parse_time_s(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()

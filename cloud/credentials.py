"""Who we are: the chain of credential sources. Source: spec/csi-driver.md 1.8.

Order: the managed add-on token file, a static access key, RRSA (OIDC), the instance's RAM role.
Ours instead of the SDK's default chain, which starts a scheduler thread even for a static key and
logs tokens when it fails (measured, spec/cloud-api.md 6). Everything here blocks; the SDK calls it
from executor threads.
"""

import base64
import dataclasses
import datetime
import json
import logging
import pathlib
import threading
import time
from typing import Any, Protocol

from cloud import imds
from cloud import settings as cloud_settings
from core import errors

_REFRESH_BEFORE_S = 600.0
_RELOAD_S = 300.0
_NEVER_S = float("inf")
_AES_BLOCK_BYTES = 16


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """One set of credentials; field names are those the SDK reads.

    type: "access_key" or "sts". renew_at_s: on the wall clock, when to ask the source again.
    """

    access_key_id: str
    access_key_secret: str = dataclasses.field(repr=False)
    security_token: str = dataclasses.field(default="", repr=False)
    type: str = "access_key"
    provider_name: str = "static_ak"
    renew_at_s: float = _NEVER_S


class Source(Protocol):
    """One place credentials come from."""

    def load(self) -> Credentials | None:
        """Fresh credentials, None when this source is not configured here."""
        ...


class NoCredentials(errors.Unauthenticated):
    """No source has credentials."""

    def __init__(self) -> None:
        super().__init__(
            "no credentials: set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, "
            "or ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN and "
            "ALIBABA_CLOUD_OIDC_TOKEN_FILE, or give the instance a RAM role"
        )


class CredentialChain:
    """What the SDK asks before each call. Thread-safe; one source is asked at a time, when due."""

    def __init__(self, sources: list[Source]) -> None:
        self._sources = sources
        self._current: Credentials | None = None
        self._lock = threading.Lock()

    def get_credential(self) -> Credentials:
        """Valid credentials. The SDK's name for it. Raises NoCredentials."""
        with self._lock:
            current = self._current
            if current is None or time.time() >= current.renew_at_s:
                current = self._current = self._load()
            return current

    def _load(self) -> Credentials:
        for source in self._sources:
            found = source.load()
            if found is not None:
                return found
        raise NoCredentials


def make_chain(settings: cloud_settings.CloudSettings, region_id: str) -> CredentialChain:
    """The chain for *settings*."""
    # These loggers print failed requests with their tokens; see the module's text.
    for name in ("credentials", "alibabacloud_credentials", "darabonba-core"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = False
    return CredentialChain(
        [
            AddonTokenFile(pathlib.Path(settings.addon_token_path)),
            StaticKey(settings),
            OidcRole(settings, region_id),
            InstanceRole(settings),
        ]
    )


class StaticKey:
    """An access key, or an STS token, from the environment."""

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

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path

    def load(self) -> Credentials | None:
        """The file's credentials; None without the file. Read again every 5 minutes."""
        try:
            document = json.loads(self._path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as e:
            raise errors.Unauthenticated(f"{self._path} cannot be read: {type(e).__name__}") from e
        try:
            key = document["keyring"].encode()
            fields = [
                _decrypt(document[name], key)
                for name in ("access.key.id", "access.key.secret", "security.token")
            ]
            expires_at_s = _parse_time_s(document["expiration"])
        except (KeyError, ValueError, AttributeError) as e:
            # The exception's text may hold the file's content.
            raise errors.Unauthenticated(
                f"{self._path} is not a managed token file ({type(e).__name__})"
            ) from None
        return Credentials(
            access_key_id=fields[0],
            access_key_secret=fields[1],
            security_token=fields[2],
            type="sts",
            provider_name="static_sts",
            renew_at_s=min(time.time() + _RELOAD_S, expires_at_s - _REFRESH_BEFORE_S),
        )


class OidcRole:
    """RRSA: the pod's service-account token for a RAM role, through the SDK's own provider."""

    def __init__(self, settings: cloud_settings.CloudSettings, region_id: str) -> None:
        self._settings = settings
        self._region_id = region_id
        self._provider: Any = None

    def load(self) -> Credentials | None:
        """Credentials of the role; None unless all three variables are set."""
        s = self._settings
        if not (s.role_arn and s.oidc_provider_arn and s.oidc_token_file):
            return None
        # Imported here: it costs 40 MB and only RRSA needs it.
        from alibabacloud_credentials.provider import (  # noqa: PLC0415
            OIDCRoleArnCredentialsProvider,
        )

        if self._provider is None:
            self._provider = OIDCRoleArnCredentialsProvider(
                role_arn=s.role_arn,
                oidc_provider_arn=s.oidc_provider_arn,
                oidc_token_file_path=s.oidc_token_file,
                role_session_name=s.role_session_name,
                sts_endpoint=_sts_url(s, self._region_id),
            )
        try:
            found = self._provider.get_credentials()
        except Exception as e:  # noqa: BLE001  # the SDK raises bare ones
            # Its text quotes the request, token included.
            raise errors.Unauthenticated(
                f"STS refused the role {s.role_arn} ({type(e).__name__}); check the role's trust "
                f"policy, {s.oidc_provider_arn} and the token in {s.oidc_token_file}"
            ) from None
        return Credentials(
            access_key_id=found.get_access_key_id(),
            access_key_secret=found.get_access_key_secret(),
            security_token=found.get_security_token(),
            type="sts",
            provider_name="oidc_role_arn",
            renew_at_s=time.time() + 60.0,  # the provider caches and refreshes by itself
        )


class InstanceRole:
    """The RAM role of the ECS instance, from the metadata service."""

    def __init__(self, settings: cloud_settings.CloudSettings) -> None:
        self._imds = imds.Imds(settings.imds_endpoint) if settings.use_imds else None

    def load(self) -> Credentials | None:
        """Credentials of the role; None without a metadata service or a role."""
        if self._imds is None:
            return None
        role = self._imds.read("meta-data/ram/security-credentials/")
        if not role:
            return None
        text = self._imds.read(f"meta-data/ram/security-credentials/{role.splitlines()[0]}")
        try:
            document = json.loads(text or "")
            return Credentials(
                access_key_id=document["AccessKeyId"],
                access_key_secret=document["AccessKeySecret"],
                security_token=document["SecurityToken"],
                type="sts",
                provider_name="ecs_ram_role",
                renew_at_s=_parse_time_s(document["Expiration"]) - _REFRESH_BEFORE_S,
            )
        except (KeyError, ValueError) as e:
            raise errors.Unauthenticated(
                f"the metadata service gives no credentials for role {role} ({type(e).__name__})"
            ) from None


def _sts_url(settings: cloud_settings.CloudSettings, region_id: str) -> str:
    """The SDK's OIDC provider takes the scheme from the endpoint; without one it uses HTTPS."""
    host = settings.endpoint("sts", region_id)
    return f"http://{host}" if settings.scheme == "http" else host


def _parse_time_s(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def _decrypt(text: str, key: bytes) -> str:
    """AES-CBC of base64(IV + cipher text) with PKCS#5 padding."""
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

"""Who we are: the chain of credential sources. Source: spec/csi-driver.md 1.8.

Order: the managed add-on token file, a static access key, RRSA (OIDC), the instance's RAM role.
Ours instead of the SDK's default chain, which starts a scheduler thread even for a static key and
logs tokens when it fails (measured, spec/cloud-api.md 6). Everything here blocks; the SDK calls it
from executor threads. The sources are in `cloud.credential_sources`.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from cloud import credential_sources
from cloud import settings as cloud_settings
from core import errors

log = structlog.get_logger()

Credentials = credential_sources.Credentials

_FAILURE_KEEP_S = 2.0
"""After a failure nobody asks again for this long: callers come in crowds."""
_TRY_AGAIN_S = 60.0
"""While the old credentials are still good, a failed renewal is tried again after this."""
_WHAT_TO_SET = (
    "set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or "
    "ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN and ALIBABA_CLOUD_OIDC_TOKEN_FILE, "
    "or give the instance a RAM role"
)
_SDK_LOGGERS = ("credentials", "alibabacloud_credentials", "darabonba-core")


class NoCredentials(errors.Unauthenticated):
    """No source has credentials. absent: why, one text a source."""

    def __init__(self, absent: Sequence[str]) -> None:
        super().__init__(f"no credentials ({'; '.join(absent)}): {_WHAT_TO_SET}")


class CredentialsUnavailable(errors.Unavailable):
    """A source that may have credentials does not answer."""

    def __init__(self, why: str, absent: Sequence[str]) -> None:
        told = "; ".join([*absent, why])
        super().__init__(f"no credentials yet ({told}): retry, or {_WHAT_TO_SET}")


class Source(Protocol):
    """One place credentials come from. absent: why it has none, when it has none."""

    absent: str

    def load(self) -> Credentials | None:
        """Fresh credentials, None when this source is not configured here."""
        ...


class CredentialChain:
    """What the SDK asks before each call. Thread-safe; one source is asked at a time, when due.

    now_s: the wall clock, in seconds of the epoch.
    """

    def __init__(self, sources: Sequence[Source], now_s: Callable[[], float] = time.time) -> None:
        self._sources = sources
        self._now_s = now_s
        self._current: Credentials | None = None
        self._renew_at_s = 0.0
        self._failure: errors.Error | None = None
        self._failed_until_s = 0.0
        self._lock = threading.Lock()

    def get_credential(self) -> Credentials:
        """Valid credentials. The SDK's name for it.

        Raises NoCredentials, CredentialsUnavailable, or Unauthenticated when a source is broken.
        """
        with self._lock:
            now_s = self._now_s()
            if self._current is not None and now_s < self._renew_at_s:
                return self._current
            if self._failure is not None and now_s < self._failed_until_s:
                raise self._failure.with_traceback(None)
            try:
                found = self._load()
            except errors.Error as e:
                return self._after_failure(e, now_s)
            self._current, self._renew_at_s, self._failure = found, found.renew_at_s, None
            return found

    def _load(self) -> Credentials:
        absent: list[str] = []
        for source in self._sources:
            try:
                found = source.load()
            except errors.Unavailable as e:
                raise CredentialsUnavailable(str(e), absent) from e
            if found is not None:
                return found
            absent.append(source.absent)
        raise NoCredentials(absent)

    def _after_failure(self, error: errors.Error, now_s: float) -> Credentials:
        """The old credentials as long as they are good, else raises *error*."""
        if self._current is not None and now_s < self._current.expires_at_s:
            log.warning("credentials not renewed; the old ones are still good", error=str(error))
            self._renew_at_s = min(now_s + _TRY_AGAIN_S, self._current.expires_at_s)
            return self._current
        self._current = None
        self._failure, self._failed_until_s = error, now_s + _FAILURE_KEEP_S
        raise error


def make_chain(settings: cloud_settings.CloudSettings, region_id: str) -> CredentialChain:
    """The chain for *settings*."""
    silence_sdk()
    return CredentialChain(
        [
            credential_sources.AddonTokenFile(settings.addon_token_path),
            credential_sources.StaticKey(settings),
            credential_sources.OidcRole(settings, region_id),
            credential_sources.InstanceRole(settings),
        ]
    )


def silence_sdk() -> None:
    """Stop the SDK's loggers, which print failed requests with their tokens.

    To be called after the SDK's import, which gives them handlers of their own.
    """
    for name in _SDK_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = False
        logger.disabled = True

"""The chain of credential sources."""

import base64
import datetime
import json
import logging
import pathlib

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cloud import credential_sources, credentials
from cloud import settings as cloud_settings
from core import errors, settings
from tests.fakes import metadata_server

Credentials = credentials.Credentials
KEYRING = "0123456789abcdef"
ROLE = "meta-data/ram/security-credentials/"


def read(**environ: str) -> cloud_settings.CloudSettings:
    absent = {"ALIBABA_CLOUD_ACK_ADDON_TOKEN_PATH": "/nonexistent/token-config"}
    return cloud_settings.read_cloud(settings.Reader(absent | environ))


def encrypted(text: str) -> str:
    initial = b"i" * 16
    padder = padding.PKCS7(128).padder()
    padded = padder.update(text.encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES(KEYRING.encode()), modes.CBC(initial)).encryptor()
    return base64.b64encode(initial + encryptor.update(padded) + encryptor.finalize()).decode()


def write_token_file(path: pathlib.Path, **changes: object) -> None:
    document = {
        "access.key.id": encrypted("STS.id"),
        "access.key.secret": encrypted("hush-secret"),
        "security.token": encrypted("hush-token"),
        "expiration": "2099-01-01T00:00:00Z",
        "keyring": KEYRING,
        "cluster.type": "ManagedKubernetes",
    }
    path.write_text(json.dumps(document | changes))


class Source:
    """A source of a test."""

    absent = "the source is empty"

    def __init__(self, *answers: Credentials | errors.Error | None) -> None:
        self._answers = list(answers)
        self.loads = 0

    def load(self) -> Credentials | None:
        self.loads += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, errors.Error):
            raise answer
        return answer


class Now:
    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def key(name: str, *, renew_at_s: float, expires_at_s: float) -> Credentials:
    return Credentials(
        access_key_id=name,
        access_key_secret="s",
        renew_at_s=renew_at_s,
        expires_at_s=expires_at_s,
    )


def test_the_first_source_that_has_some_wins() -> None:
    second = Source(key("two", renew_at_s=9e9, expires_at_s=9e9))
    third = Source(None)

    found = credentials.CredentialChain([Source(None), second, third]).get_credential()

    assert found.access_key_id == "two"
    assert third.loads == 0


def test_credentials_are_kept_until_they_are_due() -> None:
    now = Now()
    source = Source(
        key("one", renew_at_s=1100, expires_at_s=1700), key("two", renew_at_s=9e9, expires_at_s=9e9)
    )
    chain = credentials.CredentialChain([source], now)

    assert [chain.get_credential().access_key_id for _ in range(3)] == ["one"] * 3
    now.s = 1100
    assert chain.get_credential().access_key_id == "two"
    assert source.loads == 2


def test_a_failed_renewal_keeps_the_old_ones_as_long_as_they_are_good() -> None:
    now = Now()
    source = Source(key("one", renew_at_s=1100, expires_at_s=1700), errors.Unavailable("down"))
    chain = credentials.CredentialChain([source], now)
    chain.get_credential()

    now.s = 1150
    assert [chain.get_credential().access_key_id for _ in range(3)] == ["one"] * 3
    assert source.loads == 2
    now.s = 1700
    with pytest.raises(errors.Unavailable, match="down"):
        chain.get_credential()


def test_after_a_failure_a_crowd_of_callers_asks_once() -> None:
    now = Now()
    source = Source(errors.Unavailable("down"))
    chain = credentials.CredentialChain([source], now)

    for _ in range(5):
        with pytest.raises(credentials.CredentialsUnavailable):
            chain.get_credential()
    asked_at_first = source.loads
    now.s += 3
    with pytest.raises(credentials.CredentialsUnavailable):
        chain.get_credential()

    assert (asked_at_first, source.loads) == (1, 2)


def test_without_any_source_the_message_says_what_to_set() -> None:
    chain = credentials.make_chain(read(ALIBABA_CLOUD_NO_ECS_METADATA="true"), "cn-hangzhou")

    with pytest.raises(credentials.NoCredentials) as raised:
        chain.get_credential()

    assert raised.value.kind is errors.Kind.UNAUTHENTICATED
    for part in (
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
        "RAM role",
        "/nonexistent/token-config",
    ):
        assert part in str(raised.value)


def test_a_static_key_and_an_sts_token() -> None:
    plain = read(ALIBABA_CLOUD_ACCESS_KEY_ID="id", ALIBABA_CLOUD_ACCESS_KEY_SECRET="s")
    found = credentials.make_chain(plain, "r").get_credential()
    assert (found.access_key_id, found.type) == ("id", "access_key")

    token = read(
        ALIBABA_CLOUD_ACCESS_KEY_ID="id",
        ALIBABA_CLOUD_ACCESS_KEY_SECRET="s",
        ALIBABA_CLOUD_SECURITY_TOKEN="t",
    )
    found = credentials.make_chain(token, "r").get_credential()
    assert (found.security_token, found.type) == ("t", "sts")


def test_the_managed_token_file_is_decrypted_and_comes_first(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "token-config"
    write_token_file(path)
    chosen = read(
        ALIBABA_CLOUD_ACK_ADDON_TOKEN_PATH=str(path),
        ALIBABA_CLOUD_ACCESS_KEY_ID="id",
        ALIBABA_CLOUD_ACCESS_KEY_SECRET="s",
    )

    found = credentials.make_chain(chosen, "r").get_credential()

    assert (found.access_key_id, found.access_key_secret, found.security_token, found.type) == (
        "STS.id",
        "hush-secret",
        "hush-token",
        "sts",
    )


def test_the_token_file_is_read_again_ten_minutes_before_its_end_or_after_five(
    tmp_path: pathlib.Path,
) -> None:
    path = tmp_path / "token-config"
    now = datetime.datetime.now(datetime.UTC)
    soon = now + datetime.timedelta(minutes=12)
    source = credential_sources.AddonTokenFile(str(path))

    write_token_file(path, expiration=soon.isoformat())
    near = source.load()
    write_token_file(path)
    far = source.load()

    assert near is not None
    assert far is not None
    assert near.renew_at_s == pytest.approx(soon.timestamp() - 600)
    assert near.expires_at_s == pytest.approx(soon.timestamp())
    assert far.renew_at_s == pytest.approx(now.timestamp() + 300, abs=60)


@pytest.mark.parametrize(
    "changes",
    [
        {"keyring": "wrong-length"},
        {"keyring": "fedcba9876543210"},
        {"keyring": None},
        {"access.key.secret": "hush!!"},
        {"access.key.secret": 5},
        {"expiration": "hush"},
    ],
)
def test_a_broken_token_file_is_named_and_its_content_is_not(
    tmp_path: pathlib.Path, changes: dict[str, object]
) -> None:
    path = tmp_path / "token-config"
    write_token_file(path, **changes)

    with pytest.raises(errors.Unauthenticated) as raised:
        credential_sources.AddonTokenFile(str(path)).load()

    assert str(path) in str(raised.value)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_a_token_file_that_is_something_else_is_named(tmp_path: pathlib.Path, text: str) -> None:
    path = tmp_path / "token-config"
    path.write_text(text)

    with pytest.raises(errors.Unauthenticated, match="token-config"):
        credential_sources.AddonTokenFile(str(path)).load()


def test_the_instances_role_gives_credentials_that_are_renewed_before_their_end() -> None:
    given = {
        "AccessKeyId": "STS.id",
        "AccessKeySecret": "s",
        "SecurityToken": "t",
        "Expiration": "2099-01-01T00:00:00Z",
        "Code": "Success",
    }
    with metadata_server.serving({ROLE: "Worker", f"{ROLE}Worker": json.dumps(given)}) as server:
        source = credential_sources.InstanceRole(read(IMDS_ENDPOINT=server.endpoint))
        found = source.load()

    assert found is not None
    assert (found.access_key_id, found.security_token, found.type) == ("STS.id", "t", "sts")
    assert found.renew_at_s == found.expires_at_s - 600


def test_an_instance_without_a_role_has_no_credentials() -> None:
    with metadata_server.serving({}) as server:
        assert credential_sources.InstanceRole(read(IMDS_ENDPOINT=server.endpoint)).load() is None


def test_a_broken_answer_about_the_role_is_told_without_its_content() -> None:
    with (
        metadata_server.serving({ROLE: "Worker", f"{ROLE}Worker": '{"x": "hush"}'}) as server,
        pytest.raises(errors.Unauthenticated, match="Worker") as raised,
    ):
        credential_sources.InstanceRole(read(IMDS_ENDPOINT=server.endpoint)).load()

    assert "hush" not in str(raised.value)


def test_a_missing_oidc_token_file_is_named() -> None:
    chosen = read(
        ALIBABA_CLOUD_ROLE_ARN="acs:ram::1:role/r",
        ALIBABA_CLOUD_OIDC_PROVIDER_ARN="acs:ram::1:oidc-provider/p",
        ALIBABA_CLOUD_OIDC_TOKEN_FILE="/nonexistent/token",
    )

    with pytest.raises(errors.Unauthenticated, match="/nonexistent/token"):
        credential_sources.OidcRole(chosen, "r").load()


def test_the_sdks_loggers_are_silent() -> None:
    credentials.silence_sdk()

    for name in ("credentials", "alibabacloud_credentials", "darabonba-core"):
        logger = logging.getLogger(name)
        assert logger.handlers == []
        assert not logger.isEnabledFor(logging.CRITICAL)


def test_no_secret_is_in_the_repr() -> None:
    found = Credentials(access_key_id="i", access_key_secret="hush", security_token="hush")

    assert "hush" not in repr(found)

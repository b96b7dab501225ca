"""Settings of everything that talks to the cloud."""

import pytest

from cloud import settings as cloud_settings
from core import settings


def read(**environ: str) -> cloud_settings.CloudSettings:
    reader = settings.Reader(environ)
    found = cloud_settings.read_cloud(reader)
    reader.finish()
    return found


def test_hosts_are_made_from_product_network_and_region() -> None:
    assert read().endpoint("ecs", "cn-beijing") == "ecs.cn-beijing.aliyuncs.com"
    inside = read(ALIBABA_CLOUD_NETWORK_TYPE="vpc")
    assert inside.endpoint("sts", "cn-beijing") == "sts-vpc.cn-beijing.aliyuncs.com"


def test_calls_go_over_https_unless_told_otherwise() -> None:
    assert read().scheme_of("ecs") == "https"
    assert read(ALICLOUD_CLIENT_SCHEME="HTTP").scheme_of("ecs") == "http"


@pytest.mark.parametrize(
    ("given", "host", "scheme"),
    [
        ("127.0.0.1:18080", "127.0.0.1:18080", "https"),
        ("http://127.0.0.1:18080", "127.0.0.1:18080", "http"),
        ("https://ecs.example.com/", "ecs.example.com", "https"),
        ("[::1]:18080", "[::1]:18080", "https"),
    ],
)
def test_an_endpoint_may_carry_its_scheme(given: str, host: str, scheme: str) -> None:
    found = read(ECS_ENDPOINT=given)

    assert found.endpoint("ecs", "x") == host
    assert found.scheme_of("ecs") == scheme
    assert found.scheme_of("sts") == "https"


@pytest.mark.parametrize("given", ["127.0.0.1:18080/ecs", "ftp://x", "a b", "http://u@x"])
def test_an_endpoint_that_the_sdk_would_sign_wrongly_is_a_fault(given: str) -> None:
    with pytest.raises(settings.SettingsError, match="ECS_ENDPOINT"):
        read(ECS_ENDPOINT=given)


def test_headers_of_all_products_and_of_one() -> None:
    found = read(ALIBABA_CLOUD_HTTP_HEADERS="x-a: 1\nx-b: 2\n", ECS_HEADERS="x-b: 3\nx-acs-c: {}\n")

    assert found.headers("ecs") == {"x-a": "1", "x-b": "3", "x-acs-c": "{}"}
    assert found.headers("sts") == {"x-a": "1", "x-b": "2"}


def test_headers_that_are_none_are_a_fault() -> None:
    with pytest.raises(settings.SettingsError, match="ECS_HEADERS"):
        read(ECS_HEADERS="no header here")


def test_the_old_names_of_the_access_key_still_work() -> None:
    found = read(ACCESS_KEY_ID="id", ACCESS_KEY_SECRET="s")

    assert (found.access_key_id, found.access_key_secret) == ("id", "s")


def test_a_new_id_is_never_paired_with_an_old_secret() -> None:
    found = read(ALIBABA_CLOUD_ACCESS_KEY_ID="new", ACCESS_KEY_ID="o", ACCESS_KEY_SECRET="old")

    assert (found.access_key_id, found.access_key_secret) == ("new", "")


def test_no_secret_is_shown() -> None:
    reader = settings.Reader(
        {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI",
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "hush-1",
            "ALIBABA_CLOUD_SECURITY_TOKEN": "hush-2",
            "ECS_HEADERS": "x-token: hush-3\n",
        }
    )
    found = cloud_settings.read_cloud(reader)

    assert "hush" not in repr(found)
    assert "hush" not in repr(reader.origins)

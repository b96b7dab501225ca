"""The client of the metadata service."""

import time
from collections.abc import Iterator

import pytest

from cloud import imds
from tests.fakes import metadata_server

ZONE = "meta-data/zone-id"


@pytest.fixture
def server() -> Iterator[metadata_server.MetadataServer]:
    with metadata_server.serving({ZONE: "cn-hangzhou-k"}) as made:
        yield made


def client(server: metadata_server.MetadataServer, **options: float | bool) -> imds.Imds:
    return imds.Imds(server.endpoint, retry_s=0.0, total_s=0.5, **options)  # type: ignore[arg-type]


def test_a_value_is_read_with_a_token_that_is_kept(server: metadata_server.MetadataServer) -> None:
    reader = client(server)

    assert [reader.read(ZONE), reader.read(ZONE)] == ["cn-hangzhou-k"] * 2
    assert [method for method, _ in server.seen] == ["PUT", "GET", "GET"]
    assert server.ttls == ["63"]


def test_what_is_not_there_is_none(server: metadata_server.MetadataServer) -> None:
    assert client(server).read("meta-data/no-such") is None


def test_a_token_that_is_no_longer_good_is_fetched_anew(
    server: metadata_server.MetadataServer,
) -> None:
    reader = client(server)
    reader.read(ZONE)
    server.token = "token-2"

    assert reader.read(ZONE) == "cn-hangzhou-k"


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_passing_failures_are_tried_again(
    server: metadata_server.MetadataServer, status: int
) -> None:
    server.failures = [status, status]

    assert client(server).read(ZONE) == "cn-hangzhou-k"


def test_a_refusal_is_not_tried_again(server: metadata_server.MetadataServer) -> None:
    server.failures = [400, 400]

    with pytest.raises(imds.MetadataUnavailable, match="HTTP 400"):
        client(server).read(ZONE)
    assert len(server.reads()) == 1


@pytest.mark.parametrize("status", [403, 404, 405])
def test_a_service_without_tokens_is_read_as_version_1(
    server: metadata_server.MetadataServer, status: int
) -> None:
    server.needs_token, server.token_status = False, status

    assert client(server).read(ZONE) == "cn-hangzhou-k"


def test_version_1_is_not_used_when_it_is_not_allowed(
    server: metadata_server.MetadataServer,
) -> None:
    server.needs_token, server.token_status = False, 404

    with pytest.raises(imds.MetadataUnavailable, match="token"):
        client(server, allow_v1=False).read(ZONE)
    assert server.reads() == []


def test_a_failing_token_service_does_not_mean_version_1(
    server: metadata_server.MetadataServer,
) -> None:
    server.needs_token, server.token_status = False, 500

    with pytest.raises(imds.MetadataUnavailable):
        client(server).read(ZONE)
    assert server.reads() == []


def test_it_gives_up_in_time_and_says_what_to_set() -> None:
    with metadata_server.serving({}) as gone:
        endpoint = gone.endpoint
    started_s = time.monotonic()

    with pytest.raises(imds.MetadataUnavailable, match="ALIBABA_CLOUD_NO_ECS_METADATA"):
        imds.Imds(endpoint, total_s=0.2, retry_s=0.05).read(ZONE)

    assert time.monotonic() - started_s < 10


def test_the_endpoint_may_lack_its_scheme(server: metadata_server.MetadataServer) -> None:
    reader = imds.Imds(server.endpoint.removeprefix("http://"))

    assert reader.read(ZONE) == "cn-hangzhou-k"


def test_a_proxy_in_the_environment_is_not_used(
    server: metadata_server.MetadataServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    assert client(server).read(ZONE) == "cn-hangzhou-k"

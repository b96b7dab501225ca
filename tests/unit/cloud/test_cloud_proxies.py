"""Which hosts are reached through a proxy."""

import os

import pytest

from cloud import proxies

VARIABLES = {
    "http": "http://proxy:3128",
    "https": "http://proxy:3129",
    "no": "inner.example.com,.aliyuncs.com",
}


@pytest.mark.parametrize(
    "endpoint",
    ["127.0.0.1:18080", "localhost:80", "[::1]:80", "inner.example.com", "ecs.x.aliyuncs.com:443"],
)
def test_loopback_and_excepted_hosts_are_reached_directly(endpoint: str) -> None:
    assert proxies.Proxies(VARIABLES).for_host(endpoint) == proxies.Proxy()


def test_other_hosts_are_reached_through_the_proxy_of_their_scheme() -> None:
    found = proxies.Proxies(VARIABLES).for_host("ecs.example.com")

    assert (found.http, found.https) == ("http://proxy:3128", "http://proxy:3129")


def test_the_environment_loses_its_proxies_and_they_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxies, "_taken", None)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3129")

    first, second = proxies.take_over(), proxies.take_over()

    assert "HTTPS_PROXY" not in os.environ
    assert first.for_host("ecs.example.com").https == "http://proxy:3129"
    assert second is first

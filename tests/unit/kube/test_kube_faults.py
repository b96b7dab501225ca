"""An API server over TLS that is slow, silent or renewed, and files that change under us."""

import asyncio
import contextlib
import pathlib
import shutil
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from core import clock, errors
from kube import api, companion, connection, object_source, pods, settings
from tests.fakes import api_http
from tests.support.cluster import certificates


class Account:
    """A pod's directory of its account, and the authorities whose certificates it may hold."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory / "account"
        self.directory.mkdir()
        self._authorities = {
            name: certificates.Authority(directory / name) for name in ("old", "new")
        }
        for each in self._authorities.values():
            each.server("server", "kube-apiserver", ["localhost"])
        self._pki = directory
        self.trust("old")
        self.renew("first")

    def certificate(self, authority: str) -> pathlib.Path:
        return self._pki / authority / "server"

    def trust(self, authority: str) -> None:
        self._replace("ca.crt", self._authorities[authority].certificate.read_text())

    def renew(self, token: str) -> None:
        self._replace("token", f"{token}\n")

    def _replace(self, name: str, text: str) -> None:
        """As kubelet does: the name is another file from one moment to the next."""
        fresh = self.directory / f".{name}"
        fresh.write_text(text)
        shutil.move(fresh, self.directory / name)


@pytest.fixture
def account(tmp_path: pathlib.Path) -> Account:
    return Account(tmp_path)


@pytest.fixture
def server(account: Account) -> Iterator[api_http.ApiHttp]:
    made = api_http.ApiHttp(account.certificate("old"))
    made.tokens = {"first"}
    yield made
    made.close()


def config(server: api_http.ApiHttp, account: Account) -> settings.KubeSettings:
    return settings.KubeSettings(
        server=server.url.replace("127.0.0.1", "localhost"),
        account=str(account.directory),
        node_name="node-1",
        is_configured=True,
    )


@pytest.fixture
async def asked(server: api_http.ApiHttp, account: Account) -> AsyncIterator[companion.Companion]:
    made = companion.Companion(
        config(server, account), manager="ipamd", annotations=(), time=clock.SystemClock()
    )
    made.start()
    yield made
    await made.close()


async def until(holds: Any) -> None:
    """Return once *holds*; pytest's limit ends the wait."""
    while not holds():
        await asyncio.sleep(0.01)


async def test_a_token_that_kubelet_renewed_is_used_and_the_old_one_is_not_again(
    server: api_http.ApiHttp, account: Account, asked: companion.Companion
) -> None:
    await until(lambda: asked.pods.is_live and server.watches and server.node_watches)
    server.tokens = {"second"}
    account.renew("second")
    before = len(server.bearers)

    assert await asked.read(api.Kind.NODE, "node-1") is not None
    server.send(None)
    await until(lambda: len(server.bearers) > before + 1)
    await until(lambda: asked.pods.is_live)

    assert set(server.bearers[before:]) == {"second"}


async def test_a_token_that_is_refused_is_told_until_there_is_another(
    server: api_http.ApiHttp, account: Account, asked: companion.Companion
) -> None:
    server.tokens = {"second"}
    with pytest.raises(errors.Unauthenticated):
        await asked.read(api.Kind.NODE, "node-1")

    account.renew("second")
    assert await asked.read(api.Kind.NODE, "node-1") is not None


async def test_a_new_authority_is_believed_once_its_certificate_is_there_and_the_old_no_more(
    server: api_http.ApiHttp, account: Account, asked: companion.Companion
) -> None:
    await until(lambda: asked.pods.is_live and server.watches)
    pid = asked.pid
    server.show_certificate(account.certificate("new"))
    account.trust("new")

    assert await asked.read(api.Kind.NODE, "node-1") is not None
    server.send(None)
    await until(lambda: not asked.pods.is_live)
    await until(lambda: asked.pods.is_live)
    assert asked.pid == pid

    server.show_certificate(account.certificate("old"))
    account.trust("old")
    account.trust("new")
    with pytest.raises(errors.Unavailable, match="certificate verify failed"):
        await asked.read(api.Kind.NODE, "node-1")


async def test_a_server_of_another_authority_is_not_asked_anything(
    server: api_http.ApiHttp, account: Account, asked: companion.Companion
) -> None:
    server.show_certificate(account.certificate("new"))
    with contextlib.suppress(errors.Unavailable):
        await asked.read(api.Kind.NODE, "node-1")
    await until(lambda: "certificate verify failed" in asked.pods.why_away)
    seen = len(server.seen)

    with pytest.raises(errors.Unavailable, match="certificate verify failed"):
        await asked.read(api.Kind.NODE, "node-1")

    assert len(server.seen) == seen


async def test_a_token_file_that_is_gone_for_a_moment_ends_nothing(
    account: Account, asked: companion.Companion
) -> None:
    assert await asked.read(api.Kind.NODE, "node-1") is not None
    (account.directory / "token").unlink()
    with pytest.raises(errors.Precondition, match="token"):
        await asked.read(api.Kind.NODE, "node-1")

    account.renew("first")
    assert await asked.read(api.Kind.NODE, "node-1") is not None


async def test_a_watch_that_is_silent_for_too_long_has_lost_its_server(
    server: api_http.ApiHttp, account: Account
) -> None:
    asking = connection.Connection(config(server, account))
    source = object_source.pods_of(asking, "node-1", silent_s=0.2)
    try:
        told = source.follow("1")
        assert await anext(told) == {"type": "CONNECTED"}
        with pytest.raises(errors.Unavailable, match="does not answer"):
            await anext(told)
    finally:
        await asking.close()


async def test_a_call_of_a_server_that_hangs_ends(
    server: api_http.ApiHttp, account: Account
) -> None:
    asking = connection.Connection(config(server, account), longest_s=0.3)
    server.is_hung = True
    try:
        with pytest.raises(errors.Unavailable, match="does not answer"):
            await object_source.pods_of(asking, "node-1").list()
    finally:
        await asking.close()


async def test_a_full_node_s_pods_are_listed_whatever_they_carry(
    server: api_http.ApiHttp, asked: companion.Companion
) -> None:
    heavy = {"annotations": {"note": "x" * 20_000}, "managedFields": [{"manager": "m" * 2_000}]}
    server.pods = [server.pod(f"pod-{number}", **heavy) for number in range(250)]
    await until(lambda: server.watches)
    server.send({"type": "ERROR", "object": {"code": 410, "message": "too old"}})

    await until(lambda: len(asked.pods) == 250)
    server.pods = [server.pod(f"pod-{number}") for number in range(249)]
    server.send({"type": "ERROR", "object": {"code": 410, "message": "too old"}})
    await until(lambda: len(asked.pods) == 249)


def test_of_a_pod_made_anew_under_its_name_the_old_one_s_end_says_nothing() -> None:
    cache = companion.pod_cache.PodCache()
    cache.live()
    cache.put(pods.Pod(namespace="shop", name="web-0", uid="old", annotations={"a": "1"}))
    assert cache.get("shop", "web-0", "new") is None

    cache.put(pods.Pod(namespace="shop", name="web-0", uid="new", annotations={"a": "2"}))
    cache.remove("shop", "web-0", "old")

    found = cache.get("shop", "web-0", "new")
    assert found is not None
    assert found.annotations == {"a": "2"}
    assert cache.get("shop", "web-0", "old") is None

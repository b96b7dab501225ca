"""Keys of pods' roles: how many are asked for at once."""

import concurrent.futures
import json
import threading
import time

import pytest

from core import call, errors
from csi.oss import volume_context
from csi.oss.node import roles
from host import own_program
from tests.support import rpc

POD = roles.PodRole(
    role_arn="acs:ram::1:role/r",
    oidc_provider_arn="acs:ram::1:oidc-provider/p",
    assume_role_arn="",
    external_id="",
    token="t",
)
ROLE = {"authType": "rrsa", "roleName": "r"}
VOLUME = volume_context.parse({"bucket": "b-b", "url": "oss-cn-a.aliyuncs.com", **ROLE})
MANY = 12


class Exchange:
    """Answers when it may. now, most: how many are asked for."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.go_on = threading.Event()
        self._lock = threading.Lock()

    def ask(self, module: str, *, timeout_s: float, stdin: bytes) -> str:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.go_on.wait(60)
        with self._lock:
            self.now -= 1
        key = {"AccessKeyId": "i", "AccessKeySecret": "s", "SecurityToken": "t"}
        return json.dumps({**key, "Expiration": "2100-01-01T00:00:00Z"})


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Exchange:
    made = Exchange()
    monkeypatch.setattr(own_program, "ask", made.ask)
    return made


def ask(keys: roles.Roles, volume_id: str, left_s: float | None = None) -> str:
    deadline_s = None if left_s is None else time.monotonic() + left_s
    call.enter(call.Call(call_id="c", method="m", deadline_s=deadline_s))
    found = keys.credential(volume_id, VOLUME, POD)
    assert found is not None
    return found.key_id


def test_pods_that_come_together_get_their_keys_a_few_at_a_time(exchange: Exchange) -> None:
    keys = roles.Roles("http://imds")
    with concurrent.futures.ThreadPoolExecutor(MANY + 1) as pool:
        asked = [pool.submit(ask, keys, f"pv-{number}") for number in range(MANY)]
        rpc.wait_until(lambda: exchange.now == roles.AT_ONCE, timeout_s=60)
        with pytest.raises(errors.Unavailable, match="those of other volumes come first"):
            pool.submit(ask, keys, "late", 0.1).result()
        exchange.go_on.set()
        told = [each.result() for each in asked]

    assert told == ["i"] * MANY
    assert exchange.most == roles.AT_ONCE

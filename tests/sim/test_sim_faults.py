import concurrent.futures
import http.client

import pytest
from alibabacloud_ecs20140526 import models
from alibabacloud_tea_openapi.exceptions import ServerException
from darabonba.exceptions import UnretryableException

from sim import faults
from tests.sim.conftest import Reply, Sim


def create_disk(sim: Sim, **fields: str) -> Reply:
    values = {"ZoneId": "cn-hangzhou-k", "DiskCategory": "cloud_essd", "Size": "20"} | fields
    return sim.rpc("CreateDisk", values)


def disk_count(sim: Sim) -> int:
    return sim.rpc("DescribeDisks", {"DiskType": "data"}).json["TotalCount"]


def test_an_error_before_the_effect_leaves_nothing(sim: Sim) -> None:
    sim.fault("CreateDisk", "error", status=403, code="Zone.NotOnSale", message="sold out")

    reply = create_disk(sim)

    assert (reply.status, reply.code, reply.json["Message"]) == (403, "Zone.NotOnSale", "sold out")
    assert disk_count(sim) == 0
    assert create_disk(sim).status == 200


def test_an_error_after_the_effect_leaves_the_disk(sim: Sim) -> None:
    sim.fault("CreateDisk", "error", after_effect=True)

    reply = create_disk(sim)

    assert (reply.status, reply.code) == (500, "InternalError")
    assert disk_count(sim) == 1


def test_a_lost_answer_has_had_its_effect_and_the_token_gets_it_back(sim: Sim) -> None:
    fault = sim.fault("CreateDisk", "lost_answer")

    with pytest.raises(http.client.RemoteDisconnected):
        create_disk(sim, ClientToken="t-1")
    reply = create_disk(sim, ClientToken="t-1")

    lost, replayed = sim.calls("CreateDisk")
    assert disk_count(sim) == 1
    assert reply.status == 200
    assert (lost["code"], lost["effect"], lost["fault"]) == ("ConnectionClosed", True, fault)
    assert (replayed["replayed"], replayed["effect"]) == (True, False)


def test_a_dropped_request_has_had_no_effect(sim: Sim) -> None:
    sim.fault("CreateDisk", "drop")

    with pytest.raises(http.client.RemoteDisconnected):
        create_disk(sim)

    assert disk_count(sim) == 0
    assert sim.calls("CreateDisk")[0]["effect"] is False


def test_a_stall_delays_and_then_goes_on(sim: Sim) -> None:
    fault = sim.fault("DescribeDisks", "stall", seconds=0.2)

    reply = sim.rpc("DescribeDisks")

    (call,) = sim.calls("DescribeDisks")
    assert (reply.status, call["fault"]) == (200, fault)
    assert call["elapsed_s"] > 0.1


def test_a_stalled_request_takes_effect_after_its_client_has_gone(sim: Sim) -> None:
    fault = sim.fault("CreateDisk", "notify")
    client = sim.ecs(read_timeout=200)
    ask = models.CreateDiskRequest(
        region_id="cn-hangzhou", zone_id="cn-hangzhou-k", disk_category="cloud_essd", size=20
    )

    with pytest.raises(UnretryableException, match="timed out"):
        client.create_disk(ask)
    before = disk_count(sim)
    sim.control("POST", f"faults/{fault}/release")

    assert (before, disk_count(sim)) == (0, 1)


def test_the_sdk_sees_html_as_unreadable_and_json_as_a_server_error(sim: Sim) -> None:
    ask = models.DescribeDisksRequest(region_id="cn-hangzhou")
    sim.fault("DescribeDisks", "http_5xx", status=502)
    sim.fault("DescribeDisks", "http_5xx", html=False)

    with pytest.raises(UnretryableException):
        sim.ecs().describe_disks(ask)
    with pytest.raises(ServerException) as known:
        sim.ecs().describe_disks(ask)

    assert (known.value.code, known.value.status_code) == ("ServiceUnavailable", 503)
    assert [row["code"] for row in sim.calls("DescribeDisks")] == ["HTTP502", "ServiceUnavailable"]


def test_an_error_may_carry_headers(sim: Sim) -> None:
    headers = {"x-acs-retry-after": "1500"}
    sim.fault("DescribeDisks", "error", status=429, code="Throttling", headers=headers)

    assert sim.rpc("DescribeDisks").headers["x-acs-retry-after"] == "1500"


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_held_request_waits_for_its_release(sim: Sim, after_effect: bool) -> None:
    fault = sim.fault("CreateDisk", "notify", after_effect=after_effect)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        held = pool.submit(create_disk, sim)
        sim.wait_held(fault)

        assert disk_count(sim) == (1 if after_effect else 0)
        sim.control("POST", f"faults/{fault}/release")
        assert held.result().status == 200

    rule = sim.control("GET", f"faults/{fault}")
    assert (rule["holding"], rule["applied"], rule["active"]) == (0, 1, False)
    assert disk_count(sim) == 1


def test_a_held_request_can_be_dropped(sim: Sim) -> None:
    fault = sim.fault("CreateDisk", "notify")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        held = pool.submit(create_disk, sim)
        sim.wait_held(fault)
        sim.control("POST", f"faults/{fault}/release", {"drop": True})

        assert isinstance(held.exception(), http.client.RemoteDisconnected)

    assert disk_count(sim) == 0


def test_a_rule_counts_skips_and_matches(sim: Sim) -> None:
    sim.fault("Create*", "error", count=2, skip=1, match={"Size": "2?"})

    statuses = [create_disk(sim, Size=size).status for size in ("30", "20", "21", "22", "23")]

    assert statuses == [200, 200, 500, 500, 200]


def test_a_rule_may_apply_always_until_it_is_removed(sim: Sim) -> None:
    fault = sim.fault("*", "error", always=True)

    refused = [sim.rpc("DescribeDisks").status for _ in range(3)]
    sim.control("DELETE", f"faults/{fault}")

    assert refused == [500, 500, 500]
    assert sim.rpc("DescribeDisks").status == 200
    assert sim.control("GET", "faults") == {"faults": []}


def test_a_rule_after_the_effect_waits_for_a_call_that_succeeds(sim: Sim) -> None:
    sim.fault("CreateDisk", "lost_answer")

    refused = create_disk(sim, Size="0")

    assert refused.status >= 400
    with pytest.raises(http.client.RemoteDisconnected):
        create_disk(sim)


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ({"effect": "error"}, "action"),
        ({"action": "*", "effect": "explode"}, "effect"),
        ({"action": "*", "effect": "stall"}, "seconds"),
        ({"action": "*", "effect": "lost_answer", "after_effect": False}, "drop"),
        ({"action": "*", "effect": "error", "status": 200}, "status"),
        ({"action": "*", "effect": "http_5xx", "status": 404}, "status"),
        ({"action": "*", "effect": "error", "count": 0}, "count"),
        ({"action": "*", "effect": "error", "count": True}, "count"),
        ({"action": "*", "effect": "error", "colour": "red"}, "colour"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(rule: dict[str, object], word: str) -> None:
    with pytest.raises(faults.FaultError, match=word):
        faults.parse(rule, "f-1")


def test_a_bad_rule_is_a_bad_request(sim: Sim) -> None:
    answer = sim.control("POST", "faults", {"action": "*", "effect": "none"}, status=400)

    assert "effect must be one of" in answer["error"]

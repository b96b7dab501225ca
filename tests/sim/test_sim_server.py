import concurrent.futures
import http.client
import json
import pathlib
import socket
import subprocess
import sys
import threading
import urllib.parse
import uuid

import pytest
from alibabacloud_ecs20140526 import models
from alibabacloud_tea_openapi.exceptions import ClientException, ThrottlingException

from tests.sim.conftest import ECS, STS, Sim


def create_disk(sim: Sim, **fields: str) -> object:
    values = {
        "RegionId": "cn-hangzhou",
        "ZoneId": "cn-hangzhou-k",
        "DiskCategory": "cloud_essd",
        "Size": "20",
    } | fields
    return sim.rpc("CreateDisk", values)


def disk_ids(sim: Sim) -> list[str]:
    rows = sim.rpc("DescribeDisks", {"DiskType": "data", "PageSize": "100"}).json
    return [row["DiskId"] for row in rows["Disks"]["Disk"]]


def test_an_unknown_action_is_not_found(sim: Sim) -> None:
    reply = sim.rpc("MakeCoffee")

    assert (reply.status, reply.code) == (404, "InvalidAction.NotFound")


def test_an_action_of_another_product_is_not_found(sim: Sim) -> None:
    reply = sim.rpc("GetCallerIdentity", version=ECS)

    assert reply.code == "InvalidAction.NotFound"


def test_an_unknown_region_is_not_found(sim: Sim) -> None:
    reply = sim.rpc("DescribeDisks", {"RegionId": "mars-north-1"})

    assert (reply.status, reply.code) == (404, "InvalidRegionId.NotFound")


def test_undecodable_parameters_are_refused(sim: Sim) -> None:
    reply = sim.http("GET", "/?Action=%ff")

    assert (reply.status, reply.code) == (400, "InvalidParameter")


def test_the_answer_carries_the_request_id_in_header_and_body(sim: Sim) -> None:
    reply = sim.rpc("GetCallerIdentity", version=STS)

    assert reply.headers["x-acs-request-id"] == reply.json["RequestId"]
    assert reply.headers["content-type"] == "application/json;charset=utf-8"


def test_one_client_token_makes_one_disk(sim: Sim) -> None:
    token = uuid.uuid4().hex

    first, second = (create_disk(sim, ClientToken=token) for _ in range(2))

    assert first.json["DiskId"] == second.json["DiskId"]
    assert first.json["RequestId"] != second.json["RequestId"]
    assert disk_ids(sim) == [first.json["DiskId"]]
    assert [row["replayed"] for row in sim.calls("CreateDisk")] == [False, True]


def test_a_client_token_with_other_parameters_is_refused(sim: Sim) -> None:
    token = uuid.uuid4().hex
    create_disk(sim, ClientToken=token)

    reply = create_disk(sim, ClientToken=token, Size="30")

    assert (reply.status, reply.code) == (400, "IdempotentParameterMismatch")
    assert len(disk_ids(sim)) == 1


def test_a_client_token_of_a_refused_call_may_be_used_again(sim: Sim) -> None:
    token = uuid.uuid4().hex
    refused = create_disk(sim, ClientToken=token, Size="0")

    reply = create_disk(sim, ClientToken=token)

    assert (refused.status >= 400, reply.status) == (True, 200)


@pytest.mark.parametrize("token", ["x" * 65, "tök"])
def test_a_client_token_is_of_64_plain_characters_at_most(sim: Sim, token: str) -> None:
    assert create_disk(sim, ClientToken="x" * 64).status == 200

    reply = create_disk(sim, ClientToken=token)

    assert (reply.status, reply.code) == (400, "InvalidParameter")
    assert len(disk_ids(sim)) == 1


def test_a_client_token_is_forgotten_after_a_day(sim: Sim) -> None:
    token = uuid.uuid4().hex
    first = create_disk(sim, ClientToken=token)
    sim.control("POST", "clock", {"advance_s": 24 * 3600 + 1})

    second = create_disk(sim, ClientToken=token, Size="30")

    assert first.json["DiskId"] != second.json["DiskId"]


def test_a_client_token_in_use_is_refused_until_its_call_has_taken_effect(sim: Sim) -> None:
    token = uuid.uuid4().hex
    fault = sim.fault("CreateDisk", "notify")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        held = pool.submit(create_disk, sim, ClientToken=token)
        sim.wait_held(fault)

        meanwhile = create_disk(sim, ClientToken=token)
        sim.control("POST", f"faults/{fault}/release")

        assert (meanwhile.status, meanwhile.code) == (403, "IdempotentProcessing")
        assert create_disk(sim, ClientToken=token).json["DiskId"] == held.result().json["DiskId"]


def test_throttling_refuses_and_the_clock_refills(sim: Sim) -> None:
    sim.control("POST", "clock", {"freeze": True})
    sim.control("POST", "throttle", {"per_minute": {"DescribeDisks": 2}})

    codes = [sim.rpc("DescribeDisks").code for _ in range(3)]
    sim.control("POST", "clock", {"advance_s": 30})

    assert codes == ["OK", "OK", "Throttling.User"]
    assert sim.rpc("DescribeDisks").code == "OK"
    assert sim.rpc("DescribeDisks").status == 400


def test_throttling_in_the_other_style_tells_when_to_come_back(sim: Sim) -> None:
    sim.control("POST", "clock", {"freeze": True})
    limits = {"per_minute": {"DescribeDisks": 1}, "style": "429"}
    sim.control("POST", "throttle", limits)
    sim.rpc("DescribeDisks")

    reply = sim.rpc("DescribeDisks")

    assert (reply.status, reply.code) == (429, "Throttling.User")
    assert reply.headers["x-acs-retry-after"] == "60000"


def test_the_sdk_sees_throttling_as_such(sim: Sim) -> None:
    limits = {"per_minute": {"DescribeDisks": 1}}
    sim.control("POST", "throttle", limits)
    ask = models.DescribeDisksRequest(region_id="cn-hangzhou")
    sim.ecs().describe_disks(ask)

    with pytest.raises(ClientException) as plain:
        sim.ecs().describe_disks(ask)
    sim.control("POST", "throttle", {**limits, "style": "429"})
    sim.ecs().describe_disks(ask)
    with pytest.raises(ThrottlingException) as timed:
        sim.ecs().describe_disks(ask)

    assert plain.value.code == "Throttling.User"
    assert timed.value.retry_after > 0


def test_counters_and_call_log_tell_what_was_called(sim: Sim) -> None:
    created = create_disk(sim)
    create_disk(sim, Size="0")

    counter = sim.control("GET", "counters")["counters"]["CreateDisk"]
    first, second = sim.calls("CreateDisk")

    assert counter["total"] == 2
    assert counter["codes"]["OK"] == 1
    assert counter["per_second"] in {1, 2}
    assert (first["request_id"], first["effect"]) == (created.json["RequestId"], True)
    assert (second["effect"], second["code"]) == (
        False,
        next(k for k in counter["codes"] if k != "OK"),
    )
    assert first["parameters"]["Size"] == "20"
    assert first["parameters"]["Signature"] == "***"
    assert sim.control("GET", f"calls?since={first['sequence']}")["calls"] == [second]


def test_cleared_calls_are_gone(sim: Sim) -> None:
    sim.rpc("DescribeDisks")
    sim.control("DELETE", "calls")

    assert sim.calls() == []
    assert sim.control("GET", "counters") == {"counters": {}}


def test_describe_lags_behind_when_it_is_told_to(sim: Sim) -> None:
    sim.control("POST", "clock", {"freeze": True})
    sim.control("POST", "consistency", {"lag_s": 5})
    disk_id = create_disk(sim).json["DiskId"]

    before = disk_ids(sim)
    sim.control("POST", "clock", {"advance_s": 6})

    assert (before, disk_ids(sim)) == ([], [disk_id])


def test_reset_brings_back_the_first_state(sim: Sim) -> None:
    create_disk(sim)
    sim.control("POST", "clock", {"advance_s": 5000, "freeze": True})
    sim.control("POST", "latency", {"create_disk": 9})

    sim.control("POST", "reset")

    assert disk_ids(sim) == []
    assert "world" not in sim.control("GET", "state").get("setting", {})


def test_kill_minus_nine_loses_nothing_that_was_answered(own_sim: Sim) -> None:
    token = uuid.uuid4().hex
    made = [create_disk(own_sim, ClientToken=token).json["DiskId"]]
    made += [create_disk(own_sim).json["DiskId"] for _ in range(20)]
    nonce = uuid.uuid4().hex
    own_sim.rpc("GetCallerIdentity", version=STS, SignatureNonce=nonce)
    own_sim.control("POST", "latency", {"create_disk": 77.0})
    own_sim.control("POST", "clock", {"advance_s": 3600, "freeze": True})
    time_before = own_sim.control("GET", "health")["time"]

    own_sim.kill()
    own_sim.start()

    assert sorted(disk_ids(own_sim)) == sorted(made)
    assert create_disk(own_sim, ClientToken=token).json["DiskId"] == made[0]
    replayed = own_sim.rpc("GetCallerIdentity", version=STS, SignatureNonce=nonce)
    assert replayed.code == "SignatureNonceUsed"
    assert own_sim.control("GET", "health")["time"] == time_before
    changes = own_sim.control("GET", "state?kind=setting")["setting"]["world"]
    assert changes["latencies"] == {"create_disk": 77.0}


def test_killed_while_calls_run_every_answered_disk_is_there(own_sim: Sim) -> None:
    answered: list[str] = []
    progress = threading.Semaphore(0)

    def work() -> None:
        while True:
            try:
                answered.append(create_disk(own_sim).json["DiskId"])
            except (OSError, http.client.HTTPException):
                return
            progress.release()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(work) for _ in range(4)]
        for _ in range(40):
            assert progress.acquire(timeout=20)
        own_sim.kill()
        concurrent.futures.wait(jobs)
    own_sim.start()

    kept = own_sim.control("GET", "state?kind=disk")["disk"]
    assert set(answered) <= set(kept)


def test_sigterm_ends_held_requests_and_the_process(own_sim: Sim) -> None:
    fault = own_sim.fault("DescribeDisks", "notify")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        held = pool.submit(own_sim.rpc, "DescribeDisks")
        own_sim.wait_held(fault)

        assert own_sim.stop() == 0
        assert isinstance(held.exception(), OSError)


def test_a_state_directory_belongs_to_one_process(own_sim: Sim) -> None:
    command = [sys.executable, "-m", "sim", "serve", "--listen", "127.0.0.1:0"]
    command += ["--state-dir", str(own_sim.state_dir)]

    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert second.returncode == 1
    assert "another cloudsim may be using this state directory" in second.stderr


def test_a_bad_world_file_is_refused_with_every_fault(tmp_path: pathlib.Path) -> None:
    world = tmp_path / "world.yaml"
    world.write_text("region_id: 5\nlatencies: {attach: 1}\n")
    command = [sys.executable, "-m", "sim", "serve", "--state-dir", str(tmp_path / "s")]

    run = subprocess.run(
        [*command, "--world", str(world)], capture_output=True, text=True, timeout=30, check=False
    )

    assert run.returncode == 2
    assert "region_id must be a text" in run.stderr
    assert "latencies has no field 'attach'" in run.stderr


@pytest.mark.parametrize(
    ("method", "path", "body", "word"),
    [
        ("POST", "clock", {"advance": 1}, "advance"),
        ("POST", "clock", {"scale": 0}, "scale"),
        ("POST", "latency", {"fly": 1}, "fly"),
        ("POST", "world", {"zones": []}, "zones"),
        ("POST", "world/stock", {}, "rows"),
        ("POST", "consistency", {"lag_s": -1}, "lag_s"),
        ("POST", "imds", {"instance": "i-none"}, "i-none"),
        ("POST", "settings/clock", {}, "clock"),
    ],
)
def test_bad_control_requests_say_what_is_wrong(
    sim: Sim, method: str, path: str, body: object, word: str
) -> None:
    answer = sim.control(method, path, body, status=400)

    assert word in answer["error"]


def test_unknown_control_routes_are_not_found(sim: Sim) -> None:
    sim.control("GET", "nothing", status=404)
    sim.control("GET", "faults/f-none", status=404)


def test_the_absolute_form_of_proxies_is_understood(sim: Sim) -> None:
    reply = sim.http("GET", "http://100.100.100.200/latest/meta-data/instance-id")

    assert reply.text == "i-bp1sim000000000001"


def test_state_shows_no_secret(sim: Sim) -> None:
    role = "latest/meta-data/ram/security-credentials/KubernetesWorkerRole"
    credentials = json.loads(sim.http("GET", f"/{role}").text)

    state = json.dumps(sim.control("GET", "state"))

    assert credentials["AccessKeyId"] in state
    assert credentials["AccessKeySecret"] not in state
    assert credentials["SecurityToken"] not in state


def test_a_parameter_given_in_the_form_is_read(sim: Sim) -> None:
    reply = sim.rpc("DescribeDisks", {"RegionId": "mars"}, method="POST")

    assert reply.code == "InvalidRegionId.NotFound"
    assert urllib.parse.quote("mars") in reply.json["Message"]


def test_long_requests_are_read(sim: Sim) -> None:
    reply = sim.rpc("DescribeDisks", {f"Tag.{n}.Value": "v" * 900 for n in range(1, 21)})

    assert reply.status < 500
    assert "RequestId" in reply.json


def test_an_address_in_use_is_told_with_what_to_do(tmp_path: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        words = [sys.executable, "-m", "sim", "serve", "--listen", where]
        words += ["--state-dir", str(tmp_path / "cloud")]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    (told,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert told.startswith(f"cloudsim: {where} cannot be served: address already in use; ")
    assert "port 0 = any free one" in told

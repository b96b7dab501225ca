import http.client
import json
import pathlib
import socket

import pytest
from alibabacloud_credentials.provider import EcsRamRoleCredentialsProvider

from tests.sim.conftest import STS, Reply, Sim

TTL = "X-aliyun-ecs-metadata-token-ttl-seconds"
TOKEN = "X-aliyun-ecs-metadata-token"


def get(sim: Sim, path: str, token: str = "") -> Reply:
    return sim.http("GET", f"/latest/{path}", headers={TOKEN: token} if token else {})


def make_token(sim: Sim, ttl: str = "60", **headers: str) -> Reply:
    return sim.http("PUT", "/latest/api/token", headers={TTL: ttl, **headers})


def require_tokens(sim: Sim) -> None:
    instance = {
        "instance_id": "i-bp1sim000000000001",
        "name": "node-1",
        "zone_id": "cn-hangzhou-k",
        "instance_type_id": "ecs.g7.large",
        "vswitch_id": "vsw-bp1sim000000000002",
        "security_group_ids": ["sg-bp1sim000000000001"],
        "private_ip": "192.168.1.11",
        "mac": "00:16:3e:00:00:01",
        "eni_id": "eni-bp1sim000000000001",
        "http_tokens": "required",
    }
    sim.control("POST", "world", {"instances": [instance]})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("instance-id", "i-bp1sim000000000001"),
        ("region-id", "cn-hangzhou"),
        ("zone-id", "cn-hangzhou-k"),
        ("owner-account-id", "1234567890123456"),
        ("private-ipv4", "192.168.1.11"),
        ("instance/instance-type", "ecs.g7.large"),
        ("instance/vsc-options/enabled", "false"),
        ("ram/security-credentials/", "KubernetesWorkerRole"),
        ("network/interfaces/macs/", "00:16:3e:00:00:01/"),
        ("network/interfaces/macs/00:16:3e:00:00:01/gateway", "192.168.1.253"),
        ("network/interfaces/macs/00:16:3e:00:00:01/private-ipv4s", '["192.168.1.11"]'),
    ],
)
def test_values_are_plain_text(sim: Sim, path: str, value: str) -> None:
    reply = get(sim, f"meta-data/{path}")

    assert (reply.status, reply.text) == (200, value)


@pytest.mark.parametrize(
    "path",
    ["meta-data/none", "meta-data/instance-id/x", "user-data", "nothing",
     "meta-data/network/interfaces/macs/00:16:3e:00:00:01/ipv6s"],
)  # fmt: skip
def test_unknown_paths_are_not_found(sim: Sim, path: str) -> None:
    assert get(sim, path).status == 404


def test_directories_list_their_names(sim: Sim) -> None:
    rows = get(sim, "meta-data/").text.splitlines()

    assert {"instance-id", "instance/", "network/", "ram/"} <= set(rows)
    assert get(sim, "").text.splitlines() == ["meta-data/", "dynamic/", "maintenance/"]


def test_the_older_root_answers_too(sim: Sim) -> None:
    assert sim.http("GET", "/2016-01-01/meta-data/region-id").text == "cn-hangzhou"


def test_the_identity_document_is_json(sim: Sim) -> None:
    document = json.loads(get(sim, "dynamic/instance-identity/document").text)

    assert document["instance-id"] == "i-bp1sim000000000001"
    assert document["zone-id"] == "cn-hangzhou-k"
    assert document["owner-account-id"] == "1234567890123456"


def test_a_token_is_accepted_until_it_expires(sim: Sim) -> None:
    token = make_token(sim, "60").text

    fresh = get(sim, "meta-data/instance-id", token)
    sim.control("POST", "clock", {"advance_s": 61})

    assert fresh.text == "i-bp1sim000000000001"
    assert get(sim, "meta-data/instance-id", token).status == 401


def test_an_unknown_token_is_unauthorized(sim: Sim) -> None:
    assert get(sim, "meta-data/instance-id", "made-up").status == 401


@pytest.mark.parametrize("ttl", ["", "0", "21601", "-1", "x", "1.5"])
def test_a_bad_time_to_live_is_refused(sim: Sim, ttl: str) -> None:
    assert make_token(sim, ttl).status == 400


@pytest.mark.parametrize("ttl", ["1", "21600"])
def test_the_limits_of_the_time_to_live_are_good(sim: Sim, ttl: str) -> None:
    assert make_token(sim, ttl).status == 200


def test_a_token_is_not_given_through_a_proxy(sim: Sim) -> None:
    assert make_token(sim, **{"X-Forwarded-For": "10.0.0.1"}).status == 403


def test_other_methods_are_refused(sim: Sim) -> None:
    assert sim.http("GET", "/latest/api/token").status == 405
    assert sim.http("POST", "/latest/meta-data/").status == 405


def test_an_instance_may_require_tokens(sim: Sim) -> None:
    require_tokens(sim)

    assert get(sim, "meta-data/instance-id").status == 403
    assert get(sim, "meta-data/instance-id", make_token(sim).text).status == 200


def test_a_token_belongs_to_its_instance(sim: Sim) -> None:
    token = make_token(sim).text
    sim.control("POST", "imds", {"instance": "i-bp1sim000000000002"})

    assert get(sim, "meta-data/instance-id").text == "i-bp1sim000000000002"
    assert get(sim, "meta-data/instance-id", token).status == 401


def test_the_chosen_instance_can_be_taken_back(sim: Sim) -> None:
    sim.control("POST", "imds", {"instance": "i-bp1sim000000000002"})
    sim.control("POST", "imds", {"instance": ""})

    assert get(sim, "meta-data/instance-id").text == "i-bp1sim000000000001"


def test_the_role_credentials_work_and_stay_the_same(sim: Sim) -> None:
    path = "meta-data/ram/security-credentials/KubernetesWorkerRole"
    first, second = (json.loads(get(sim, path).text) for _ in range(2))

    client = sim.sts(
        access_key_id=first["AccessKeyId"],
        access_key_secret=first["AccessKeySecret"],
        security_token=first["SecurityToken"],
    )
    caller = client.get_caller_identity().body

    assert first == second
    assert first["Code"] == "Success"
    assert caller.identity_type == "AssumedRoleUser"
    assert caller.arn.endswith("assumed-role/kubernetesworkerrole/vm-ecs-i-bp1sim000000000001")


def test_role_credentials_are_renewed_half_way(sim: Sim) -> None:
    path = "meta-data/ram/security-credentials/KubernetesWorkerRole"
    first = json.loads(get(sim, path).text)
    sim.control("POST", "clock", {"advance_s": 3 * 3600 + 1})

    second = json.loads(get(sim, path).text)

    assert first["AccessKeyId"] != second["AccessKeyId"]
    assert first["Expiration"] < second["Expiration"]


def test_an_instance_without_a_role_has_no_credentials(sim: Sim) -> None:
    require_tokens(sim)
    token = make_token(sim).text

    assert get(sim, "meta-data/ram/security-credentials/", token).status == 404


def test_the_sdk_provider_gets_credentials(sim: Sim) -> None:
    provider = EcsRamRoleCredentialsProvider(disable_imds_v1=True)
    provider._EcsRamRoleCredentialsProvider__metadata_service_host = sim.endpoint

    credentials = provider.get_credentials()

    assert credentials.get_access_key_id().startswith("STS.")
    paths = {row["parameters"]["Path"] for row in sim.calls("Metadata")}
    assert "/latest/api/token" in paths


def test_metadata_requests_can_be_given_faults(sim: Sim) -> None:
    sim.fault("Metadata", "error", status=503, match={"Path": "*/region-id"})
    sim.fault("Metadata", "drop", match={"Path": "*/zone-id"})
    sim.fault("Metadata", "http_5xx", match={"Path": "*/mac"})

    assert get(sim, "meta-data/instance-id").status == 200
    assert get(sim, "meta-data/region-id").status == 503
    with pytest.raises(http.client.RemoteDisconnected):
        get(sim, "meta-data/zone-id")
    assert get(sim, "meta-data/mac").status == 503
    assert get(sim, "meta-data/zone-id").text == "cn-hangzhou-k"


def test_a_token_survives_a_kill(own_sim: Sim) -> None:
    token = make_token(own_sim).text

    own_sim.kill()
    own_sim.start()

    assert get(own_sim, "meta-data/instance-id", token).status == 200


def test_the_second_address_serves_metadata_only(tmp_path: pathlib.Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = Sim(tmp_path / "state", "--imds-address", f"127.0.0.1:{port}")
    running.start()
    main_port, running.port = running.port, port

    answers = [
        sim_answer.status
        for sim_answer in (
            get(running, "meta-data/instance-id"),
            running.http("GET", "/_sim/health"),
            running.rpc("GetCallerIdentity", version=STS),
        )
    ]
    running.port = main_port

    assert running.stop() == 0
    assert answers == [200, 404, 404]

import hashlib
import hmac
import json
import urllib.parse
import uuid

import pytest
from alibabacloud_ecs20140526 import models

from tests.sim.conftest import ECS, KEY_ID, SECRET, STS, Reply, Sim
from tests.support.signed_api import common_parameters, now_text, sign_v1


def acs3(
    sim: Sim,
    query: dict[str, str],
    *,
    key: tuple[str, str] = (KEY_ID, SECRET),
    leave_out: tuple[str, ...] = (),
    body: bytes = b"",
    sent_body: bytes | None = None,
    **changes: str,
) -> Reply:
    """A request signed by hand with ACS3; *changes*: headers by name with _ for -."""
    headers = {
        "host": sim.endpoint,
        "x-acs-action": "GetCallerIdentity",
        "x-acs-version": STS,
        "x-acs-date": now_text(),
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    names = sorted(set(headers) - set(leave_out))
    encoded = "&".join(
        f"{urllib.parse.quote(k, safe='~')}={urllib.parse.quote(v, safe='~')}"
        for k, v in sorted(query.items())
    )
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    digest = hashlib.sha256(body).hexdigest()
    whole = "\n".join(("POST", "/", encoded, lines, ";".join(names), digest))
    text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(whole.encode()).hexdigest()
    signature = hmac.new(key[1].encode(), text.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = (
        f"ACS3-HMAC-SHA256 Credential={key[0]},SignedHeaders={';'.join(names)},"
        f"Signature={signature}"
    )
    raw = body if sent_body is None else sent_body
    return sim.http("POST", f"/?{urllib.parse.urlencode(query)}", headers=headers, body=raw)


def test_the_sdk_is_accepted_with_characters_that_need_escaping(sim: Sim) -> None:
    tag = models.DescribeDisksRequestTag(key="a b", value="~*'()+/=ü&")
    ask = models.DescribeDisksRequest(region_id="cn-hangzhou", tag=[tag], encrypted=True)

    answer = sim.ecs().describe_disks(ask)

    assert answer.body.total_count == 0
    assert answer.headers["x-acs-request-id"] == answer.body.request_id


@pytest.mark.parametrize("algorithm", ["ACS3-HMAC-SHA256", "v2"])
def test_both_signature_algorithms_of_the_sdk_are_accepted(sim: Sim, algorithm: str) -> None:
    answer = sim.sts(signature_algorithm=algorithm).get_caller_identity()

    assert answer.body.account_id == "1234567890123456"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_rpc_signature_is_accepted_in_query_and_form(sim: Sim, method: str) -> None:
    reply = sim.rpc("GetCallerIdentity", {"Odd": "a b*~'+/="}, version=STS, method=method)

    assert (reply.status, reply.json["IdentityType"]) == (200, "RAMUser")


def test_a_wrong_secret_is_refused_with_the_string_to_sign(sim: Sim) -> None:
    reply = sim.rpc("GetCallerIdentity", version=STS, key=(KEY_ID, "wrong"))

    assert (reply.status, reply.code) == (400, "SignatureDoesNotMatch")
    assert "GET&%2F&AccessKeyId%3DLTAIsimulated" in reply.json["Message"]
    assert "HostId" in reply.json
    assert reply.json["Recommend"].startswith("https://")


def test_a_wrong_secret_is_refused_with_acs3(sim: Sim) -> None:
    reply = acs3(sim, {}, key=(KEY_ID, "wrong"))

    assert (reply.status, reply.code) == (400, "SignatureDoesNotMatch")


def test_a_changed_parameter_breaks_the_signature(sim: Sim) -> None:
    values = common_parameters("GetCallerIdentity", STS, KEY_ID)
    values["Signature"] = sign_v1("GET", values, SECRET)
    values["Extra"] = "1"

    reply = sim.http("GET", f"/?{urllib.parse.urlencode(values)}")

    assert reply.code == "SignatureDoesNotMatch"


def test_an_unknown_key_is_not_found(sim: Sim) -> None:
    reply = sim.rpc("GetCallerIdentity", version=STS, key=("LTAIother", "x"))

    assert (reply.status, reply.code) == (404, "InvalidAccessKeyId.NotFound")


@pytest.mark.parametrize("kind", ["rpc", "acs3"])
def test_a_nonce_is_good_once(sim: Sim, kind: str) -> None:
    nonce = uuid.uuid4().hex

    def call() -> Reply:
        if kind == "rpc":
            return sim.rpc("GetCallerIdentity", version=STS, SignatureNonce=nonce)
        return acs3(sim, {}, x_acs_signature_nonce=nonce)

    first, second = call(), call()

    assert (first.status, second.status, second.code) == (200, 400, "SignatureNonceUsed")


def test_a_forged_request_does_not_use_up_the_nonce(sim: Sim) -> None:
    nonce = uuid.uuid4().hex

    forged = sim.rpc("GetCallerIdentity", version=STS, key=(KEY_ID, "x"), SignatureNonce=nonce)
    real = sim.rpc("GetCallerIdentity", version=STS, SignatureNonce=nonce)

    assert (forged.code, real.status) == ("SignatureDoesNotMatch", 200)


@pytest.mark.parametrize("offset_s", [-16 * 60, 16 * 60], ids=["too old", "too new"])
@pytest.mark.parametrize("kind", ["rpc", "acs3"])
def test_a_date_outside_the_window_is_expired(sim: Sim, offset_s: int, kind: str) -> None:
    date = now_text(offset_s)

    if kind == "rpc":
        reply = sim.rpc("GetCallerIdentity", version=STS, Timestamp=date)
    else:
        reply = acs3(sim, {}, x_acs_date=date)

    assert (reply.status, reply.code) == (400, "InvalidTimeStamp.Expired")


def test_a_date_within_the_window_is_good(sim: Sim) -> None:
    reply = sim.rpc("GetCallerIdentity", version=STS, Timestamp=now_text(-14 * 60))

    assert reply.status == 200


def test_a_malformed_date_is_named(sim: Sim) -> None:
    reply = sim.rpc("GetCallerIdentity", version=STS, Timestamp="yesterday")

    assert reply.code == "InvalidTimeStamp.Format"


@pytest.mark.parametrize(
    "change",
    [
        {"SignatureNonce": ""},
        {"Timestamp": ""},
        {"SignatureMethod": "HMAC-MD5"},
        {"SignatureVersion": "2.0"},
    ],
    ids=lambda row: next(iter(row)),
)
def test_an_rpc_signature_that_is_not_whole_is_refused(sim: Sim, change: dict[str, str]) -> None:
    reply = sim.rpc("GetCallerIdentity", version=STS, **change)

    assert (reply.status, reply.code) == (400, "IncompleteSignature")


@pytest.mark.parametrize(
    "authorization", ["Bearer x", "ACS3-HMAC-SHA256 Credential=a", "ACS3-HMAC-SHA256 nonsense"]
)
def test_an_authorization_header_that_is_not_whole_is_refused(sim: Sim, authorization: str) -> None:
    headers = {"Authorization": authorization, "x-acs-action": "DescribeDisks"}

    reply = sim.http("POST", "/", headers=headers)

    assert (reply.status, reply.code) == (400, "IncompleteSignature")


@pytest.mark.parametrize("name", ["host", "x-acs-action", "x-acs-date", "x-acs-signature-nonce"])
def test_headers_that_decide_must_be_signed(sim: Sim, name: str) -> None:
    reply = acs3(sim, {}, leave_out=(name,))

    assert (reply.status, reply.code) == (400, "IncompleteSignature")
    assert name in reply.json["Message"]


def test_a_changed_body_is_noticed(sim: Sim) -> None:
    reply = acs3(sim, {}, body=b"one", sent_body=b"two")

    assert (reply.status, reply.code) == (400, "SignatureDoesNotMatch")


def test_an_unsigned_request_is_refused(sim: Sim) -> None:
    reply = sim.http("GET", f"/?Action=DescribeDisks&Version={ECS}")

    assert (reply.status, reply.code) == (400, "IncompleteSignature")


def test_secrets_are_in_no_log(sim: Sim) -> None:
    sim.rpc("GetCallerIdentity", version=STS, SecurityToken="very-private", Password="hush")

    shown = json.dumps(sim.calls()) + sim.log.read_text()

    assert "very-private" not in shown
    assert "hush" not in shown
    assert SECRET not in shown

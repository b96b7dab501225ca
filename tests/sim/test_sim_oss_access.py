"""Who may do what, and how OSS says no."""

import email.utils
import pathlib
import re
import time
from collections.abc import Iterator

import oss2
import pytest
from alibabacloud_sts20150401 import models as sts_models

from tests.sim.conftest import KEY_ID, SECRET, Sim
from tests.sim.oss_harness import bucket, fetch, refusal, refused
from tests.sim.test_sim_ram import restrict


def code(body: bytes) -> str:
    found = re.search(rb"<Code>(.*)</Code>", body)
    return found[1].decode() if found else ""


@pytest.mark.parametrize("auth", [oss2.AuthV4, oss2.Auth], ids=["v4", "v1"])
def test_wrong_keys(sim: Sim, auth: type) -> None:
    wrong = bucket(sim, auth=auth(KEY_ID, "another-secret"))
    unknown = bucket(sim, auth=auth("LTAInobody", SECRET))

    assert refused(wrong.get_bucket_info) == (403, "SignatureDoesNotMatch")
    assert refused(unknown.get_bucket_info) == (403, "InvalidAccessKeyId")
    assert sim.calls("GetBucketInfo")[-1]["effect"] is False


def test_a_signature_for_another_region(sim: Sim) -> None:
    ours = bucket(sim, region="cn-beijing")

    told = refusal(ours.get_bucket_info)

    assert (told.status, told.code) == (400, "InvalidArgument")
    assert told.ec == "0002-00000226"


@pytest.mark.parametrize("version", [oss2.AUTH_VERSION_1, oss2.AUTH_VERSION_4])
def test_temporary_credentials(sim: Sim, version: str) -> None:
    role = "acs:ram::1234567890123456:role/csi-admin"
    ask = sts_models.AssumeRoleRequest(
        role_arn=role, role_session_name="test", duration_seconds=900
    )
    given = sim.sts().assume_role(ask).body.credentials

    def signed(token: str) -> oss2.Bucket:
        ours = oss2.StsAuth(
            given.access_key_id, given.access_key_secret, token, auth_version=version
        )
        return bucket(sim, auth=ours)

    signed(given.security_token).put_object("k", b"x")
    assert refused(signed("CAISother").get_bucket_info) == (403, "InvalidSecurityToken")
    sim.control("POST", "clock", {"advance_s": 1000})
    assert refused(signed(given.security_token).get_bucket_info) == (403, "SecurityTokenExpired")


@pytest.mark.parametrize("auth", [oss2.AuthV4, oss2.Auth], ids=["v4", "v1"])
def test_presigned_urls_work_until_they_expire(sim: Sim, auth: type) -> None:
    ours = bucket(sim, auth=auth(KEY_ID, SECRET))
    ours.put_object("a b/ü", b"data")

    url = ours.sign_url("GET", "a b/ü", 60, slash_safe=True)
    written = fetch(ours.sign_url("PUT", "put", 60), "PUT", body=b"over a URL")

    assert fetch(url)[::2] == (200, b"data")
    assert written[0] == 200
    assert ours.get_object("put").read() == b"over a URL"
    status, _, body = fetch(url.replace("ignature=", "ignature=x"))
    assert (status, code(body)) == (403, "SignatureDoesNotMatch")


def test_a_presigned_url_of_the_past(sim: Sim) -> None:
    url = bucket(sim, auth=oss2.Auth(KEY_ID, SECRET)).sign_url("GET", "put", -30)

    status, _, body = fetch(url)

    assert (status, code(body)) == (403, "AccessDenied")
    assert b"Request has expired." in body


def test_answers_tell_the_time_that_signatures_are_judged_by(sim: Sim) -> None:
    """Alibaba's newer SDK for Go sets its clock by them."""
    sim.control("POST", "clock", {"skew_s": 3600})
    now_s = time.time()

    told = (
        fetch(f"http://{sim.endpoint}/", "GET", {"Host": "oss-cn-hangzhou.aliyuncs.com"})[1],
        sim.http("GET", "/").headers,
    )

    sim.control("POST", "clock", {"skew_s": 0})
    for headers in told:
        date_s = email.utils.parsedate_to_datetime(headers["date"]).timestamp()
        assert 3598 < date_s - now_s < 7200


@pytest.mark.parametrize("skew_s", [3600, -3600])
@pytest.mark.parametrize("auth", [oss2.AuthV4, oss2.Auth], ids=["v4", "v1"])
def test_a_clock_that_is_wrong(sim: Sim, auth: type, skew_s: int) -> None:
    sim.control("POST", "clock", {"skew_s": skew_s})
    ours = bucket(sim, auth=auth(KEY_ID, SECRET))

    told = refusal(lambda: ours.put_object("k", b"x"))

    assert told.code == "RequestTimeTooSkewed"
    assert told.details["MaxAllowedSkewMilliseconds"] == "900000"
    assert sim.rpc("DescribeRegions").code == "InvalidTimeStamp.Expired"
    sim.control("POST", "clock", {"skew_s": 0})
    ours.put_object("k", b"x")


def test_policies_are_for_actions_and_objects(sim: Sim) -> None:
    bucket(sim).put_object("shared/k", b"x")
    restrict(
        sim,
        ("Allow", ["oss:GetObject"], ["acs:oss:*:*:simulated-bucket/shared/*"]),
        ("Allow", ["oss:ListObjects"], ["acs:oss:*:*:simulated-bucket"]),
    )
    ours = bucket(sim)

    assert ours.get_object("shared/k").read() == b"x"
    assert [row.key for row in oss2.ObjectIterator(ours)] == ["shared/k"]
    assert refused(lambda: ours.put_object("shared/k", b"y")) == (403, "AccessDenied")
    assert refused(lambda: ours.get_object("other")) == (403, "AccessDenied")
    assert refused(ours.get_bucket_stat) == (403, "AccessDenied")
    assert ours.batch_delete_objects(["shared/k"]).deleted_keys == []
    assert ours.object_exists("shared/k")


@pytest.fixture
def open_sim(tmp_path: pathlib.Path, unused_tcp_port: int) -> Iterator[tuple[Sim, str]]:
    """A simulator with a listener of its own for object storage, and that listener's URL."""
    running = Sim(tmp_path / "state", "--oss-address", f"127.0.0.1:{unused_tcp_port}")
    running.start()
    yield running, f"http://127.0.0.1:{unused_tcp_port}"
    running.stop()


def test_unsigned_requests_get_what_the_acl_opens(open_sim: tuple[Sim, str]) -> None:
    sim, url = open_sim
    ours = bucket(sim)
    ours.put_object("k", b"public")
    secret = {"x-oss-object-acl": "private"}
    ours.put_object("hidden", b"x", headers=secret)

    status, _, body = fetch(f"{url}/simulated-bucket/k")
    assert (status, code(body)) == (403, "AccessDenied")
    ours.put_bucket_acl("public-read")
    assert fetch(f"{url}/simulated-bucket/k")[::2] == (200, b"public")
    assert b"<Key>k</Key>" in fetch(f"{url}/simulated-bucket/")[2]
    assert fetch(f"{url}/simulated-bucket/hidden")[0] == 403
    assert fetch(f"{url}/simulated-bucket/k", "PUT", body=b"mine")[0] == 403
    assert fetch(f"{url}/")[0] == 403


def test_a_bucket_may_be_the_host(sim: Sim) -> None:
    bucket(sim).put_object("dir/k", b"public", headers={"x-oss-object-acl": "public-read"})
    host = {"Host": "simulated-bucket.oss-cn-hangzhou.aliyuncs.com"}
    other = {"Host": "oss-cn-hangzhou.aliyuncs.com"}

    assert fetch(f"http://{sim.endpoint}/dir/k", headers=host)[::2] == (200, b"public")
    status, _, body = fetch(f"http://{sim.endpoint}/simulated-bucket/dir/k", headers=other)
    assert (status, code(body)) == (403, "SecondLevelDomainForbidden")


def test_a_head_that_is_refused_tells_why_in_its_headers(open_sim: tuple[Sim, str]) -> None:
    _, url = open_sim

    status, headers, body = fetch(f"{url}/no-such-bucket/k", "HEAD")

    assert (status, body) == (404, b"")
    assert headers["x-oss-err"]
    assert headers["x-oss-ec"] == "0015-00000101"


def test_a_bucket_of_another_region_names_its_endpoint(tmp_path: pathlib.Path) -> None:
    world = tmp_path / "world.yaml"
    world.write_text("oss_buckets: [{name: far-away, region_id: cn-beijing}]\n")
    running = Sim(tmp_path / "state", "--world", str(world))
    running.start()
    try:
        told = refusal(lambda: bucket(running, "far-away").list_objects())
    finally:
        running.stop()

    assert (told.status, told.code) == (403, "AccessDenied")
    assert told.details["Endpoint"] == "oss-cn-beijing.aliyuncs.com"


def test_a_body_that_is_not_what_its_digest_says(sim: Sim) -> None:
    ours = bucket(sim)
    headers = {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}

    assert refused(lambda: ours.put_object("k", b"x", headers=headers)) == (400, "InvalidDigest")
    assert not ours.object_exists("k")
    assert list((sim.state_dir / "oss").iterdir()) == []


def test_a_header_that_is_no_utf_8_is_refused(sim: Sim) -> None:
    host = {"Host": "simulated-bucket.oss-cn-hangzhou.aliyuncs.com"}
    odd = {**host, "x-oss-meta-a": "\xfc"}

    status, _, body = fetch(f"http://{sim.endpoint}/k", "PUT", headers=odd, body=b"x")

    assert (status, code(body)) == (400, "InvalidArgument")


def test_faults_and_lost_answers(sim: Sim) -> None:
    ours = bucket(sim)
    sim.fault("PutObject", "error", status=503, code="ServiceUnavailable", message="busy")

    assert refused(lambda: ours.put_object("k", b"x")) == (503, "ServiceUnavailable")
    sim.fault("PutObject", "lost_answer", match={"Key": "k"})
    with pytest.raises(oss2.exceptions.RequestError):
        ours.put_object("k", b"x")

    assert ours.get_object("k").read() == b"x"
    assert sim.control("GET", "oss")["buckets"]["simulated-bucket"]["objects"] == 1


def test_no_secret_is_in_the_call_log(sim: Sim) -> None:
    ours = bucket(sim)
    ours.put_object("k", b"x")
    fetch(ours.sign_url("GET", "k", 60))

    entries = sim.calls("GetObject")

    assert entries[-1]["parameters"]["x-oss-signature"] == "***"
    assert entries[-1]["access_key_id"] == KEY_ID

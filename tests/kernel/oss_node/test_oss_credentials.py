"""Who a volume's client is, and what is said when the storage refuses it."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import grpc
import pytest
from alibabacloud_sts20150401 import models as sts_models

from tests.sim.conftest import KEY_ID, SECRET
from tests.sim.oss_harness import bucket
from tests.support import oss_node, rpc
from tests.support.oss_node import refused

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]
Code = grpc.StatusCode


def test_no_secret_is_anywhere_but_in_its_file(node: oss_node.OssNode) -> None:
    node.publish()
    secrets = {"akId": KEY_ID, "akSecret": "wrong-but-secret-too"}
    with pytest.raises(grpc.RpcError) as refusal:
        node.publish("other", volume_id="pv-2", secrets=secrets)

    assert "wrong-but-secret-too" not in refusal.value.details()
    assert node.files_with("wrong-but-secret-too") == []
    holders = node.files_with(SECRET)
    assert [pathlib.Path(path).name for path in holders] == ["passwd-s3fs"]
    for pid in (node.plugin.pid, node.mounter.pid, int(str(node.volume()["pid"]))):
        for name in ("cmdline", "environ"):
            assert SECRET.encode() not in pathlib.Path(f"/proc/{pid}/{name}").read_bytes()


def test_each_mistake_has_its_own_message_within_ten_seconds(node: oss_node.OssNode) -> None:
    wrong = {"akId": KEY_ID, "akSecret": "not-the-secret"}
    unknown = {"akId": "LTAInobody", "akSecret": SECRET}
    cases = (
        ({"secrets": wrong}, "the access key's secret is wrong"),
        ({"secrets": unknown}, "there is no such access key id"),
        ({"bucket": "no-such-bucket"}, "bucket no-such-bucket does not exist at http://"),
        ({"region": "cn-beijing"}, "signed for another region"),
        ({"region": "", "secrets": wrong}, "the access key's secret is wrong"),
    )
    for number, (changes, words) in enumerate(cases):
        refused(
            node, Code.FAILED_PRECONDITION, words,
            volume_id=f"pv-{number}", timeout_s=10.0, **changes,
        )  # fmt: skip
    assert node.mounter.ask("status")["volumes"] == []


def test_an_endpoint_that_does_not_answer_is_named(node: oss_node.OssNode) -> None:
    words = "http://127.0.0.1:9 does not answer"

    refused(node, Code.FAILED_PRECONDITION, words, url="http://127.0.0.1:9")


def test_a_clock_that_is_wrong_is_named(node: oss_node.OssNode) -> None:
    node.cloud.fault(
        "ListObjects", "error", always=True, status=403, code="RequestTimeTooSkewed",
        message="The difference between the request time and the current time is too large.",
    )  # fmt: skip

    refused(node, Code.FAILED_PRECONDITION, "clock is off by more than 15 minutes")


def issue_token(node: oss_node.OssNode, seconds: int = 900) -> dict[str, str]:
    """A fresh STS token, as a Secret has it."""
    ask = sts_models.AssumeRoleRequest(
        role_arn="acs:ram::1234567890123456:role/csi-admin",
        role_session_name="test",
        duration_seconds=seconds,
    )
    given = node.cloud.sts().assume_role(ask).body.credentials
    return {
        "AccessKeyId": given.access_key_id,
        "AccessKeySecret": given.access_key_secret,
        "SecurityToken": given.security_token,
        "Expiration": given.expiration,
    }


def test_g46_tokens_are_replaced_under_load_and_no_request_is_lost(
    node: oss_node.OssNode,
) -> None:
    first = issue_token(node)
    target = node.publish(secrets=first)
    pid = node.volume()["pid"]
    script = "for i in $(seq 400); do echo $i > $0/f$i && cat $0/f$i || exit 1; done"
    load = subprocess.Popen(["sh", "-c", script, str(target)], stdout=subprocess.DEVNULL)

    for _ in range(5):
        newest = issue_token(node)
        node.publish(secrets=newest)
        time.sleep(0.3)

    assert load.wait(timeout=120) == 0
    assert len(list(target.glob("f*"))) == 400
    assert (node.volume()["pid"], node.volume()["restarts"]) == (pid, 0)
    assert [row["code"] for row in node.cloud.calls() if row["http_status"] == 403] == []
    holders = {pathlib.Path(path).parent.name for path in node.files_with(newest["SecurityToken"])}
    assert len(holders) == 1
    assert node.files_with(first["SecurityToken"]) == []


def test_g46_a_client_goes_on_with_the_new_token_when_the_old_one_has_expired(
    node: oss_node.OssNode,
) -> None:
    target = node.publish(secrets=issue_token(node))
    (target / "a").write_text("x")
    node.mounter.stop(signal.SIGKILL)
    node.mounter.start()
    node.cloud.control("POST", "clock", {"advance_s": 1000})

    newest = issue_token(node, seconds=3600)
    node.publish(secrets=newest)

    # s3fs asks for a token about once a minute: its own clock says when.
    rpc.wait_until(lambda: _is_readable(target / "a"), timeout_s=90)
    assert node.volume()["restarts"] == 0
    assert newest["AccessKeyId"] in {row["access_key_id"] for row in node.cloud.calls()}


def test_the_role_of_the_instance(node: oss_node.OssNode) -> None:
    target = node.publish(authType="sts", roleName="KubernetesWorkerRole", secrets={})

    (target / "a").write_text("x")

    assert bucket(node.cloud).get_object("a").read() == b"x"
    refused(
        node, Code.UNAUTHENTICATED, "does not have RAM role 'other'",
        volume_id="pv-2", authType="sts", roleName="other", secrets={},
    )  # fmt: skip


@pytest.mark.parametrize("chained", [False, True], ids=["role", "chain"])
def test_rrsa_takes_the_role_of_the_pods_service_account(
    node: oss_node.OssNode, *, chained: bool
) -> None:
    words = [sys.executable, "-m", "sim", "oidc-token", "--subject"]
    subject = "system:serviceaccount:kube-system:app"
    token = subprocess.run([*words, subject], capture_output=True, text=True, check=True).stdout
    wrong = subprocess.run([*words, "other"], capture_output=True, text=True, check=True).stdout
    more = {"roleName": "csi-admin", "authType": "rrsa"}
    if chained:
        more["assumeRoleArn"] = "acs:ram::1234567890123456:role/csi-admin"

    def tokens(text: str) -> dict[str, str]:
        told = {"sts.aliyuncs.com": {"token": text.strip(), "expirationTimestamp": ""}}
        return {"csi.storage.k8s.io/serviceAccount.tokens": json.dumps(told)}

    target = node.publish(secrets={}, **more, **tokens(token))
    (target / "a").write_text("x")
    node.publish(secrets={}, **more, **tokens(token))

    assert bucket(node.cloud).get_object("a").read() == b"x"
    assert len(node.cloud.calls("AssumeRoleWithOIDC")) == 1
    assert node.files_with(token.strip()) == []
    refused(node, Code.INVALID_ARGUMENT, "tokenRequests", volume_id="pv-2", secrets={}, **more)
    details = refused(
        node, Code.UNAUTHENTICATED, "cannot be assumed",
        volume_id="pv-2", secrets={}, **more, **tokens(wrong),
    )  # fmt: skip
    assert wrong.strip() not in details


def test_a_public_bucket_needs_no_key(node: oss_node.OssNode) -> None:
    # Unsigned requests with the bucket in their path need a listener of their own.
    port = node.open_port()
    bucket(node.cloud).put_bucket_acl("public-read")
    bucket(node.cloud).put_object("a", b"for all")

    target = node.publish(authType="public", secrets={}, url=f"http://127.0.0.1:{port}")

    assert (target / "a").read_text() == "for all"


def _is_readable(path: pathlib.Path) -> bool:
    try:
        return path.read_text() == "x"
    except OSError:
        return False

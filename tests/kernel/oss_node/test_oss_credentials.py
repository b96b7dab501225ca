"""Who a volume's client is, and what is said when the storage refuses it."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import uuid
from typing import Any

import grpc
import pytest
from alibabacloud_sts20150401 import models as sts_models

from tests.sim.conftest import KEY_ID
from tests.sim.oss_harness import bucket
from tests.support import oss_node, processes_seen, rpc
from tests.support.oss_node import refused

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]
Code = grpc.StatusCode


def test_no_secret_is_anywhere_but_in_its_file(node: oss_node.OssNode) -> None:
    # A key that no other test on this machine has.
    own = {"akId": "LTAIofthistest", "akSecret": f"secret-of-{uuid.uuid4().hex}"}
    key = {"access_key_id": own["akId"], "access_key_secret": own["akSecret"], "user_name": ""}
    node.cloud.control("POST", "world", {"access_keys": [key]})
    wrong, token = f"wrong-{uuid.uuid4().hex}", issue_token(node)
    words = [own["akSecret"], wrong, token["AccessKeySecret"], token["SecurityToken"]]
    with processes_seen.watching(words) as shown:
        node.publish(secrets=own)
        node.publish("by-token", volume_id="pv-2", secrets=token)
        node.publish("by-token", volume_id="pv-2", secrets=issue_token(node))
        said = [
            refused(node, Code.FAILED_PRECONDITION, volume_id=f"pv-{number}", secrets=secrets)
            for number, secrets in enumerate(
                ({"akId": KEY_ID, "akSecret": wrong}, {**token, "SecurityToken": f"{wrong}-token"}),
                3,
            )
        ]
        said.append(
            refused(node, Code.INVALID_ARGUMENT, volume_id="pv-5", secrets={"akSecret": wrong})
        )

    assert shown() == []
    assert [word for word in words for text in said if word in text] == []
    assert node.files_with(wrong) == []
    holders = [pathlib.Path(path) for path in node.files_with(own["akSecret"])]
    assert [path.name for path in holders] == ["passwd-s3fs"]
    assert {path.name for path in map(pathlib.Path, node.files_with(words[3]))} <= {"SecurityToken"}
    assert holders[0].stat().st_mode & 0o777 == 0o600
    node.unpublish()
    node.unstage()
    assert node.files_with(own["akSecret"]) == []


def test_whoever_shows_a_secret_is_seen() -> None:
    word = uuid.uuid4().hex
    with processes_seen.watching([word]) as shown:
        subprocess.run(["sh", "-c", "sleep 0.5; true", word], check=True)
        subprocess.run(["sh", "-c", "sleep 0.5; true"], check=True, env={"KEY": word})

    assert {text.partition(" ")[0] for text in shown()} == {"cmdline", "environ"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"secrets": {"akId": KEY_ID, "akSecret": "no"}}, "the access key's secret is wrong"),
        ({"secrets": {"akId": "LTAInobody", "akSecret": "no"}}, "no such access key id"),
        ({"bucket": "no-such-bucket"}, "bucket no-such-bucket does not exist at http://"),
        ({"bucket": "no-such-bucket", "authType": "public", "secrets": {}}, "does not exist at"),
        (
            {"bucket": "no-such-bucket", "authType": "sts", "roleName": "KubernetesWorkerRole"}
            | {"secrets": {}},
            "does not exist at",
        ),
        ({"authType": "public", "secrets": {}}, "the credentials lack a permission"),
        ({"region": "cn-beijing"}, "signed for another region"),
        (
            {"bucket": "far-away"},
            "bucket far-away is in another region; set url to oss-cn-beijing.aliyuncs.com",
        ),
    ],
    ids=lambda given: None if isinstance(given, dict) else given[:30],
)
def test_each_mistake_has_its_own_message_within_ten_seconds(
    node: oss_node.OssNode, changes: dict[str, Any], words: str
) -> None:
    if changes.get("authType") == "public":
        changes = {**changes, "url": f"http://127.0.0.1:{node.open_port()}"}

    refused(node, Code.FAILED_PRECONDITION, words, timeout_s=10.0, **changes)

    assert node.mounter.ask("status")["volumes"] == []
    assert node.left_mounts() == []


def test_an_endpoint_that_does_not_answer_is_named(node: oss_node.OssNode) -> None:
    words = "http://127.0.0.1:9 does not answer"

    refused(node, Code.FAILED_PRECONDITION, words, url="http://127.0.0.1:9")


@pytest.mark.parametrize("skew_s", [3600, -3600], ids=["behind", "ahead"])
def test_a_clock_that_is_wrong_is_named_within_ten_seconds(
    node: oss_node.OssNode, skew_s: int
) -> None:
    node.cloud.control("POST", "clock", {"skew_s": skew_s})

    said = refused(node, Code.FAILED_PRECONDITION, "clock is off", timeout_s=10.0)

    assert "off by more than 15 minutes (at OSS it is 20" in said


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

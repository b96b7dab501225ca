"""The OSS node service and csi-mounter as processes, real FUSE by Debian's s3fs."""

import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import grpc
import pytest
from alibabacloud_sts20150401 import models as sts_models

from host import mountinfo
from tests.sim.conftest import KEY_ID, SECRET
from tests.sim.oss_harness import bucket
from tests.support import containers, oss_node, rpc, wrappers

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]
Code = grpc.StatusCode


@pytest.fixture
def node() -> Iterator[oss_node.OssNode]:
    made = oss_node.OssNode()
    try:
        made.start()
        yield made
    finally:
        made.close()


def refused(node: oss_node.OssNode, code: Code, *words: str, **changes: object) -> str:
    with pytest.raises(grpc.RpcError) as refusal:
        node.publish(**changes)
    assert refusal.value.code() is code, refusal.value.details()
    assert all(word in refusal.value.details() for word in words), refusal.value.details()
    return str(refusal.value.details())


def test_a_volume_is_written_read_and_shared(node: oss_node.OssNode) -> None:
    first, second = node.publish("pod-1"), node.publish("pod-2")

    (first / "dir").mkdir()
    (first / "dir" / "a").write_text("hello")
    (first / "dir" / "a").rename(first / "b")

    assert (second / "b").read_text() == "hello"
    assert bucket(node.cloud).get_object("b").read() == b"hello"
    assert node.volume()["restarts"] == 0
    assert len({mountinfo.mounts_at(path)[-1].device for path in (first, second)}) == 1
    node.unpublish("pod-1")
    assert (second / "b").read_text() == "hello"
    node.unpublish("pod-2")
    node.unpublish("pod-2")
    node.unstage()
    node.unstage()
    assert node.left_mounts() == []
    assert node.mounter.client_pids() == []
    assert not first.exists()
    assert [path.name for path in node.mounter.work_dir.iterdir()] == [".mounter"]


def test_a_large_file_and_many_files(node: oss_node.OssNode) -> None:
    target = node.publish()
    data = os.urandom(20 << 20) * 10
    (target / "large").write_bytes(data)
    ours = bucket(node.cloud)
    for number in range(5000):
        ours.put_object(f"many/{number:05d}", b"x")

    assert hashlib.sha256((target / "large").read_bytes()).digest() == hashlib.sha256(data).digest()
    assert ours.head_object("large").headers["x-oss-object-type"] == "Multipart"
    assert len(list((target / "many").iterdir())) == 5000
    refusals = [row for row in node.cloud.calls() if row["http_status"] in (400, 403, 501)]
    assert refusals == []


def test_read_only_pods_cannot_write(node: oss_node.OssNode) -> None:
    writer, reader = node.publish("writer"), node.publish("reader", readonly=True)
    (writer / "a").write_text("x")

    assert (reader / "a").read_text() == "x"
    with pytest.raises(OSError, match="Read-only"):
        (reader / "b").write_text("y")
    refused(node, Code.ALREADY_EXISTS, "writable", pod="writer", readonly=True)
    only = node.publish("pod", volume_id="pv-ro", mode="MULTI_NODE_READER_ONLY")
    with pytest.raises(OSError, match="Read-only"):
        (only / "b").write_text("y")


def test_a_path_shows_nothing_beside_it(node: oss_node.OssNode) -> None:
    ours = bucket(node.cloud)
    for key in ("mine/", "mine/a", "other/b"):
        ours.put_object(key, b"x")

    target = node.publish(path="/mine")

    assert [path.name for path in target.iterdir()] == ["a"]
    assert not (target / ".." / "other").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_pods_see_the_volume_again_after_the_next_publish(
    node: oss_node.OssNode, number: signal.Signals
) -> None:
    first, second = node.publish("pod-1"), node.publish("pod-2", readonly=True)
    (first / "a").write_text("kept")

    os.kill(int(str(node.volume()["pid"])), number)
    rpc.wait_until(lambda: node.volume()["restarts"] == 1, timeout_s=20)
    rpc.wait_until(lambda: node.volume()["state"] == "mounted", timeout_s=20)
    with pytest.raises(OSError, match="not connected"):
        (first / "a").read_text()
    condition = node.stats("pod-1").volume_condition
    assert condition.abnormal
    event = "FuseClientEnded" if number == signal.SIGKILL else "FuseClientSilent"
    assert f"; {event}: its client is mounted, was started again 1 times" in condition.message
    assert "the pod sees it after the next publish" in condition.message
    node.publish("pod-1")
    node.publish("pod-2", readonly=True)

    assert (first / "a").read_text() == (second / "a").read_text() == "kept"
    assert not node.stats("pod-1").volume_condition.abnormal
    with pytest.raises(OSError, match="Read-only"):
        (second / "b").write_text("y")
    assert len(mountinfo.mounts_at(first)) == 1
    node.unpublish("pod-1")
    node.unpublish("pod-2")
    node.unstage()
    assert node.left_mounts() == []


def test_a_volume_whose_client_and_mounter_are_dead_can_be_taken_away(
    node: oss_node.OssNode,
) -> None:
    target = node.publish()
    pid = int(str(node.volume()["pid"]))
    node.mounter.stop(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)

    node.unpublish()
    assert not target.exists()
    with pytest.raises(grpc.RpcError) as refusal:
        node.unstage()
    assert refusal.value.code() is Code.UNAVAILABLE
    assert "start csi-mounter" in refusal.value.details()
    node.mounter.start()
    node.unstage()

    assert node.left_mounts() == []
    assert node.mounter.client_pids() == []


def test_a_running_container_sees_it_again_too(
    node: oss_node.OssNode, tmp_path: pathlib.Path
) -> None:
    target = node.publish()
    (target / "sub").mkdir()
    (target / "sub" / "a").write_text("kept")
    inside, part = tmp_path / "inside", tmp_path / "part"
    inside.mkdir()
    part.mkdir()
    prepare = (
        f"mount --bind {target} {inside}; mount --bind {target}/sub {part}; "
        f"mount -o remount,bind,ro {part}"
    )
    with containers.running(prepare) as container:
        assert container.read(inside / "sub" / "a") == "kept"
        node.kill_client()
        assert container.read(inside / "sub" / "a") == ""
        node.publish()

        assert container.read(inside / "sub" / "a") == "kept"
        assert container.read(part / "a") == "kept"
        assert "Read-only" in container.run("touch", str(part / "b")).stderr


def test_the_subpaths_of_a_pod_are_healed_where_kubelet_binds_them(node: oss_node.OssNode) -> None:
    target = node.publish()
    (target / "sub").mkdir()
    (target / "sub" / "a").write_text("kept")
    part = node.rig.kubelet / "pods/pod/volume-subpaths/pv/container/0"
    part.mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(target / "sub"), str(part)], check=True)

    node.kill_client()
    node.publish()

    assert (part / "a").read_text() == "kept"
    assert len(mountinfo.mounts_at(part)) == 1


@pytest.mark.parametrize("phase", wrappers.Phase)
def test_a_plug_in_that_is_killed_while_it_heals_leaves_no_container_behind(
    tmp_path: pathlib.Path, phase: wrappers.Phase
) -> None:
    killing = wrappers.Wrappers(tmp_path / "bin")
    inside = tmp_path / "inside"
    inside.mkdir()
    node = oss_node.OssNode(PATH=f"{killing.directory}:{os.environ['PATH']}")
    try:
        node.start()
        target = node.publish()
        (target / "a").write_text("kept")
        with containers.running(f"mount --bind {target} {inside}") as container:
            node.kill_client()
            killing.arm(node.plugin.pid, 1, phase)
            assert rpc.refusal(node.publish).code is Code.UNAVAILABLE
            assert killing.calls()[0].startswith("umount")
            killing.disarm()
            node.start_plugin()
            node.publish()

            assert container.read(inside / "a") == (target / "a").read_text() == "kept"
        assert len(mountinfo.mounts_at(target)) == 1
    finally:
        node.close()


def test_plug_in_and_mounter_are_replaced_under_a_writer(node: oss_node.OssNode) -> None:
    target = node.publish()
    before = node.volume()

    with (target / "a").open("w") as file:
        file.write("one ")
        node.plugin.kill9()
        node.mounter.stop(signal.SIGKILL)
        file.write("two")
        node.mounter.start()
        node.start_plugin()
    node.publish()

    assert (target / "a").read_text() == "one two"
    assert (node.volume()["pid"], node.volume()["restarts"]) == (before["pid"], 0)
    node.unpublish()
    node.unstage()
    assert node.left_mounts() == []


def test_storage_that_is_away_for_half_a_minute(node: oss_node.OssNode) -> None:
    target = node.publish()
    (target / "a").write_text("x")

    os.kill(node.cloud.pid, signal.SIGSTOP)
    reader = subprocess.Popen(["cat", str(target / "a")], stdout=subprocess.PIPE)
    try:
        time.sleep(30)
        assert node.stats().volume_condition.abnormal
    finally:
        os.kill(node.cloud.pid, signal.SIGCONT)

    assert reader.communicate(timeout=60)[0] == b"x"
    node.publish()
    assert (target / "a").read_text() == "x"
    assert node.volume()["restarts"] == 0


def test_the_plug_in_starts_a_mounter_when_there_is_none() -> None:
    node = oss_node.OssNode(starts_mounter=True)
    try:
        node.start()
        target = node.publish()
        (target / "a").write_text("x")
        node.unpublish()
        node.unstage()
        assert node.left_mounts() == []
    finally:
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with_socket = str(node.mounter.socket).encode()
            if b"csi.mounter" in (words := _read(entry)) and with_socket in words:
                os.kill(int(entry.parent.name), signal.SIGKILL)
        node.close()


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_what_is_wrong_is_refused_by_its_name(node: oss_node.OssNode) -> None:
    refused(node, Code.INVALID_ARGUMENT, "bucket is required", bucket="")
    refused(node, Code.INVALID_ARGUMENT, "url is required", url="")
    refused(node, Code.INVALID_ARGUMENT, "fuseType 'geesefs' is not known", fuseType="geesefs")
    refused(node, Code.INVALID_ARGUMENT, "no access key", secrets={})
    refused(node, Code.INVALID_ARGUMENT, "lack akSecret", secrets={"akId": KEY_ID})
    refused(node, Code.INVALID_ARGUMENT, "exclude each other", authType="public")
    refused(node, Code.INVALID_ARGUMENT, "passwd_file", otherOpts="-o passwd_file=/etc/shadow")
    refused(node, Code.INVALID_ARGUMENT, "not one option", flags=("uid=1 -o credlib=x",))
    refused(node, Code.INVALID_ARGUMENT, "secretRef 'name' needs", secretRef="name")
    refused(node, Code.UNIMPLEMENTED, "runtimeClass 'rund'", runtimeClass="rund")
    refused(node, Code.FAILED_PRECONDITION, "ossfs is not installed", fuseType="ossfs")
    assert node.left_mounts() == []
    assert node.mounter.ask("status")["volumes"] == []


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


def test_a_directory_that_nobody_made_is_mounted_empty(node: oss_node.OssNode) -> None:
    target = node.publish(path="/base/pvc-1")
    assert list(target.iterdir()) == []

    (target / "a").write_text("x")

    assert bucket(node.cloud).get_object("base/pvc-1/a").read() == b"x"


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

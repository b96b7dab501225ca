"""The simulated object storage serves s3fs, rclone and Alibaba's newer client. Needs root."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.sim.conftest import KEY_ID, SECRET, Sim
from tests.sim.oss_harness import bucket, fetch
from tests.support import rpc

ROOT = pathlib.Path(__file__).parents[2]
OSS_V2 = ROOT / ".tools" / "oss-v2"
pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root"),
]


@pytest.fixture
def sim(tmp_path: pathlib.Path) -> Iterator[Sim]:
    running = Sim(tmp_path / "state")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def mounted(sim: Sim, tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """The default bucket, mounted by s3fs."""
    password = tmp_path / "passwd"
    password.touch(0o600)
    password.write_text(f"simulated-bucket:{KEY_ID}:{SECRET}\n")
    target = tmp_path / "mnt"
    target.mkdir()
    options = f"url=http://{sim.endpoint},use_path_request_style,endpoint=cn-hangzhou"
    command = ["s3fs", "simulated-bucket", str(target), "-f", "-o", options]
    with (tmp_path / "s3fs.log").open("w") as log:
        client = subprocess.Popen(
            [*command, "-o", f"passwd_file={password}"], stdout=log, stderr=log
        )
    try:
        rpc.wait_until(lambda: os.path.ismount(target), timeout_s=10)
        yield target
    finally:
        subprocess.run(["umount", "-l", str(target)], check=False)
        assert client.wait(timeout=20) == 0, (tmp_path / "s3fs.log").read_text()


def test_files_of_s3fs(sim: Sim, mounted: pathlib.Path) -> None:
    data = os.urandom(30 << 20)
    (mounted / "dir").mkdir()
    (mounted / "dir" / "small ü").write_text("hello")
    (mounted / "big").write_bytes(data)
    (mounted / "dir" / "small ü").rename(mounted / "renamed")
    (mounted / "renamed").chmod(0o640)

    assert (mounted / "renamed").read_text() == "hello"
    assert (mounted / "renamed").stat().st_mode & 0o777 == 0o640
    assert (mounted / "big").read_bytes() == data
    ours = bucket(sim)
    assert ours.get_object("renamed").read() == b"hello"
    assert ours.head_object("big").headers["x-oss-object-type"] == "Multipart"
    refused = [row for row in sim.calls() if row["http_status"] in (400, 403, 501)]
    assert refused == []


def test_a_directory_of_many_files(sim: Sim, mounted: pathlib.Path) -> None:
    ours = bucket(sim)
    for number in range(1500):
        ours.put_object(f"many/{number:04d}", b"x")

    assert len(list((mounted / "many").iterdir())) == 1500


def test_rclone(sim: Sim, tmp_path: pathlib.Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a b").write_text("x")
    (source / "big").write_bytes(os.urandom(12 << 20))
    environment = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
    environment |= {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_CONFIG_SIM_TYPE": "s3",
        "RCLONE_CONFIG_SIM_PROVIDER": "Other",
        "RCLONE_CONFIG_SIM_ACCESS_KEY_ID": KEY_ID,
        "RCLONE_CONFIG_SIM_SECRET_ACCESS_KEY": SECRET,
        "RCLONE_CONFIG_SIM_ENDPOINT": f"http://{sim.endpoint}",
        "RCLONE_S3_CHUNK_SIZE": "5M",
        "RCLONE_S3_UPLOAD_CUTOFF": "6M",
    }
    remote = "sim:simulated-bucket/there"

    def rclone(*words: str) -> str:
        command = ["rclone", "--retries", "1", *words]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    rclone("sync", str(source), remote)
    rclone("check", "--download", str(source), remote)
    back = tmp_path / "back"
    rclone("sync", "--checksum", remote, str(back))
    assert {path.name: path.read_bytes() for path in back.iterdir()} == {
        path.name: path.read_bytes() for path in source.iterdir()
    }
    rclone("check", str(back), remote)
    rclone("moveto", f"{remote}/a b", f"{remote}/c")
    assert sorted(rclone("lsf", remote).splitlines()) == ["big", "c"]
    link = rclone("link", "--expire", "1m", f"{remote}/c").strip()
    assert "X-Amz-Signature=" in link
    assert fetch(link)[::2] == (200, b"x")
    assert fetch(link.replace("X-Amz-Signature=", "X-Amz-Signature=0"))[0] == 403
    rclone("purge", remote)
    assert rclone("ls", "sim:simulated-bucket") == ""


OSS_V2_SCRIPT = """
import io, os, sys, urllib.request
import alibabacloud_oss_v2 as oss
endpoint, key_id, secret = sys.argv[1:]
settings = oss.config.load_default()
settings.region, settings.endpoint = "cn-hangzhou", endpoint
settings.credentials_provider = oss.credentials.StaticCredentialsProvider(key_id, secret)
client, name = oss.Client(settings), "simulated-bucket"
client.put_object(oss.PutObjectRequest(bucket=name, key="a/\u00fc +~*", body=b"hello"))
read = client.get_object(oss.GetObjectRequest(bucket=name, key="a/\u00fc +~*"))
assert read.body.read() == b"hello"
data = os.urandom(1_000_000)
uploader = client.uploader(part_size=200 * 1024)
uploader.upload_from(oss.PutObjectRequest(bucket=name, key="big"), reader=io.BytesIO(data))
assert client.get_object(oss.GetObjectRequest(bucket=name, key="big")).body.read() == data
pages = client.list_objects_v2_paginator().iter_page(oss.ListObjectsV2Request(bucket=name))
assert [row.key for page in pages for row in page.contents] == ["a/\u00fc +~*", "big"]
def refused(call):
    try:
        call()
    except oss.exceptions.OperationError as e:
        return e.unwrap().code
    raise AssertionError("not refused")
assert refused(lambda: client.get_object(oss.GetObjectRequest(bucket=name, key="none"))) == (
    "NoSuchKey")
assert refused(lambda: client.append_object(
    oss.AppendObjectRequest(bucket=name, key="log", position=0, body=b"x"))) == "NotImplemented"
client.copy_object(oss.CopyObjectRequest(
    bucket=name, key="copy", source_key="big", metadata_directive="REPLACE", metadata={"a": "1"}))
assert client.head_object(oss.HeadObjectRequest(bucket=name, key="copy")).metadata == {"a": "1"}
first = client.list_objects(oss.ListObjectsRequest(bucket=name, delimiter="/", max_keys=10))
assert [row.key for row in first.contents] == ["big", "copy"]
assert [row.prefix for row in first.common_prefixes] == ["a/"]
part = client.get_object(oss.GetObjectRequest(bucket=name, key="big", range_header="bytes=5-9"))
assert part.body.read() == data[5:10]
stat = client.get_bucket_stat(oss.GetBucketStatRequest(bucket=name))
assert (stat.object_count, stat.storage) == (3, 2_000_005)
info = client.get_bucket_info(oss.GetBucketInfoRequest(bucket=name)).bucket_info
assert (info.name, info.acl) == (name, "private")
client.put_bucket_acl(oss.PutBucketAclRequest(bucket=name, acl="public-read"))
assert client.get_bucket_acl(oss.GetBucketAclRequest(bucket=name)).acl == "public-read"
tags = oss.Tagging(tag_set=oss.TagSet(tags=[oss.Tag(key="team", value="storage")]))
client.put_bucket_tags(oss.PutBucketTagsRequest(bucket=name, tagging=tags))
(tag,) = client.get_bucket_tags(oss.GetBucketTagsRequest(bucket=name)).tagging.tag_set.tags
assert (tag.key, tag.value) == ("team", "storage")
url = client.presign(oss.GetObjectRequest(bucket=name, key="copy")).url
assert urllib.request.urlopen(url).read() == data
settings.signature_version = "v1"
old = oss.Client(settings)
assert old.get_object(oss.GetObjectRequest(bucket=name, key="copy")).body.read() == data
gone = old.delete_multiple_objects(oss.DeleteMultipleObjectsRequest(
    bucket=name, objects=[oss.DeleteObject(key=key) for key in ("big", "copy", "a/\u00fc +~*")]))
assert len(gone.deleted_objects) == 3
client.put_bucket(oss.PutBucketRequest(bucket="made-by-v2"))
assert "made-by-v2" in [row.name for row in client.list_buckets(oss.ListBucketsRequest()).buckets]
client.delete_bucket(oss.DeleteBucketRequest(bucket="made-by-v2"))
print("done")
"""


def test_the_newer_client_of_alibaba(sim: Sim) -> None:
    if not OSS_V2.is_dir():
        pytest.skip("alibabacloud-oss-v2 is not installed: make test installs it")
    command = [sys.executable, "-c", OSS_V2_SCRIPT, f"http://{sim.endpoint}", KEY_ID, SECRET]
    environment = {**os.environ, "PYTHONPATH": str(OSS_V2)}

    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout == "done\n", done.stderr

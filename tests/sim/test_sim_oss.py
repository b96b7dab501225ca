"""Buckets and objects, as Alibaba's own client sees them."""

import functools
import hashlib
import os

import oss2
import pytest

from tests.sim.conftest import KEY_ID, SECRET, Sim
from tests.sim.oss_harness import bucket, refused, service

md5 = functools.partial(hashlib.md5, usedforsecurity=False)
AWKWARD = "dir one/ü+~*%41?&#.txt"


@pytest.mark.parametrize("auth", [oss2.AuthV4, oss2.Auth], ids=["v4", "v1"])
def test_every_signature_reads_back_what_it_wrote(sim: Sim, auth: type) -> None:
    ours = bucket(sim, auth=auth(KEY_ID, SECRET))

    written = ours.put_object(AWKWARD, b"hello", headers={"x-oss-meta-owner": "me"})
    read = ours.get_object(AWKWARD)

    assert read.read() == b"hello"
    assert read.headers["x-oss-meta-owner"] == "me"
    assert written.etag == "5D41402ABC4B2A76B9719D911017C592"
    assert read.server_crc == written.crc


def test_a_range_is_a_part_and_one_that_makes_no_sense_is_everything(sim: Sim) -> None:
    ours = bucket(sim)
    ours.put_object("k", b"0123456789")

    assert ours.get_object("k", byte_range=(2, 4)).read() == b"234"
    assert ours.get_object("k", byte_range=(7, None)).read() == b"789"
    assert ours.get_object("k", byte_range=(None, 2)).read() == b"89"
    # OSS's own way; with the standard behaviour it is refused.
    assert ours.get_object("k", byte_range=(20, 30)).read() == b"0123456789"
    assert ours.get_object("k", byte_range=(5, 30)).read() == b"0123456789"
    partial = {"x-oss-range-behavior": "standard", "Range": "bytes=5-30"}
    assert ours.get_object("k", headers=partial).read() == b"56789"
    strict = {"x-oss-range-behavior": "standard", "Range": "bytes=20-30"}
    assert refused(lambda: ours.get_object("k", headers=strict)) == (416, "InvalidRange")


def test_conditions_of_a_reader(sim: Sim) -> None:
    ours = bucket(sim)
    etag = ours.put_object("k", b"x").etag

    assert refused(lambda: ours.get_object("k", headers={"If-Match": "other"}))[0] == 412
    assert refused(lambda: ours.get_object("k", headers={"If-None-Match": etag}))[0] == 304
    assert ours.get_object("k", headers={"If-Match": etag}).read() == b"x"


def test_nothing_is_overwritten_when_that_is_forbidden(sim: Sim) -> None:
    ours = bucket(sim)
    once = {"x-oss-forbid-overwrite": "true"}
    ours.put_object("k", b"first", headers=once)

    assert refused(lambda: ours.put_object("k", b"second", headers=once)) == (
        409,
        "FileAlreadyExists",
    )
    assert ours.get_object("k").read() == b"first"


def test_a_copy_keeps_or_replaces_metadata(sim: Sim) -> None:
    ours = bucket(sim)
    ours.put_object(AWKWARD, b"data", headers={"x-oss-meta-a": "1", "Content-Type": "text/plain"})

    ours.copy_object("simulated-bucket", AWKWARD, "same")
    ours.copy_object(
        "simulated-bucket", AWKWARD, AWKWARD,
        headers={"x-oss-metadata-directive": "REPLACE", "x-oss-meta-b": "2"},
    )  # fmt: skip

    same, replaced = ours.head_object("same"), ours.head_object(AWKWARD)
    assert (same.headers["x-oss-meta-a"], same.content_type) == ("1", "text/plain")
    assert "x-oss-meta-a" not in replaced.headers
    assert replaced.headers["x-oss-meta-b"] == "2"
    assert ours.get_object(AWKWARD).read() == ours.get_object("same").read() == b"data"
    assert refused(lambda: ours.copy_object("simulated-bucket", "none", "x")) == (404, "NoSuchKey")


def test_a_multipart_upload(sim: Sim) -> None:
    ours = bucket(sim)
    parts = [os.urandom(200_000), os.urandom(100 * 1024), b"end"]
    upload = ours.init_multipart_upload("big", headers={"x-oss-meta-a": "1"}).upload_id
    ours.upload_part("big", upload, 2, b"replaced by the next one")
    told = [
        oss2.models.PartInfo(n, ours.upload_part("big", upload, n, part).etag)
        for n, part in enumerate(parts, 1)
    ]

    assert [row.part_number for row in ours.list_parts("big", upload).parts] == [1, 2, 3]
    assert [row.key for row in oss2.MultipartUploadIterator(ours)] == ["big"]
    assert not ours.object_exists("big")
    done = ours.complete_multipart_upload("big", upload, told)

    digest = md5(b"".join(md5(part).digest() for part in parts)).hexdigest()
    assert done.etag == f"{digest.upper()}-3"
    read = ours.get_object("big")
    assert read.read() == b"".join(parts)
    assert (read.headers["x-oss-object-type"], read.headers["x-oss-meta-a"]) == ("Multipart", "1")
    assert read.client_crc == read.server_crc
    assert refused(lambda: ours.list_parts("big", upload)) == (404, "NoSuchUpload")


def test_a_multipart_upload_that_is_not_right_is_refused(sim: Sim) -> None:
    ours = bucket(sim)
    upload = ours.init_multipart_upload("big").upload_id
    small = oss2.models.PartInfo(1, ours.upload_part("big", upload, 1, b"small").etag)
    last = oss2.models.PartInfo(2, ours.upload_part("big", upload, 2, b"last").etag)
    wrong = oss2.models.PartInfo(2, small.etag)

    def complete(*parts: oss2.models.PartInfo) -> tuple[int, str]:
        return refused(lambda: ours.complete_multipart_upload("big", upload, list(parts)))

    assert complete(small, last) == (400, "EntityTooSmall")
    assert complete(small, wrong) == (400, "InvalidPart")
    assert refused(lambda: ours.upload_part("big", upload, 10_001, b"x")) == (
        400,
        "InvalidArgument",
    )
    ours.abort_multipart_upload("big", upload)
    assert refused(lambda: ours.upload_part("big", upload, 1, b"x")) == (404, "NoSuchUpload")


def test_parts_are_copied_from_objects(sim: Sim) -> None:
    ours = bucket(sim)
    ours.put_object("source", b"0123456789")
    upload = ours.init_multipart_upload("made").upload_id
    part = ours.upload_part_copy("simulated-bucket", "source", (2, 5), "made", upload, 1)

    ours.complete_multipart_upload("made", upload, [oss2.models.PartInfo(1, part.etag)])

    assert ours.get_object("made").read() == b"2345"


def test_lists_of_both_versions_fold_and_page(sim: Sim) -> None:
    ours = bucket(sim)
    names = ["a", "d ü/&<x>", "d/1", "d/2", "z"]
    for name in names:
        ours.put_object(name, b"")

    for kind in (oss2.ObjectIterator, oss2.ObjectIteratorV2):
        assert [row.key for row in kind(ours, max_keys=2)] == sorted(names, key=str.encode)
        folded = [(row.key, row.is_prefix()) for row in kind(ours, delimiter="/", max_keys=1)]
        assert sorted(folded) == [("a", False), ("d ü/", True), ("d/", True), ("z", False)]
        assert [row.key for row in kind(ours, prefix="d/")] == ["d/1", "d/2"]
    assert [row.key for row in oss2.ObjectIteratorV2(ours, start_after="d/1")] == ["d/2", "z"]


def test_many_objects_are_deleted_at_once(sim: Sim) -> None:
    ours = bucket(sim)
    names = ["a", "b/ü&<", "c"]
    for name in names:
        ours.put_object(name, b"x")

    deleted = ours.batch_delete_objects([*names[:2], "not there"]).deleted_keys

    assert deleted == [*names[:2], "not there"]
    assert [row.key for row in oss2.ObjectIterator(ours)] == ["c"]


def test_the_life_of_a_bucket(sim: Sim) -> None:
    ours = bucket(sim, "made-here")
    ours.create_bucket("public-read", oss2.models.BucketCreateConfig("IA"))
    ours.create_bucket()
    ours.put_object("k", b"12345")

    info, stat = ours.get_bucket_info(), ours.get_bucket_stat()
    assert (info.acl.grant, info.storage_class, info.location) == (
        "public-read", "IA", "oss-cn-hangzhou",
    )  # fmt: skip
    assert (stat.storage_size_in_bytes, stat.object_count) == (5, 1)
    assert ours.get_bucket_location().location == "oss-cn-hangzhou"
    tags = oss2.models.Tagging()
    tags.tag_set.add("team", "storage")
    ours.put_bucket_tagging(tags)
    assert ours.get_bucket_tagging().tag_set.tagging_rule == {"team": "storage"}
    assert "made-here" in [row.name for row in oss2.BucketIterator(service(sim))]
    assert refused(ours.delete_bucket) == (409, "BucketNotEmpty")
    ours.delete_object("k")
    ours.delete_bucket()
    assert refused(ours.get_bucket_info) == (404, "NoSuchBucket")


def test_a_bucket_that_cannot_be_made(sim: Sim) -> None:
    sim.control("POST", "world", {"quotas": {"oss_buckets": 1}})
    archive = oss2.models.BucketCreateConfig("Archive")

    assert refused(bucket(sim, "one-too-many").create_bucket) == (400, "TooManyBuckets")
    assert refused(lambda: bucket(sim).create_bucket(None, archive)) == (409, "BucketAlreadyExists")


def test_what_is_not_simulated_is_refused_by_name(sim: Sim) -> None:
    ours = bucket(sim)

    assert refused(lambda: ours.append_object("k", 0, b"x")) == (501, "NotImplemented")
    assert refused(ours.get_bucket_lifecycle) == (501, "NotImplemented")


def test_what_was_answered_survives_a_kill_and_what_was_not_leaves_nothing(own_sim: Sim) -> None:
    ours = bucket(own_sim)
    ours.put_object("k", b"kept" * 1000)
    ours.put_object("k", b"kept" * 2000)
    upload = ours.init_multipart_upload("big").upload_id
    ours.upload_part("big", upload, 1, b"part")
    (own_sim.state_dir / "oss" / "left-over.new").write_bytes(b"by a killed process")

    own_sim.kill()
    own_sim.start()

    ours = bucket(own_sim)
    assert ours.get_object("k").read() == b"kept" * 2000
    assert [row.part_number for row in ours.list_parts("big", upload).parts] == [1]
    assert len(list((own_sim.state_dir / "oss").iterdir())) == 2


def test_a_seeded_bucket_that_was_deleted_stays_away(own_sim: Sim) -> None:
    bucket(own_sim).delete_bucket()

    own_sim.kill()
    own_sim.start()

    assert refused(bucket(own_sim).get_bucket_info) == (404, "NoSuchBucket")

"""Tags of objects, and requests that cannot be right."""

import oss2
import pytest
from oss2 import models

from tests.sim.conftest import Sim
from tests.sim.oss_harness import bucket, fetch, refusal, refused
from tests.sim.test_sim_ram import restrict


def tags_of(ours: oss2.Bucket, key: str) -> dict[str, str]:
    found: dict[str, str] = ours.get_object_tagging(key).tag_set.tagging_rule
    return found


def tagging(tags: dict[str, str]) -> models.Tagging:
    made = models.TaggingRule()
    for key, value in tags.items():
        made.add(key, value)
    return models.Tagging(made)


def test_an_upload_brings_tags(sim: Sim) -> None:
    ours = bucket(sim)

    ours.put_object("a", b"x", headers={"x-oss-tagging": "k%201=v%2B1&k2"})

    assert tags_of(ours, "a") == {"k 1": "v+1", "k2": ""}
    assert ours.head_object("a").headers["x-oss-tagging-count"] == "2"


def test_tags_are_replaced_and_removed(sim: Sim) -> None:
    ours = bucket(sim)
    ours.put_object("a", b"x", headers={"x-oss-tagging": "k=v"})

    ours.put_object_tagging("a", tagging({"other": "w"}))
    replaced = tags_of(ours, "a")
    ours.delete_object_tagging("a")

    assert replaced == {"other": "w"}
    assert tags_of(ours, "a") == {}
    assert "x-oss-tagging-count" not in ours.head_object("a").headers
    assert refused(lambda: ours.get_object_tagging("nothing")) == (404, "NoSuchKey")


def test_a_copy_has_the_sources_tags_or_its_own(sim: Sim) -> None:
    ours = bucket(sim)
    ours.put_object("a", b"x", headers={"x-oss-tagging": "k=v"})

    ours.copy_object("simulated-bucket", "a", "b", headers={"x-oss-tagging": "not=used"})
    headers = {"x-oss-tagging": "own=w", "x-oss-tagging-directive": "Replace"}
    ours.copy_object("simulated-bucket", "a", "c", headers=headers)

    assert (tags_of(ours, "b"), tags_of(ours, "c")) == ({"k": "v"}, {"own": "w"})


def test_an_upload_in_parts_brings_tags(sim: Sim) -> None:
    ours = bucket(sim)
    upload = ours.init_multipart_upload("a", headers={"x-oss-tagging": "k=v"}).upload_id
    part = ours.upload_part("a", upload, 1, b"x")

    ours.complete_multipart_upload("a", upload, [models.PartInfo(1, part.etag)])

    assert tags_of(ours, "a") == {"k": "v"}


@pytest.mark.parametrize(
    "text",
    ["a=b=c", "=v", "k=v&k=w", "k=" + "v" * 257, "k?=v", "&".join(f"k{n}=v" for n in range(11))],
    ids=["form", "no key", "twice", "long", "letter", "many"],
)
def test_bad_tags_are_refused(sim: Sim, text: str) -> None:
    ours = bucket(sim)

    told = refusal(lambda: ours.put_object("bad", b"x", headers={"x-oss-tagging": text}))

    assert (told.status, told.code, told.ec) == (400, "InvalidTag", "0010-00000219")
    assert not ours.object_exists("bad")


def test_an_upload_with_tags_needs_a_permission_of_its_own(sim: Sim) -> None:
    restrict(sim, ("Allow", ["oss:PutObject"], ["*"]))
    ours = bucket(sim)

    ours.put_object("a", b"x")

    told = refusal(lambda: ours.put_object("a", b"y", headers={"x-oss-tagging": "k=v"}))
    assert (told.status, told.code) == (403, "AccessDenied")


@pytest.mark.parametrize("encoding", ["foo", "utf-7", "utf-16"])
def test_xml_in_an_encoding_that_is_not_read(sim: Sim, encoding: str) -> None:
    """What is wrong with it is the client's fault, not the service's."""
    body = f'<?xml version="1.0" encoding="{encoding}"?><Tagging/>'
    ours = bucket(sim)
    ours.put_object("a", b"x")
    url = ours.sign_url("PUT", "a", 60, params={"tagging": ""})

    status, _, answer = fetch(url, "PUT", body=body.encode())

    assert (status, b"<Code>MalformedXML</Code>" in answer) == (400, True)


def test_a_header_of_the_answer_that_cannot_be_one(sim: Sim) -> None:
    ours = bucket(sim)
    ours.put_object("a", b"x")

    told = refusal(lambda: ours.get_object("a", params={"response-content-type": "a\nb"}))

    assert (told.status, told.code) == (400, "InvalidArgument")

"""What Kubernetes objects tell of OSS volumes: buckets, and access keys."""

import base64
from typing import Any

import pytest

from core import errors
from csi.oss import cnfs
from csi.oss.node import objects
from kube import api
from kube import cnfs as kube_cnfs
from tests.fakes import fake_kubernetes

TOLD = {"bucketName": "team", "endPoint": {"internal": "oss-cn-hangzhou-internal.aliyuncs.com"}}
KEY = {"AccessKeyId": "the-id", "AccessKeySecret": "the-secret"}


def made(**told: Any) -> kube_cnfs.Cnfs:
    return kube_cnfs.parse(fake_kubernetes.cnfs_object("shared", kind="oss", **{**TOLD, **told}))


@pytest.fixture
def server() -> fake_kubernetes.FakeKubernetes:
    found = fake_kubernetes.FakeKubernetes()
    found.objects[api.Kind.CNFS, "shared"] = fake_kubernetes.cnfs_object(
        "shared", kind="oss", **TOLD
    )
    data = {key: base64.b64encode(text.encode()).decode() for key, text in KEY.items()}
    found.objects[api.Kind.SECRET, "key"] = {"data": {**data, "other": "AA=="}}
    return found


@pytest.fixture
def reader(server: fake_kubernetes.FakeKubernetes) -> objects.Objects:
    return objects.Objects(server, "ack-csi-fuse")


async def test_an_object_tells_bucket_and_internal_endpoint(reader: objects.Objects) -> None:
    told = await reader.context({"containerNetworkFileSystem": "shared", "path": "/a"})

    assert (told["bucket"], told["url"]) == ("team", TOLD["endPoint"]["internal"])  # type: ignore[index]
    assert told["path"] == "/a"


async def test_what_is_told_already_needs_no_object(
    reader: objects.Objects, server: fake_kubernetes.FakeKubernetes
) -> None:
    told = {"Bucket": "b", "URL": "u", "containernetworkfilesystem": "shared"}

    assert await reader.context(told) == told
    assert await reader.secrets(told, {}) == {}
    assert server.reads == []


BAD: dict[str, tuple[dict[str, str], kube_cnfs.Cnfs, str]] = {
    "a file system": ({}, kube_cnfs.parse(fake_kubernetes.cnfs_object("shared")), "is of type nas"),
    "another bucket": (
        {" bucket ": "mine"},
        made(),
        r"bucket 'mine' is not that of.*allowed: team",
    ),
    "no bucket yet": ({}, made(bucketName=""), r"fsAttributes\.bucketName"),
    "no endpoint yet": ({}, made(endPoint=None), r"fsAttributes\.endPoint"),
}


@pytest.mark.parametrize(("given", "found", "told"), BAD.values(), ids=BAD.keys())
def test_g44_what_does_not_go_together_is_refused_by_name(
    given: dict[str, str], found: kube_cnfs.Cnfs, told: str
) -> None:
    with pytest.raises((errors.InvalidField, errors.Precondition), match=told):
        cnfs.complete(given, found)


async def test_g44_an_object_that_is_not_there_is_told_by_name(reader: objects.Objects) -> None:
    with pytest.raises(errors.InvalidField, match="'none' does not exist in this cluster"):
        await reader.context({"containerNetworkFileSystem": "none"})


def test_a_url_that_is_told_is_kept() -> None:
    assert cnfs.complete({"url": "oss-x"}, made())["url"] == "oss-x"


async def test_a_secret_is_read_in_its_namespace_and_nothing_else_of_it_is_taken(
    reader: objects.Objects, server: fake_kubernetes.FakeKubernetes
) -> None:
    assert await reader.secrets({"secretref": "key"}, {"csi.storage.k8s.io/x": "y"}) == KEY
    assert server.reads == [(api.Kind.SECRET, "key", "ack-csi-fuse")]


@pytest.mark.parametrize("name", ["akId", "accesskeyid", "SecurityToken"])
async def test_g44_a_secret_and_a_key_exclude_each_other(
    reader: objects.Objects, name: str
) -> None:
    with pytest.raises(errors.InvalidField, match="exclude each other") as caught:
        await reader.secrets({"secretRef": "key"}, {name: "the-other"})

    assert "the-" not in str(caught.value).replace("the secrets", "")


async def test_a_secret_that_is_not_there_or_no_text_is_told_without_its_content(
    reader: objects.Objects, server: fake_kubernetes.FakeKubernetes
) -> None:
    with pytest.raises(errors.Precondition, match="no Secret none in namespace ack-csi-fuse"):
        await reader.secrets({"secretRef": "none"}, {})
    server.objects[api.Kind.SECRET, "odd"] = {"data": {"AccessKeyId": "/w=="}}
    with pytest.raises(errors.Precondition, match="AccessKeyId is no text"):
        await reader.secrets({"secretRef": "odd"}, {})

"""OSS volumes that Kubernetes objects tell of: a real API server, a real mount."""

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests.sim.conftest import KEY_ID, SECRET
from tests.support import api_server, cnfs, oss_node
from tests.support.oss_node import refused

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]
Code = grpc.StatusCode
NAMESPACE = "ack-csi-fuse"


@pytest.fixture
def kubernetes(tmp_path: pathlib.Path) -> Iterator[api_server.ApiServer]:
    made = api_server.ApiServer(tmp_path / "api")
    try:
        made.start()
        cnfs.install(made)
        made.kubectl("create", "namespace", NAMESPACE)
        yield made
    finally:
        made.close()


@pytest.fixture
def node(kubernetes: api_server.ApiServer) -> Iterator[oss_node.OssNode]:
    made = oss_node.OssNode(KUBECONFIG=str(kubernetes.kubeconfig(api_server.ADMIN)))
    try:
        made.start()
        yield made
    finally:
        made.close()


def bucket_object(node: oss_node.OssNode) -> dict[str, Any]:
    told: dict[str, Any] = cnfs.cnfs("shared", bucketName=oss_node.BUCKET)
    told["spec"]["type"] = "oss"
    told["status"]["fsAttributes"]["endPoint"] = {"internal": f"http://{node.cloud.endpoint}"}
    return told


def secret(**told: str) -> dict[str, Any]:
    metadata = {"name": "key", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": told}


def test_a_volume_is_mounted_from_the_bucket_and_by_the_key_that_objects_tell(
    node: oss_node.OssNode, kubernetes: api_server.ApiServer
) -> None:
    kubernetes.kubectl.apply(
        bucket_object(node), secret(AccessKeyId=KEY_ID, AccessKeySecret=SECRET)
    )
    by_object = {"bucket": "", "url": "", "containerNetworkFileSystem": "shared"}

    target = node.publish(secrets={}, secretRef="key", **by_object)
    (target / "file").write_text("through the bucket")

    assert (node.publish("two", secrets={}, secretRef="key", **by_object) / "file").read_text()
    assert [pathlib.Path(path).name for path in node.files_with(SECRET)] == ["passwd-s3fs"]


def test_objects_that_are_wrong_or_missing_are_told_by_name(
    node: oss_node.OssNode, kubernetes: api_server.ApiServer
) -> None:
    by_object = {"bucket": "", "url": "", "containerNetworkFileSystem": "shared"}
    refused(node, Code.INVALID_ARGUMENT, "'shared' does not exist", **by_object)
    refused(node, Code.FAILED_PRECONDITION, "no Secret key", secrets={}, secretRef="key")
    kubernetes.kubectl.apply(secret(AccessKeyId=KEY_ID, AccessKeySecret="not-the-secret"))
    refused(node, Code.FAILED_PRECONDITION, "secret is wrong", secrets={}, secretRef="key")

    assert node.left_mounts() == []

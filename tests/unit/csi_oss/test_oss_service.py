"""The Controller service of OSS: what is told before the Kubernetes API is asked."""

from typing import Any

import pytest

from core import errors
from csi._pb import csi_pb2 as pb
from csi.oss.controller import service, volumes
from kube import api
from tests.fakes import fake_kubernetes
from tests.support import csi_client

CNFS = {"containerNetworkFileSystem": "shared"}


class NoMetadata:
    """None is read."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def no_bucket(**where: Any) -> Any:
    raise AssertionError(where)


@pytest.fixture
def kubernetes() -> fake_kubernetes.FakeKubernetes:
    return fake_kubernetes.FakeKubernetes(fault=errors.Unavailable("the API server is away"))


@pytest.fixture
def served(kubernetes: fake_kubernetes.FakeKubernetes) -> service.ControllerServicer:
    made = volumes.Volumes(no_bucket, region_id="", endpoint_url="", over_vpc=False)
    return service.ControllerServicer(made, kubernetes, NoMetadata())  # type: ignore[arg-type]  # not asked


def request(**parameters: str) -> pb.CreateVolumeRequest:
    return pb.CreateVolumeRequest(
        name="pvc-1",
        volume_capabilities=[csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER")],
        parameters={**CNFS, **parameters},
    )


BAD = {
    "a kind that is not known": ({"volumeAs": "subpth"}, "volumeAs 'subpth' is not known"),
    "a policy that is not known": ({"deletePolicy": "del"}, "deletePolicy 'del' is not known"),
    "a path that climbs": ({"path": "/a/../b"}, "path '/a/../b' is not a path"),
    "a client that is not known": ({"fuseType": "ossf"}, "fuseType 'ossf' is not known"),
    "a way to prove oneself": ({"bucket": "mine-1", "authType": "rsa"}, "authType 'rsa'"),
    "a number that is none": ({"metricsTop": "all"}, "metricsTop 'all'"),
    "a bucket of buckets": (
        {"agenticBucket": "agents", "bucketSpacePrefix": "x"},
        "agenticBucket exclude each other",
    ),
    "a bucket for each volume": ({"volumeAs": "bucket"}, "is made for each volume"),
}


@pytest.mark.parametrize(("parameters", "told"), BAD.values(), ids=BAD.keys())
async def test_a_typing_error_is_told_without_the_api_server(
    kubernetes: fake_kubernetes.FakeKubernetes,
    served: service.ControllerServicer,
    parameters: dict[str, str],
    told: str,
) -> None:
    with pytest.raises(errors.InvalidField, match=told):
        await served.CreateVolume(request(**parameters), None)

    assert kubernetes.reads == []


async def test_capacity_needs_no_object(
    kubernetes: fake_kubernetes.FakeKubernetes, served: service.ControllerServicer
) -> None:
    told = await served.GetCapacity(pb.GetCapacityRequest(parameters=CNFS), None)
    with pytest.raises(errors.InvalidField, match="volumeAs 'subpth'"):
        await served.GetCapacity(pb.GetCapacityRequest(parameters={"volumeAs": "subpth"}), None)

    assert told.available_capacity == 1 << 60
    assert kubernetes.reads == []


@pytest.mark.parametrize("more", [{}, {"bucket": "mine-1"}, {"volumeAs": "subpath", "path": "/a"}])
async def test_a_request_without_one_asks_for_the_object(
    kubernetes: fake_kubernetes.FakeKubernetes,
    served: service.ControllerServicer,
    more: dict[str, str],
) -> None:
    with pytest.raises(errors.Unavailable, match="away"):
        await served.CreateVolume(request(**more), None)

    assert kubernetes.reads == [(api.Kind.CNFS, "shared", "")]


ADDED = {
    "csi.storage.k8s.io/pvc/name": "claim",
    "csi.alibabacloud.com/storageclassName": "oss",
    "csi.alibabacloud.com/reclaimPolicy": "Retain",
    "volume.kubernetes.io/selected-node": "worker-1",
    "volume.beta.kubernetes.io/storage-provisioner": "ossplugin.csi.alibabacloud.com",
}


async def test_what_provisioners_add_by_themselves_is_no_attribute_of_the_volume(
    served: service.ControllerServicer,
) -> None:
    own = {"bucket": "mine-1", "url": "oss-cn-hangzhou.aliyuncs.com"}
    told = await served.CreateVolume(
        pb.CreateVolumeRequest(
            name="pvc-1",
            volume_capabilities=[csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER")],
            parameters={**own, **ADDED},
        ),
        None,
    )

    assert dict(told.volume.volume_context) == {**own, "path": "/"}


AGENTIC = {
    "agenticBucket": "agents",
    "bucketSpacePrefix": "mine",
    "url": "oss-cn-hangzhou.aliyuncs.com",
}
BAD_SPACES = {
    "a client that is not known": ({"fuseType": "ossf"}, "fuseType 'ossf' is not known"),
    "a path that climbs": ({"path": "/a/../b"}, "path '/a/../b' is not a path"),
    "a prefix that is none": ({"bucketSpacePrefix": "M!"}, "bucketSpacePrefix 'M!' cannot begin"),
    "a space beside it": ({"bucketSpace": "mine-2"}, "bucketSpace exclude each other"),
    "no bucket around it": ({"agenticBucket": ""}, "bucketSpacePrefix 'mine' needs agenticBucket"),
    "a number that is none": ({"metricsTop": "all"}, "metricsTop 'all'"),
}


@pytest.mark.parametrize(("parameters", "told"), BAD_SPACES.values(), ids=BAD_SPACES.keys())
async def test_what_is_wrong_beside_a_prefix_is_told_without_the_metadata_service(
    served: service.ControllerServicer, parameters: dict[str, str], told: str
) -> None:
    made = request()
    made.parameters.clear()
    made.parameters.update({**AGENTIC, **parameters})

    with pytest.raises(errors.InvalidField, match=told):
        await served.CreateVolume(made, None)

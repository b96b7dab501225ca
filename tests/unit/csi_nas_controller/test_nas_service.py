"""The Controller service of NAS: what is told before the Kubernetes API is asked."""

import asyncio
from typing import Any

import pytest

from core import errors
from csi._pb import csi_pb2 as pb
from csi.nas import server
from csi.nas.controller import made, own_server, service, sharepath
from kube import api
from tests.fakes import fake_kubernetes
from tests.support import csi_client

CNFS = {"containerNetworkFileSystem": "shared"}
CAPABILITY = csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER")


class NoVolumes:
    """Nothing is made."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


@pytest.fixture
def kubernetes() -> fake_kubernetes.FakeKubernetes:
    return fake_kubernetes.FakeKubernetes(fault=errors.Unavailable("the API server is away"))


@pytest.fixture
def served(kubernetes: fake_kubernetes.FakeKubernetes) -> service.ControllerServicer:
    return service.ControllerServicer(NoVolumes(), zonal=False, kubernetes=kubernetes)  # type: ignore[arg-type]  # none


def request(parameters: dict[str, str], **more: Any) -> pb.CreateVolumeRequest:
    told = {"name": "pvc-1", "volume_capabilities": [CAPABILITY], **more}
    return pb.CreateVolumeRequest(parameters={**CNFS, **parameters}, **told)


BAD = {
    "a name that is none": (request({}, name=""), "name is required"),
    "a volume to copy": (
        request({}, volume_content_source=pb.VolumeContentSource()),
        "volume_content_source is not supported",
    ),
    "a key that is not known": (request({"pathh": "/a"}), r"parameters\[pathh\] '/a' is not a"),
    "a kind that is not known": (request({"volumeAs": "subpth"}), r"\[volumeAs\] 'subpth' is not"),
    "a value that is none": (request({"archiveOnDelete": "ja"}), r"\[archiveOnDelete\] 'ja'"),
    "a path that climbs": (request({"path": "/a/../b"}), r"parameters\[path\]"),
    "a number that is none": (
        request({"volumeAs": "accesspoint", "accesspointOwnerUserId": "root"}),
        r"\[accesspointOwnerUserId\] 'root'",
    ),
    "what the object tells too": (request({"server": "a"}), r"\[server\] 'a' does not go with"),
    "a kind without objects": (
        request({"volumeAs": "filesystem"}),
        r"\[containerNetworkFileSystem\] 'shared' is not a parameter of volumeAs=filesystem",
    ),
}


@pytest.mark.parametrize(("bad", "told"), BAD.values(), ids=BAD.keys())
async def test_a_typing_error_is_told_without_the_api_server(
    kubernetes: fake_kubernetes.FakeKubernetes,
    served: service.ControllerServicer,
    bad: pb.CreateVolumeRequest,
    told: str,
) -> None:
    with pytest.raises(errors.InvalidField, match=told):
        await served.CreateVolume(bad, None)

    assert kubernetes.reads == []


async def test_a_request_without_one_asks_for_the_object(
    kubernetes: fake_kubernetes.FakeKubernetes, served: service.ControllerServicer
) -> None:
    with pytest.raises(errors.Unavailable, match="away"):
        await served.CreateVolume(request({"path": "/a", "volumeCapacity": "true"}), None)

    assert kubernetes.reads == [(api.Kind.CNFS, "shared", "")]


class Slow:
    """A volume that is being made until *go_on* is set. deleted: what was asked to go."""

    def __init__(self) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.deleted: list[str] = []

    async def create(self, want: made.VolumeRequest, parameters: object) -> made.Made:
        self.begun.set()
        await self.go_on.wait()
        return made.Made(f"nfs#nas.test#/base#{want.name}", 0, {})

    async def delete(self, volume_id: str) -> None:
        self.deleted.append(volume_id)

    async def expand(self, want: made.ExpandRequest) -> int:
        raise AssertionError


LONG = "pvc-" + "1" * 124
PLACE = server.Place(host="nas.test", base="/base")
SHARED = {"volumeAs": "sharepath"}


@pytest.mark.parametrize(
    ("name", "volume_id", "kind"),
    [
        ("pvc-1", "pvc-1", {}),
        ("pvc-1", "nfs#nas.test#/base#pvc-1", {}),
        ("pvc-1", "share#pvc-1", SHARED),
        (LONG, own_server.volume_id(PLACE, own_server.short_name(PLACE, LONG)), {}),
        (LONG, sharepath.volume_id(LONG), SHARED),
    ],
    ids=["on NAS", "on a server of one's own", "shared", "a long name", "a long name, shared"],
)
async def test_a_volume_is_not_deleted_or_grown_while_one_of_its_name_is_made(
    kubernetes: fake_kubernetes.FakeKubernetes, name: str, volume_id: str, kind: dict[str, str]
) -> None:
    slow = Slow()
    served = service.ControllerServicer(slow, zonal=False, kubernetes=kubernetes)  # type: ignore[arg-type]  # what is asked of it
    wish = pb.CreateVolumeRequest(
        name=name,
        volume_capabilities=[CAPABILITY],
        parameters={"server": "nas.test:/base", **kind},
    )
    making = asyncio.create_task(served.CreateVolume(wish, None))
    await slow.begun.wait()
    larger = pb.ControllerExpandVolumeRequest(
        volume_id=volume_id, capacity_range=pb.CapacityRange(required_bytes=1)
    )

    with pytest.raises(errors.Busy, match="already running"):
        await served.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume_id), None)
    with pytest.raises(errors.Busy, match="already running"):
        await served.ControllerExpandVolume(larger, None)
    slow.go_on.set()
    await making
    await served.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume_id), None)

    assert slow.deleted == [volume_id]

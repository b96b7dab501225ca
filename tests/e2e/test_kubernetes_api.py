"""csi-plugin and a real Kubernetes API server: what is read there, what is told there."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from tests.support import api_server, csi_client, processes, signed_api
from tests.support.cnfs import cnfs, install, persistent_volume

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

STANDARD = "0a1b2c3d4e"
SERVER = "0a1b2c3d4e-sim01.cn-hangzhou.nas.aliyuncs.com"
NETWORK = {"vpcId": "vpc-bp1sim000000000001", "vSwitchId": "vsw-bp1sim000000000002"}
DRIVER = "nasplugin.csi.alibabacloud.com"
GIB = csi_client.GIB
CODE = grpc.StatusCode
WEAK = "weak"
NODE_LIMIT_KIB = 42 * 1024
"""Of a disk node that did something; see test_memory.py."""


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[api_server.ApiServer]:
    made = api_server.ApiServer(tmp_path_factory.mktemp("kubernetes") / "api", WEAK)
    try:
        made.start()
        install(made)
        yield made
    finally:
        made.close()


@dataclasses.dataclass
class Nas:
    """A NAS controller that knows a Kubernetes API server. config: whose rights it has."""

    rig: processes.Rig
    kubernetes: api_server.ApiServer
    client: csi_client.Client

    def create(self, name: str, parameters: dict[str, str], size: int = 20 * GIB) -> pb.Volume:
        request = pb.CreateVolumeRequest(
            name=name,
            parameters=parameters,
            capacity_range=pb.CapacityRange(required_bytes=size),
            volume_capabilities=[csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER")],
        )
        volume: pb.Volume = self.client.controller.CreateVolume(request, timeout=30).volume
        return volume

    def needs_node(self, volume_id: str, size: int) -> bool:
        request = pb.ControllerExpandVolumeRequest(
            volume_id=volume_id, capacity_range=pb.CapacityRange(required_bytes=size)
        )
        answer = self.client.controller.ControllerExpandVolume(request, timeout=30)
        needs: bool = answer.node_expansion_required
        return needs

    def expand(self, volume_id: str, size: int) -> int:
        request = pb.ControllerExpandVolumeRequest(
            volume_id=volume_id, capacity_range=pb.CapacityRange(required_bytes=size)
        )
        answer = self.client.controller.ControllerExpandVolume(request, timeout=30)
        size_bytes: int = answer.capacity_bytes
        return size_bytes

    def delete(self, volume_id: str) -> None:
        self.client.controller.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume_id), timeout=30)

    def quota_gib(self, path: str) -> int | None:
        found = self.call("DescribeDirQuotas", FileSystemId=STANDARD)
        for each in found["DirQuotaInfos"]:
            if each["Path"].rstrip("/") == path:
                size: int = each["UserQuotaInfos"][0]["SizeLimit"]
                return size
        return None

    def call(self, action: str, **parameters: Any) -> Any:
        key = (processes.ACCESS_KEY_ID, processes.ACCESS_KEY_SECRET)
        url = f"127.0.0.1:{self.rig.port}"
        return signed_api.call(url, key, "2017-06-26", action, parameters)


Start = Callable[[str], Nas]


@pytest.fixture
def start(kubernetes: api_server.ApiServer) -> Iterator[Start]:
    rig = processes.Rig(hardware="none", time_scale=0.0)
    rig.start_sim()

    def begin(user: str) -> Nas:
        environment = {"KUBECONFIG": str(kubernetes.kubeconfig(user)), **processes.HURRY}
        rig.start_driver(user, driver="nas", node_id="worker-1", **environment)
        return Nas(rig, kubernetes, csi_client.Client(rig.socket(user)))

    try:
        yield begin
    finally:
        rig.close()
    assert [*rig.mounts(), *rig.loop_devices()] == []


@pytest.fixture
def nas(start: Start) -> Nas:
    return start(api_server.ADMIN)


SHARED = {"filesystemType": "standard", "filesystemId": STANDARD, "server": SERVER}


def test_g42_a_class_names_a_container_network_file_system(nas: Nas) -> None:
    nas.kubernetes.kubectl.apply(cnfs("shared", **SHARED))

    volume = nas.create(
        "pvc-cnfs",
        {"containerNetworkFileSystem": "shared", "path": "/team", "volumeCapacity": "true"},
    )

    told = dict(volume.volume_context)
    assert told["server"] == SERVER
    assert told["path"] == "/team/pvc-cnfs"
    assert told["containerNetworkFileSystem"] == "shared"
    assert nas.quota_gib("/team/pvc-cnfs") == 20
    assert nas.expand(volume.volume_id, 30 * GIB) == 30 * GIB


def test_access_points_take_their_network_from_the_object(nas: Nas) -> None:
    nas.kubernetes.kubectl.apply(cnfs("points", **SHARED, **NETWORK))

    volume = nas.create(
        "pvc-point", {"volumeAs": "accesspoint", "containerNetworkFileSystem": "points"}
    )

    assert volume.volume_context["accesspointId"]
    nas.delete(volume.volume_id)


def test_an_object_that_is_not_there_or_not_ready_makes_no_volume(nas: Nas) -> None:
    nas.kubernetes.kubectl.apply(cnfs("unready"))
    for name, code in (("nowhere", CODE.INVALID_ARGUMENT), ("unready", CODE.FAILED_PRECONDITION)):
        with pytest.raises(grpc.RpcError) as caught:
            nas.create("pvc-none", {"containerNetworkFileSystem": name})
        assert caught.value.code() is code
        assert name in (caught.value.details() or "")


def test_an_account_without_the_right_is_told_which(start: Start) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        start(WEAK).create("pvc-weak", {"containerNetworkFileSystem": "shared"})

    assert caught.value.code() is CODE.PERMISSION_DENIED
    assert 'cannot get resource "containernetworkfilesystems"' in (caught.value.details() or "")


def test_g36_what_the_existing_driver_made_grows_and_goes_by_its_persistent_volume(
    nas: Nas,
) -> None:
    nas.call("CreateDir", FileSystemId=STANDARD, RootDirectory="/old/pvc-old",
             OwnerUserId=0, OwnerGroupId=0, Permission="0777")  # fmt: skip
    nas.call("SetDirQuota", FileSystemId=STANDARD, Path="/old/pvc-old", SizeLimit=20,
             QuotaType="Enforcement", UserType="AllUsers")  # fmt: skip
    with pytest.raises(grpc.RpcError) as caught:
        nas.expand("pvc-old", 30 * GIB)
    assert caught.value.code() is CODE.NOT_FOUND

    nas.kubernetes.kubectl.apply(
        persistent_volume(
            "pvc-old", volumeAs="subpath", server=SERVER, path="/old/pvc-old",
            fileSystemId=STANDARD, fileSystemType="standard", volumeCapacity="true",
        )
    )  # fmt: skip

    assert nas.expand("pvc-old", 30 * GIB) == 30 * GIB
    assert nas.quota_gib("/old/pvc-old") == 30


def test_only_an_image_asks_for_a_node_to_grow(nas: Nas) -> None:
    plain = nas.create("pvc-dir", {"server": f"{SERVER}:/base"})
    image = nas.create("pvc-image", {"server": f"{SERVER}:/base", "mountType": "losetup"})
    assert nas.needs_node(plain.volume_id, 30 * GIB)  # nobody tells what it is
    for volume in (plain, image):
        nas.kubernetes.kubectl.apply(
            persistent_volume(volume.volume_id, **dict(volume.volume_context))
        )

    assert not nas.needs_node(plain.volume_id, 30 * GIB)
    assert nas.needs_node(image.volume_id, 30 * GIB)


def test_a_persistent_volume_whose_path_is_not_its_own_deletes_nothing(nas: Nas) -> None:
    nas.call("CreateDir", FileSystemId=STANDARD, RootDirectory="/everybody",
             OwnerUserId=0, OwnerGroupId=0, Permission="0777")  # fmt: skip
    nas.kubernetes.kubectl.apply(
        persistent_volume("pvc-wide", server=SERVER, path="/everybody", fileSystemId=STANDARD)
    )

    with pytest.raises(grpc.RpcError) as caught:
        nas.delete("pvc-wide")

    assert caught.value.code() is CODE.INVALID_ARGUMENT
    assert "does not end in the volume's id" in (caught.value.details() or "")


def test_while_the_api_server_is_away_what_needs_it_waits_and_the_rest_works(
    nas: Nas, kubernetes: api_server.ApiServer
) -> None:
    nas.kubernetes.kubectl.apply(cnfs("shared", **SHARED))
    kubernetes.stop()
    try:
        plain = nas.create("pvc-plain", {"server": f"{SERVER}:/base"})
        with pytest.raises(grpc.RpcError) as caught:
            nas.create("pvc-late", {"containerNetworkFileSystem": "shared"})
        assert caught.value.code() is CODE.UNAVAILABLE
        with pytest.raises(grpc.RpcError) as caught:
            nas.delete("pvc-of-whom-nothing-is-known")
        assert caught.value.code() is CODE.UNAVAILABLE
    finally:
        kubernetes.start()

    late = nas.create("pvc-late", {"containerNetworkFileSystem": "shared"})
    nas.delete("pvc-of-whom-nothing-is-known")
    assert plain.volume_id != late.volume_id


def test_a_node_tells_the_pod_that_its_volume_comes_from_the_fallback(
    kubernetes: api_server.ApiServer, tmp_path: pathlib.Path
) -> None:
    first = cnfs("first", filesystemType="standard", filesystemId="a", server="127.0.0.2",
                 fallback="spare", strategy="Always")  # fmt: skip
    spare = cnfs("spare", filesystemType="standard", filesystemId="b", server="127.0.0.3")
    kubernetes.kubectl.apply(first, spare)
    rig = processes.Rig(hardware="none", time_scale=0.0)
    try:
        rig.start_sim()
        rig.start_driver(
            "node", driver="nas", node_id="worker-1", controller=False, node=True,
            KUBECONFIG=str(kubernetes.kubeconfig(api_server.ADMIN)), KUBE_NODE_NAME="worker-1",
        )  # fmt: skip
        with pytest.raises(grpc.RpcError) as caught:
            csi_client.Client(rig.socket("node")).node.NodePublishVolume(
                pb.NodePublishVolumeRequest(
                    volume_id="v",
                    target_path=str(rig.kubelet / "pods/u-1/volumes/v/mount"),
                    volume_context={
                        "containerNetworkFileSystem": "first",
                        "path": "/a",
                        "csi.storage.k8s.io/pod.name": "web-0",
                        "csi.storage.k8s.io/pod.namespace": "default",
                        "csi.storage.k8s.io/pod.uid": "u-1",
                    },
                    volume_capability=csi_client.mount_capability(
                        "", mode="MULTI_NODE_MULTI_WRITER"
                    ),
                ),
                timeout=60,
            )
        # Nothing serves NFS there; but it is the fallback that was asked.
        assert "127.0.0.3" in (caught.value.details() or "")
        event = kubernetes.event("CNFSFallback")
    finally:
        rig.close()

    assert event["involvedObject"]["name"] == "web-0"
    assert event["source"] == {"component": DRIVER, "host": "worker-1"}
    assert event["message"].endswith("instead of first: its strategy is Always")


def test_a_burst_of_publishes_reads_each_object_once(kubernetes: api_server.ApiServer) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ack-csi-fuse"}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "burst", "namespace": "ack-csi-fuse"},
        "stringData": {"AccessKeyId": "LTAIsimulated", "AccessKeySecret": "simulated-secret"},
    }
    place = {"bucketName": "burst", "endPoint": {"internal": "http://127.0.0.1:1"}}
    status = {"status": "Available", "fsAttributes": place}
    bucket = {**cnfs("burst"), "spec": {"type": "oss"}, "status": status}
    kubernetes.kubectl.apply(namespace, bucket)
    kubernetes.kubectl.apply(secret)
    kinds = ("containernetworkfilesystems", "secrets")
    before = [kubernetes.reads(each) for each in kinds]
    rig = processes.Rig(hardware="none", time_scale=0.0)
    try:
        started = rig.start_driver(
            "node", driver="oss", node_id="worker-1", controller=False, node=True,
            KUBECONFIG=str(kubernetes.kubeconfig(api_server.ADMIN)), KUBE_NODE_NAME="worker-1",
            OSS_WORK_DIR=str(rig.dir / "work"), OSS_START_MOUNTER="false",
        )  # fmt: skip
        node = csi_client.Client(rig.socket("node")).node
        with kubernetes.paused():
            calls = [
                node.NodePublishVolume.future(
                    pb.NodePublishVolumeRequest(
                        volume_id=f"v-{n}",
                        target_path=str(rig.kubelet / f"pods/u-{n}/volumes/v/mount"),
                        volume_context={
                            "containerNetworkFileSystem": "burst",
                            "secretRef": "burst",
                        },
                        volume_capability=csi_client.mount_capability(
                            "", mode="MULTI_NODE_MULTI_WRITER"
                        ),
                    ),
                    timeout=60,
                )
                for n in range(40)
            ]
            for n in range(40):
                started.wait_for(f"pods/u-{n}/volumes")
        told = [each.exception().details() for each in calls]
    finally:
        rig.close()

    # Nobody mounts here; but the mounter is what is missing, and no object.
    assert [each for each in told if "mounter" not in each] == []
    reads = [kubernetes.reads(each) - was for each, was in zip(kinds, before, strict=True)]
    # Twice when the last one came as the answer to the others did.
    assert set(reads) <= {1, 2}


def test_a_node_without_a_metadata_service_is_known_by_its_node_object(
    kubernetes: api_server.ApiServer,
) -> None:
    labels = {"topology.kubernetes.io/zone": "cn-hangzhou-k"}
    kubernetes.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "worker-7", "labels": labels},
            "spec": {"providerID": f"cn-hangzhou.{processes.NODE_1}"},
        }
    )
    rig = processes.Rig(hardware="none", time_scale=0.0)
    try:
        rig.start_sim()
        started = rig.start_driver(
            "node", driver="disk", node_id="", controller=False, node=True, REGION_ID="",
            ALIBABA_CLOUD_NO_ECS_METADATA="true", KUBE_NODE_NAME="worker-7",
            KUBECONFIG=str(kubernetes.kubeconfig(api_server.ADMIN)), MAX_VOLUMES_PERNODE="9",
        )  # fmt: skip
        told = csi_client.Client(rig.socket("node")).node.NodeGetInfo(
            pb.NodeGetInfoRequest(), timeout=30
        )
        rss_kib = started.rss_kib()
    finally:
        rig.close()

    assert told.node_id == processes.NODE_1
    assert "cn-hangzhou-k" in told.accessible_topology.segments.values()
    assert rss_kib < NODE_LIMIT_KIB  # who asks the API is another process

"""The OSS controller against the simulated cloud: places, directories, buckets, crashes."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import grpc
import oss2
import pytest

from csi._pb import csi_pb2 as pb
from tests.sim.oss_harness import REGION, SESSION
from tests.support import control, crash, csi_client, processes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

BUCKET = "simulated-bucket"
GIB = csi_client.GIB
DELETE = {"volumeAs": "subpath", "deletePolicy": "delete"}
LIFE = re.compile(r"\.[0-9a-f]{8}/")
Code = grpc.StatusCode


@dataclasses.dataclass
class Oss:
    rig: processes.Rig
    driver: processes.Process
    client: csi_client.Client

    @property
    def control(self) -> control.Control:
        return self.rig.control

    def create(
        self,
        name: str,
        parameters: Mapping[str, str] = MappingProxyType({}),
        *,
        size: int = 20 * GIB,
        timeout_s: float = 30.0,
    ) -> pb.Volume:
        told = {"bucket": BUCKET, "url": f"http://127.0.0.1:{self.rig.port}", "region": REGION}
        request = pb.CreateVolumeRequest(
            name=name,
            parameters={k: v for k, v in {**told, **parameters}.items() if v},
            capacity_range=pb.CapacityRange(required_bytes=size),
            volume_capabilities=[csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER")],
        )
        volume: pb.Volume = self.client.controller.CreateVolume(request, timeout=timeout_s).volume
        return volume

    def delete(self, volume: pb.Volume, timeout_s: float = 30.0) -> None:
        self.client.delete(volume.volume_id, timeout_s=timeout_s)

    def bucket(self, name: str = BUCKET) -> oss2.Bucket:
        auth = oss2.AuthV4(processes.ACCESS_KEY_ID, processes.ACCESS_KEY_SECRET)
        url = f"http://127.0.0.1:{self.rig.port}"
        return oss2.Bucket(auth, url, name, region=REGION, session=SESSION)

    def keys(self, name: str = BUCKET) -> list[str]:
        return [row.key for row in oss2.ObjectIterator(self.bucket(name))]

    def afresh(self) -> None:
        """The declared world, and a driver that remembers nothing."""
        self.control.clear_faults()
        self.control.request("POST", "reset")
        self.driver.terminate()
        self.driver.start(processes.DRIVER_READY)

    def things(self) -> dict[str, Any]:
        """Everything there is in object storage, but for what makes an archive's name its own."""
        objects = self.control.resources("oss_object").values()
        return {
            "buckets": sorted(self.control.resources("oss_bucket")),
            "objects": sorted(
                (row["bucket"], LIFE.sub("/", row["key"]), row["size_bytes"]) for row in objects
            ),
            "uploads": len(self.control.resources("oss_upload")),
        }


@pytest.fixture(scope="module")
def running() -> Iterator[Oss]:
    rig = processes.Rig(hardware="none", time_scale=0.02)
    try:
        rig.start_sim()
        endpoint = f"http://127.0.0.1:{rig.port}"
        driver = rig.start_driver("oss", driver="oss", node=False, OSS_ENDPOINT=endpoint)
        client = csi_client.Client(rig.socket("oss"))
        yield Oss(rig, driver, client)
        client.close()
    finally:
        rig.close()


@pytest.fixture
def oss(running: Oss) -> Iterator[Oss]:
    running.afresh()
    yield running
    running.control.clear_faults()


def refused(call: Callable[[], object]) -> tuple[Code, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details() or ""


def test_g44_a_volume_without_a_policy_is_a_place_and_deletes_nothing(oss: Oss) -> None:
    shared = oss.create("pvc-1", {"path": "/data/"})
    own = oss.create("pvc-2", {"volumeAs": "subpath", "path": "/data", "otherOpts": "-o uid=1000"})
    oss.bucket().put_object("data/pvc-2/a", b"x")
    oss.control.clear_calls()

    assert (shared.volume_id, shared.volume_context["path"]) == ("pvc-1", "/data")
    assert (own.volume_id, own.volume_context["path"]) == ("pvc-2", "/data/pvc-2")
    assert own.volume_context["otherOpts"] == "-o uid=1000"
    assert "volumeAs" not in own.volume_context
    oss.delete(shared)
    oss.delete(own)
    assert oss.keys() == ["data/pvc-2/a"]
    assert [row["action"] for row in oss.control.calls() if row["action"] != "ListObjects"] == []


def test_the_same_name_with_other_wishes_is_refused(oss: Oss) -> None:
    oss.create("pvc-1")
    oss.create("pvc-2", DELETE)
    oss.driver.terminate()
    oss.driver.start(processes.DRIVER_READY)

    code, details = refused(lambda: oss.create("pvc-2", DELETE, size=GIB))
    assert (code, "21474836480 bytes" in details) == (Code.ALREADY_EXISTS, True)
    oss.bucket().put_object("pvc-3/", b"")
    code, details = refused(lambda: oss.create("pvc-3", DELETE))
    assert (code, "is not this volume's" in details) == (Code.ALREADY_EXISTS, True)


def test_a_directory_that_has_data_already_is_not_taken(oss: Oss) -> None:
    oss.bucket().put_object("data/pvc-1/somebody's", b"x")

    code, details = refused(lambda: oss.create("pvc-1", {**DELETE, "path": "data"}))

    assert (code, "has objects already" in details) == (Code.ALREADY_EXISTS, True)
    assert oss.keys() == ["data/pvc-1/somebody's"]


def test_uploads_that_nobody_finished_go_with_their_directory(oss: Oss) -> None:
    volume = oss.create("pvc-1", DELETE)
    for key in ("pvc-1/half", "pvc-10/half"):
        upload = oss.bucket().init_multipart_upload(key).upload_id
        oss.bucket().upload_part(key, upload, 1, b"x")

    oss.delete(volume)

    assert [row.key for row in oss2.MultipartUploadIterator(oss.bucket())] == ["pvc-10/half"]


def test_an_archive_is_never_written_over(oss: Oss) -> None:
    wish = {**DELETE, "deletePolicy": "archive", "path": "data"}
    for text in (b"first", b"second"):
        volume = oss.create("pvc-1", wish)
        oss.bucket().put_object("data/pvc-1/a", text)
        oss.delete(volume)

    kept = oss.keys()
    assert sorted(oss.bucket().get_object(key).read() for key in kept) == [b"first", b"second"]


def test_a_directory_is_deleted_with_all_in_it_and_nothing_else(oss: Oss) -> None:
    volume = oss.create("pvc-1", {**DELETE, "path": "data"})
    for number in range(1203):
        oss.bucket().put_object(f"data/pvc-1/{number}", b"x")
    oss.bucket().put_object("data/pvc-10/a", b"x")

    oss.delete(volume, timeout_s=60)
    oss.delete(volume)

    assert oss.keys() == ["data/pvc-10/a"]


def test_a_directory_is_archived_beside_itself(oss: Oss) -> None:
    volume = oss.create("pvc-1", {**DELETE, "deletePolicy": "archive", "path": "data"})
    oss.bucket().put_object("data/pvc-1/dir/a", b"kept")

    oss.delete(volume)
    oss.delete(volume)

    (key,) = oss.keys()
    assert LIFE.sub("/", key) == "data/archived-pvc-1/dir/a"
    assert oss.bucket().get_object(key).read() == b"kept"


def test_a_directory_that_lost_its_mark_is_not_deleted(oss: Oss) -> None:
    volume = oss.create("pvc-1", DELETE)
    oss.bucket().put_object("pvc-1/a", b"x")
    oss.bucket().put_object("pvc-1/", b"")

    code, details = refused(lambda: oss.delete(volume))

    assert (code, "not deleted" in details) == (Code.FAILED_PRECONDITION, True)
    oss.bucket().delete_object("pvc-1/")
    assert refused(lambda: oss.delete(volume))[0] is Code.FAILED_PRECONDITION
    assert oss.keys() == ["pvc-1/a"]


def test_what_carries_another_volumes_name_is_not_deleted(oss: Oss) -> None:
    volume = oss.create("pvc-1", DELETE)
    oss.bucket().put_object("pvc-1/a", b"x")
    oss.bucket().put_object("pvc-1/", b"", headers={"x-oss-meta-csi-volume": "pvc-2"})
    whole = oss.create("pvc-3", {"volumeAs": "bucket", "bucket": "", "deletePolicy": "delete"})
    other = oss2.models.Tagging()
    other.tag_set.add("csi-volume", "pvc-4")
    oss.bucket(whole.volume_context["bucket"]).put_bucket_tagging(other)

    for made in (volume, whole):
        code, details = refused(functools.partial(oss.delete, made))
        assert code is Code.FAILED_PRECONDITION
        assert "is of another volume" in details

    assert oss.keys() == ["pvc-1/", "pvc-1/a"]
    assert whole.volume_context["bucket"] in oss.control.resources("oss_bucket")


def test_names_that_no_directory_has(oss: Oss) -> None:
    volume = oss.create("über/../name", DELETE)
    whole = oss.create("über", {"volumeAs": "bucket", "bucket": "", "deletePolicy": "delete"})

    assert oss.create("über/../name", DELETE) == volume
    assert volume.volume_context["path"].startswith("/volume-")
    oss.delete(volume)
    oss.delete(whole)
    assert oss.things() == {"buckets": [BUCKET], "objects": [], "uploads": 0}


def test_a_bucket_of_ones_own(oss: Oss) -> None:
    wish = {"volumeAs": "bucket", "bucket": "", "deletePolicy": "delete"}
    volume = oss.create("pvc-1", wish)
    assert oss.create("pvc-1", wish) == volume
    name = volume.volume_context["bucket"]
    oss.bucket(name).put_object("a", b"x")
    kept = oss.create("pvc-2", {"volumeAs": "bucket", "bucket": "", "bucketPrefix": "kept"})

    oss.delete(volume)
    oss.delete(volume)
    oss.delete(kept)

    assert name.startswith("csi-")
    assert sorted(oss.control.resources("oss_bucket")) == sorted(
        [BUCKET, kept.volume_context["bucket"]]
    )


def test_what_class_parameters_cannot_be(oss: Oss) -> None:
    reclaim = {"csi.alibabacloud.com/reclaimPolicy": "Delete"}
    cases = (
        ({"volumeAs": "bucketspace"}, "volumeAs 'bucketspace' is not known"),
        ({"deletePolicy": "delete"}, "cannot be delete for what volumes share"),
        ({"bucketPrefix": "a"}, "bucketPrefix 'a' needs volumeAs bucket"),
        ({"path": "/a/../b"}, "path '/a/../b' is not a path"),
        ({"url": "oss-x.aliyuncs.com/path"}, "is not an endpoint"),
        ({"agenticBucket": "a-b"}, "agenticBucket exclude each other"),
        (reclaim, "csi.alibabacloud.com/reclaimPolicy 'Delete' would delete nothing"),
        ({"volumeAs": "subpath", "deletePolicy": "delete", "path": "p" * 90}, "id too long"),
    )
    for parameters, words in cases:
        code, details = refused(functools.partial(oss.create, "pvc-1", parameters))
        assert code is Code.INVALID_ARGUMENT
        assert words in details


def test_the_key_of_the_request_is_used(oss: Oss) -> None:
    request = pb.CreateVolumeRequest(
        name="pvc-1",
        parameters={
            "bucket": BUCKET, "url": f"http://127.0.0.1:{oss.rig.port}", "region": REGION,
            "volumeAs": "subpath", "deletePolicy": "delete",
        },
        volume_capabilities=[csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER")],
        secrets={"akId": processes.ACCESS_KEY_ID, "akSecret": "not-the-secret"},
    )  # fmt: skip

    code, details = refused(lambda: oss.client.controller.CreateVolume(request, timeout=30))

    assert (code, "secret is wrong" in details) == (Code.UNAUTHENTICATED, True)
    assert "not-the-secret" not in details


@pytest.mark.parametrize("kind", ["directory", "bucket"])
def test_a_crash_at_any_change_of_create(oss: Oss, kind: str) -> None:
    wish = DELETE
    if kind == "bucket":
        wish = {"volumeAs": "bucket", "deletePolicy": "delete", "bucket": ""}

    def prepare() -> crash.Call:
        return lambda timeout_s: oss.create("pvc-1", wish, timeout_s=timeout_s)

    crash.at_every_change(oss, prepare, oss.things, may_change_nothing=False)


@pytest.mark.parametrize("policy", ["delete", "archive", "bucket"])
def test_a_crash_at_any_change_of_delete(oss: Oss, policy: str) -> None:
    wish = {"volumeAs": "subpath", "deletePolicy": policy, "path": "data"}
    if policy == "bucket":
        wish = {"volumeAs": "bucket", "deletePolicy": "delete", "bucket": ""}

    def prepare() -> crash.Call:
        volume = oss.create("pvc-1", wish)
        ours = oss.bucket(volume.volume_context["bucket"])
        path = volume.volume_context["path"].strip("/")
        for name in ("a", "b/c"):
            ours.put_object(f"{path}/{name}".lstrip("/"), b"x")
        return lambda timeout_s: oss.delete(volume, timeout_s)

    crash.at_every_change(oss, prepare, oss.things, may_change_nothing=False)

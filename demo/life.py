"""The steps of the demo: one volume, its snapshot, and a volume restored from it."""

import pathlib

import grpc

from csi._pb import csi_pb2
from demo import look, story
from tests.support import csi_client, processes

FS_TYPE = "xfs"
"""xfs grows while mounted with CAP_SYS_ADMIN alone. ext4 needs CAP_SYS_RESOURCE for that, which
containers and build machines often lack."""
CAPABILITY = csi_client.mount_capability(FS_TYPE)
FILE_MIB = 8
FIRST_GIB, LARGER_GIB = 20, 40
NODE, OTHER_NODE = processes.NODE_1, processes.NODE_2


class Failed(Exception):
    """Something is not as the demo promises."""


class Places:
    """Where kubelet would have a volume: the staging directory, and a pod's target path."""

    def __init__(self, kubelet: pathlib.Path, name: str) -> None:
        self.staging = kubelet / "plugins/kubernetes.io/csi" / name / "globalmount"
        self.target = kubelet / "pods" / name / "volumes/kubernetes.io~csi/data/mount"
        self.staging.mkdir(parents=True)
        self.target.parent.mkdir(parents=True)
        self.file = self.target / "data.bin"


class Life:
    """One volume's life, told step by step."""

    def __init__(self, rig: processes.Rig, driver: processes.Process, told: story.Story) -> None:
        self._rig = rig
        self._driver = driver
        self._told = told
        self._client = csi_client.Client(rig.socket("csi"))
        self._at = Places(rig.kubelet, "demo")
        self._restored_at = Places(rig.kubelet, "restored")
        self._volume = csi_pb2.Volume()
        self._context: dict[str, str] = {}
        self._checksum = ""

    def run(self) -> None:
        """The whole life; raises Failed when a promise is broken."""
        self._create()
        self._attach()
        self._stage_and_publish()
        self._write()
        snapshot_id = self._snapshot()
        self._restore(snapshot_id)
        self._expand()
        self._restart()
        self._refuse_second_node()
        self._take_down()
        self._look_for_remains()
        self._client.close()

    def _create(self) -> None:
        told = self._told
        with told.step(f"CreateVolume: {FIRST_GIB} GiB, cloud_essd"):
            self._volume = self._client.create("demo", size_gib=FIRST_GIB, capability=CAPABILITY)
            told.cloud(look.disk(self._rig, self._volume.volume_id))

    def _attach(self) -> None:
        told = self._told
        with told.step(f"ControllerPublishVolume: attach the disk to {NODE}"):
            self._context = self._client.attach(self._volume, NODE, capability=CAPABILITY)
            told.cloud(look.disk(self._rig, self._volume.volume_id))
            link = self._rig.by_id / f"virtio-{self._context['serialNumber']}"
            told.node(f"{link} -> {link.readlink()}")

    def _stage_and_publish(self) -> None:
        told, client, at = self._told, self._client, self._at
        with told.step(f"NodeStageVolume: make a file system ({FS_TYPE}) and mount it"):
            client.stage(self._volume, self._context, at.staging, capability=CAPABILITY)
            told.node(look.mounted(at.staging))
        with told.step("NodePublishVolume: bind it into a pod's directory"):
            client.publish(
                self._volume, self._context, at.staging, at.target, capability=CAPABILITY
            )
            told.node(look.mounted(at.target))

    def _write(self) -> None:
        with self._told.step(f"The pod writes {FILE_MIB} MiB of random bytes"):
            self._checksum = look.write(self._at.file, FILE_MIB << 20)
            self._told.node(f"{self._at.file}: sha256 {self._checksum[:16]}…")

    def _snapshot(self) -> str:
        told = self._told
        with told.step("CreateSnapshot: of the volume in use"):
            snapshot = self._client.snapshot("demo-snapshot", self._volume.volume_id)
            told.cloud(f"{snapshot.snapshot_id}: {snapshot.size_bytes >> 30} GiB")
        snapshot_id: str = snapshot.snapshot_id
        return snapshot_id

    def _restore(self, snapshot_id: str) -> None:
        told, client, at = self._told, self._client, self._restored_at
        with told.step("CreateVolume from the snapshot; attach, stage, publish, compare"):
            source = csi_client.snapshot_source(snapshot_id)
            restored = client.create(
                "demo-restored", size_gib=FIRST_GIB, capability=CAPABILITY, source=source
            )
            context = client.attach(restored, NODE, capability=CAPABILITY)
            client.stage(restored, context, at.staging, capability=CAPABILITY)
            client.publish(restored, context, at.staging, at.target, capability=CAPABILITY)
            told.cloud(look.disk(self._rig, restored.volume_id))
            told.node(look.mounted(at.target))
            self._compare(at.file)
        with told.step("Remove the restored volume and the snapshot"):
            client.unpublish(restored.volume_id, at.target)
            client.unstage(restored.volume_id, at.staging)
            client.detach(restored.volume_id, NODE)
            client.delete(restored.volume_id)
            client.delete_snapshot(snapshot_id)

    def _expand(self) -> None:
        told, client, at = self._told, self._client, self._at
        volume_id = self._volume.volume_id
        with told.step(f"Expand to {LARGER_GIB} GiB while the pod has it mounted"):
            before = look.total_bytes(at.target)
            client.expand(volume_id, LARGER_GIB)
            client.expand_node(
                volume_id, at.target, LARGER_GIB, staging=at.staging, capability=CAPABILITY
            )
            after = look.total_bytes(at.target)
            told.cloud(look.disk(self._rig, volume_id))
            told.node(look.mounted(at.target))
            told.node(f"file system: {look.gib(before)} before, {look.gib(after)} now")
            if after < before * LARGER_GIB / FIRST_GIB * 0.95:
                raise Failed("the file system did not grow with its disk")

    def _restart(self) -> None:
        told = self._told
        with told.step("Kill the driver with SIGKILL, start it again, compare the file"):
            before = self._driver.pid
            self._driver.kill9()
            self._driver.start(processes.DRIVER_READY)
            told.node(f"driver process {before} killed, {self._driver.pid} serves")
            self._compare(self._at.file)
            stats = self._client.stats(self._volume.volume_id, self._at.target)
            told.node(f"NodeGetVolumeStats: {look.gib(stats.usage[0].total)}, {_condition(stats)}")

    def _refuse_second_node(self) -> None:
        told = self._told
        with told.step(f"ControllerPublishVolume to {OTHER_NODE} must be refused"):
            try:
                self._client.attach(self._volume, OTHER_NODE, capability=CAPABILITY)
            except grpc.RpcError as e:
                told.cloud(f"{e.code().name}: {e.details()}")
                if e.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                    raise
            else:
                raise Failed("a second node got the disk while the first one uses it")

    def _take_down(self) -> None:
        told, client, at, volume_id = self._told, self._client, self._at, self._volume.volume_id
        with told.step("NodeUnpublishVolume"):
            client.unpublish(volume_id, at.target)
            told.node(f"{at.target} {'is still there' if at.target.exists() else 'is gone'}")
        with told.step("NodeUnstageVolume"):
            client.unstage(volume_id, at.staging)
            told.node(f"mounts left: {len(self._rig.mounts())}")
        with told.step("ControllerUnpublishVolume: detach"):
            client.detach(volume_id, NODE)
            told.cloud(look.disk(self._rig, volume_id))
            told.node(f"block devices left: {len(self._rig.loop_devices())}")
        with told.step("DeleteVolume"):
            client.delete(volume_id)

    def _look_for_remains(self) -> None:
        with self._told.step("Look for anything left behind"):
            left = look.remains(self._rig)
            self._told.cloud(", ".join(f"{what}: {len(found)}" for what, found in left.items()))
            if any(left.values()):
                raise Failed(f"left behind: {left}")

    def _compare(self, file: pathlib.Path) -> None:
        if look.checksum(file) != self._checksum:
            raise Failed(f"{file} differs from what was written")
        self._told.node(f"{file}: same sha256 {self._checksum[:16]}…")


def _condition(stats: csi_pb2.NodeGetVolumeStatsResponse) -> str:
    return "abnormal" if stats.volume_condition.abnormal else "healthy"

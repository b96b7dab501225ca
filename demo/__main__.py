"""Runs the demo: starts the local cloud and the driver, and takes one volume through its life."""

import hashlib
import os
import pathlib
import subprocess
import sys

import grpc

from csi._pb import csi_pb2
from demo import story
from tests.support import csi_client, processes

CAPABILITY = csi_client.mount_capability("xfs")
"""xfs, since it grows while mounted with CAP_SYS_ADMIN alone. ext4 needs CAP_SYS_RESOURCE, which
containers and build machines often lack."""
FILE_BYTES = 8 * 1024 * 1024
FIRST_GIB, LARGER_GIB = 20, 40


class Demo:
    """The characters: a rig, a client, one pod's directory on one node."""

    def __init__(self, rig: processes.Rig) -> None:
        self._rig = rig
        self._driver = rig.start_driver("csi")
        self._client = csi_client.Client(rig.socket("csi"))
        self._told = story.Story(rig.control)
        self._staging = rig.kubelet / "plugins/kubernetes.io/csi/demo/globalmount"
        self._target = rig.kubelet / "pods/demo/volumes/kubernetes.io~csi/data/mount"
        for made in (self._staging, self._target.parent):
            made.mkdir(parents=True)
        self._restored_staging = rig.kubelet / "plugins/kubernetes.io/csi/restored/globalmount"
        self._restored_target = rig.kubelet / "pods/restored/volumes/kubernetes.io~csi/data/mount"
        for made in (self._restored_staging, self._restored_target.parent):
            made.mkdir(parents=True)

    def run(self) -> None:
        """The whole life."""
        volume, context = self._create_and_attach()
        checksum = self._publish_and_write(volume, context)
        self._snapshot_and_restore(volume, checksum)
        self._expand(volume)
        self._restart(volume, checksum)
        self._refuse_second_node(volume)
        self._take_down(volume)
        self._nothing_left()
        self._told.end()

    def _create_and_attach(self) -> tuple[csi_pb2.Volume, dict[str, str]]:
        told, client = self._told, self._client
        with told.step(f"CreateVolume: a {FIRST_GIB} GiB cloud_essd disk"):
            volume = client.create("demo", size_gib=FIRST_GIB, capability=CAPABILITY)
            told.note(
                f"volume id {volume.volume_id}, {dict(volume.accessible_topology[0].segments)}"
            )
        with told.step(f"ControllerPublishVolume: attach it to {processes.NODE_1}"):
            context = client.attach(volume, processes.NODE_1, capability=CAPABILITY)
            link = self._rig.by_id / f"virtio-{context['serialNumber']}"
            told.note(f"{link.name} -> {link.readlink()}")
        return volume, context

    def _publish_and_write(self, volume: csi_pb2.Volume, context: dict[str, str]) -> str:
        told, client = self._told, self._client
        with told.step("NodeStageVolume: make an xfs file system and mount it"):
            client.stage(volume, context, self._staging, capability=CAPABILITY)
            told.note(self._df(self._staging))
        with told.step("NodePublishVolume: bind it into a pod's directory"):
            client.publish(volume, context, self._staging, self._target, capability=CAPABILITY)
            told.note(self._df(self._target))
        with told.step(f"A pod writes {FILE_BYTES // 1024 // 1024} MiB"):
            file = self._target / "data.bin"
            file.write_bytes(os.urandom(FILE_BYTES))
            with file.open("rb") as f:
                os.fsync(f.fileno())
            checksum = self._checksum(file)
            told.note(f"sha256 {checksum[:16]}…")
        return checksum

    def _snapshot_and_restore(self, volume: csi_pb2.Volume, checksum: str) -> None:
        told, client = self._told, self._client
        with told.step("CreateSnapshot"):
            snapshot = client.snapshot("demo-snapshot", volume.volume_id)
            told.note(f"snapshot id {snapshot.snapshot_id}, ready {snapshot.ready_to_use}")
        with told.step("CreateVolume from the snapshot, attach, stage, publish; compare the file"):
            restored = client.create(
                "demo-restored",
                size_gib=FIRST_GIB,
                capability=CAPABILITY,
                source=csi_client.snapshot_source(snapshot.snapshot_id),
            )
            context = client.attach(restored, processes.NODE_1, capability=CAPABILITY)
            client.stage(restored, context, self._restored_staging, capability=CAPABILITY)
            client.publish(
                restored,
                context,
                self._restored_staging,
                self._restored_target,
                capability=CAPABILITY,
            )
            self._same(self._restored_target / "data.bin", checksum)
        with told.step("Remove the restored volume and the snapshot"):
            client.unpublish(restored.volume_id, self._restored_target)
            client.unstage(restored.volume_id, self._restored_staging)
            client.detach(restored.volume_id, processes.NODE_1)
            client.delete(restored.volume_id)
            client.delete_snapshot(snapshot.snapshot_id)

    def _expand(self, volume: csi_pb2.Volume) -> None:
        told, client = self._told, self._client
        with told.step(f"Expand to {LARGER_GIB} GiB while it is mounted"):
            before = self._total_bytes()
            client.expand(volume.volume_id, LARGER_GIB)
            client.expand_node(volume.volume_id, self._target, LARGER_GIB, staging=self._staging)
            told.note(self._df(self._target))
            if self._total_bytes() <= before:
                raise RuntimeError("the file system did not grow")

    def _restart(self, volume: csi_pb2.Volume, checksum: str) -> None:
        told = self._told
        with told.step("Kill the driver with SIGKILL, start another, compare the file"):
            self._driver.kill9()
            self._driver = self._rig.start_driver("csi")
            self._same(self._target / "data.bin", checksum)
            condition = self._client.stats(volume.volume_id, self._target).volume_condition
            told.note(f"NodeGetVolumeStats: abnormal={condition.abnormal}")

    def _refuse_second_node(self, volume: csi_pb2.Volume) -> None:
        told = self._told
        with told.step(f"ControllerPublishVolume to {processes.NODE_2} is refused"):
            try:
                self._client.attach(volume, processes.NODE_2, capability=CAPABILITY)
            except grpc.RpcError as e:
                told.note(f"{e.code().name}: {e.details()}")
                if e.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                    raise
            else:
                raise RuntimeError("a second node got the disk")

    def _take_down(self, volume: csi_pb2.Volume) -> None:
        told, client = self._told, self._client
        with told.step("NodeUnpublishVolume, NodeUnstageVolume"):
            client.unpublish(volume.volume_id, self._target)
            client.unstage(volume.volume_id, self._staging)
            told.note(f"{len(self._rig.mounts())} mounts left")
        with told.step("ControllerUnpublishVolume: detach"):
            client.detach(volume.volume_id, processes.NODE_1)
            told.note(f"{len(self._rig.loop_devices())} block devices left")
        with told.step("DeleteVolume"):
            client.delete(volume.volume_id)

    def _nothing_left(self) -> None:
        with self._told.step("Look for anything left behind"):
            left = {
                "mounts": self._rig.mounts(),
                "block devices": self._rig.loop_devices(),
                "disks": list(self._rig.control.data_disks()),
                "snapshots": list(self._rig.control.snapshots()),
            }
            for what, found in left.items():
                self._told.note(f"{what}: {len(found)}")
            if any(left.values()):
                raise RuntimeError(f"left behind: {left}")

    def _same(self, file: pathlib.Path, checksum: str) -> None:
        if self._checksum(file) != checksum:
            raise RuntimeError(f"{file} differs from what was written")
        self._told.note(f"{file.name}: same sha256 {checksum[:16]}…")

    def _checksum(self, file: pathlib.Path) -> str:
        with file.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()

    def _total_bytes(self) -> int:
        found = os.statvfs(self._target)
        return found.f_blocks * found.f_frsize

    def _df(self, path: pathlib.Path) -> str:
        out = subprocess.run(
            ["df", "--human-readable", "--output=source,fstype,size,used", str(path)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        return " ".join(out[-1].split())


def main() -> int:
    """Run; whatever happens, clean up."""
    if os.geteuid() != 0:
        story.fail("needs root, since it makes block devices and mounts: run `sudo make demo`")
        return 1
    print("Starting a local Alibaba Cloud and the CSI driver …", flush=True)
    rig = processes.Rig(time_scale=1.0)
    try:
        rig.start_sim()
        print(f"  cloud   http://127.0.0.1:{rig.port} (state in {rig.dir})")
        demo = Demo(rig)
        print(f"  driver  {rig.socket('csi')}")
        demo.run()
    except KeyboardInterrupt:
        story.fail("interrupted; cleaning up")
        return 130
    except grpc.RpcError as e:
        story.fail(f"{e.code().name}: {e.details()}")
        return 1
    except (RuntimeError, OSError) as e:
        story.fail(str(e))
        return 1
    finally:
        rig.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

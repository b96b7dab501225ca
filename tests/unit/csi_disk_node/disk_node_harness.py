"""A node with real loop devices as disks, a by-id directory of its own, and the real servicer.

Not a test. Used by tests/kernel/test_disk_node_*.py; needs root.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence

from cloud import metadata as cloud_metadata
from core import clock
from csi._pb import csi_pb2
from csi.disk.node import node_settings, service
from csi.node import disk_mark

MIB = 1024 * 1024
DISK_BYTES = 320 * MIB
"""mkfs.xfs refuses less than 300 MB. The files are sparse."""

Mode = csi_pb2.VolumeCapability.AccessMode
WRITER = Mode.SINGLE_NODE_WRITER
ONLY_WRITER = Mode.SINGLE_NODE_SINGLE_WRITER
READERS = Mode.MULTI_NODE_READER_ONLY


class FixedMetadata:
    """The metadata service of a node that knows who it is."""

    def __init__(self, values: Mapping[cloud_metadata.Key, str]) -> None:
        self._values = values

    async def get(self, key: cloud_metadata.Key) -> str:
        return self._values[key]

    async def find(self, key: cloud_metadata.Key) -> str:
        return self._values.get(key, "")


class NoLimits:
    """A node nobody knows the size of."""

    async def max_volumes(self, instance_id: str) -> int | None:
        return None

    def close(self) -> None:
        """Nothing to end."""


@dataclasses.dataclass(kw_only=True)
class LoopDisk:
    serial: str
    image: pathlib.Path
    device: pathlib.Path

    @property
    def volume_id(self) -> str:
        return f"d-{self.serial}"

    def grow(self, size_bytes: int) -> None:
        os.truncate(self.image, size_bytes)
        tool("losetup", "-c", str(self.device))

    def checksum(self) -> str:
        tool("blockdev", "--flushbufs", str(self.device))
        with self.image.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()


class Node:
    """One simulated node. All of it lives below *directory*; `close` leaves nothing behind."""

    def __init__(self, directory: pathlib.Path, time: clock.Clock | None = None) -> None:
        self.root = directory / "kubelet"
        self.by_id = directory / "by-id"
        self.directory = directory
        self.root.mkdir(exist_ok=True)
        self.by_id.mkdir()
        self.time = time or clock.SystemClock()
        self.disks: list[LoopDisk] = []
        self.servicer = self.restart()

    def restart(self, **changes: object) -> service.NodeServicer:
        """A new servicer that knows nothing of the last, as after a crash."""
        settings = node_settings.NodeSettings(kubelet_root=self.root, by_id_dir=self.by_id)
        settings = dataclasses.replace(settings, **changes)
        key = cloud_metadata.Key
        metadata = FixedMetadata(
            {key.INSTANCE_ID: "i-1", key.ZONE_ID: "cn-hangzhou-b", key.REGION_ID: "cn-hangzhou"}
        )
        self.servicer = service.make_node(
            metadata, settings, node_id="", limits=NoLimits(), time=self.time
        )
        return self.servicer

    def add_disk(self, size_bytes: int = DISK_BYTES, serial: str = "") -> LoopDisk:
        serial = serial or f"t{uuid.uuid4().hex[:18]}"
        image = self.directory / f"{serial}.img"
        with image.open("wb") as f:
            f.truncate(size_bytes)
        return self.attach(image, serial)

    def attach(self, image: pathlib.Path, serial: str) -> LoopDisk:
        device = pathlib.Path(tool("losetup", "-P", "-f", "--show", str(image)).strip())
        (self.by_id / f"virtio-{serial}").symlink_to(device)
        disk = LoopDisk(serial=serial, image=image, device=device)
        self.disks.append(disk)
        return disk

    def staging(self, name: str = "staging") -> pathlib.Path:
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    async def stage(
        self,
        disk: LoopDisk,
        *,
        path: pathlib.Path | None = None,
        context: Mapping[str, str] | None = None,
        **capability: object,
    ) -> pathlib.Path:
        path = path or self.staging()
        await self.servicer.NodeStageVolume(
            csi_pb2.NodeStageVolumeRequest(
                volume_id=disk.volume_id,
                staging_target_path=str(path),
                volume_capability=capability_of(**capability),
                publish_context={"serialNumber": disk.serial},
                volume_context=context or {},
            ),
            None,
        )
        return path

    async def publish(
        self,
        disk: LoopDisk,
        name: str = "target",
        *,
        staging: pathlib.Path | None = None,
        read_only: bool = False,
        context: Mapping[str, str] | None = None,
        **capability: object,
    ) -> pathlib.Path:
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        await self.servicer.NodePublishVolume(
            csi_pb2.NodePublishVolumeRequest(
                volume_id=disk.volume_id,
                staging_target_path=str(staging or self.staging()),
                target_path=str(target),
                volume_capability=capability_of(**capability),
                publish_context={"serialNumber": disk.serial},
                volume_context=context or {},
                readonly=read_only,
            ),
            None,
        )
        return target

    async def unpublish(self, disk: LoopDisk, target: pathlib.Path) -> None:
        await self.servicer.NodeUnpublishVolume(
            csi_pb2.NodeUnpublishVolumeRequest(volume_id=disk.volume_id, target_path=str(target)),
            None,
        )

    async def unstage(self, disk: LoopDisk, path: pathlib.Path | None = None) -> None:
        await self.servicer.NodeUnstageVolume(
            csi_pb2.NodeUnstageVolumeRequest(
                volume_id=disk.volume_id, staging_target_path=str(path or self.staging())
            ),
            None,
        )

    async def stats(
        self, disk: LoopDisk, path: pathlib.Path | str
    ) -> csi_pb2.NodeGetVolumeStatsResponse:
        return await self.servicer.NodeGetVolumeStats(
            csi_pb2.NodeGetVolumeStatsRequest(volume_id=disk.volume_id, volume_path=str(path)),
            None,
        )

    async def expand(self, disk: LoopDisk, path: pathlib.Path | str, required_bytes: int) -> int:
        response = await self.servicer.NodeExpandVolume(
            csi_pb2.NodeExpandVolumeRequest(
                volume_id=disk.volume_id,
                volume_path=str(path),
                capacity_range=csi_pb2.CapacityRange(required_bytes=required_bytes),
            ),
            None,
        )
        return response.capacity_bytes

    async def close(self) -> None:
        await self.servicer.close()
        for mount_point in reversed(mount_points_below(self.root)):
            subprocess.run(["umount", "-l", mount_point], check=True)
        for disk in self.disks:
            with contextlib.suppress(OSError):
                os.removexattr(disk.device, disk_mark.MANAGED_XATTR)
            # The flag outlives losetup -d: whoever gets the loop device next could not write.
            subprocess.run(["blockdev", "--setrw", str(disk.device)], check=False)
            subprocess.run(["losetup", "-d", str(disk.device)], check=False, capture_output=True)


def capability_of(
    *,
    fs_type: str = "",
    flags: Sequence[str] = (),
    block: bool = False,
    mode: int = WRITER,
) -> csi_pb2.VolumeCapability:
    capability = csi_pb2.VolumeCapability(access_mode=Mode(mode=mode))
    if block:
        capability.block.SetInParent()
    else:
        capability.mount.SetInParent()
        capability.mount.fs_type = fs_type
        capability.mount.mount_flags.extend(flags)
    return capability


def tool(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def mount_points_below(root: pathlib.Path) -> list[str]:
    """Mount points below *root*, in mount order, read without the code under test."""
    points = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split(" ")[4].encode().decode("unicode_escape")
        if pathlib.Path(point).is_relative_to(root):
            points.append(point)
    return points


@contextlib.contextmanager
def mounted(device: pathlib.Path, directory: pathlib.Path) -> Iterator[pathlib.Path]:
    directory.mkdir(exist_ok=True)
    tool("mount", str(device), str(directory))
    try:
        yield directory
    finally:
        tool("umount", str(directory))

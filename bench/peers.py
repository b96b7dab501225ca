"""What our calls are compared with: the bare SDK, mkfs, mount, and an RPC that does nothing."""

import pathlib
import subprocess

from alibabacloud_ecs20140526 import client as ecs_client
from alibabacloud_ecs20140526 import models
from alibabacloud_tea_openapi import utils_models

from tests.support import processes, worlds

SIZE_GIB = 20


class Sdk:
    """The Alibaba Cloud SDK as any program would use it."""

    def __init__(self, port: int) -> None:
        self._client = ecs_client.Client(
            utils_models.Config(
                access_key_id=processes.ACCESS_KEY_ID,
                access_key_secret=processes.ACCESS_KEY_SECRET,
                endpoint=f"127.0.0.1:{port}",
                protocol="HTTP",
                region_id="cn-hangzhou",
            )
        )

    def create_disk(self, name: str) -> str:
        """Id of a new disk."""
        answer = self._client.create_disk(
            models.CreateDiskRequest(
                region_id="cn-hangzhou",
                zone_id=worlds.ZONE_ID,
                disk_category="cloud_essd",
                size=SIZE_GIB,
                disk_name=name,
            )
        )
        disk_id: str = answer.body.disk_id
        return disk_id

    def attach_disk(self, disk_id: str, instance_id: str) -> None:
        """Ask for the attachment; its end is not waited for."""
        self._client.attach_disk(models.AttachDiskRequest(disk_id=disk_id, instance_id=instance_id))


def make_and_mount(device: pathlib.Path, directory: pathlib.Path) -> None:
    """An ext4 file system on *device*, mounted at *directory*."""
    subprocess.run(["mkfs.ext4", "-q", str(device)], check=True, stdin=subprocess.DEVNULL)
    subprocess.run(["mount", "-t", "ext4", str(device), str(directory)], check=True)


def bind(source: pathlib.Path, target: pathlib.Path) -> None:
    """*source* at *target* too, which is made."""
    target.mkdir()
    subprocess.run(["mount", "--bind", str(source), str(target)], check=True)


def unmount(path: pathlib.Path) -> None:
    """Undo `make_and_mount` or `bind`."""
    subprocess.run(["umount", str(path)], check=True)

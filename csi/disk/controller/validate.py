"""ValidateVolumeCapabilities: can this disk serve what is asked."""

from collections.abc import Sequence
from typing import Protocol

from cloud import ecs_model
from core import errors
from csi import requests
from csi.disk.controller import capabilities, existing, params


class DiskApi(Protocol):
    """What validating needs of `cloud.ecs_disk.Disks`."""

    async def read(self, disk_id: str) -> ecs_model.Disk | None: ...


class Validator:
    """Compares disks with wishes."""

    def __init__(self, disks: DiskApi) -> None:
        self._disks = disks

    async def refusal(
        self,
        volume_id: str,
        wanted: Sequence[requests.VolumeCapability],
        parameters: params.VolumeParameters | None,
    ) -> str:
        """Why the volume cannot serve all of *wanted*, "" when it can.

        parameters: what it is said to be made with, None = not said. Raises NotFound.
        """
        disk = await self._disks.read(volume_id)
        if disk is None:
            raise errors.NotFound(f"volume {volume_id} not found")
        try:
            capabilities.require(wanted, multi_attach=disk.multi_attach)
        except errors.InvalidField as e:
            return str(e)
        if parameters is None:
            return ""
        conflict = existing.parameters_conflict(disk, parameters)
        return f"disk {volume_id} differs from the parameters: {conflict}" if conflict else ""

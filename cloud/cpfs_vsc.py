"""Virtual storage channels (VSC): those of an instance, and their attachment to CPFS.

A channel belongs to an ECS instance; CPFS for Lingjun is reached through it instead of the VPC.
Source: spec/csi-driver.md 4.2, 9.4, 9.6.
"""

from cloud import errors as cloud_errors
from cloud import nas_model, nas_wire, openapi

ATTACH_NOT_SUPPORTED = "AttachVscTarget.VscAttachNotSupported"
_PAGE = 100
_NOTHING_TO_DETACH = ("Resource.Check.Fail", "InvalidFileSystem.NotFound")

PRIMARY = "Primary"


class Vscs:
    """Actions on virtual storage channels. Errors are `cloud.errors`."""

    def __init__(self, api: openapi.OpenApi) -> None:
        self._api = api

    async def find(self, instance_id: str) -> list[nas_model.Vsc]:
        """Channels of an ECS instance."""
        found: list[nas_model.Vsc] = []
        token = ""
        while True:
            body = await self._api.call(
                openapi.ECS,
                "DescribeVscs",
                {"InstanceId": instance_id, "MaxResults": _PAGE, "NextToken": token or None},
            )
            found += [
                nas_model.Vsc(
                    vsc_id=nas_wire.text(raw.vsc_id),
                    instance_id=nas_wire.text(raw.instance_id),
                    type=nas_wire.text(raw.vsc_type),
                    status=nas_wire.text(raw.status),
                )
                for raw in body.vscs or []
            ]
            token = body.next_token or ""
            if not token:
                return found

    async def create(self, instance_id: str, *, client_token: str) -> str:
        """Id of a new primary channel. The same token gives the same one."""
        body = await self._api.call(
            openapi.ECS,
            "CreateVsc",
            {"InstanceId": instance_id, "VscType": PRIMARY, "ClientToken": client_token},
        )
        return str(body.vsc_id)

    async def attach(self, file_system_id: str, vsc_id: str, *, client_token: str) -> None:
        """Begin to attach the channel to the file system."""
        await self._api.call(
            openapi.NAS,
            "AttachVscToFilesystems",
            {
                "ResourceIds": [{"FileSystemId": file_system_id, "VscId": vsc_id}],
                "ClientToken": client_token,
            },
        )

    async def detach(self, file_system_id: str, vsc_id: str, *, client_token: str) -> None:
        """Begin to detach the channel; not attached is fine."""
        try:
            await self._api.call(
                openapi.NAS,
                "DetachVscFromFilesystems",
                {
                    "ResourceIds": [{"FileSystemId": file_system_id, "VscId": vsc_id}],
                    "ClientToken": client_token,
                },
            )
        except cloud_errors.CloudError as e:
            if e.code not in _NOTHING_TO_DETACH:
                raise

    async def attachment(self, file_system_id: str, vsc_id: str) -> nas_model.VscAttachment | None:
        """The channel on the file system, None when it is not there."""
        body = await self._api.call(
            openapi.NAS,
            "DescribeFilesystemsVscAttachInfo",
            {
                "ResourceIds": [{"FileSystemId": file_system_id, "VscId": vsc_id}],
                "MaxResults": _PAGE,
            },
        )
        for raw in getattr(body.vsc_attach_info, "vsc_attach_info", None) or []:
            if raw.file_system_id == file_system_id and raw.vsc_id == vsc_id:
                return nas_model.VscAttachment(
                    file_system_id=file_system_id,
                    vsc_id=vsc_id,
                    status=nas_wire.text(raw.status),
                )
        return None

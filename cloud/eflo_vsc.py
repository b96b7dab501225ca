"""Virtual storage channels of Lingjun nodes, as EFLO-Controller tells them.

Source: spec/csi-driver.md 4.2, 9.5.
"""

from cloud import nas_model, nas_wire, openapi

_PAGE = 100
_PRIMARY = "primary"


class LingjunVscs:
    """Actions on channels of Lingjun nodes. Errors are `cloud.errors`."""

    def __init__(self, api: openapi.OpenApi) -> None:
        self._api = api

    async def find(self, node_id: str) -> list[nas_model.Vsc]:
        """Channels of a node; none for a node that is not there."""
        found: list[nas_model.Vsc] = []
        token = ""
        while True:
            body = await self._api.call(
                openapi.EFLO,
                "ListVscs",
                {"NodeIds": [node_id], "MaxResults": _PAGE, "NextToken": token or None},
            )
            found += [
                nas_model.Vsc(
                    vsc_id=nas_wire.text(raw.vsc_id),
                    instance_id=nas_wire.text(raw.node_id),
                    type=nas_wire.text(raw.vsc_type),
                    status=nas_wire.text(raw.status),
                )
                for raw in body.vscs or []
            ]
            token = body.next_token or ""
            if not token:
                return found

    async def create(self, node_id: str, *, client_token: str) -> str:
        """Id of a new primary channel. The same token gives the same one."""
        body = await self._api.call(
            openapi.EFLO,
            "CreateVsc",
            {"NodeId": node_id, "VscType": _PRIMARY, "ClientToken": client_token},
        )
        return str(body.vsc_id)

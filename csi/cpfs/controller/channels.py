"""Storage channels: every node with them has one primary, made when its first volume comes.

Calls for one node share one look and one making. Source: spec/csi-driver.md 4.2.
"""

from typing import Protocol

import structlog

from cloud import errors as cloud_errors
from cloud import nas_model
from core import clock, errors, single_flight
from csi import token_chain

log = structlog.get_logger()

_KEEP_S = 180.0
_READY = ("in_use", "normal")
_READY_LOOKS = 10
"""A second apart. Source: spec/csi-driver.md, appendix E: ready within 10 s."""
_LATE_LOOKS = 3
_MISMATCH = "IdempotentParameterMismatch"


class ChannelApi(Protocol):
    """What is needed of `cloud.cpfs_vsc.Vscs` and `cloud.eflo_vsc.LingjunVscs`."""

    async def find(self, instance_id: str) -> list[nas_model.Vsc]: ...

    async def create(self, instance_id: str, *, client_token: str) -> str: ...


class Channels:
    """Primary channels of instances or Lingjun nodes, remembered for three minutes."""

    def __init__(self, api: ChannelApi, time: clock.Clock) -> None:
        self._api = api
        self._clock = time
        self._known: dict[str, tuple[float, str]] = {}
        self._making: single_flight.SingleFlight[str] = single_flight.SingleFlight("channel of")

    async def ensure(self, instance_id: str) -> str:
        """Id of the instance's primary channel, which is ready.

        Raises NotFound for an instance that is not there, Unavailable while the channel is not
        ready, and what the cloud answers to who may not have one.
        """
        seen_s, vsc_id = self._known.get(instance_id, (float("-inf"), ""))
        if self._clock.monotonic_s() - seen_s <= _KEEP_S:
            return vsc_id
        return await self._making.run(instance_id, lambda: self._ensure(instance_id))

    async def find(self, instance_id: str) -> str:
        """Id of the instance's primary channel, "" when it has none."""
        try:
            found = await self._primary(instance_id)
        except cloud_errors.CloudNotFound:
            return ""
        return found.vsc_id if found else ""

    def forget(self, instance_id: str) -> None:
        """Ask the cloud at the next call."""
        self._known.pop(instance_id, None)

    def close(self) -> None:
        """Stop what is being made; the next process goes on with it."""
        self._making.close()

    async def _ensure(self, instance_id: str) -> str:
        found = await self._primary(instance_id) or await self._make(instance_id)
        for _ in range(_READY_LOOKS):
            if found.status.lower() in _READY:
                self._known[instance_id] = (self._clock.monotonic_s(), found.vsc_id)
                return found.vsc_id
            await self._clock.sleep(1.0)
            again = await self._primary(instance_id)
            if again is None:
                break
            found = again
        raise errors.Unavailable(
            f"storage channel {found.vsc_id} of {instance_id} is {found.status}, not ready; retry"
        )

    async def _make(self, instance_id: str) -> nas_model.Vsc:
        async def find() -> nas_model.Vsc | None:
            return await self._primary(instance_id)

        async def look(times: int = _READY_LOOKS) -> nas_model.Vsc | None:
            return await token_chain.look(find, self._clock, times=times)

        try:
            return await token_chain.make(
                instance_id,
                kind="storage channel",
                wish="primary",
                create=lambda token: self._api.create(instance_id, client_token=token),
                is_spent=lambda e: e.code == _MISMATCH,
                find=look,
                read=lambda _: look(),
            )
        except cloud_errors.CloudError:
            # Another replica's, which may not be seen at once. By which code the cloud refuses a
            # second one is not documented, so that one is there decides.
            found = await look(_LATE_LOOKS)
            if found is None:
                raise
            return found

    async def _primary(self, instance_id: str) -> nas_model.Vsc | None:
        found = await self._api.find(instance_id)
        return next((each for each in found if each.type.lower() == "primary"), None)

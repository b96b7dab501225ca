"""Interfaces of this node in the cloud: made, grown, shrunk and removed, step by step.

Each step leaves something a restart can find: an interface carries the instance's id as a tag from
its first moment, so one that was made and never attached is deleted later: see `leftovers`.
"""

import asyncio
import dataclasses
import ipaddress
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import structlog

from cloud import eni_model, imds_network
from cloud import errors as cloud_errors
from core import clock, errors
from ipamd import model
from ipamd.datapath import model as datapath_model
from ipamd.pool import vswitches

log = structlog.get_logger()

T = TypeVar("T")

INSTANCE_TAG = "ipamd.alibaba-cloud-k8s/instance-id"
CREATOR_TAGS = {"creator": "terway"}
_DESCRIPTION = "made by ipamd of alibaba-cloud-k8s"
_APPEAR_S = 60.0
_METADATA_S = 10.0
_LOOK_S = 0.1
_LOOK_MAX_S = 1.0
_GROWTH = 1.5
_ATTEMPTS = 4
_RETRY_FIRST_S = 1.0
_DRY_CODES = ("InvalidVSwitchId.IpNotEnough", "QuotaExceeded.PrivateIpAddress")
_FULL_CODES = ("InvalidOperation.Ipv4CountExceeded",)
_IN_BETWEEN = "InvalidOperation.InvalidEniState"
_ATTACHED = (eni_model.EniStatus.ATTACHING, eni_model.EniStatus.IN_USE)
_DETACHED = (eni_model.EniStatus.DETACHING, eni_model.EniStatus.AVAILABLE)
_LEFT_MAX = 3
"""Interfaces that could not be deleted; more would only take addresses from others."""
_SETTLE_FIRST_S = 0.5
_SETTLE_MAX_S = 4.0


class EniApi(Protocol):
    """What we ask ECS; see `cloud.ecs_eni.Enis`."""

    async def create(self, new: eni_model.NewEni, *, client_token: str) -> eni_model.Eni: ...
    async def attach(self, eni_id: str, instance_id: str) -> None: ...
    async def detach(self, eni_id: str, instance_id: str) -> None: ...
    async def delete(self, eni_id: str) -> None: ...
    async def assign(
        self, eni_id: str, count: int, *, client_token: str
    ) -> tuple[ipaddress.IPv4Address, ...]: ...
    async def unassign(self, eni_id: str, addresses: Sequence[ipaddress.IPv4Address]) -> None: ...
    async def find(
        self,
        *,
        instance_id: str = "",
        eni_ids: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        status: eni_model.EniStatus | None = None,
    ) -> list[eni_model.Eni]: ...


class Machine(Protocol):
    """What we ask this machine: its metadata service and its kernel."""

    async def read_interface(self, mac: str) -> imds_network.Interface | None: ...
    async def read_addresses(self, mac: str) -> tuple[ipaddress.IPv4Address, ...]: ...
    async def prepare_eni(self, eni: model.PoolEni) -> datapath_model.EniLink | None: ...


class VSwitchDry(errors.Exhausted):
    """The cloud has no free address left where we asked for one."""

    def __init__(self, vswitch_id: str, why: cloud_errors.CloudError) -> None:
        super().__init__(str(why))
        self.vswitch_id = vswitch_id
        self.code = why.code


class InterfaceFull(errors.Exhausted):
    """The interface has more addresses in the cloud than we know, and takes no more."""

    def __init__(self, eni_id: str, why: cloud_errors.CloudError) -> None:
        super().__init__(str(why))
        self.eni_id = eni_id


class EniMaker:
    """instance_id: ours. security_group_ids, tags: of the interfaces we make."""

    def __init__(
        self,
        api: EniApi,
        machine: Machine,
        choice: vswitches.VSwitches,
        time: clock.Clock,
        *,
        instance_id: str,
        security_group_ids: Sequence[str],
        tags: Mapping[str, str],
        resource_group_id: str = "",
    ) -> None:
        self._api = api
        self._machine = machine
        self._vswitches = choice
        self._clock = time
        self._instance_id = instance_id
        self._security_group_ids = tuple(security_group_ids)
        self._tags = {**tags, **CREATOR_TAGS, INSTANCE_TAG: instance_id}
        self._resource_group_id = resource_group_id
        self._making: set[str] = set()
        self._creating = 0
        self._left: dict[str, str] = {}
        """What could not be deleted; why it was never used, "" = it was."""

    async def create(self, count: int) -> model.PoolEni:
        """A new interface with *count* addresses, attached and ready in the kernel.

        What cannot be finished is deleted again. Raises NoVSwitch, CloudError, Unavailable.
        """
        refused = await self._delete_left()
        unused = [why for why in self._left.values() if why]
        if refused is not None and len(unused) >= _LEFT_MAX:
            raise errors.Unavailable(
                f"no interface is made while {len(unused)} that were made can be neither used "
                f"({unused[-1]}) nor deleted ({refused})"
            )
        self._creating += 1
        try:
            made = await self._create(count)
            self._making.add(made.eni_id)
        finally:
            self._creating -= 1
        try:
            await self._settled(
                lambda: self._api.attach(made.eni_id, self._instance_id),
                lambda: self._is_attached(made.eni_id, wanted=True),
            )
            return await self._wait_ready(made)
        except BaseException as e:
            log.warning("interface given up", eni_id=made.eni_id, error=str(e))
            await asyncio.shield(self._undo(made.eni_id, e))
            raise
        finally:
            self._making.discard(made.eni_id)

    def is_making(self, eni_id: str) -> bool:
        """Whether the interface is being made right now."""
        return eni_id in self._making

    def may_be_making(self, eni_id: str) -> bool:
        """Like `is_making`; also while nobody knows yet which interface a call is making."""
        return self._creating > 0 or self.is_making(eni_id)

    async def assign(self, eni: model.PoolEni, count: int) -> tuple[ipaddress.IPv4Address, ...]:
        """*count* more addresses on the interface, once the metadata service knows them.

        Raises VSwitchDry, InterfaceFull, CloudError, Unavailable.
        """
        token = str(uuid.uuid4())
        try:
            assigned = await self._retry(
                lambda: self._api.assign(eni.eni_id, count, client_token=token)
            )
        except cloud_errors.CloudError as e:
            self._raise_if_dry(eni.vswitch_id, e)
            if e.code in _FULL_CODES:
                raise InterfaceFull(eni.eni_id, e) from e
            raise
        self._vswitches.worked(eni.vswitch_id)
        await self._wait_listed(eni.mac, assigned)
        return assigned

    async def unassign(
        self, eni: model.PoolEni, addresses: Sequence[ipaddress.IPv4Address]
    ) -> None:
        """Give addresses back to the cloud."""
        await self._retry(lambda: self._api.unassign(eni.eni_id, addresses))

    async def remove(self, eni_id: str) -> None:
        """Detach and delete an interface; what is done already is skipped.

        Raises Unavailable, and leaves it where it is, while too many others cannot be deleted.
        """
        refused = await self._delete_left()
        if refused is not None and len(self._left) >= _LEFT_MAX:
            raise errors.Unavailable(
                f"interface {eni_id} is not detached while {len(self._left)} that are detached "
                f"cannot be deleted ({refused})"
            )
        await self._settled(
            lambda: self._api.detach(eni_id, self._instance_id),
            lambda: self._is_attached(eni_id, wanted=False),
        )
        try:
            await self._settled(lambda: self._api.delete(eni_id), _never)
        except errors.Error:
            self._left[eni_id] = ""
            raise

    async def _create(self, count: int) -> eni_model.Eni:
        """Create in the first vSwitch that has room."""
        refused: VSwitchDry | None = None
        for vswitch_id in await self._vswitches.choose():
            try:
                made = await self._create_in(vswitch_id, count)
            except VSwitchDry as e:
                refused = e
                continue
            self._vswitches.worked(vswitch_id)
            return made
        if refused is not None:
            raise refused
        raise errors.Exhausted("no vSwitch is left to try")

    async def _create_in(self, vswitch_id: str, count: int) -> eni_model.Eni:
        """Create there with *count* addresses, or with one when it has not so many left."""
        new = eni_model.NewEni(
            vswitch_id=vswitch_id,
            security_group_ids=self._security_group_ids,
            ipv4_count=count,
            tags=self._tags,
            resource_group_id=self._resource_group_id,
            description=_DESCRIPTION,
        )
        try:
            return await self._create_once(new)
        except cloud_errors.CloudError as e:
            if e.code not in _DRY_CODES:
                raise
            if count == 1:
                self._raise_if_dry(vswitch_id, e)
        try:
            return await self._create_once(dataclasses.replace(new, ipv4_count=1))
        except cloud_errors.CloudError as e:
            self._raise_if_dry(vswitch_id, e)
            raise

    async def _create_once(self, new: eni_model.NewEni) -> eni_model.Eni:
        token = str(uuid.uuid4())
        return await self._retry(lambda: self._api.create(new, client_token=token))

    async def _wait_ready(self, made: eni_model.Eni) -> model.PoolEni:
        """Wait until metadata and kernel have the interface. Costs no OpenAPI call."""
        deadline_s = self._clock.monotonic_s() + _APPEAR_S
        delay_s = _LOOK_S
        missing = "metadata"
        while self._clock.monotonic_s() < deadline_s:
            told = await self._machine.read_interface(made.mac)
            if told is not None and set(made.ipv4) <= set(told.ipv4):
                missing = "kernel link"
                eni = pool_eni(told, self._clock.now().timestamp())
                eni.link = await self._machine.prepare_eni(eni)
                if eni.link is not None:
                    return eni
            await self._clock.sleep(delay_s)
            delay_s = min(delay_s * _GROWTH, _LOOK_MAX_S)
        raise errors.Unavailable(
            f"interface {made.eni_id} ({made.mac}) was attached, but its {missing} did not appear "
            f"within {_APPEAR_S:g} s"
        )

    async def _wait_listed(self, mac: str, addresses: Sequence[ipaddress.IPv4Address]) -> None:
        deadline_s = self._clock.monotonic_s() + _METADATA_S
        delay_s = _LOOK_S
        while not set(addresses) <= set(await self._machine.read_addresses(mac)):
            if self._clock.monotonic_s() >= deadline_s:
                raise errors.Unavailable(
                    f"the metadata service does not list {len(addresses)} new addresses of {mac} "
                    f"after {_METADATA_S:g} s"
                )
            await self._clock.sleep(delay_s)
            delay_s = min(delay_s * _GROWTH, _LOOK_MAX_S)

    async def _is_attached(self, eni_id: str, *, wanted: bool) -> bool:
        """Whether the interface is on its way to this instance already, or off it.

        There is no client token for these calls: one whose answer was lost is refused when it is
        asked for again, because of what it did.
        """
        found = next(iter(await self._api.find(eni_ids=[eni_id])), None)
        if found is None:
            return not wanted
        if wanted:
            return found.status in _ATTACHED and found.instance_id == self._instance_id
        return found.status in _DETACHED

    async def _settled(
        self, call: Callable[[], Awaitable[None]], is_done: Callable[[], Awaitable[bool]]
    ) -> None:
        """Ask again while the interface is on its way from one state to another."""
        deadline_s = self._clock.monotonic_s() + _APPEAR_S
        delay_s = _SETTLE_FIRST_S
        while True:
            try:
                return await self._retry(call)
            except cloud_errors.CloudError as e:
                if e.code != _IN_BETWEEN:
                    raise
                if await self._retry(is_done):
                    return None
                if self._clock.monotonic_s() >= deadline_s:
                    raise
            await self._clock.sleep(delay_s)
            delay_s = min(delay_s * 2, _SETTLE_MAX_S)

    async def _undo(self, eni_id: str, cause: BaseException) -> None:
        try:
            await self.remove(eni_id)
        except errors.Error as e:
            self._left[eni_id] = str(cause)
            log.warning("interface is left for the sweep", eni_id=eni_id, error=str(e))

    async def _delete_left(self) -> errors.Error | None:
        """Delete what could not be deleted before; why the cloud does not, None when it does.

        A cloud that RAM lets do only the rest would fill the vSwitch with what each try leaves.
        """
        refused: errors.Error | None = None
        for eni_id in list(self._left):
            try:
                # Not detached: the pool may have taken it up, when metadata told of it late.
                await self._api.delete(eni_id)
            except errors.Error as e:
                if not isinstance(e, cloud_errors.CloudError) or e.code != _IN_BETWEEN:
                    refused = e
                    continue
            self._left.pop(eni_id, None)
        return refused

    async def _retry(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask again when nobody knows the outcome; client tokens make that harmless."""
        delay_s = _RETRY_FIRST_S
        for _ in range(_ATTEMPTS - 1):
            try:
                return await call()
            except cloud_errors.CloudError as e:
                if e.kind not in (errors.Kind.UNAVAILABLE, errors.Kind.BUSY):
                    raise
                log.warning("cloud call failed; trying again", error=str(e), retry_s=delay_s)
            await self._clock.sleep(delay_s)
            delay_s *= 2
        return await call()

    def _raise_if_dry(self, vswitch_id: str, error: cloud_errors.CloudError) -> None:
        if error.code in _DRY_CODES:
            self._vswitches.block(vswitch_id)
            raise VSwitchDry(vswitch_id, error) from error


async def _never() -> bool:
    return False


def pool_eni(told: imds_network.Interface, now_s: float) -> model.PoolEni:
    """An interface of the pool with all of its addresses warm, and no link yet."""
    return model.PoolEni(
        eni_id=told.eni_id,
        mac=told.mac,
        vswitch_id=told.vswitch_id,
        gateway=told.gateway,
        primary=told.ipv4[0],
        cidr_block=told.cidr_block,
        created_at=now_s,
        addresses={
            ipv4: model.Address(ipv4=ipv4, state=model.AddressState.WARM, since_s=now_s)
            for ipv4 in told.ipv4
        },
    )

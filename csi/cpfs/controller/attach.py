"""ControllerPublishVolume: a file system is made reachable from a node, and the node told how.

Source: spec/csi-driver.md 4.2.
"""

import collections
import contextlib
import dataclasses
import uuid
from collections.abc import Iterator, Mapping
from typing import Protocol

import structlog

from cloud import cpfs_vsc, nas_model
from cloud import errors as cloud_errors
from core import call, clock, errors, single_flight
from csi.cpfs import node_ids, volume_context
from csi.cpfs.controller import channels, settings
from csi.cpfs.controller import users as users_module

log = structlog.get_logger()

_Pair = tuple[str, node_ids.NodeId]
"""A file system and a node."""
_ATTACHED, _FAILED, _DETACHED = "attached", "failed", "detached"
_LOOKS = 10
_EVERY_S = 1.0
"""Ten seconds in all. Source: spec/csi-driver.md, appendix E."""


class AttachApi(Protocol):
    """What is needed of `cloud.cpfs_vsc.Vscs`."""

    async def attach(self, file_system_id: str, vsc_id: str, *, client_token: str) -> None: ...

    async def detach(self, file_system_id: str, vsc_id: str, *, client_token: str) -> None: ...

    async def attachment(
        self, file_system_id: str, vsc_id: str
    ) -> nas_model.VscAttachment | None: ...


class UserApi(Protocol):
    """What is needed of `users.Users`."""

    def ask(self, file_system_id: str, node: node_ids.NodeId) -> users_module.Question: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """What ControllerPublishVolume asks for."""

    file_system: nas_model.FileSystem
    node: node_ids.NodeId
    volume: volume_context.CpfsVolume


class Attachments:
    """Attaches and detaches channels. primary: by the kind of node that has them.

    Publishes of one file system to one node run side by side; a detach runs alone.
    """

    def __init__(
        self,
        api: AttachApi,
        primary: Mapping[node_ids.Reach, channels.Channels],
        users: UserApi,
        time: clock.Clock,
        config: settings.CpfsSettings,
    ) -> None:
        self._api = api
        self._channels = primary
        self._users = users
        self._clock = time
        self._config = config
        self._publishing: collections.Counter[_Pair] = collections.Counter()
        self._leaving: set[_Pair] = set()
        self._attaching: single_flight.SingleFlight[None] = single_flight.SingleFlight("attach")
        self._detaching: single_flight.SingleFlight[None] = single_flight.SingleFlight("detach")

    async def publish(self, want: Publishing) -> Mapping[str, str]:
        """The publish context. Doing it again changes nothing."""
        if want.node.reach is node_ids.Reach.COMMON:
            return _by_vpc(want)
        with self._coming((want.file_system.file_system_id, want.node)):
            return await self._publish(want)

    async def _publish(self, want: Publishing) -> Mapping[str, str]:
        primary = self._channels[want.node.reach]
        target = want.volume.vsc_target or _target_of(want.file_system, "")
        if not target:
            return self._switched(want, "the file system has no mount target for storage channels")
        vsc_id = await primary.ensure(want.node.name)
        file_system_id = want.file_system.file_system_id
        call.doing(f"attaching channel {vsc_id} to file system {file_system_id}")
        try:
            # Every volume of the file system on this node needs the same one.
            await self._attaching.run(
                f"{file_system_id} {vsc_id}", lambda: self._attach(file_system_id, vsc_id)
            )
        except cloud_errors.CloudError as e:
            if e.code != cpfs_vsc.ATTACH_NOT_SUPPORTED:
                primary.forget(want.node.name)
                raise
            return self._switched(want, str(e))
        return {
            volume_context.NETWORK_TYPE: volume_context.VSC,
            volume_context.VSC_ID: vsc_id,
            volume_context.VSC_TARGET: target,
        }

    async def unpublish(self, file_system_id: str, node: node_ids.NodeId) -> None:
        """Take the node's channel off the file system: by the settings, and unless it is needed.

        All volumes of the file system on the node go through the same channel. Raises Busy while
        another one of them leaves.
        """
        primary = self._channels.get(node.reach)
        if primary is None or not self._config.detach:
            return
        pair = file_system_id, node
        if pair in self._leaving:
            raise errors.Busy(f"the channel of {node} is leaving {file_system_id} already; retry")
        if pair in self._publishing:
            return  # it is needed
        # A call that gives up must not let a publish in before the cloud has done its part.
        await self._detaching.run(f"{file_system_id} {node}", lambda: self._leave(primary, pair))

    async def _leave(self, primary: channels.Channels, pair: _Pair) -> None:
        file_system_id, node = pair
        with self._going(pair):
            question = self._users.ask(file_system_id, node)
            need = await question.need()
            if need is None:
                await self._detach(primary, file_system_id, node)
                # Another replica may have published one meanwhile, and found the channel there.
                need = await question.need()
            if need is not None:
                log.info(
                    "channel stays", file_system_id=file_system_id, node=str(node), why=need.why
                )
                if need.is_sure:
                    await self._keep(primary, file_system_id, node)

    async def _keep(
        self, primary: channels.Channels, file_system_id: str, node: node_ids.NodeId
    ) -> None:
        """Attach the channel again if it left from under somebody, however that came."""
        vsc_id = await primary.find(node.name)
        if not vsc_id:
            return
        try:
            await self._attach(file_system_id, vsc_id)
        except cloud_errors.CloudError as e:
            if e.code != cpfs_vsc.ATTACH_NOT_SUPPORTED:  # else its volumes go through the VPC
                raise

    async def _detach(
        self, primary: channels.Channels, file_system_id: str, node: node_ids.NodeId
    ) -> None:
        vsc_id = await primary.find(node.name)
        there = await self._read(file_system_id, vsc_id) if vsc_id else None
        # One that failed may be told of for ever; the next publish attaches it anew.
        if there is None or there.status.lower() in (_DETACHED, _FAILED):
            return
        try:
            await self._api.detach(file_system_id, vsc_id, client_token=uuid.uuid4().hex)
        except cloud_errors.CloudNotFound:
            return  # with the file system or the channel
        for _ in range(_LOOKS):
            there = await self._read(file_system_id, vsc_id)
            if there is None or there.status.lower() == _DETACHED:
                log.info("channel detached", file_system_id=file_system_id, vsc_id=vsc_id)
                return
            await self._clock.sleep(_EVERY_S)
        raise errors.Unavailable(f"channel {vsc_id} is still on {file_system_id}; retry")

    async def close(self) -> None:
        """Take no more calls."""
        self._attaching.close()
        self._detaching.close()
        for primary in self._channels.values():
            primary.close()

    @contextlib.contextmanager
    def _coming(self, pair: _Pair) -> Iterator[None]:
        """Publish for the body. Raises Busy while the channel leaves."""
        if pair in self._leaving:
            raise errors.Busy(f"the channel of {pair[1]} is just leaving {pair[0]}; retry")
        self._publishing[pair] += 1
        try:
            yield
        finally:
            self._publishing[pair] -= 1
            if not self._publishing[pair]:
                del self._publishing[pair]

    @contextlib.contextmanager
    def _going(self, pair: _Pair) -> Iterator[None]:
        """Keep publishes off for the body. Raises Busy while one is running."""
        if pair in self._publishing:
            raise errors.Busy(f"a volume of {pair[0]} is being published to {pair[1]}; retry")
        self._leaving.add(pair)
        try:
            yield
        finally:
            self._leaving.discard(pair)

    async def _attach(self, file_system_id: str, vsc_id: str) -> None:
        asked, status = False, ""
        for _ in range(_LOOKS):
            there = await self._api.attachment(file_system_id, vsc_id)
            status = there.status.lower() if there else _DETACHED
            if status == _ATTACHED:
                return
            if status in (_DETACHED, _FAILED) and not asked:
                # A token of its own each time: one that was used would do nothing once detached.
                await self._api.attach(file_system_id, vsc_id, client_token=uuid.uuid4().hex)
                asked = True
            await self._clock.sleep(_EVERY_S)
        raise errors.Unavailable(
            f"channel {vsc_id} is {status} on {file_system_id}, not yet attached; retry"
        )

    async def _read(self, file_system_id: str, vsc_id: str) -> nas_model.VscAttachment | None:
        try:
            return await self._api.attachment(file_system_id, vsc_id)
        except cloud_errors.CloudNotFound:
            return None

    def _switched(self, want: Publishing, why: str) -> Mapping[str, str]:
        """Through the VPC instead, where the volume allows it."""
        if not want.volume.auto_switch:
            raise errors.Precondition(
                f"file system {want.file_system.file_system_id} cannot be reached through the "
                f"storage channel of {want.node.name}: {why}; set "
                f"{volume_context.AUTO_SWITCH} to true to go through the VPC"
            )
        log.warning("through the VPC instead of a channel", node=str(want.node), why=why)
        return _by_vpc(want)


def _by_vpc(want: Publishing) -> Mapping[str, str]:
    target = want.volume.vpc_target or _target_of(want.file_system, volume_context.VPC)
    if not target:
        raise errors.Precondition(
            f"file system {want.file_system.file_system_id} has no active mount target in a VPC, "
            f"and the volume names none; make one, or set {volume_context.VPC_TARGET}"
        )
    return {
        volume_context.NETWORK_TYPE: volume_context.VPC,
        volume_context.VPC_TARGET: target,
    }


def _target_of(file_system: nas_model.FileSystem, network_type: str) -> str:
    """Domain of an active mount target of that kind, "" without one."""
    fits = (
        each.domain
        for each in file_system.mount_targets
        if each.active and each.network_type == network_type
    )
    return next(fits, "")

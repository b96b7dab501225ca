"""Volumes of type Device: a whole disk each.

A disk cannot say whose it is, so a record file does: one for each disk, named after what does not
change when the node boots (its serial number, or a link of /dev/disk), and made in one step. Only a
blank disk is taken, and none of LVM_DEVICES; a deleted volume's disk is made blank again.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator

import structlog

from core import call, errors
from csi.lvm import model, names, params, settings
from csi.lvm.stores import blank_disks, disk_names, pod_disks, store
from csi.lvm.stores.logical import groups, wiping
from csi.node import device_state
from host import block, block_content

log = structlog.get_logger()

_SUFFIX = ".json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who has a disk. identity: of the disk, as `disk_names` tells it. wipe: before it is free."""

    identity: str
    volume_id: str
    name: str
    spec: str
    wipe: str
    is_going: bool = False


class WholeDevices:
    """The disks that match LOCAL_DEVICES."""

    def __init__(self, config: settings.LocalSettings) -> None:
        self._config = config
        self._directory = config.state_dir

    def has(self, volume_id: str) -> bool:
        """Whether a disk is taken by the volume."""
        return self._find(volume_id) is not None

    def create(self, want: model.VolumeWish) -> model.Volume:
        """The smallest blank one that is large enough. Raises Exhausted, Exists."""
        store.refuse_source(want)
        there = self._find(want.volume_id)
        if there is not None and there.is_going:
            self._give_back(there)
        elif there is not None:
            return self._existing(there, want)
        fitting = [
            (block.size_bytes(path), path, identity)
            for path, identity in self._free()
            if want.parameters.path in ("", str(path)) and _fits(path, want)
        ]
        for size_bytes, path, identity in sorted(fitting):
            why = self._why_not_free(path)
            if why:
                log.info("disk is not taken", device=str(path), why=why)
                continue
            claim = Claim(
                identity=identity,
                volume_id=want.volume_id,
                name=names.digest(want.name),
                spec=names.digest(want.identity),
                wipe=str(want.parameters.wipe),
            )
            if self._claim(claim):
                log.info("disk taken", device=str(path), volume_id=want.volume_id)
                return _volume(claim, path, size_bytes)
        raise errors.Exhausted(
            f"no blank disk of LOCAL_DEVICES fits {store.wanted_bytes(want)} bytes"
        )

    def take(self, volume_id: str, path: str) -> None:
        """Note that the disk at *path*, a link of /dev/disk, is *volume_id*, whatever is on it.

        Of a volume of the reference, which left no record. Raises Precondition for a disk that is
        not there, that LOCAL_DEVICES does not name, or that is another volume's.
        """
        link = pathlib.Path(path)
        number = block.device_number(link) if link.is_block_device() else ""
        for free, identity in self._free():
            if block.device_number(free) == number:
                claim = Claim(
                    identity=identity,
                    volume_id=volume_id,
                    name=names.digest(volume_id),
                    spec="",
                    wipe=str(params.Wipe.NONE),
                )
                if self._claim(claim):
                    log.info("disk of the reference taken over", device=path, volume_id=volume_id)
                    return
        raise errors.Precondition(
            f"{path} of volume {volume_id} is not on this node, or another volume's, or "
            "LOCAL_DEVICES does not name it"
        )

    def delete(self, volume_id: str) -> bool:
        """Make the disk blank, and give it back. Raises Busy while it is used."""
        there = self._find(volume_id)
        if there is None:
            return False
        self._give_back(there)
        return True

    def get(self, volume_id: str) -> model.Volume | None:
        """As `Store.get`."""
        there = self._find(volume_id)
        if there is None:
            return None
        return self._volume(there)

    def listed(self) -> list[model.Volume]:
        """As `Store.listed`."""
        return [self._volume(claim) for claim in self._claims() if not claim.is_going]

    def capacity(self, wanted: params.Parameters) -> model.Capacity:
        """The sizes of those that are free and blank."""
        sizes = [
            block.size_bytes(path)
            for path, _ in self._free()
            if wanted.path in ("", str(path)) and not self._why_not_free(path)
        ]
        return model.Capacity(available_bytes=sum(sizes), maximum_bytes=max(sizes, default=0))

    def extend(self, volume_id: str, required_bytes: int, limit_bytes: int) -> int:
        """Raises Precondition: a disk is as large as it is."""
        del limit_bytes
        size_bytes = block.size_bytes(self.open(volume_id).device)
        if required_bytes > size_bytes:
            raise errors.Precondition(f"the disk of {volume_id} has {size_bytes} bytes; no growth")
        return size_bytes

    def open(self, volume_id: str) -> model.Opened:
        """As `Store.open`. Raises NotFound while the disk is not there, Unavailable."""
        claim = self._find(volume_id)
        if claim is None:
            raise errors.NotFound(f"there is no volume {volume_id} on this node")
        if claim.is_going:
            raise errors.Precondition(f"volume {volume_id} is being deleted")
        device = block.path_of(self._device(claim))
        instance = block.instance(device)
        if block.path_of(self._device(claim)) != device:
            raise errors.Unavailable(f"disk {claim.identity} has just come anew; retry")
        return model.Opened(device=device, instance=instance)

    def settle(self, volume_id: str) -> None:
        """It was blank when it was taken."""

    def release(self, volume_id: str) -> None:
        """Nothing was made."""

    def _disks(self) -> Iterator[tuple[pathlib.Path, str]]:
        for path in self._config.whole_devices():
            identity = disk_names.identity_of(path)
            if identity:
                yield path, identity

    def _free(self) -> list[tuple[pathlib.Path, str]]:
        """Disks of nobody, each once: a disk may have many links, and only one is in a record."""
        taken = {claim.identity for claim in self._claims()}
        used = [
            path
            for path, identity in self._disks()
            if taken & {identity, disk_names.serial_of(path)}
        ]
        used += [path for path in map(pathlib.Path, taken) if block.is_block_device(path)]
        used += map(pathlib.Path, groups.Groups(self._config).named())
        numbers = {number for path in used for number in block.numbers_of(path)}
        found = []
        for path, identity in self._disks():
            own = block.numbers_of(path)
            if numbers.isdisjoint(own):
                found.append((path, identity))
                numbers |= own
        return found

    def _why_not_free(self, path: pathlib.Path) -> str:
        """What keeps the disk at *path* from being taken, "" = nothing does."""
        try:
            volume = pod_disks.volume_on(path, pod_disks.noted(self._config.kubelet_root))
        except errors.Precondition as e:
            return str(e)
        if volume:
            return f"is disk {volume}, a PersistentVolume of pods"
        return blank_disks.why_not_blank(path)

    def _claims(self) -> list[Claim]:
        told = []
        for file in sorted(self._directory.glob(f"*{_SUFFIX}")):
            try:
                told.append(Claim(**json.loads(file.read_text(encoding="utf-8"))))
            except (ValueError, TypeError):
                # Its disk is not given to anybody: a record of that name cannot be made.
                log.warning("a record cannot be understood", file=str(file))
        return told

    def _find(self, volume_id: str) -> Claim | None:
        return next((claim for claim in self._claims() if claim.volume_id == volume_id), None)

    def _device(self, claim: Claim) -> pathlib.Path:
        for path, identity in self._disks():
            if identity == claim.identity:
                return path
        raise errors.NotFound(f"disk {claim.identity} of {claim.volume_id} is not on this node")

    def _existing(self, claim: Claim, want: model.VolumeWish) -> model.Volume:
        found = self._volume(claim)
        if claim.spec != names.digest(want.identity) or found.capacity_bytes < want.required_bytes:
            raise errors.Exists(f"volume {want.volume_id} is there with other parameters")
        return found

    def _volume(self, claim: Claim) -> model.Volume:
        try:
            path = self._device(claim)
        except errors.NotFound as e:
            ill = model.Condition(abnormal=True, message=str(e))
            return model.Volume(volume_id=claim.volume_id, capacity_bytes=0, condition=ill)
        return _volume(claim, path, block.size_bytes(path))

    def _file(self, claim: Claim) -> pathlib.Path:
        digest = hashlib.sha256(claim.identity.encode()).hexdigest()[:32]
        return self._directory / f"{digest}{_SUFFIX}"

    def _claim(self, claim: Claim) -> bool:
        """Write the record, whole or not at all; False when somebody else was faster."""
        draft = self._draft(claim)
        try:
            os.link(draft, self._file(claim))
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def _draft(self, claim: Claim) -> pathlib.Path:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._directory / f"{names.digest(claim.volume_id)}.draft"
        with draft.open("w", encoding="utf-8") as file:
            json.dump(dataclasses.asdict(claim), file)
            file.flush()
            os.fsync(file.fileno())
        return draft

    def _give_back(self, claim: Claim) -> None:
        """The record says so first: whoever is killed here goes on, and nobody uses the disk."""
        device = self._device(claim)
        if device_state.is_claimed(device) or store.is_mounted(device):
            raise errors.Busy(f"volume {claim.volume_id} is in use; unpublish it first")
        going = dataclasses.replace(claim, is_going=True)
        self._draft(going).rename(self._file(claim))
        call.doing(f"making {device} blank")
        if params.Wipe(claim.wipe) is not params.Wipe.NONE:
            wiping.wipe(str(device), params.Wipe(claim.wipe))
        block_content.clear_signatures(device)
        self._file(claim).unlink()
        log.info("disk given back", device=str(device), volume_id=claim.volume_id)


def _fits(path: pathlib.Path, want: model.VolumeWish) -> bool:
    size_bytes = block.size_bytes(path)
    return size_bytes >= want.required_bytes and not 0 < want.limit_bytes < size_bytes


def _volume(claim: Claim, path: pathlib.Path, size_bytes: int) -> model.Volume:
    return model.Volume(
        volume_id=claim.volume_id, capacity_bytes=size_bytes, context={"Device": str(path)}
    )

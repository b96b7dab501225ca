"""Disks as loop devices on this machine (root): sparse images, by-id links, copies.

Layout under the state directory: `disks/<disk_id>.img`, `snapshots/<snapshot_id>.img`,
`links/` (see links.py), and what local_disks.py has. Only loop devices whose backing file is in
`disks/` or `local/` are ever touched.
Not here: cloud rules; when a thing happens is decided in sim/ecs.
"""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence

from sim.hardware import api, images, links, local_disks, loop


@contextlib.contextmanager
def _reported(doing: str) -> Iterator[None]:
    """Turn an OSError into HardwareError that says what was being done."""
    try:
        yield
    except OSError as e:
        message = f"hardware: {doing}: {e}"
        raise api.HardwareError(message) from e


class LinuxHardware:
    """Implements api.Hardware with loop devices.

    by_id_dir: where links appear; a machine's own overrides it (several simulated nodes on one
    machine). sysfs: the mounted sysfs.
    """

    def __init__(
        self,
        state_dir: pathlib.Path,
        by_id_dir: pathlib.Path = pathlib.Path("/dev/disk/by-id"),
        *,
        sysfs: pathlib.Path = pathlib.Path("/sys"),
    ) -> None:
        state_dir = state_dir.resolve()  # the kernel reports backing files resolved
        self._disks_dir = state_dir / "disks"
        self._snapshots_dir = state_dir / "snapshots"
        self._by_id_dir = by_id_dir
        # Of instances that are gone, too: their disks may be on their way out.
        self._by_id_dirs: dict[str, pathlib.Path] = {}
        self._sysfs = sysfs
        self._links = links.Links(state_dir / "links")
        self._local = local_disks.LocalDisks(state_dir, sysfs=sysfs)
        self._devices: dict[str, pathlib.Path] = {}

    def place(self, machines: Sequence[api.Machine]) -> None:
        for machine in machines:
            if machine.by_id_dir:
                self._by_id_dirs[machine.instance_id] = pathlib.Path(machine.by_id_dir)
            with _reported(f"making local disks of {machine.instance_id}"):
                self._local.ensure(
                    machine.instance_id, machine.local_disks_gib, self._by_id(machine.instance_id)
                )

    def forget(self, instance_id: str) -> None:
        with _reported(f"removing local disks of {instance_id}"):
            self._local.remove(instance_id)

    def create_disk(self, disk_id: str, size_gib: int, *, snapshot_id: str = "") -> None:
        image = self._image(disk_id)
        with _reported(f"making {image} of {size_gib} GiB"):
            self._disks_dir.mkdir(parents=True, exist_ok=True)
            if snapshot_id:
                images.copy(self._snapshot(snapshot_id), image)
                images.grow(image, size_gib * images.GIB)
            else:
                images.create(image, size_gib * images.GIB)

    def delete_disk(self, disk_id: str) -> None:
        with _reported(f"removing {self._image(disk_id)}"):
            images.remove(self._image(disk_id))

    def attach(self, disk_id: str, serial: str, instance_id: str) -> pathlib.Path:
        with _reported(f"attaching {self._image(disk_id)}"):
            device = self._device(disk_id)
            if device is None:
                device = loop.bind(self._image(disk_id))
                self._devices[disk_id] = device
            else:
                loop.keep(device)
            if not serial:
                return device
            return self._links.make(self._by_id(instance_id), serial, device)

    def detach(
        self, disk_id: str, serial: str, instance_id: str, *, remaining: Sequence[str]
    ) -> bool:
        by_id_dir = self._by_id(instance_id)
        with _reported(f"detaching {self._image(disk_id)}"):
            if serial and by_id_dir not in {self._by_id(other) for other in remaining}:
                self._links.drop(by_id_dir / f"virtio-{serial}")
            if remaining:
                return True
            return self._free(disk_id)

    def resize(self, disk_id: str, size_gib: int, *, online: bool) -> None:
        with _reported(f"growing {self._image(disk_id)} to {size_gib} GiB"):
            images.grow(self._image(disk_id), size_gib * images.GIB)
        if online:
            self.refresh(disk_id)

    def refresh(self, disk_id: str) -> None:
        with _reported(f"refreshing the capacity of {disk_id}"):
            device = self._device(disk_id)
            if device is not None:
                loop.refresh_capacity(device)

    def cut(self, cuts: Sequence[api.Cut]) -> None:
        with _reported("cutting " + ", ".join(cut.snapshot_id for cut in cuts)):
            self._snapshots_dir.mkdir(parents=True, exist_ok=True)
            for cut in cuts:
                device = self._device(cut.disk_id)
                if device is not None:
                    loop.flush(device)
            for cut in cuts:
                images.copy(self._image(cut.disk_id), self._snapshot(cut.snapshot_id))

    def delete_snapshot(self, snapshot_id: str) -> None:
        with _reported(f"removing {self._snapshot(snapshot_id)}"):
            images.remove(self._snapshot(snapshot_id))

    def reconcile(
        self,
        bindings: Sequence[api.Binding],
        *,
        disk_ids: Sequence[str],
        snapshot_ids: Sequence[str],
    ) -> None:
        self._devices.clear()
        wanted_links = set()
        with _reported("bringing loop devices to the stored state"):
            for binding in bindings:
                for instance_id in binding.instance_ids:
                    wanted_links.add(self.attach(binding.disk_id, binding.serial, instance_id))
            for link in self._links.known():
                if link not in wanted_links:
                    self._links.drop(link)
            wanted = {binding.disk_id for binding in bindings}
            for name in loop.bound_under(self._disks_dir, sysfs=self._sysfs):
                disk_id = name.removesuffix(".img")
                if disk_id not in wanted:
                    self._free(disk_id)
            _keep_only(self._disks_dir, disk_ids)
            _keep_only(self._snapshots_dir, snapshot_ids)

    def release(self) -> list[pathlib.Path]:
        with _reported("releasing loop devices"):
            for link in self._links.known():
                self._links.drop(link)
            bound = loop.bound_under(self._disks_dir, sysfs=self._sysfs)
            for device in bound.values():
                loop.free(device)
            self._devices.clear()
            left = sorted(loop.bound_under(self._disks_dir, sysfs=self._sysfs).values())
            return left + self._local.release()

    def _image(self, disk_id: str) -> pathlib.Path:
        return self._disks_dir / f"{disk_id}.img"

    def _snapshot(self, snapshot_id: str) -> pathlib.Path:
        return self._snapshots_dir / f"{snapshot_id}.img"

    def _by_id(self, instance_id: str) -> pathlib.Path:
        return self._by_id_dirs.get(instance_id, self._by_id_dir)

    def _device(self, disk_id: str) -> pathlib.Path | None:
        """The bound device, looked up once and then checked against the kernel each time."""
        image = str(self._image(disk_id))
        device = self._devices.get(disk_id)
        if device is not None and loop.backing_file(device, sysfs=self._sysfs) == image:
            return device
        self._devices.pop(disk_id, None)
        device = loop.bound_under(self._disks_dir, sysfs=self._sysfs).get(f"{disk_id}.img")
        if device is not None:
            self._devices[disk_id] = device
        return device

    def _free(self, disk_id: str) -> bool:
        device = self._device(disk_id)
        if device is None:
            return True
        loop.free(device)
        return self._device(disk_id) is None


def _keep_only(directory: pathlib.Path, ids: Sequence[str]) -> None:
    """Remove images that nothing in the store owns, and copies that were cut short."""
    wanted = {f"{item}.img" for item in ids}
    for path in directory.glob("*") if directory.is_dir() else ():
        if path.suffix == ".partial" or (path.suffix == ".img" and path.name not in wanted):
            images.remove(path)

"""Local disks of instances: they come and go with the machine, and no call of the cloud knows them.

Layout under the state directory: `local/<serial>.img`, `local-links/` (see links.py). An image is
made once, and keeps its content until the instance is released.
"""

import pathlib
from collections.abc import Sequence

from sim.hardware import images, links, loop


class LocalDisks:
    """Loop devices with `virtio-<serial>` links, as the machine has its own disks.

    Every method raises OSError.
    """

    def __init__(
        self, state_dir: pathlib.Path, *, sysfs: pathlib.Path = pathlib.Path("/sys")
    ) -> None:
        state_dir = state_dir.resolve()  # the kernel reports backing files resolved
        self._directory = state_dir / "local"
        self._sysfs = sysfs
        self._links = links.Links(state_dir / "local-links")

    def ensure(
        self, instance_id: str, sizes_gib: Sequence[int], by_id_dir: pathlib.Path
    ) -> list[pathlib.Path]:
        """Make what is missing; the links of the instance's disks."""
        return [
            self._ensure(serial_of(instance_id, number), size_gib, by_id_dir)
            for number, size_gib in enumerate(sizes_gib)
        ]

    def remove(self, instance_id: str) -> None:
        """Remove an instance's disks with their content; a device that is open goes when closed."""
        names = {f"virtio-{path.stem}" for path in self._images(instance_id)}
        for link in self._links.known():
            if link.name in names:
                self._links.drop(link)
        bound = loop.bound_under(self._directory, sysfs=self._sysfs)
        for path in self._images(instance_id):
            if path.name in bound:
                loop.free(bound[path.name])
            images.remove(path)

    def release(self) -> list[pathlib.Path]:
        """Free devices and links, not images; devices that are still in use."""
        for link in self._links.known():
            self._links.drop(link)
        for device in loop.bound_under(self._directory, sysfs=self._sysfs).values():
            loop.free(device)
        return sorted(loop.bound_under(self._directory, sysfs=self._sysfs).values())

    def _images(self, instance_id: str) -> list[pathlib.Path]:
        """Of the instance, and of none whose id begins with its."""
        return sorted(self._directory.glob(f"{_prefix(instance_id)}[0-9]*.img"))

    def _ensure(self, serial: str, size_gib: int, by_id_dir: pathlib.Path) -> pathlib.Path:
        image = self._directory / f"{serial}.img"
        if not image.exists():
            self._directory.mkdir(parents=True, exist_ok=True)
            images.create(image, size_gib * images.GIB)
        device = loop.bound_under(self._directory, sysfs=self._sysfs).get(image.name)
        if device is None:
            device = loop.bind(image)
        return self._links.make(by_id_dir, serial, device)


def serial_of(instance_id: str, number: int) -> str:
    """Serial number of an instance's local disk; stable."""
    return f"{_prefix(instance_id)}{number}"


def _prefix(instance_id: str) -> str:
    return f"local{instance_id.removeprefix('i-')}-"

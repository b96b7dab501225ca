"""Local disks of instances: they come with the machine, and no call of the cloud knows them.

Layout under the state directory: `local/<serial>.img`, `local-links/` (see links.py). An image is
made once, and keeps its content as long as the state directory is there.
"""

import pathlib
from collections.abc import Mapping, Sequence

from sim.hardware import api, images, links, loop


class LocalDisks:
    """Loop devices with `virtio-<serial>` links, as the machine has its own disks.

    sizes_gib: instance id → sizes of its disks. by_id_dirs: where an instance's links appear.
    """

    def __init__(
        self,
        state_dir: pathlib.Path,
        *,
        sizes_gib: Mapping[str, Sequence[int]],
        by_id_dirs: Mapping[str, pathlib.Path],
        sysfs: pathlib.Path = pathlib.Path("/sys"),
    ) -> None:
        state_dir = state_dir.resolve()  # the kernel reports backing files resolved
        self._directory = state_dir / "local"
        self._sizes_gib = sizes_gib
        self._by_id_dirs = by_id_dirs
        self._sysfs = sysfs
        self._links = links.Links(state_dir / "local-links")

    def ensure(self) -> list[pathlib.Path]:
        """Make what is missing; the links of all disks. Raises HardwareError."""
        try:
            return [
                self._ensure(instance_id, number, size_gib)
                for instance_id, sizes in self._sizes_gib.items()
                for number, size_gib in enumerate(sizes)
            ]
        except OSError as e:
            raise api.HardwareError(f"hardware: making local disks: {e}") from e

    def release(self) -> list[pathlib.Path]:
        """Free devices and links, not images; devices that are still in use."""
        for link in self._links.known():
            self._links.drop(link)
        for device in loop.bound_under(self._directory, sysfs=self._sysfs).values():
            loop.free(device)
        return sorted(loop.bound_under(self._directory, sysfs=self._sysfs).values())

    def _ensure(self, instance_id: str, number: int, size_gib: int) -> pathlib.Path:
        serial = serial_of(instance_id, number)
        image = self._directory / f"{serial}.img"
        if not image.exists():
            self._directory.mkdir(parents=True, exist_ok=True)
            images.create(image, size_gib * images.GIB)
        device = loop.bound_under(self._directory, sysfs=self._sysfs).get(image.name)
        if device is None:
            device = loop.bind(image)
        return self._links.make(self._by_id_dirs[instance_id], serial, device)


def serial_of(instance_id: str, number: int) -> str:
    """Serial number of an instance's local disk; stable."""
    return f"local{instance_id.removeprefix('i-')}-{number}"

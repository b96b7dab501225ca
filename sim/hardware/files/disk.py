"""The file system that the trees are in: XFS with project quotas in an image, where that works.

Where it does not, the trees are plain directories and quotas are not enforced. Which of both is
found out once for a state directory.
"""

import os
import pathlib
import shutil

from sim.hardware import api
from sim.hardware.files import command, kernel

_SIZE_GIB = 64
_LOG = "size=64m"
"""The least that mkfs.xfs takes."""


class Disk:
    """`<work>/disk`, mounted from `<work>/disk.img` or not."""

    def __init__(self, work: pathlib.Path) -> None:
        self.path = work / "disk"
        self._image = work / "disk.img"
        self._new = work / "disk.new"
        self.why_no_quotas = ""

    def ensure(self) -> None:
        """Make it, or mount it again. HardwareError when an image cannot be mounted any more."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if self.device is not None:
                return
            if self._image.exists():
                self._mount(self._image)
            elif any(self.path.iterdir()):
                self.why_no_quotas = "this state directory was made without quotas"
            else:
                self._make()
        except OSError as e:
            raise api.HardwareError(f"files: {self.path}: {e}") from e

    @property
    def device(self) -> pathlib.Path | None:
        """What is mounted on it; None for a plain directory. Raises OSError."""
        lines = pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        shown = str(self.path).replace("\\", "\\134").replace(" ", "\\040")
        rows = [line.split(" ") for line in lines]
        sources = [row[row.index("-") + 2] for row in rows if row[4] == shown]
        return pathlib.Path(sources[-1]) if sources else None

    def unmount(self) -> None:
        """Take it off; the image stays, and so does a plain directory."""
        if self.path.exists() and self.device is not None:
            command.run("umount", str(self.path))

    def _make(self) -> None:
        path = command.environment()["PATH"]
        if os.geteuid() != 0:
            self.why_no_quotas = "quotas need root"
        elif shutil.which("mkfs.xfs", path=path) is None or not kernel.has_file_system("xfs"):
            self.why_no_quotas = "quotas need XFS: the kernel's, and mkfs.xfs (Debian xfsprogs)"
        else:
            self._new.unlink(missing_ok=True)
            with self._new.open("wb") as made:
                made.truncate(_SIZE_GIB << 30)
            try:
                command.run("mkfs.xfs", "-q", "-f", "-K", "-l", _LOG, str(self._new))
                self._mount(self._new)
            except api.HardwareError as e:
                self._new.unlink()
                self.why_no_quotas = f"no XFS with quotas: {e}"
            else:
                self._new.rename(self._image)

    def _mount(self, image: pathlib.Path) -> None:
        command.run("mount", "-t", "xfs", "-o", "loop,prjquota", str(image), str(self.path))

"""What the command `cloudsim` does with hardware: the option --hardware, making, releasing."""

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Mapping

from sim import hardware_control, network_app
from sim.hardware import linux
from sim.hardware.files import linux as files_module
from sim.hardware.network import linux as network_module

KINDS = ("disks", "network", "files")
_SETS = {"none": frozenset[str](), "linux": frozenset(KINDS)}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What is real; None = records only."""

    disks: linux.LinuxHardware | None = None
    network: network_module.LinuxNetwork | None = None
    files: files_module.LinuxFiles | None = None

    def described(self) -> Mapping[str, hardware_control.Described]:
        """Those that the control API shows, by name."""
        parts = {"network": self.network, "files": self.files}
        return {name: part for name, part in parts.items() if part is not None}

    def close(self) -> None:
        """Leave all as it is, for the next process."""
        if self.files is not None:
            self.files.close()

    def release(self) -> None:
        """Remove all that does not hold data."""
        if self.disks is not None:
            release_disks(self.disks)
        if self.network is not None:
            self.network.release()
        if self.files is not None:
            self.files.release()


def parse_kinds(text: str) -> frozenset[str]:
    """Kinds of hardware in a list such as `disks,files`; `none` and `linux` (all) stand alone."""
    if text in _SETS:
        return _SETS[text]
    kinds = text.split(",")
    for kind in kinds:
        if kind not in KINDS:
            allowed = f"none, linux, or a list of {', '.join(KINDS)}"
            raise argparse.ArgumentTypeError(f"{kind!r} is unknown; allowed: {allowed}")
    return frozenset(kinds)


def make(options: argparse.Namespace) -> Parts:
    """The parts that --hardware asks for. Raises HardwareError, OSError."""
    kinds: frozenset[str] = options.hardware
    if kinds:
        options.state_dir.mkdir(parents=True, exist_ok=True)
    return Parts(
        disks=(
            linux.LinuxHardware(options.state_dir, options.by_id_dir) if "disks" in kinds else None
        ),
        network=(
            network_app.make(options.netns_prefix, options.state_dir)
            if "network" in kinds
            else None
        ),
        files=files_module.LinuxFiles(options.state_dir) if "files" in kinds else None,
    )


def clean(state_dir: pathlib.Path, by_id_dir: pathlib.Path, netns_prefix: str) -> None:
    """Remove what any process left of a state directory that none uses."""
    release_disks(linux.LinuxHardware(state_dir, by_id_dir))
    network_app.release(netns_prefix, state_dir)
    if (state_dir / files_module.WORK).is_dir():
        files_module.LinuxFiles(state_dir).release()


def release_disks(disks: linux.LinuxHardware) -> None:
    """Free devices and links; tells which are still in use."""
    for device in disks.release():
        message = f"cloudsim: {device} is still in use; it goes when the last user closes it"
        print(message, file=sys.stderr)  # noqa: T201 - a command's message

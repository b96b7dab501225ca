"""Limits on what the containers of a pod may read and write on one device."""

import dataclasses
import pathlib
from collections.abc import Iterator

from core import errors

ROOT = pathlib.Path("/sys/fs/cgroup")
_V1_CONTROLLER = "blkio"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IoLimits:
    """Operations and bytes a second; None = no limit."""

    read_iops: int | None = None
    write_iops: int | None = None
    read_bps: int | None = None
    write_bps: int | None = None


def set_io_limits(
    pod_uid: str, device_number: str, limits: IoLimits, *, root: pathlib.Path = ROOT
) -> None:
    """Apply *limits* for *device_number* ("major:minor") to the pod's cgroup.

    Raises Precondition when the pod's cgroup is not there or lacks the IO controller.
    Source: spec/csi-driver.md 2.13; kernel docs cgroup-v1/blkio-controller, cgroup-v2 "IO".
    """
    unified = (root / "cgroup.controllers").is_file()
    base = root if unified else root / _V1_CONTROLLER
    pod = find_pod(base, pod_uid)
    writes = _v2_writes(limits) if unified else _v1_writes(limits)
    for name, value in writes:
        path = pod / name
        try:
            path.write_text(f"{device_number} {value}\n")
        except OSError as e:
            raise errors.Precondition(
                f"IO limit cannot be set: writing {value} to {path} failed ({e.strerror}); "
                "is the IO controller on for kubelet's cgroups?"
            ) from e


def find_pod(base: pathlib.Path, pod_uid: str) -> pathlib.Path:
    """Directory of the pod's cgroup below *base*, with kubelet's cgroupfs or systemd naming."""
    for candidate in _candidates(pod_uid):
        path = base / candidate
        if path.is_dir():
            return path
    raise errors.Precondition(f"no cgroup of pod {pod_uid} below {base}; is the pod running here?")


def _candidates(pod_uid: str) -> Iterator[str]:
    yield f"kubepods/pod{pod_uid}"
    for quality in ("burstable", "besteffort"):
        yield f"kubepods/{quality}/pod{pod_uid}"
    escaped = pod_uid.replace("-", "_")
    yield f"kubepods.slice/kubepods-pod{escaped}.slice"
    for quality in ("burstable", "besteffort"):
        yield f"kubepods.slice/kubepods-{quality}.slice/kubepods-{quality}-pod{escaped}.slice"


def _v1_writes(limits: IoLimits) -> list[tuple[str, str]]:
    """One file a limit; 0 means none there."""
    return [
        (f"blkio.throttle.{name}_device", str(value))
        for name, value in (
            ("read_iops", limits.read_iops),
            ("write_iops", limits.write_iops),
            ("read_bps", limits.read_bps),
            ("write_bps", limits.write_bps),
        )
        if value is not None
    ]


def _v2_writes(limits: IoLimits) -> list[tuple[str, str]]:
    words = [
        f"{name}={value}"
        for name, value in (
            ("rbps", limits.read_bps),
            ("wbps", limits.write_bps),
            ("riops", limits.read_iops),
            ("wiops", limits.write_iops),
        )
        if value is not None
    ]
    return [("io.max", " ".join(words))] if words else []

"""Whose volume a pod's path is: what kubelet notes beside it before it asks for a publish.

`pods/<uid>/volumes/kubernetes.io~csi/<name>/vol_data.json`, beside `mount`. Source: Kubernetes
1.34, pkg/volume/csi. A network file system's mount does not tell: several volumes may be one
directory, and a broker's mount shows what it likes.
"""

import json
import pathlib

_NOTE = "vol_data.json"
_DRIVER, _HANDLE = "driverName", "volumeHandle"
_MAX_BYTES = 64 * 1024


def handle_at(target: pathlib.Path, driver_name: str) -> str | None:
    """Id of the volume of *driver_name* at *target*; "" = of another driver; None = not told."""
    try:
        with target.with_name(_NOTE).open("rb") as file:
            told = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError):
        return None
    if not isinstance(told, dict) or not told.get(_HANDLE):
        return None
    return str(told[_HANDLE]) if told.get(_DRIVER) == driver_name else ""

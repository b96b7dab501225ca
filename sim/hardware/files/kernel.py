"""What this machine can do for files. Asked once: a module that can be loaded is loaded."""

import os
import pathlib
import shutil

from sim.hardware import api
from sim.hardware.files import command

_PROGRAMS = ("ip", "unshare", "nsenter", "rpcbind", "nfsdcld", "rpc.statd", "rpc.mountd")


def why_no_exports() -> str:
    """Why this machine cannot serve NFS; "" when it can."""
    if os.geteuid() != 0:
        return "exports need root"
    path = command.environment()["PATH"]
    absent = [name for name in (*_PROGRAMS, "exportfs") if shutil.which(name, path=path) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (Debian packages nfs-kernel-server, rpcbind)"
    if not has_file_system("nfsd"):
        return "the kernel has no NFS server (nfsd)"
    return ""


def has_file_system(name: str) -> bool:
    """Whether the kernel knows a file system, or has a module for it."""
    if _knows(name):
        return True
    try:
        command.run("modprobe", "-q", name)
    except api.HardwareError:
        return False
    return _knows(name)


def _knows(name: str) -> bool:
    lines = pathlib.Path("/proc/filesystems").read_text(encoding="utf-8").splitlines()
    return name in {line.split()[-1] for line in lines}

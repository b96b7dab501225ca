"""One NFS server: the kernel's, with the daemons it needs, in namespaces of its own.

Its mounts are a root of its own with little in it, so that it keeps nothing of this machine's
mounts busy. Its processes are in a PID namespace, whose first process does nothing but hold it.
It outlives the simulator; what it serves is told by a file in it.
"""

import os
import pathlib
import selectors
import signal
import socket
import subprocess
import time
from typing import IO

from sim.hardware import api
from sim.hardware.files import command, fabric, model

OPTIONS = "rw,insecure,no_root_squash,no_subtree_check"
LEASE_S = 10
"""Lease and grace period: the least that the kernel takes (fs/nfsd/nfsctl.c)."""
_TOLD = "run/cloudsim-export"
_EXPORT = "run/export"
_CONF = """
[general]
pipefs-directory=/var/lib/nfs/rpc_pipefs
[exports]
rootdir=/run/export
[mountd]
manage-gids=n
"""
_START = """
# -x: a failure tells the command.
set -ex
name=$1 root=$2 mounts=$3 exported=$4 options=$5 lease=$6 told=$7
echo "$name" >/proc/sys/kernel/hostname
mount -a -T "$mounts"
cd "$root"
pivot_root . .
umount -l .
cd /var/lib/nfs
mkdir /run/rpcbind nfsdcld sm sm.bak
touch etab rmtab state
chown -R statd sm sm.bak state
echo "$lease" >/proc/fs/nfsd/nfsv4leasetime
echo "$lease" >/proc/fs/nfsd/nfsv4gracetime
rpcbind -w
# Without it the server does not know that no client has anything to reclaim.
nfsdcld
rpc.statd --no-notify
rpc.mountd
exportfs -o "$options" "*:$exported"
rpc.nfsd -V 3 -V 4.1 4
echo "$told" >/run/cloudsim-export
echo ready
exec </dev/null >/dev/null 2>&1
# The first process of its PID namespace inherits orphans; `wait` reaps them.
while :; do sleep 86400 & wait; done
"""
_STOP = """
[ -d /proc/fs/nfsd ] || exit 0
mount -t nfsd nfsd /proc/fs/nfsd
echo 0 >/proc/fs/nfsd/threads
"""
_START_S = 60.0
_SHOWN = 1000
_END_S = 10.0
_ASK_S = 2.0
_NFS_PORT = 2049


def start(server: model.Server, netns: str, tree: pathlib.Path, work: pathlib.Path) -> None:
    """Serve *tree* in a network namespace. Returns once it serves.

    work: a directory of this state directory. HardwareError, with what was said, when it fails;
    then processes may be left, which `stop` ends.
    """
    root, mounts = work / "root", work / "mounts"
    below = root / _EXPORT / server.seen_path.strip("/")
    try:
        root.mkdir(parents=True, exist_ok=True)
        (work / "nfs.conf").write_text(_CONF, encoding="utf-8")
        mounts.write_text(_mounts(root, work / "nfs.conf", tree, below), encoding="utf-8")
    except OSError as e:
        raise api.HardwareError(f"files: {work}: {e}") from e
    options = f"{OPTIONS},fsid={server.fsid}"
    # Nobody's child, so that it may outlive us, and others reap it.
    words = ["setsid", "--fork", "nsenter", f"--net={fabric.NETNS_DIR / netns}"]
    words += ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--"]
    words += ["sh", "-c", _START, "sh", netns, str(root), str(mounts)]
    words += [server.seen_path, options, str(LEASE_S), server.text()]
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=command.environment(),
    ) as starter:
        said = _read_until_ready(starter.stdout)
    if said:
        raise api.HardwareError(f"files: NFS server of {server.domain}: {said}")


def withdraw(netns: str) -> None:
    """Export nothing any more: clients get ESTALE. The server goes on answering."""
    for pid in processes(netns):
        if pathlib.Path(f"/proc/{pid}/root/{_TOLD}").exists():
            enter = ("nsenter", f"--target={pid}", "--mount", "--net", "--")
            command.run(*enter, "sh", "-ec", "exportfs -ua; exportfs -f")
            return


def stop(netns: str) -> None:
    """End the server in a namespace: its threads, which are the kernel's, then its processes."""
    if not fabric.is_namespace(netns):
        return
    enter = ("nsenter", f"--net={fabric.NETNS_DIR / netns}", "unshare", "--mount", "--")
    command.run(*enter, "sh", "-ec", _STOP)
    for pid in processes(netns):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    give_up_s = time.monotonic() + _END_S
    while processes(netns):
        if time.monotonic() > give_up_s:
            raise api.HardwareError(f"files: processes of {netns} do not end")
        time.sleep(0.01)


def find(netns: str) -> model.Server | None:
    """What the server in a namespace serves; None when it is not whole or does not answer."""
    for pid in processes(netns):
        try:
            told = pathlib.Path(f"/proc/{pid}/root/{_TOLD}").read_text(encoding="utf-8")
            return model.Server.parse(told)
        except (OSError, ValueError, TypeError):
            continue
    return None


def processes(netns: str) -> list[int]:
    """Processes in a network namespace that are not about to end."""
    try:
        space = (fabric.NETNS_DIR / netns).stat().st_ino
    except FileNotFoundError:
        return []
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "ns/net").stat().st_ino == space:
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile
    return found


def answers(address: str) -> bool:
    """Whether an NFS server answers the null procedure of NFS 3 (RFC 5531) there."""
    call = b"".join(number.to_bytes(4, "big") for number in (1, 0, 2, 100003, 3, 0, 0, 0, 0, 0))
    record = (0x8000_0000 | len(call)).to_bytes(4, "big")
    try:
        with socket.create_connection((address, _NFS_PORT), timeout=_ASK_S) as asked:
            asked.sendall(record + call)
            return len(asked.recv(4)) == len(record)
    except OSError:
        return False


def _mounts(root: pathlib.Path, conf: pathlib.Path, tree: pathlib.Path, below: pathlib.Path) -> str:
    """The server's mounts, as fstab: `mount -a` makes them in one process.

    "/" alone, without what is mounted below it, has the programs.
    """
    made = "X-mount.mkdir"
    rows = [
        ("/", root, "none", "bind"),
        ("/dev", root / "dev", "none", "bind"),
        ("proc", root / "proc", "proc", "defaults"),
        ("tmpfs", root / "run", "tmpfs", "defaults"),
        ("tmpfs", root / "var/lib/nfs", "tmpfs", "defaults"),
        ("rpc_pipefs", root / "var/lib/nfs/rpc_pipefs", "rpc_pipefs", made),
        ("nfsd", root / "proc/fs/nfsd", "nfsd", "defaults"),
        (conf, root / "etc/nfs.conf", "none", "bind"),
        (tree, below, "none", f"bind,{made}"),
    ]
    return "".join(f"{_field(a)} {_field(b)} {kind} {how} 0 0\n" for a, b, kind, how in rows)


def _field(value: object) -> str:
    """A field of fstab."""
    codes = {" ": "\\040", "\t": "\\011", "\n": "\\012", "\\": "\\134"}
    return "".join(codes.get(each, each) for each in str(value))


def _read_until_ready(output: IO[bytes] | None) -> str:
    """Why it is not ready when it ends or takes too long; nothing once it says "ready"."""
    said = b""
    if output is None:
        return "no output"
    give_up_s = time.monotonic() + _START_S
    with selectors.DefaultSelector() as waiting:
        waiting.register(output, selectors.EVENT_READ)
        while waiting.select(max(0.0, give_up_s - time.monotonic())):
            more = os.read(output.fileno(), 1 << 16)
            said += more
            if b"\nready\n" in said:
                return ""
            if not more:
                return f"failed: {_last(said)}"
    return f"not ready after {_START_S:g} s: {_last(said)}"


def _last(said: bytes) -> str:
    return said.decode(errors="replace").strip()[-_SHOWN:]

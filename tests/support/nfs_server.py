"""The kernel's NFS server in a machine of its own, with the daemons that it needs.

One server for each network namespace: so there may be many, each with its own addresses and its own
"/", as a NAS has one for each mount target.
"""

import contextlib
import pathlib
import zlib
from collections.abc import Iterator

from tests.support import machine

PROTOCOL_OPTIONS = "rw,insecure,no_root_squash,no_subtree_check"
SHORTEST_S = 10
"""Lease and grace period: the least that the kernel takes."""

_START = """
root=$1 shortest=$2
# Where its daemons leave sockets and tables: others have their own.
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib/nfs
cd /var/lib/nfs
mkdir /run/rpcbind rpc_pipefs nfsdcld sm sm.bak
touch etab rmtab state
chown -R statd sm sm.bak state
cat >/run/nfs.conf <<END
[general]
pipefs-directory=/var/lib/nfs/rpc_pipefs
[exports]
rootdir=$root
[mountd]
manage-gids=n
END
mount --bind /run/nfs.conf /etc/nfs.conf
mount -t rpc_pipefs rpc_pipefs rpc_pipefs
mount -t nfsd nfsd /proc/fs/nfsd
echo "$shortest" >/proc/fs/nfsd/nfsv4leasetime
echo "$shortest" >/proc/fs/nfsd/nfsv4gracetime
sysctl -qw fs.nfs.nlm_timeout=3 fs.nfs.nlm_grace_period=1
rpcbind -w
# Without it the server does not know that no client has anything to reclaim.
nfsdcld
rpc.statd --no-notify
rpc.mountd
rpc.nfsd -V 3 -V 4.1 4
"""


class NfsServer:
    """Exports what is below *root*, which clients see as "/". NFS 3, 4.0, 4.1 and 4.2.

    own_network: False has it serve on the addresses of the caller's namespace.
    """

    def __init__(self, root: pathlib.Path, *, own_network: bool = True) -> None:
        self.root = root
        self.machine = machine.Machine(own_network=own_network)
        self._nodes = 0
        with contextlib.ExitStack() as undo:
            undo.callback(self.machine.close)
            # -x: a failure tells the command.
            self.machine.run("sh", "-exc", _START, "sh", root, str(SHORTEST_S))
            undo.pop_all()

    def connect(self, node: machine.Machine) -> str:
        """A network between the server and *node*. Returns the server's address on it."""
        self._nodes += 1
        return self.machine.connect(node, f"10.77.{self._nodes}")[0]

    def add_export(self, path: str = "/", options: str = PROTOCOL_OPTIONS) -> None:
        """Export *path*, below `root`, to all clients; again: with other options."""
        self.machine.run("exportfs", "-o", f"{options},fsid={_fsid(path)}", f"*:{path}")

    def remove_export(self, path: str = "/") -> None:
        """Take the export back; clients that have it mounted get ESTALE."""
        self.machine.run("exportfs", "-u", f"*:{path}")
        self.machine.run("exportfs", "-f")

    def stop(self) -> None:
        """As a server that restarts: connections are refused until `resume`."""
        self.machine.run("rpc.nfsd", "0")

    def resume(self) -> None:
        """Serve again. Clients of NFS 4.1 reclaim what they had open; at most SHORTEST_S go by."""
        self.machine.run("rpc.nfsd", "4")

    @contextlib.contextmanager
    def unreachable(self, address: str) -> Iterator[None]:
        """As a server whose network is gone: what is sent to *address* is dropped meanwhile."""
        rule = ("INPUT", "-d", address, "-j", "DROP")
        self.machine.run("iptables-legacy", "-w", "-I", *rule)
        try:
            yield
        finally:
            self.machine.run("iptables-legacy", "-w", "-D", *rule)

    def close(self) -> None:
        """End it. Clients that still have it mounted hang, as they do in life."""
        self.machine.run("exportfs", "-au")
        self.machine.run("exportfs", "-f")
        self.stop()
        self.machine.close()


def _fsid(path: str) -> int:
    """A number for *path*: file systems without a UUID, such as tmpfs, need one."""
    return 0 if path == "/" else 1 + zlib.crc32(path.encode()) % 0x7FFF_FFFE

"""An empty FUSE file system whose client is silent when told so: as one that hangs.

It has taken the requests that it does not answer, so that who waits cannot be killed. Speaks the
kernel's protocol, 7.31. Source: Linux include/uapi/linux/fuse.h.
"""

import contextlib
import ctypes
import os
import pathlib
import select
import struct
import threading

from host import mounts

_GETATTR, _STATFS, _INIT, _OPENDIR, _READDIR, _RELEASEDIR = 3, 17, 26, 27, 28, 29
_FORGET = frozenset({2, 42})
_HEADER = struct.Struct("<IIQQIIII")
_ANSWER = struct.Struct("<IiQ")
_ENOSYS = 38
_DIRECTORY = 0o040755
BLOCKS, FREE, BLOCK_BYTES = 1000, 400, 4096

_BODIES = {
    _INIT: struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, 0, 12, 9, 4096, 1, 1, 0, 0, *[0] * 7),
    _GETATTR: struct.pack("<QII6Q10I", 60, 0, 0, 1, *[0] * 5, 0, 0, 0, _DIRECTORY, 2, *[0] * 5),
    _OPENDIR: struct.pack("<QII", 1, 0, 0),
    _READDIR: b"",
    _RELEASEDIR: b"",
    _STATFS: struct.pack(
        "<5Q4I6I", BLOCKS, FREE, FREE, 10, 5, BLOCK_BYTES, 255, BLOCK_BYTES, *[0] * 7
    ),
}


class SlowFuse:
    """Mounted at *path*, which it makes. answers: cleared, it keeps silent.

    opened: how often its directory was, which makes a client of a storage ask that.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.opened = 0
        self.answers = threading.Event()
        self.answers.set()
        self.silent = threading.Event()
        path.mkdir()
        self._channel = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._channel},rootmode=40000,user_id=0,group_id=0,allow_other"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"slow", os.fsencode(path), b"fuse", 0, options.encode()):
            raise OSError(ctypes.get_errno(), "mounting FUSE")
        os.set_blocking(self._channel, False)
        self._end = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._serve, name="slow fuse", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer what waits, and unmount. Copies in other mount namespaces are dead then."""
        self.answers.set()
        mounts.detach(self.path)
        self.leave()
        os.close(self._end)

    def leave(self) -> None:
        """End as a client that is killed: its mount stays, and is dead."""
        os.eventfd_write(self._end, 1)
        self._thread.join(60)
        if self._channel >= 0:
            os.close(self._channel)
            self._channel = -1

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._channel, self._end], [], [])
            if self._end in ready:
                return
            try:
                request = os.read(self._channel, 1 << 20)
            except BlockingIOError:
                continue
            except OSError:
                return  # unmounted, or aborted
            _, opcode, unique, *_ = _HEADER.unpack_from(request)
            self.opened += opcode == _OPENDIR
            if not self.answers.is_set():
                self.silent.set()
                self.answers.wait()
            if opcode in _FORGET:
                continue
            body = _BODIES.get(opcode)
            error, body = (0, body) if body is not None else (-_ENOSYS, b"")
            with contextlib.suppress(OSError):  # nobody waits any more: aborted
                os.write(
                    self._channel, _ANSWER.pack(_ANSWER.size + len(body), error, unique) + body
                )

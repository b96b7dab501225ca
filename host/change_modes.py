"""A program: the mode of a directory and of all below it, while others change what is there.

`python -m host.change_modes 0755 /path`. chmod(1) before coreutils 9.5 looks at an entry and then
changes what has its name: who puts a symbolic link there in between has root change any file of the
node. Here the entry that was looked at is held, and no link is ever followed. Source: NEWS of
coreutils 9.5; tried with 9.1 and a process that exchanges files for links: it won in 0.2 s.

Many may run at once, one for each volume: what it imports is part of the interpreter.
"""

import errno
import os
import resource
import stat
import sys

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_KEPT = stat.S_ISUID | stat.S_ISGID
"""Bits that a directory keeps, as chmod(1) does with a mode of up to four digits."""
_GONE = (errno.ENOENT, errno.ESTALE)
"""Others may delete what they like meanwhile."""
_DEPTH_MAX = 2000
"""A level takes two descriptors and the room of its name. PATH_MAX is at twice as many."""


class _Level:
    """A directory that is being read."""

    __slots__ = ("entries", "fd", "name")

    def __init__(self, name: str, fd: int) -> None:
        self.name = name
        self.fd = fd
        self.entries = os.scandir(fd)

    def close(self) -> None:
        self.entries.close()
        os.close(self.fd)


class Walk:
    """One change. failed: how many entries could not be changed. first: the first, and why."""

    def __init__(self, mode: int) -> None:
        self._mode = mode
        self._levels: list[_Level] = []
        self.failed = 0
        self.first = ""

    def change(self, top: str) -> None:
        """Change *top* and all below it. Raises OSError when *top* itself cannot be changed."""
        try:
            self._take(os.open(top, _LOOK), top)
            while self._levels:
                self._next()
        finally:
            while self._levels:
                self._levels.pop().close()

    def _next(self) -> None:
        """Change the next entry of the innermost directory, or leave that."""
        level = self._levels[-1]
        try:
            entry = next(level.entries, None)
        except OSError as e:
            self._fail("", e)
            entry = None
        if entry is None:
            self._levels.pop().close()
            return
        try:
            self._take(os.open(entry.name, _LOOK, dir_fd=level.fd), entry.name)
        except OSError as e:
            if e.errno not in _GONE:
                self._fail(entry.name, e)

    def _take(self, held: int, name: str) -> None:
        """Change what *held* is, and go into it when it is a directory."""
        try:
            found = os.fstat(held).st_mode
            if stat.S_ISLNK(found):
                return
            kept = found & _KEPT if stat.S_ISDIR(found) else 0
            # The kernel leads this name to what is held, and nowhere else.
            os.chmod(f"/proc/self/fd/{held}", self._mode | kept)  # noqa: PTH101  # a descriptor
            if stat.S_ISDIR(found):
                self._enter(held, name)
        finally:
            os.close(held)

    def _enter(self, held: int, name: str) -> None:
        if len(self._levels) >= _DEPTH_MAX:
            raise OSError(errno.ELOOP, f"lies below {_DEPTH_MAX} directories")
        fd = os.open(".", _READ, dir_fd=held)
        try:
            self._levels.append(_Level(name, fd))
        except OSError:
            os.close(fd)
            raise

    def _fail(self, name: str, why: OSError) -> None:
        self.failed += 1
        if not self.first:
            path = "/".join([*(level.name for level in self._levels), name])
            self.first = f"{path}: {why.strerror}"


def main(arguments: list[str]) -> int:
    """Status of the program: 0 = all is changed."""
    mode, top = int(arguments[0], 8), arguments[1]
    walk = Walk(mode)
    try:
        walk.change(top)
    except OSError as e:
        sys.stderr.write(f"{top}: {e.strerror}\n")
        return 1
    if walk.failed:
        sys.stderr.write(f"{walk.first} ({walk.failed} could not be changed)\n")
    return 1 if walk.failed else 0


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sys.exit(main(sys.argv[1:]))

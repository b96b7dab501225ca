#!/usr/bin/python3 -ISE
"""Runs `terway.pyc` that lies beside this file; `terway.py` when it is of another Python."""

import marshal
import posix
import sys


def read(ending: str) -> bytes:
    """The file beside this one with that ending."""
    # Not open(), and not marshal.load(): they read a few bytes at a time, 0.5 ms in all.
    fd = posix.open(sys.argv[0] + ending, posix.O_RDONLY | posix.O_CLOEXEC)
    content = posix.read(fd, posix.fstat(fd).st_size)
    posix.close(fd)
    return content


compiled = read(".pyc")
if compiled[:4] == sys.modules["_frozen_importlib_external"].MAGIC_NUMBER:
    program = marshal.loads(compiled[16:])
else:
    program = compile(read(".py"), "terway.py", "exec")
exec(program)

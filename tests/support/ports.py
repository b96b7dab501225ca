"""Ports for servers that are stopped and started again at the same one.

The kernel gives ports from 32768 on to whoever asks for any, tests that run at the same time among
them: one of those could have it while the server is down. Kubernetes has those from 30000 on.
"""

import itertools
import secrets
import socket

_LOWEST, _HIGHEST = 20000, 29999
_next = itertools.count(secrets.randbelow(_HIGHEST - _LOWEST))  # others count from elsewhere


def free_port() -> int:
    """One that nobody has, and that nobody else is given here for a long while."""
    for number in itertools.islice(_next, _HIGHEST - _LOWEST):
        port = _LOWEST + number % (_HIGHEST - _LOWEST + 1)
        with socket.socket() as tried:
            try:
                tried.bind(("", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no port from {_LOWEST} to {_HIGHEST} is free")

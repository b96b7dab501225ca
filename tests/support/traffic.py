"""Traffic between namespaces, by small Python programs: no tool of the image is needed."""

import contextlib
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence

_SERVE = textwrap.dedent("""
    import socket, sys, threading
    server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
    print("listening", flush=True)
    def answer(peer, address):
        with peer:
            size = 0
            while data := peer.recv(65536):
                size += len(data)
            peer.sendall(f"{address[0]} {size}".encode())
    while True:
        threading.Thread(target=answer, args=server.accept(), daemon=True).start()
""")
_SEND = textwrap.dedent("""
    import socket, sys, time
    host, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    started = time.monotonic()
    with socket.create_connection((host, port), timeout=10) as peer:
        peer.settimeout(60)
        block = bytes(16384)
        left = size
        while left > 0:
            left -= peer.send(block[:left])
        peer.shutdown(socket.SHUT_WR)
        told = peer.recv(100).decode()
    print(told, time.monotonic() - started)
""")


@contextlib.contextmanager
def serving(enter: Sequence[str], port: int) -> Iterator[None]:
    """A server on *port* in the namespace that *enter* leads into."""
    argv = [*enter, sys.executable, "-I", "-c", _SERVE, str(port)]
    server = subprocess.Popen(argv, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"listening\n"
        yield
    finally:
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()


def fetch(enter: Sequence[str], url: str) -> str:
    """What *url* answers to a client in the namespace that *enter* leads into."""
    program = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=10).read())"
    argv = [*enter, sys.executable, "-I", "-c", program, url]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip() or done.stderr.splitlines()[-1]


def send(
    enter: Sequence[str], host: str, port: int, size_bytes: int = 10, *, tries: int = 1
) -> tuple[str, float]:
    """The address the server saw, and bytes a second. Raises RuntimeError without a connection."""
    argv = [*enter, sys.executable, "-I", "-c", _SEND, host, str(port), str(size_bytes)]
    why = ""
    for attempt in range(tries):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode == 0:
            address, size, elapsed_s = done.stdout.split()
            assert int(size) == size_bytes
            return address, size_bytes / float(elapsed_s)
        if attempt + 1 < tries:
            time.sleep(0.2)
        why = done.stderr.splitlines()[-1]
    raise RuntimeError(f"no connection to {host}:{port}: {why}")

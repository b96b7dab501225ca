"""A metadata service on loopback whose answers a test scripts, for what cloudsim never does."""

import contextlib
import http.server
import threading
from collections.abc import Iterator, Mapping

TOKEN_HEADER = "X-aliyun-ecs-metadata-token"


class MetadataServer(http.server.ThreadingHTTPServer):
    """Serves `documents` by path below /latest/.

    needs_token: refuse reads without the current token. token_status: answer to requests for one.
    failures: statuses to answer to the next reads. seen: method and path of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.documents: dict[str, str] = {}
        self.needs_token = True
        self.token_status = 200
        self.token = "token-1"
        self.failures: list[int] = []
        self.seen: list[tuple[str, str]] = []
        self.ttls: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def reads(self) -> list[str]:
        return [path for method, path in self.seen if method == "GET"]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: MetadataServer

    def do_PUT(self) -> None:
        self.server.seen.append(("PUT", self.path))
        self.server.ttls.append(self.headers.get("X-aliyun-ecs-metadata-token-ttl-seconds", ""))
        self._answer(self.server.token_status, self.server.token)

    def do_GET(self) -> None:
        self.server.seen.append(("GET", self.path.removeprefix("/latest/")))
        if self.server.failures:
            self._answer(self.server.failures.pop(0), "")
        elif self.server.needs_token and self.headers.get(TOKEN_HEADER) != self.server.token:
            self._answer(401, "")
        else:
            text = self.server.documents.get(self.path.removeprefix("/latest/"))
            self._answer(404 if text is None else 200, text or "")

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass


@contextlib.contextmanager
def serving(documents: Mapping[str, str]) -> Iterator[MetadataServer]:
    """A server for the body of the statement."""
    server = MetadataServer()
    server.documents.update(documents)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

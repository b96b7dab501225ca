"""A few paths of a Kubernetes API server, over HTTP or HTTPS, without the real one."""

import contextlib
import http.server
import json
import pathlib
import queue
import ssl
import threading
import urllib.parse
from typing import Any

_Event = dict[str, Any] | None


class ApiHttp:
    """pods: what a list shows. refuse: (status, message) for every request.

    `send` tells all watches of an event; None cuts them within a line. seen: method, path,
    query and body of each request. accepts: what was asked for of pods. tokens: of whom it
    answers, empty = of everybody. is_hung: it takes requests and says nothing.

    certificate: NAME.crt and NAME.key of the server, None = plain HTTP.
    """

    def __init__(self, certificate: pathlib.Path | None = None) -> None:
        self.pods: list[dict[str, Any]] = []
        self.version = 1
        self.refuse: tuple[int, str] | None = None
        self.gone = False
        self.seen: list[tuple[str, str, dict[str, list[str]], Any]] = []
        self.accepts: set[str] = set()
        self.tokens: set[str] = set()
        self.bearers: list[str] = []
        self.is_hung = False
        self.resumed = threading.Event()
        self.watches: list[queue.Queue[_Event]] = []
        self.node: dict[str, Any] | None = {"metadata": {"name": "node-1", "uid": "uid-node"}}
        self.node_watches: list[queue.Queue[_Event]] = []
        outer = self

        class Handler(_Handler):
            api = outer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.show_certificate(certificate)
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._server.server_port}"

    def show_certificate(self, name: pathlib.Path) -> None:
        """To connections that begin from now on."""
        assert self._tls is not None
        self._tls.load_cert_chain(f"{name}.crt", f"{name}.key")

    def write_kubeconfig(self, path: pathlib.Path) -> pathlib.Path:
        """A kubeconfig that leads here."""
        config = {
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(json.dumps(config))
        return path

    def pod(self, name: str, **metadata: Any) -> dict[str, Any]:
        self.version += 1
        told = {"namespace": "default", "name": name, "uid": f"uid-{self.version}"}
        return {"metadata": {**told, "resourceVersion": str(self.version), **metadata}}

    def send(self, event: _Event) -> None:
        for each in self.watches:
            each.put(event)

    def tell_of_node(self, kind: str, told: dict[str, Any]) -> None:
        for each in self.node_watches:
            each.put({"type": kind, "object": told})

    def close(self) -> None:
        for each in self.node_watches:
            each.put(None)
        self.resumed.set()
        self.send(None)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    api: ApiHttp
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        query = self._note(None)
        path = urllib.parse.urlsplit(self.path).path
        if self.api.is_hung:
            self.api.resumed.wait()
            self.close_connection = True
        elif not self._is_known():
            self._answer(401, {"kind": "Status", "code": 401, "message": "Unauthorized"})
        elif self.api.refuse is not None:
            status, message = self.api.refuse
            self._answer(status, {"kind": "Status", "code": status, "message": message})
        elif path == "/api/v1/pods" and "watch" in query:
            self._watch(self.api.watches)
        elif path == "/api/v1/nodes" and "watch" in query:
            self._watch(self.api.node_watches)
        elif path in ("/api/v1/pods", "/api/v1/nodes"):
            metadata = {"resourceVersion": str(self.api.version)}
            nodes = [] if self.api.node is None else [self.api.node]
            items = self.api.pods if path == "/api/v1/pods" else nodes
            self._answer(200, {"metadata": metadata, "items": items})
        elif path == "/api/v1/nodes/node-1":
            self._answer(200, {"kind": "Node", "metadata": {"name": "node-1"}})
        else:
            absent = {"name": path.rpartition("/")[2]}
            told = {"kind": "Status", "code": 404, "message": "not found", "details": absent}
            self._answer(404, told)

    def do_POST(self) -> None:
        self._change()

    def do_PATCH(self) -> None:
        self._change()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing is printed."""

    def _change(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._note(body)
        self._answer(200, body)

    def _is_known(self) -> bool:
        bearer = self.headers["Authorization"].removeprefix("Bearer ")
        self.api.bearers.append(bearer)
        return not self.api.tokens or bearer in self.api.tokens

    def _note(self, body: Any) -> dict[str, list[str]]:
        where = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(where.query)
        self.api.seen.append((self.command, where.path, query, body))
        if where.path == "/api/v1/pods":
            self.api.accepts.add(self.headers["Accept"])
        return query

    def _answer(self, status: int, told: Any) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _watch(self, watches: "list[queue.Queue[_Event]]") -> None:
        if self.api.gone and watches is self.api.watches:
            self.api.gone = False
            self._answer(410, {"kind": "Status", "code": 410, "message": "too old"})
            return
        told: queue.Queue[_Event] = queue.Queue()
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        watches.append(told)
        with contextlib.suppress(OSError):
            for event in iter(told.get, None):
                self._chunk(json.dumps(event).encode() + b"\n")
            watches.remove(told)
            self._chunk(b'{"type": "ADD')
        self.close_connection = True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

"""A Kubernetes API server with its etcd, on loopback, and nothing else of a cluster.

For programs that ask the API; what needs kubelets is in `tests.support.cluster`.
"""

import contextlib
import ipaddress
import os
import pathlib
import shlex
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.support import ports, processes
from tests.support.cluster import certificates, cluster
from tests.support.cluster import kubectl as cluster_kubectl

ADMIN = "admin"
_TOKEN = "token-of-{user}"
_READY_S = 180.0


class ApiServer:
    """Starts with `start`; `stop` and `start` again keep everything. users: besides ADMIN.

    address: of this machine, by which it is reached. enter: words before each command, such as
    those that enter a network namespace, whose loopback is meant then.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        *users: str,
        address: str = "127.0.0.1",
        enter: Sequence[str] = (),
    ) -> None:
        self._enter = tuple(enter)
        self._directory = directory
        self._address = ipaddress.IPv4Address(address)
        directory.mkdir()
        self._programs = cluster.build_programs() / "bin"
        self._port, self._etcd_port, peer_port = (ports.free_port() for _ in range(3))
        self._etcd = self._etcd_process(peer_port)
        self._server: processes.Process | None = None
        self._ca = certificates.Authority(directory / "pki")
        self._ca.server("server", "kube-apiserver", [self._address])
        self._ca.key_pair("accounts")
        groups = {ADMIN: "system:masters"}
        lines = [
            f'{_TOKEN.format(user=user)},{user},{n},"{groups.get(user, "")}"'
            for n, user in enumerate((ADMIN, *users))
        ]
        (directory / "tokens.csv").write_text("\n".join(lines) + "\n")
        for user in (ADMIN, *users):
            certificates.write_kubeconfig(
                self.kubeconfig(user),
                f"https://{self._address}:{self._port}",
                self._ca.certificate,
                {"token": _TOKEN.format(user=user)},
            )
        script = directory / "kubectl"
        argv = shlex.join([*self._enter, str(self._programs / "kubectl")])
        argv += f" --kubeconfig {self.kubeconfig(ADMIN)}"
        script.write_text(f'#!/bin/sh\nexec {argv} "$@"\n')
        script.chmod(0o700)
        self.kubectl = cluster_kubectl.Kubectl(script)

    def kubeconfig(self, user: str) -> pathlib.Path:
        """How *user* reaches the server."""
        return self._directory / f"{user}.kubeconfig"

    def start(self) -> None:
        """Start what does not run, and wait until it answers."""
        if not self._etcd.running:
            self._etcd.start("ready to serve client requests", _READY_S)
        self._server = self._server_process()
        self._server.start("Serving securely on", _READY_S)
        # It makes this one itself, and only then may others be made in it.
        self.kubectl.wait("namespace", "default", "jsonpath={.metadata.name}", limit_s=_READY_S)

    def event(self, reason: str) -> dict[str, Any]:
        """The first event of that reason; waits for it at most 30 s."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found.extend(self.kubectl.list("events", f"--field-selector=reason={reason}"))
            return bool(found)

        cluster_kubectl.wait_until(f"there is an event {reason}", look, 30.0)
        return found[0]

    def reads(self, resource: str) -> int:
        """How often the server was asked for one object of *resource*, a plural, since it began."""
        told = self.kubectl("get", "--raw", "/metrics").splitlines()
        wanted = (f'resource="{resource}"', 'verb="GET"', 'scope="resource"')
        counts = (
            float(line.rpartition(" ")[2])
            for line in told
            if line.startswith("apiserver_request_total{") and all(each in line for each in wanted)
        )
        return int(sum(counts))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The server stands still meanwhile: it takes connections, and answers afterwards."""
        assert self._server is not None
        os.kill(self._server.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._server.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End the API server at once; what it knew stays with etcd."""
        if self._server is not None:
            self._server.kill9()

    def close(self) -> None:
        """End both."""
        self.stop()
        if self._etcd.running:
            self._etcd.kill9()

    def _etcd_process(self, peer_port: int) -> processes.Process:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{peer_port}"
        argv = [
            *self._enter,
            str(self._programs / "etcd"),
            f"--data-dir={self._directory / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
        ]
        return processes.Process(argv, self._directory / "etcd.log", _environment())

    def _server_process(self) -> processes.Process:
        pki = self._directory / "pki"
        argv = [
            *self._enter,
            str(self._programs / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--bind-address={self._address}",
            f"--secure-port={self._port}",
            f"--tls-cert-file={pki / 'server.crt'}",
            f"--tls-private-key-file={pki / 'server.key'}",
            f"--token-auth-file={self._directory / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki / 'accounts.pub'}",
            f"--service-account-signing-key-file={pki / 'accounts.key'}",
        ]
        return processes.Process(argv, self._directory / "kube-apiserver.log", _environment())


def _environment() -> Mapping[str, str]:
    return {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}

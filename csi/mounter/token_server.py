"""Tokens for s3fs, over the protocol of container credentials: s3fs reads none from files.

It asks `http://169.254.170.2` + a path from its environment. That address is not ours, so it is
told to go there through us as a proxy, on the loopback. The path has 256 random bits and is known
to the client alone. Source: s3fs 1.90, `-o ecs`; libcurl's proxy variables.
"""

import datetime
import json
import os
import pathlib
import secrets
import urllib.parse
from collections.abc import Mapping, Sequence

import structlog

from core import errors, http_status

log = structlog.get_logger()

_HOST = "http://169.254.170.2"
_TOLD_S = 21 * 60
"""s3fs asks again when less than 20 minutes are left, so it gets a new token within a minute."""
_PATH_FILE = "path"
_PORT_FILE = "token-server.port"


class TokenServer:
    """Serves the tokens of all volumes on one port, the same one after a restart."""

    def __init__(self, state_dir: pathlib.Path) -> None:
        self._port_file = state_dir / _PORT_FILE
        self._status = http_status.HttpStatus({})
        self._port = 0
        self._kept = False
        self._paths: dict[pathlib.Path, str] = {}

    async def start(self) -> bool:
        """Listen; again = nothing. Whether clients that run still find us.

        They do not when somebody took our port while we were away.
        """
        if self._port:
            return self._kept
        try:
            port = int(self._port_file.read_text())
        except (OSError, ValueError):
            port = 0
        try:
            self._port = await self._status.start("127.0.0.1", port)
        except errors.Precondition as e:
            log.warning("the port of the tokens is taken; using another", port=port, error=str(e))
            self._port = await self._status.start("127.0.0.1", 0)
        self._kept = self._port == port
        self._port_file.write_text(str(self._port))
        return self._kept

    async def stop(self) -> None:
        """Stop listening."""
        if self._port:
            await self._status.stop()

    def offer(self, directory: pathlib.Path, token: pathlib.Path) -> str:
        """Serve the files in *token*; the path. *directory* keeps it for the next mounter.

        A path that whoever has our old port may have seen is not used again.
        """
        path_file = directory / _PATH_FILE
        if not self._kept:
            path_file.unlink(missing_ok=True)
        try:
            path = path_file.read_text()
        except FileNotFoundError:
            path = f"/{secrets.token_hex(32)}"
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            with os.fdopen(os.open(path_file, flags, 0o600), "w") as file:
                file.write(path)

        async def tell() -> http_status.Answer:
            return http_status.Answer(content_type="application/json", body=_told(token))

        self._status.add(f"{_HOST}{path}", tell)
        self._paths[directory] = path
        return path

    def withdraw(self, directory: pathlib.Path) -> None:
        """Serve what is in *directory* no more; nothing there is fine."""
        path = self._paths.pop(directory, None)
        if path is not None:
            self._status.remove(f"{_HOST}{path}")

    def environment(self, path: str, options: Sequence[str]) -> Mapping[str, str]:
        """What s3fs needs in its environment to find *path*. options: its own, with its url."""
        url = next((word[4:] for word in options if word.startswith("url=")), "")
        return {
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": path,
            "http_proxy": f"http://127.0.0.1:{self._port}",
            # Bucket names may stand before the host.
            "no_proxy": urllib.parse.urlsplit(url).hostname or "",
        }


def _told(token: pathlib.Path) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    soon = now + datetime.timedelta(seconds=_TOLD_S)
    return json.dumps(
        {
            "AccessKeyId": (token / "AccessKeyId").read_text(),
            "SecretAccessKey": (token / "AccessKeySecret").read_text(),
            "Token": (token / "SecurityToken").read_text(),
            "Expiration": soon.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "RoleArn": "none",  # s3fs insists on five fields
        }
    ).encode()

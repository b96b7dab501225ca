"""A container image made here: busybox, which is also the pause process. No registry is needed."""

import hashlib
import io
import json
import pathlib
import tarfile

NAME = "docker.io/library/pod:test"
BUSYBOX = pathlib.Path("/bin/busybox")
_APPLETS = (
    "sh",
    "sleep",
    "ip",
    "ping",
    "wget",
    "nc",
    "httpd",
    "cat",
    "ls",
    "dd",
    "nslookup",
    "tail",
    "cp",
    "df",
    "hostname",
    "rm",
    "sha256sum",
    "sync",
)


def build(archive: pathlib.Path) -> None:
    """Write a docker-archive of `NAME` to *archive*."""
    layer = _layer()
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/bin/sleep", "2000000000"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps(
        [{"Config": config_name, "RepoTags": [NAME], "Layers": ["layer.tar"]}]
    ).encode()
    with tarfile.open(archive, "w") as tar:
        for name, content in (
            (config_name, config),
            ("layer.tar", layer),
            ("manifest.json", manifest),
        ):
            _add(tar, name, content)


def _layer() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for directory in ("bin", "etc", "tmp", "www"):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        _add(tar, "bin/busybox", BUSYBOX.read_bytes(), mode=0o755)
        _add(tar, "www/index.html", b"hello from a pod\n")
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))

"""How a client is started: what it gets from us, and what it does not."""

import asyncio
import os
import pathlib
import signal

import pytest

from core import errors
from csi.mounter import client_process

_TELL = "ls -1 /proc/self/fd; cat /proc/self/status; echo to-stderr >&2; pwd; env"


async def test_a_client_has_its_own_session_and_log_and_nothing_else_of_ours(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "not-for-clients")
    log_file = tmp_path / "client.log"
    log_file.write_text("before\n")
    inherited = os.dup(0)
    os.set_inheritable(inherited, True)
    client_process.keep_descriptors()
    with (tmp_path / "held").open("w"):
        started = client_process.start(["sh", "-c", _TELL], log_file, {"MORE": "yes"})
        session = os.getsid(started.pid)
        async with asyncio.timeout(20):
            await started.ended()
    os.close(inherited)
    assert session == started.pid
    said = log_file.read_text()
    assert said.startswith("before\n0\n1\n2\n3\nName:")  # 3 is the directory that ls reads
    assert "to-stderr\n" in said
    assert "MORE=yes\n" in said
    assert "not-for-clients" not in said
    ignored = next(line for line in said.splitlines() if line.startswith("SigIgn:"))
    assert not int(ignored.split()[1], 16) & 1 << signal.SIGPIPE - 1
    assert log_file.stat().st_mode & 0o777 == 0o644  # it was there; a new one is for us alone


async def test_a_new_log_is_for_us_alone(tmp_path: pathlib.Path) -> None:
    log_file = tmp_path / "client.log"
    started = client_process.start(["true"], log_file, {})
    async with asyncio.timeout(20):
        await started.ended()
    assert log_file.stat().st_mode & 0o777 == 0o600


async def test_a_log_that_is_a_link_is_not_followed(tmp_path: pathlib.Path) -> None:
    log_file = tmp_path / "client.log"
    log_file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        client_process.start(["true"], log_file, {})
    assert not (tmp_path / "elsewhere").exists()


async def test_a_client_that_is_not_installed_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.Precondition, match="no-such-client is not installed"):
        client_process.start(["no-such-client"], tmp_path / "client.log", {})


async def test_a_log_that_cannot_be_made_is_not_taken_for_a_client_that_is_missing(
    tmp_path: pathlib.Path,
) -> None:
    with pytest.raises(FileNotFoundError, match=r"client\.log"):
        client_process.start(["true"], tmp_path / "gone" / "client.log", {})

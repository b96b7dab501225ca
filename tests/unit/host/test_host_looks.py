"""Looking into mounts: one process for all that answer, none that is waited for in vain."""

import errno
import os
import pathlib
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from core import errors
from host import look_process, looks, mountinfo, nfs


class Process:
    """Answers as the paths' names say. release: hanging ones end."""

    def __init__(self, started: list["Process"]) -> None:
        self.pid = len(started)
        self.asked: list[str] = []
        self.ended = self.killed = self.unkillable = False
        started.append(self)

    def ask(self, path: str, timeout_s: float) -> str:
        self.asked.append(path)
        if self.ended:
            raise look_process.Ended("gone")
        if "dead" in path:
            self.unkillable = "unkillable" in path
            raise TimeoutError
        return "usage 10 4 3 4096 100 60\n"

    def end(self) -> None:
        self.ended = True

    def kill(self) -> bool:
        self.killed = True
        return not self.unkillable

    def is_gone(self) -> bool:
        return not self.unkillable


@pytest.fixture
def started() -> list[Process]:
    return []


@pytest.fixture
def looking(started: list[Process]) -> looks.Looks:
    return looks.Looks(lambda: Process(started))


def usage(looking: looks.Looks, name: str) -> nfs.Usage:
    return looking.usage(pathlib.Path("/", name), timeout_s=10.0)


def test_one_process_looks_into_one_mount_after_the_other(
    looking: looks.Looks, started: list[Process]
) -> None:
    told = [usage(looking, name) for name in ("a", "b", "c")]
    looking.close()

    assert told == 3 * [
        nfs.Usage(
            total_bytes=40960,
            used_bytes=6 * 4096,
            available_bytes=3 * 4096,
            total_inodes=100,
            used_inodes=40,
            free_inodes=60,
        )
    ]
    assert [each.asked for each in started] == [["/a", "/b", "/c"]]
    assert started[0].ended


def test_a_process_that_hangs_is_killed_and_another_looks_on(
    looking: looks.Looks, started: list[Process]
) -> None:
    usage(looking, "a")
    with pytest.raises(nfs.SilentMount, match="/dead: its server does not answer within 10 s"):
        usage(looking, "dead")
    usage(looking, "b")

    assert [each.asked for each in started] == [["/a", "/dead"], ["/b"]]
    assert [each.killed for each in started] == [True, False]


def test_a_process_that_ended_while_nobody_asked_is_replaced(
    looking: looks.Looks, started: list[Process]
) -> None:
    usage(looking, "a")
    started[0].ended = True
    usage(looking, "b")

    assert [each.asked for each in started] == [["/a", "/b"], ["/b"]]


def test_who_cannot_be_killed_is_not_joined_by_another(
    looking: looks.Looks, started: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = {"dead-unkillable": "0:7", "same": "0:7", "other": "0:8"}
    monkeypatch.setattr(looks, "_device", lambda path: devices[path.name])

    with pytest.raises(nfs.SilentMount, match="within 10 s"):
        usage(looking, "dead-unkillable")
    for name in ("dead-unkillable", "same"):
        with pytest.raises(nfs.SilentMount, match="an earlier question still hangs"):
            usage(looking, name)
    usage(looking, "other")
    started[0].unkillable = False
    usage(looking, "same")

    assert [each.asked for each in started] == [["/dead-unkillable"], ["/other", "/same"]]


def test_what_is_asked_at_once_waits_for_nobody_and_one_process_is_kept(
    started: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=60)
    looking = looks.Looks(lambda: Process(started))
    usual = Process.ask

    def ask(self: Process, path: str, timeout_s: float) -> str:
        if path == "/together":
            both.wait()
        return usual(self, path, timeout_s)

    monkeypatch.setattr(Process, "ask", ask)
    threads = [threading.Thread(target=usage, args=(looking, "together")) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    usage(looking, "a")

    assert sorted(each.ended for each in started) == [False, True]
    assert sum(each.asked.count("/a") for each in started) == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOENT, errors.NotFound),
        (errno.ESTALE, nfs.StaleMount),
        (errno.EIO, nfs.BrokenMount),
        (errno.ENOTCONN, nfs.BrokenMount),
        (errno.ETIMEDOUT, nfs.SilentMount),
        (errno.EHOSTDOWN, nfs.SilentMount),
        (errno.EHOSTUNREACH, nfs.SilentMount),
        (errno.ECONNREFUSED, nfs.SilentMount),
        (errno.EACCES, errors.Unavailable),
        (errno.ELOOP, nfs.OddMount),
    ],
)
def test_each_error_has_its_meaning(code: int, kind: type[errors.Error]) -> None:
    assert type(nfs.look_failed(pathlib.Path("/a"), code)) is kind


def test_another_c_library_has_other_words_for_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "strerror", lambda code: f"Error {code} in the words of musl")

    assert type(nfs.look_failed(pathlib.Path("/a"), errno.ENOTCONN)) is nfs.BrokenMount


def test_what_is_wrong_with_a_mount_is_an_answer_and_what_is_no_mounts_fault_is_not(
    looking: looks.Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"stale": errno.ESTALE, "odd": errno.ELOOP, "none": errno.ENOENT, "closed": errno.EACCES}

    def ask(self: Process, path: str, timeout_s: float) -> str:
        return f"error {told[path[1:]]}\n" if path != "/well" else "usage 1 1 1 1 1 1\n"

    monkeypatch.setattr(Process, "ask", ask)
    seen = [
        type(looking.read_illness(pathlib.Path("/", name), timeout_s=1.0))
        for name in ("well", "stale", "odd")
    ]

    assert seen == [type(None), nfs.StaleMount, nfs.OddMount]
    for name, kind in {"none": errors.NotFound, "closed": errors.Unavailable}.items():
        with pytest.raises(kind):
            looking.read_illness(pathlib.Path("/", name), timeout_s=1.0)


# -- the process itself


@pytest.fixture
def process() -> Iterator[look_process.LookProcess]:
    made = look_process.LookProcess()
    yield made
    made.kill()


def test_a_process_tells_what_statvfs_tells(
    process: look_process.LookProcess, tmp_path: pathlib.Path
) -> None:
    odd = tmp_path / "a\nb\udcff"
    odd.mkdir()

    for path in (odd, tmp_path):
        kind, *numbers = process.ask(os.fspath(path), 60).split()
        seen = os.statvfs(path)
        assert kind == "usage"
        assert [int(numbers[0]), int(numbers[3]), int(numbers[4])] == [
            seen.f_blocks,
            seen.f_frsize,
            seen.f_files,
        ]
    assert process.ask(f"{tmp_path}/none", 60) == f"error {errno.ENOENT}\n"


def test_a_process_that_stops_in_the_middle_is_given_up_and_killed(tmp_path: pathlib.Path) -> None:
    made: list[look_process.LookProcess] = []

    def start() -> look_process.LookProcess:
        made.append(look_process.LookProcess())
        return made[-1]

    looking = looks.Looks(start)
    looking.usage(tmp_path, timeout_s=60)
    os.kill(made[0].pid, signal.SIGSTOP)
    with pytest.raises(nfs.SilentMount, match=r"does not answer within 0.1 s"):
        looking.usage(tmp_path, timeout_s=0.1)
    assert made[0].is_gone()

    looking.usage(tmp_path, timeout_s=60)
    os.kill(made[1].pid, signal.SIGKILL)
    looking.usage(tmp_path, timeout_s=60)
    looking.close()
    assert [each.is_gone() for each in made] == [True, True, True]


def test_a_process_gets_no_key_of_ours_and_ends_with_us() -> None:
    script = (
        "import os, sys; from host import look_process; p = look_process.LookProcess();"
        "p.ask('/', 60); print(p.pid, flush=True); print(open(f'/proc/{p.pid}/environ').read());"
        "sys.stdout.flush(); os.kill(os.getpid(), 9)"
    )
    root = pathlib.Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "hush"},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    pid, _, environment = done.stdout.partition("\n")

    assert done.returncode == -signal.SIGKILL, done.stderr
    assert "hush" not in environment
    _wait_gone(int(pid))


def _wait_gone(pid: int) -> None:
    try:
        there = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:  # it can be read when the process has ended
        assert select.select([there], [], [], 60)[0]
    finally:
        os.close(there)


def test_a_process_that_cannot_be_started_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr(sys, "executable", os.fspath(tmp_path / "none"))

    with pytest.raises(errors.Unavailable, match=r"nobody can be started .* No such file"):
        looks.Looks().usage(tmp_path, timeout_s=60)


def test_the_device_of_a_mount_is_that_of_the_kernels_table() -> None:
    root = mountinfo.mounts_at("/")[-1]

    assert looks._device(pathlib.Path("/")) == root.device
    assert looks._device(pathlib.Path("/no/such/mount")) == ""

"""The CNI executable as a process: what it answers itself, and what it makes of its daemon.

Layer 1 of spec/conformance.md c.7, for the static build and for the .pyc.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess

import grpc
import grpc.aio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import version
from ipamd._pb import ipamd_pb2, ipamd_pb2_grpc
from tests.support import network_rig, processes, scripted_peer

pytestmark = pytest.mark.e2e

CONFIG = b'{"cniVersion": "1.1.0", "name": "x"}'
REPLY = ipamd_pb2.CniReply(stdout=b'{"ok":1}').SerializeToString()
LONG_ENOUGH = 12
"""Characters of a value that is not found in a file by chance."""
SCRIPTS = scripted_peer.scripts(REPLY)


@pytest.fixture(scope="module", params=["static", "pyc"])
def executable(request, tmp_path_factory):
    built = network_rig.build_executables(tmp_path_factory.getbasetemp() / "cni-process")
    found = getattr(built, request.param)
    assert found is not None, "the static build was skipped: see tools/build_cni.sh"
    return found


@pytest.fixture
def run(executable, tmp_path):
    """Runs one command; (exit status, decoded output, stderr)."""

    def call(command, stdin=CONFIG, **environment):
        variables = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": "c1",
            "CNI_NETNS": "/x",
            "CNI_IFNAME": "eth0",
            "TERWAY_SOCKET": str(tmp_path / "s"),
            "TERWAY_SPOOL": str(tmp_path / "a/spool"),
            **environment,
        }
        done = subprocess.run(
            [executable], input=stdin, env=variables, capture_output=True, timeout=60, check=False
        )
        assert b"Traceback" not in done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    return call


def test_nothing_of_the_machine_it_was_built_on_is_in_it(executable):
    """The static one holds the memory of a Python that was started when it was built."""
    content = executable.read_bytes()
    told = [value for value in os.environ.values() if len(value) > LONG_ENOUGH]

    assert told
    assert [value for value in told if value.encode() in content] == []
    assert str(processes.ROOT).encode() not in content


def test_version_needs_no_daemon(run):
    status, told, _ = run("VERSION", b"")

    assert status == 0
    assert told == {
        "cniVersion": "1.1.0",
        "supportedVersions": ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
    }


def test_no_command_says_what_this_is(executable):
    done = subprocess.run([executable], env={}, capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (0, b"")
    assert version.VERSION.encode() in done.stderr


@pytest.mark.parametrize(
    ("command", "changes", "code", "names"),
    [
        ("FOO", {}, 4, "FOO"),
        ("ADD", {"CNI_CONTAINERID": ""}, 4, "CNI_CONTAINERID"),
        ("ADD", {"CNI_CONTAINERID": "a/b"}, 4, "CNI_CONTAINERID"),
        ("ADD", {"CNI_IFNAME": ""}, 4, "CNI_IFNAME"),
        ("ADD", {"CNI_IFNAME": "a b"}, 4, "CNI_IFNAME"),
        ("ADD", {"CNI_IFNAME": "x" * 16}, 4, "CNI_IFNAME"),
        ("ADD", {"CNI_NETNS": ""}, 4, "CNI_NETNS"),
        ("ADD", {"CNI_NETNS": "/proc/self/ns/net"}, 8, "/proc/self/ns/net"),
        ("ADD", {"stdin": b""}, 6, ""),
        ("ADD", {"stdin": b"x" * ((1 << 20) + 1)}, 6, ""),
    ],
)
def test_bad_input_is_named(run, command, changes, code, names):
    status, told, _ = run(command, **changes)

    assert (status, told["code"]) == (1, code)
    assert names in json.dumps(told)


@pytest.mark.parametrize(("command", "code"), [("ADD", 11), ("CHECK", 11), ("STATUS", 50)])
def test_without_daemon_the_error_says_what_to_do(run, tmp_path, command, code):
    status, told, _ = run(command)

    assert (status, told["code"], told["cniVersion"]) == (1, code, "1.1.0")
    assert str(tmp_path / "s") in told["msg"] + told["details"]
    assert "ipamd" in told["msg"] + told["details"]


def test_without_daemon_a_del_is_kept_for_the_next_one(run, tmp_path):
    for _ in range(2):
        assert run("DEL", CNI_NETNS="")[:2] == (0, None)

    (kept,) = (tmp_path / "a/spool").iterdir()
    request = ipamd_pb2.CniRequest.FromString(kept.read_bytes())
    assert (request.container_id, request.ifname, request.config) == ("c1", "eth0", CONFIG)
    assert kept.suffix == ".del"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700


def test_a_del_that_cannot_be_kept_is_to_be_tried_again(run):
    status, told, _ = run("DEL", TERWAY_SPOOL="/proc/nope/x")

    assert (status, told["code"]) == (1, 11)


class Daemon(ipamd_pb2_grpc.CniServicer):
    async def Add(self, request, context):
        if request.container_id == "abort":
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "voll, später")
        if request.container_id == "big":
            return ipamd_pb2.CniReply(stdout=json.dumps("x" * 3_000_000).encode())
        told = {
            "config": len(request.config),
            "netns": request.netns,
            "args": request.args,
            "path": request.path,
        }
        return ipamd_pb2.CniReply(stdout=json.dumps(told).encode())

    async def Del(self, request, context):
        return ipamd_pb2.CniReply(exit_status=1, stdout=b'{"code": 7}')


def with_daemon(path, work):
    """Result of *work*, run in a thread while a real gRPC server serves."""

    async def serve():
        server = grpc.aio.server()
        ipamd_pb2_grpc.add_CniServicer_to_server(Daemon(), server)
        server.add_insecure_port(f"unix:{path}")
        await server.start()
        try:
            return await asyncio.to_thread(work)
        finally:
            await server.stop(0)

    return asyncio.run(serve())


def test_environment_and_input_reach_the_daemon_unchanged(run, tmp_path):
    big = b"{" + b" " * 1_000_000 + b"}"

    def work():
        assert run("ADD", big, CNI_ARGS="A=ö;B=2", CNI_PATH="/p")[1] == {
            "config": len(big),
            "netns": "/x",
            "args": "A=ö;B=2",
            "path": "/p",
        }
        assert run("ADD", CNI_CONTAINERID="big")[1] == "x" * 3_000_000
        assert run("DEL")[:2] == (1, {"code": 7})

    with_daemon(tmp_path / "s", work)


def test_what_the_daemon_says_about_a_failure_is_shown(run, tmp_path):
    status, told, _ = with_daemon(tmp_path / "s", lambda: run("ADD", CNI_CONTAINERID="abort"))

    assert (status, told["code"]) == (1, 11)
    assert "voll, später" in told["details"]


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_whatever_a_peer_says_ends_in_its_answer_or_in_try_again_later(
    run, tmp_path, name, bytewise
):
    script, works = SCRIPTS[name]

    with scripted_peer.playing(tmp_path / "s", script, bytewise=bytewise):
        status, told, _ = run("ADD")

    if works:
        assert (status, told) == (0, {"ok": 1})
    else:
        assert (status, told["code"]) == (1, 11)


def test_a_reader_that_is_gone_does_not_kill_it_by_signal(executable):
    process = subprocess.Popen(
        [executable],
        env={"CNI_COMMAND": "VERSION"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    process.stdout.close()

    assert process.wait(10) != -signal.SIGPIPE


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@given(
    st.sampled_from(["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION", ""]) | TEXT,
    st.dictionaries(
        st.sampled_from(["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_ARGS"]), TEXT
    ),
    st.binary(max_size=200),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_input_makes_anything_but_one_json_object(executable, tmp_path, command, told, stdin):
    done = subprocess.run(
        [executable],
        input=stdin,
        env={
            **{name: text.encode() for name, text in told.items()},
            "CNI_COMMAND": command.encode(),
            "TERWAY_SOCKET": str(tmp_path / "s"),
            "TERWAY_SPOOL": str(tmp_path / "spool"),
        },
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert done.returncode in (0, 1)
    assert b"Traceback" not in done.stderr
    if done.stdout:
        assert isinstance(json.loads(done.stdout), dict)
    with contextlib.suppress(FileNotFoundError):
        for path in (tmp_path / "spool").iterdir():
            path.unlink()

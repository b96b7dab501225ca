"""`kube.child`: how many processes there are, where they start, and what one that fails is."""

import asyncio
import json
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any

import pytest

from core import errors
from kube import api, child, settings
from tests.fakes import virtual_clock

NOWHERE = settings.KubeSettings(kubeconfig="/nowhere/kubeconfig", is_configured=True)


async def test_what_a_child_says_is_an_error_of_its_kind() -> None:
    with pytest.raises(errors.Precondition, match="/nowhere/kubeconfig not found"):
        await child.Child(NOWHERE).read(api.Kind.NODE, "n1")


async def test_a_path_is_of_the_directory_that_this_process_is_in(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kubeconfig").write_text("[]")
    config = settings.KubeSettings(kubeconfig="kubeconfig", is_configured=True)

    with pytest.raises(errors.Precondition, match=f"{tmp_path}/kubeconfig makes no sense"):
        await child.Child(config).read(api.Kind.NODE, "n1")


async def test_a_process_that_cannot_be_started_may_be_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    with pytest.raises(errors.Unavailable, match="cannot be started"):
        await child.Child(NOWHERE).read(api.Kind.NODE, "n1")


async def test_a_call_that_is_given_up_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[asyncio.subprocess.Process] = []
    begin = asyncio.create_subprocess_exec

    async def remember(*argv: str, **more: Any) -> asyncio.subprocess.Process:
        started.append(await begin("sleep", "600", stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", remember)
    call = asyncio.create_task(child.Child(NOWHERE).read(api.Kind.NODE, "n1"))
    while not started:
        await asyncio.sleep(0.01)
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert started[0].returncode == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(started[0].pid, 0)


async def test_a_hundred_questions_at_once_are_two_processes_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, most, answers = 0, 0, asyncio.Event()

    async def run(asked: dict[str, Any]) -> dict[str, Any]:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await answers.wait()
        now -= 1
        return {"object": json.loads(json.dumps(asked["read"]))}

    monkeypatch.setattr(child, "_run", run)
    asked = child.Child(NOWHERE)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(asked.read(api.Kind.NODE, f"n{n}")) for n in range(100)]
        await virtual_clock.settle()
        assert most == 2
        answers.set()

    assert most == 2
    told = [each.result() for each in calls]
    assert [each and each["name"] for each in told] == [f"n{n}" for n in range(100)]

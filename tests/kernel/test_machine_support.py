"""The simulated machines that tests stand on."""

import os
import pathlib
import subprocess
import threading

import pytest

from tests.support import machine

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces"),
]

MACHINES = 10
"""Without the rule that it tests, about every second one failed, on 2 processors."""


def test_a_machine_ends_while_processes_elsewhere_come_and_go() -> None:
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            subprocess.run(["true"], check=True)

    others = [threading.Thread(target=come_and_go, name=f"others {n}") for n in range(4)]
    for other in others:
        other.start()
    try:
        for _ in range(MACHINES):
            with machine.Machine() as made:
                pid = made.pid
            assert not pathlib.Path(f"/proc/{pid}").exists()
    finally:
        ended.set()
        for other in others:
            other.join()

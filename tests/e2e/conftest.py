"""Fixtures of the end-to-end tests: a deployment per module, and clean tables after every test."""

import os
import pathlib
from collections.abc import Iterator

import pytest

from tests.support import leaks, network_rig, stack, worlds


@pytest.fixture(scope="module")
def deployment() -> Iterator[stack.Stack]:
    """Cloud, controller and node on real block devices, shared by one module."""
    if os.geteuid() != 0:
        pytest.skip("needs root for loop devices and mounts")
    made = stack.Stack()
    yield made
    made.close()
    assert [*made.rig.mounts(), *made.rig.loop_devices()] == []


@pytest.fixture(scope="module")
def controller_deployment() -> Iterator[stack.Stack]:
    """Cloud and controller without block devices, shared by one module."""
    made = stack.Stack(hardware="none")
    yield made
    made.close()


@pytest.fixture
def disks(deployment: stack.Stack) -> Iterator[stack.Stack]:
    """`deployment`, proved to be empty again afterwards."""
    yield deployment
    _require_clean(deployment)


@pytest.fixture
def cloud(controller_deployment: stack.Stack) -> Iterator[stack.Stack]:
    """`controller_deployment`, proved to be empty again afterwards."""
    yield controller_deployment
    _require_clean(controller_deployment)


def _require_clean(deployment: stack.Stack) -> None:
    """Fail when a test left something, after removing it for the sake of the next test."""
    deployment.calm()
    left = leaks.left_behind(deployment.rig)
    if left:
        deployment.reset()
    assert not left, f"left behind: {left}"


@pytest.fixture(scope="session")
def big_nodes(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A world whose nodes hold hundreds of pods."""
    return worlds.big_nodes(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def cni_executable(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The CNI executable a node gets, built here."""
    return network_rig.build_executables(tmp_path_factory.mktemp("cni")).default

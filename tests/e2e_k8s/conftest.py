"""The cluster, and the gate: its tests are collected only by `make e2e-k8s`, which sets E2E_K8S."""

import os
import pathlib
import tempfile
from collections.abc import Iterator

import pytest

from tests.support import processes
from tests.support.cluster import audit, chart, layout, remains, tenant
from tests.support.cluster import cluster as cluster_module

HERE = pathlib.Path(__file__).parent
ASKED = os.environ.get("E2E_K8S") == "1"
PERMISSIONS = processes.ROOT / "docs/guides/install-with-helm.md"
collect_ignore_glob = [] if ASKED else ["test_*.py"]


TEST_S = 300
"""Of one test: kubelet and the sidecars try again after seconds, and later each time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_S))


_ENDED = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Session fixtures end after the last test, or after Ctrl-C, which comes not here."""
    if nextitem is None:
        item.session.stash[_ENDED] = True


def _are_all_run(session: pytest.Session) -> bool:
    """Whether every test of this directory was run, and none failed."""
    if session.testsfailed or not session.stash.get(_ENDED, False):
        return False
    options = session.config.option
    chosen = (
        options.keyword or options.markexpr or any("::" in word for word in session.config.args)
    )
    files = {item.path for item in session.items}
    return not chosen and files >= set(HERE.glob("test_*.py"))


def _rbac_faults(where: layout.Layout, *, are_all_run: bool) -> list[str]:
    """What RBAC refused; and what it grants without need, where all tests were run."""
    rendered = chart.read(where)
    found = [f"refused: {each}" for each in audit.denied(where.audit_log, rendered.accounts)]
    if are_all_run:
        unused = audit.unused(where.audit_log, rendered.objects)
        found += audit.faults(unused, audit.excused(PERMISSIONS.read_text()))
    return found


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[cluster_module.Cluster]:
    """Two nodes with our plug-ins, for all tests. Nothing is left of it, nothing was denied.

    Where all tests are run, what their accounts may do is what they did, or documented.
    """
    with tempfile.TemporaryDirectory(prefix="k8s-", dir="/tmp") as directory:
        made = cluster_module.Cluster(pathlib.Path(directory) / "cluster")
        try:
            made.up()
            yield made
            faults = _rbac_faults(made.where, are_all_run=_are_all_run(request.session))
        finally:
            made.down()
        assert remains.of_cluster(made.where) == []
        assert faults == []


@pytest.fixture
def healed(cluster: cluster_module.Cluster) -> Iterator[None]:
    """Ends faults of the cloud, starts what was stopped, and sees that all runs."""
    yield
    cluster.control.clear_faults()
    cluster.up()
    assert [row for row in cluster.status() if not row.well] == []


@pytest.fixture
def user(cluster: cluster_module.Cluster) -> Iterator[tenant.Tenant]:
    """A namespace; a test fails that leaves anything of what it made there.

    A volume, an attachment, a disk, a snapshot; and what `cluster.traces` finds of pods.
    """
    made = tenant.Tenant(cluster)
    yield made
    assert made.close() == []

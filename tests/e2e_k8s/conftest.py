"""The cluster, and the gate: its tests are collected only by `make e2e-k8s`, which sets E2E_K8S."""

import os
import pathlib
import tempfile
from collections.abc import Iterator

import pytest

from tests.support.cluster import audit, chart, remains, tenant
from tests.support.cluster import cluster as cluster_module

HERE = pathlib.Path(__file__).parent
ASKED = os.environ.get("E2E_K8S") == "1"
collect_ignore_glob = [] if ASKED else ["test_*.py"]


TEST_S = 300
"""Of one test: kubelet and the sidecars try again after seconds, and later each time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(TEST_S))


@pytest.fixture(scope="session")
def cluster() -> Iterator[cluster_module.Cluster]:
    """Two nodes with our plug-ins, for all tests. Nothing is left of it, nothing was denied."""
    with tempfile.TemporaryDirectory(prefix="k8s-", dir="/tmp") as directory:
        made = cluster_module.Cluster(pathlib.Path(directory) / "cluster")
        try:
            made.up()
            yield made
            denied = audit.denied(made.where.audit_log, chart.read(made.where).accounts)
        finally:
            made.down()
        assert remains.of_cluster(made.where) == []
        assert denied == [], "RBAC refused this"


@pytest.fixture
def user(cluster: cluster_module.Cluster) -> Iterator[tenant.Tenant]:
    """A namespace; a test that leaves a volume, an attachment, a disk or a snapshot fails."""
    made = tenant.Tenant(cluster)
    yield made
    assert made.close() == []

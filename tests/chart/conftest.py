"""Fixtures of the chart's tests."""

from collections.abc import Callable, Iterator

import pytest

from tests.support import api_server, chart

Render = Callable[[chart.Values], list[chart.Object]]


@pytest.fixture
def render() -> Render:
    """The objects that values make."""
    return chart.render


@pytest.fixture(params=chart.VARIANTS)
def objects(request: pytest.FixtureRequest, render: Render) -> list[chart.Object]:
    """The objects of each variant."""
    return render(chart.VARIANTS[request.param])


@pytest.fixture
def everything(render: Render) -> list[chart.Object]:
    """All that the chart can make."""
    return render(chart.EVERYTHING)


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[api_server.ApiServer]:
    """With the CustomResourceDefinitions of snapshots, as the guide asks for."""
    programs = chart.programs()
    made = api_server.ApiServer(tmp_path_factory.mktemp("chart") / "api")
    try:
        made.start()
        made.kubectl("apply", "-f", str(programs.parent / "crds"))
        # Where Secrets of OSS volumes are, in a cluster that has the existing driver.
        made.kubectl("create", "namespace", "ack-csi-fuse")
        made.kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=60s")
        made.kubectl.wait("namespace", "kube-system", "jsonpath={.metadata.name}", limit_s=60)
        yield made
    finally:
        made.close()

"""Fixtures of the chart's tests."""

from collections.abc import Callable

import pytest

from tests.support import chart

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

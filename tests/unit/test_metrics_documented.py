"""docs/reference/metrics.md lists exactly the metrics that a process registers."""

import pathlib
import re

from cloud import client
from cloud import settings as cloud_settings
from core import clock, metrics, settings
from core.grpc_server import ServeInterceptor

TEXT = (pathlib.Path(__file__).parents[2] / "docs/reference/metrics.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def test_every_metric_is_documented_and_no_other() -> None:
    documented = {name: meaning.strip() for name, _, _, meaning in ROW.findall(TEXT)}

    assert documented == registry().names()


def test_labels_are_documented() -> None:
    documented = {
        name: tuple(re.findall(r"`(\w+)`", labels)) for name, _, labels, _ in ROW.findall(TEXT)
    }

    known = registry()
    with_labels = {**known._counters, **known._histograms}
    assert documented == {name: series.labels for name, series in with_labels.items()}


def test_kinds_and_buckets_are_documented() -> None:
    kinds = {name: kind.strip() for name, kind, _, _ in ROW.findall(TEXT)}

    assert {name for name, kind in kinds.items() if kind == "histogram"} == set(
        registry()._histograms
    )
    told = re.search(r"buckets ([^s]+) s\.", TEXT)
    assert told is not None
    bounds = [float(text) for text in re.findall(r"[\d.]+", told[1])]
    assert bounds == list(metrics.DURATION_BUCKETS_S)


def registry() -> metrics.Metrics:
    """The series of a process with every service: whatever counts registers when it is made."""
    made = metrics.Metrics()
    ServeInterceptor(driver="x", registry=made, redact=str)
    reader = settings.Reader({})
    client.Alibaba(cloud_settings.read_cloud(reader), made, clock.SystemClock())
    return made

"""docs/reference/metrics.md lists exactly the metrics that a process registers."""

import pathlib
import re

from cloud import settings as cloud_settings
from core import metrics
from core import settings as core_settings
from csi import app, flags, settings
from kube import settings as kube_settings

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
    labels = {name: series.labels for name, series in known._counters.items()}
    labels |= {name: series.labels for name, series in known._histograms.items()}
    assert documented == labels | dict.fromkeys(known._gauges, ())


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
    arguments = flags.parse([])
    reader = core_settings.Reader({}, flags.values(arguments))
    plugin = app.Plugin(
        settings.read(arguments, reader),
        cloud_settings.read_cloud(reader),
        kube_settings.read_kube(reader),
        reader,
    )
    plugin._cloud()
    return plugin._registry

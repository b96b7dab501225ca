"""Counters, histograms and gauges, and the text Prometheus reads.

The format is written here, in thirty lines, and not by prometheus_client: that library and the TLS
stack it imports take 7.8 MB of resident memory (measured 2026-11-23), a fifth of what a node
process may use, on every node that is scraped. A test reads our text with the library's parser.
Source: Prometheus exposition formats, text format 0.0.4.
"""

import bisect
import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

DURATION_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


ReadGauge = Callable[[], Mapping[tuple[str, ...], float]]
"""Label values → value, as they are now."""


class Counter:
    """A number that only grows, one per combination of label values."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self.name = name
        self.documentation = documentation
        self.labels = tuple(labels)
        self.values: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()

    def inc(self, *label_values: str, by: float = 1.0) -> None:
        """Add *by* to the series of *label_values*, given in the order of `labels`."""
        with self._lock:
            self.values[label_values] = self.values.get(label_values, 0.0) + by


@dataclasses.dataclass(slots=True)
class _Series:
    counts: list[int]
    total: float = 0.0


class Histogram:
    """Values counted in buckets, one series per combination of label values.

    buckets: upper bounds, in the unit of the values; seconds unless the name says otherwise.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        buckets: Sequence[float] = DURATION_BUCKETS_S,
    ) -> None:
        self.name = name
        self.documentation = documentation
        self.labels = tuple(labels)
        self.buckets = tuple(buckets)
        self.series: dict[tuple[str, ...], _Series] = {}
        self._lock = threading.Lock()

    def observe(self, value: float, *label_values: str) -> None:
        """Count one value in the series of *label_values*."""
        with self._lock:
            series = self.series.get(label_values)
            if series is None:
                series = self.series[label_values] = _Series([0] * (len(self.buckets) + 1))
            series.counts[bisect.bisect_left(self.buckets, value)] += 1
            series.total += value


class Metrics:
    """All series of one process. Made once in `app`, passed to what counts."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._gauges: dict[str, tuple[str, tuple[str, ...], ReadGauge]] = {}

    def counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        """The counter *name*; the same object for the same name."""
        return self._counters.setdefault(name, Counter(name, documentation, labels))

    def histogram(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = DURATION_BUCKETS_S,
    ) -> Histogram:
        """The histogram *name*; the same object for the same name."""
        return self._histograms.setdefault(name, Histogram(name, documentation, labels, buckets))

    def gauge(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Offer gauge *name*, read by calling *read* at each scrape."""
        self.gauges(name, documentation, (), lambda: {(): read()})

    def gauges(
        self, name: str, documentation: str, labels: Sequence[str], read: "ReadGauge"
    ) -> None:
        """Offer gauge *name* with one series for each key of what *read* returns."""
        self._gauges[name] = (documentation, tuple(labels), read)

    def names(self) -> dict[str, str]:
        """Name and documentation of every series, for the reference table."""
        told = {c.name: c.documentation for c in self._counters.values()}
        told |= {h.name: h.documentation for h in self._histograms.values()}
        return told | {name: about[0] for name, about in self._gauges.items()}

    def exposition(self) -> bytes:
        """Everything in Prometheus text format 0.0.4."""
        return "".join(self._lines()).encode()

    def _lines(self) -> Iterator[str]:
        for counter in self._counters.values():
            # A counter whose agreed name lacks _total is "untyped": dashboards know the name.
            kind = "counter" if counter.name.endswith("_total") else "untyped"
            yield _head(counter.name, counter.documentation, kind)
            for label_values, value in list(counter.values.items()):
                yield _sample(counter.name, zip(counter.labels, label_values, strict=True), value)
        for histogram in self._histograms.values():
            yield _head(histogram.name, histogram.documentation, "histogram")
            for label_values, series in list(histogram.series.items()):
                labels = dict(zip(histogram.labels, label_values, strict=True))
                yield from _histogram_samples(histogram, labels, series)
        for name, (documentation, labels_, read) in self._gauges.items():
            yield _head(name, documentation, "gauge")
            for label_values, value in read().items():
                yield _sample(name, zip(labels_, label_values, strict=True), value)


def _head(name: str, documentation: str, kind: str) -> str:
    text = documentation.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def _sample(name: str, labels: Iterable[tuple[str, str]], value: float) -> str:
    shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{name}{{{shown}}} {value!r}\n" if shown else f"{name} {value!r}\n"


def _histogram_samples(
    histogram: Histogram, labels: Mapping[str, str], series: _Series
) -> Iterator[str]:
    """Buckets are cumulative: each counts what is at most its bound."""
    name, running = histogram.name, 0
    for bound, count in zip([*histogram.buckets, "+Inf"], series.counts, strict=True):
        running += count
        yield _sample(f"{name}_bucket", [*labels.items(), ("le", str(bound))], running)
    yield _sample(f"{name}_sum", labels.items(), series.total)
    yield _sample(f"{name}_count", labels.items(), running)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

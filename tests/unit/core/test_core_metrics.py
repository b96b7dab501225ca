from prometheus_client import parser

from core import metrics


def samples(registry):
    """What Prometheus's own parser reads from our text: (name, labels) → value."""
    families = parser.text_string_to_metric_families(registry.exposition().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_series_are_read_by_the_parser_of_the_prometheus_library():
    registry = metrics.Metrics()
    registry.counter("csi_grpc_execution_count", "RPCs", ("method",)).inc("Probe", by=2)
    registry.counter("api_requests_total", "calls", ("code",)).inc("OK")
    registry.histogram("api_seconds", "time", ("action",)).observe(0.3, "CreateDisk")
    registry.gauge("queue_length", "waiting", lambda: 7.0)

    found = samples(registry)

    assert found["csi_grpc_execution_count", (("method", "Probe"),)] == 2
    assert found["api_requests_total", (("code", "OK"),)] == 1
    assert found["api_seconds_bucket", (("action", "CreateDisk"), ("le", "0.5"))] == 1
    assert found["api_seconds_bucket", (("action", "CreateDisk"), ("le", "0.25"))] == 0
    assert found["api_seconds_bucket", (("action", "CreateDisk"), ("le", "+Inf"))] == 1
    assert found["api_seconds_sum", (("action", "CreateDisk"),)] == 0.3
    assert found["api_seconds_count", (("action", "CreateDisk"),)] == 1
    assert found["queue_length", ()] == 7


def test_label_values_and_help_may_hold_any_character():
    registry = metrics.Metrics()
    nasty = 'a"b\\c\nd'
    registry.counter("x_total", "help with \\ and\nnewline", ("label",)).inc(nasty)

    assert samples(registry) == {("x_total", (("label", nasty),)): 1.0}


def test_the_same_name_is_the_same_series():
    registry = metrics.Metrics()

    assert registry.counter("a_total", "x") is registry.counter("a_total", "x")

import subprocess
import sys

from core import metrics


def test_series_are_exposed_in_prometheus_text_format():
    registry = metrics.Metrics()
    registry.counter("csi_grpc_execution_count", "RPCs", ("method",)).inc("Probe", by=2)
    registry.counter("api_requests_total", "calls", ("code",)).inc("OK")
    registry.histogram("api_seconds", "time", ()).observe(0.3)
    registry.gauge("queue_length", "waiting", lambda: 7.0)

    text = registry.exposition().decode()

    assert 'csi_grpc_execution_count{method="Probe"} 2.0' in text
    assert 'api_requests_total{code="OK"} 1.0' in text
    assert 'api_seconds_bucket{le="0.5"} 1.0' in text
    assert 'api_seconds_bucket{le="0.25"} 0.0' in text
    assert "api_seconds_sum 0.3" in text
    assert "queue_length 7.0" in text


def test_the_same_name_is_the_same_series():
    registry = metrics.Metrics()

    assert registry.counter("a_total", "x") is registry.counter("a_total", "x")


def test_counting_imports_no_prometheus_library():
    code = (
        "import sys; from core import metrics; m = metrics.Metrics(); m.counter('a', 'b').inc();"
        "sys.exit('prometheus_client' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

from core import metrics
from csi import rpc_metrics


def test_a_call_is_counted_under_the_names_of_the_reference():
    registry = metrics.Metrics()

    rpc_metrics.observer(registry, "disk")("NodeStageVolume", "OK", 0.5)

    text = registry.exposition().decode()
    labels = '{method="NodeStageVolume",type="disk",code="OK"}'
    assert f"csi_grpc_execution_count{labels} 1.0" in text
    assert f"csi_grpc_execution_time_total{labels} 0.5" in text
    assert (
        'csi_grpc_execution_duration_seconds_count{method="NodeStageVolume",type="disk"} 1' in text
    )

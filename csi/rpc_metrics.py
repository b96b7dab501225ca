"""What is counted about CSI calls. Names and labels are the reference's, for its dashboards."""

from core import grpc_server, metrics

QUIET = frozenset(
    {
        "Probe",
        "GetPluginCapabilities",
        "GetPluginInfo",
        "NodeGetCapabilities",
        "ControllerGetCapabilities",
        "GroupControllerGetCapabilities",
        "GetCapacity",
        "ListVolumes",
        "ListSnapshots",
        "ControllerGetVolume",
        "NodeGetVolumeStats",
    }
)
"""RPCs that sidecars and kubelet repeat for ever and that change nothing: kubelet asks for the
usage of each volume of each pod every minute."""


def observer(registry: metrics.Metrics, driver_name: str) -> grpc_server.Observe:
    """Counts the calls of one driver."""
    count = registry.counter(
        "csi_grpc_execution_count", "RPCs answered", ("method", "type", "code")
    )
    time = registry.counter(
        "csi_grpc_execution_time_total", "seconds spent in RPCs", ("method", "type", "code")
    )
    duration = registry.histogram(
        "csi_grpc_execution_duration_seconds", "duration of RPCs", ("method", "type")
    )

    def observe(method: str, code: str, elapsed_s: float) -> None:
        count.inc(method, driver_name, code)
        time.inc(method, driver_name, code, by=elapsed_s)
        duration.observe(elapsed_s, method, driver_name)

    return observe

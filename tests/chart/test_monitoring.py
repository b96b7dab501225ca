"""PodMonitors: made when asked for, of ports that the pods have, all that tell metrics."""

import pytest

from tests.chart.conftest import Render
from tests.support import chart

ON = {"podMonitors": True, "labels": {"release": "prometheus"}}
ON_THE_NODE_ONLY = {"csi-mounter", "terway-eniip"}
"""The first listens on loopback, the second on a unix socket."""


def test_there_are_none_by_default(objects: list[chart.Object]) -> None:
    assert chart.of_kind(objects, "PodMonitor") == []


@pytest.mark.parametrize("name", [name for name in chart.VARIANTS if "other way" not in name])
def test_each_looks_at_all_named_ports_of_its_pods(render: Render, name: str) -> None:
    made = render({**chart.VARIANTS[name], "monitoring": ON})

    workloads = {
        each["metadata"]["name"]: each
        for each in chart.of_kind(made, "Deployment", "DaemonSet")
        if each["metadata"]["name"] not in ON_THE_NODE_ONLY
    }
    monitors = {each["metadata"]["name"]: each for each in chart.of_kind(made, "PodMonitor")}
    assert monitors.keys() == workloads.keys()
    for name_of, monitor in monitors.items():
        workload = workloads[name_of]
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        assert monitor["spec"]["selector"] == workload["spec"]["selector"]
        ports = {
            port["name"]
            for container in chart.containers([workload])
            for port in container.plain.get("ports") or ()
        }
        looked_at = [each["port"] for each in monitor["spec"]["podMetricsEndpoints"]]
        assert sorted(looked_at) == sorted(ports)

"""What the log tells of a request."""

from typing import Any

import pytest

from ipamd._pb import ipamd_pb2, terway_pb2
from ipamd.api import rpc_log

ARGS = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c1"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            ipamd_pb2.CniRequest(container_id="c1", args=ARGS, config=b"secret"),
            {"container_id": "c1", "pod": "shop/web-0"},
        ),
        (
            terway_pb2.AllocIPRequest(
                K8sPodName="web-0", K8sPodNamespace="shop", K8sPodInfraContainerId="c1"
            ),
            {"container_id": "c1", "pod": "shop/web-0"},
        ),
        (ipamd_pb2.CniRequest(container_id="c1", args="nonsense"), {"container_id": "c1"}),
        (ipamd_pb2.CniReply(stdout=b"{}"), {}),
        (ipamd_pb2.CniRequest(container_id="c" * 9999), {"container_id": "c" * 256}),
    ],
    ids=["ours", "terway's", "no pod", "answer", "long"],
)
def test_every_line_of_a_call_names_container_and_pod(message: Any, told: dict[str, str]) -> None:
    assert rpc_log.subject(message) == told


def test_the_configuration_is_not_logged() -> None:
    message = ipamd_pb2.CniRequest(container_id="c1", args=ARGS, config=b"secret")
    assert rpc_log.loggable(message) == {"container_id": "c1", "args": ARGS}

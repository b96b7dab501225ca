"""What a node tells about itself, also while the metadata service is away."""

from collections.abc import Iterator

import pytest

from csi._pb import csi_pb2 as pb
from tests.support import csi_client, processes, rpc

pytestmark = pytest.mark.e2e


@pytest.fixture
def rig() -> Iterator[processes.Rig]:
    made = processes.Rig(hardware="none")
    made.start_sim()
    yield made
    made.close()


def _info(client: csi_client.Client, timeout_s: float = 10.0) -> pb.NodeGetInfoResponse:
    answer: pb.NodeGetInfoResponse = client.node.NodeGetInfo(
        pb.NodeGetInfoRequest(), timeout=timeout_s, wait_for_ready=True
    )
    return answer


def test_node_waits_for_the_metadata_service_and_then_tells_its_zone(rig: processes.Rig) -> None:
    rig.sim.kill9()
    rig.start_driver("node", controller=False)
    client = csi_client.Client(rig.socket("node"))

    refused = rpc.refusal(lambda: _info(client, 2.0))
    rig.start_sim()
    info = rpc.retry(lambda: _info(client), timeout_s=30)

    assert refused.code in rpc.RETRYABLE, refused.message
    assert refused.message not in ("", rpc.CLIENT_GAVE_UP)
    assert info.node_id == processes.NODE_1
    segments = dict(info.accessible_topology.segments)
    assert segments["topology.diskplugin.csi.alibabacloud.com/zone"] == "cn-hangzhou-k"
    client.close()


def test_node_id_comes_from_the_metadata_service_when_no_flag_tells_it(rig: processes.Rig) -> None:
    rig.start_driver("node", controller=False, node_id="")
    client = csi_client.Client(rig.socket("node"))

    assert _info(client).node_id == processes.NODE_1
    client.close()


@pytest.mark.parametrize("limit", ["7", "1"])
def test_the_number_of_volumes_can_be_set(rig: processes.Rig, limit: str) -> None:
    rig.start_driver("node", controller=False, MAX_VOLUMES_PERNODE=limit)
    client = csi_client.Client(rig.socket("node"))

    assert _info(client).max_volumes_per_node == int(limit)
    client.close()


def test_the_number_of_volumes_is_what_the_instance_type_leaves(rig: processes.Rig) -> None:
    rig.start_driver("both", controller=True)
    client = csi_client.Client(rig.socket("both"))

    # ecs.g7.large takes 17 disks, one of them is the system disk.
    assert _info(client).max_volumes_per_node == 16
    client.close()

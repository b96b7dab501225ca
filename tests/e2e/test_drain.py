"""SIGTERM lets a call in progress end, and refuses new ones."""

import pathlib
import threading

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from tests.support import csi_client, rpc, stack

pytestmark = pytest.mark.e2e


def test_a_call_in_progress_ends_well_and_a_new_one_is_refused(cloud: stack.Stack) -> None:
    driver = cloud.rig.start_driver("leaving", node=False)
    client = csi_client.Client(cloud.rig.socket("leaving"))
    held = cloud.control.add_fault("CreateDisk", "notify", count=1)
    made: list[pb.Volume] = []
    call = threading.Thread(target=lambda: made.append(client.create("drained")))
    call.start()
    cloud.control.wait_held(held)

    ended: list[int] = []
    stopping = threading.Thread(target=lambda: ended.append(driver.terminate()))
    stopping.start()
    driver.wait_for('"event": "stopping"')
    rpc.wait_until(lambda: _refused(cloud.rig.socket("leaving")), timeout_s=10)
    cloud.control.release(held)
    call.join(20)
    stopping.join(20)

    assert ended == [0]
    assert [volume.volume_id for volume in made] == list(cloud.control.data_disks("drained"))
    assert not cloud.rig.socket("leaving").exists()
    client.close()
    cloud.client.delete(made[0].volume_id)


def _refused(socket: pathlib.Path) -> bool:
    """Whether a new caller gets UNAVAILABLE."""
    client = csi_client.Client(socket)
    try:
        client.identity.GetPluginInfo(pb.GetPluginInfoRequest(), timeout=2)
    except grpc.RpcError as e:
        return e.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        client.close()
    return False

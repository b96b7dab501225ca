"""A disk whose instance is released: detached without a call, and free for others."""

import pytest

from csi._pb import csi_pb2 as pb
from tests.support import instances, processes, rpc, stack

pytestmark = pytest.mark.e2e

HERE, THERE = processes.NODE_1, processes.NODE_2
Code = rpc.Code


@pytest.fixture
def after(cloud: stack.Stack) -> stack.Stack:
    """The cloud without call log; a reset brings the instance back."""
    cloud.control.request("POST", "reset")
    return cloud


def release(cloud: stack.Stack) -> None:
    instances.release(f"127.0.0.1:{cloud.rig.port}", cloud.control, HERE)


def published(cloud: stack.Stack, volume_id: str) -> list[str]:
    """Nodes that ListVolumes tells of."""
    answer = cloud.client.controller.ListVolumes(pb.ListVolumesRequest(), timeout=30)
    (entry,) = (each for each in answer.entries if each.volume.volume_id == volume_id)
    return list(entry.status.published_node_ids)


def test_a_volume_is_off_an_instance_that_is_gone_and_nothing_is_forced(after: stack.Stack) -> None:
    volume = after.volume()
    after.client.attach(volume.message, HERE, readonly=True)
    assert published(after, volume.volume_id) == [HERE]
    release(after)
    after.control.clear_calls()

    assert published(after, volume.volume_id) == []
    after.client.detach(volume.volume_id, HERE)
    after.client.detach(volume.volume_id, HERE)

    assert {"AttachDisk", "DetachDisk"}.isdisjoint(after.control.actions())
    tags = after.control.data_disks()[volume.volume_id]["tags"]
    assert not [key for key in tags if HERE in key]
    after.client.attach(volume.message, THERE)
    assert published(after, volume.volume_id) == [THERE]
    after.client.detach(volume.volume_id, THERE)
    volume.tear_down()


def test_a_volume_for_an_instance_that_is_gone_is_refused_and_goes_elsewhere(
    after: stack.Stack,
) -> None:
    volume = after.volume()
    release(after)

    refused = rpc.refusal(lambda: after.client.attach(volume.message, HERE))

    assert refused.code is Code.NOT_FOUND
    assert HERE in refused.message
    after.client.attach(volume.message, THERE)
    after.client.detach(volume.volume_id, THERE)
    volume.tear_down()


def test_a_detach_that_meets_a_release_ends_with_it(after: stack.Stack) -> None:
    volume = after.volume()
    after.client.attach(volume.message, HERE)
    fault = after.control.add_fault("DetachDisk", "notify")

    detaching = rpc.Running(lambda: after.client.detach(volume.volume_id, HERE))
    after.control.wait_held(fault)
    release(after)
    after.control.release(fault)
    detaching.join()

    assert detaching.error is None
    assert after.control.attachments(volume.volume_id) == {}
    volume.tear_down()

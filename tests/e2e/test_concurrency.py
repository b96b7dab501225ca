"""Many calls at once: all correct, and few calls of the cloud."""

import functools
import pathlib
from collections.abc import Iterator

import pytest

from tests.support import rpc, stack, worlds

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

NODES, VOLUMES = 20, 200
FEW_PER_SECOND = 5


@pytest.fixture
def crowd(tmp_path: pathlib.Path) -> Iterator[stack.Stack]:
    world = worlds.with_instances(tmp_path, NODES)
    made = stack.Stack(hardware="none", time_scale=1.0, world=world, environment={})
    yield made
    made.close()


def test_200_volumes_attach_to_20_nodes_at_once_with_few_describes(crowd: stack.Stack) -> None:
    names = [f"pvc-{n}" for n in range(VOLUMES)]
    created = rpc.together(
        [functools.partial(crowd.client.create, name, timeout_s=100) for name in names]
    )
    volumes = [running.result for running in created if running.result is not None]
    assert len({volume.volume_id for volume in volumes}) == VOLUMES
    nodes = worlds.instance_ids(NODES)
    wanted = {v.volume_id: nodes[n % NODES] for n, v in enumerate(volumes)}
    crowd.control.clear_calls()

    attached = rpc.together(
        [
            functools.partial(crowd.client.attach, volume, wanted[volume.volume_id], timeout_s=100)
            for volume in volumes
        ]
    )

    assert [running.error for running in attached if running.error] == []
    disks = crowd.control.data_disks()
    for volume, running in zip(volumes, attached, strict=True):
        assert crowd.control.attachments(volume.volume_id) == {wanted[volume.volume_id]: "attached"}
        assert running.result is not None
        assert running.result["serialNumber"] == disks[volume.volume_id]["serial_number"]
    calls = crowd.control.calls()
    assert sum(call["action"] == "AttachDisk" for call in calls) == VOLUMES
    describes = [call for call in calls if call["action"] == "DescribeDisks"]
    lasted_s = max(1.0, calls[-1]["at_s"] - calls[0]["at_s"])
    assert len(describes) / lasted_s <= FEW_PER_SECOND
    assert crowd.control.counters()["DescribeDisks"]["per_second"] <= 2 * FEW_PER_SECOND


def test_of_two_calls_for_one_volume_at_once_one_wins_and_the_other_may_retry(
    cloud: stack.Stack,
) -> None:
    volume = cloud.volume()
    fault_id = cloud.control.add_fault("AttachDisk", "notify")
    first = rpc.Running(volume.attach)
    cloud.control.wait_held(fault_id)

    second = rpc.refusal(volume.attach)
    cloud.control.release(fault_id)
    first.join()

    assert second.code is rpc.Code.ABORTED
    assert volume.volume_id in second.message
    assert first.error is None
    rpc.retry(volume.attach)
    volume.tear_down()


def test_one_name_asked_for_by_many_at_once_is_one_disk(cloud: stack.Stack) -> None:
    running = rpc.together(
        [lambda: rpc.retry(lambda: cloud.client.create("same-name")) for _ in range(10)]
    )

    ids = {one.result.volume_id for one in running if one.result is not None}
    assert list(cloud.control.data_disks("same-name")) == list(ids)
    assert [one.error for one in running if one.error] == []
    cloud.client.delete(ids.pop())

"""The controller's calls as scenarios: what to prepare, what to call, what must be true then.

Used wherever a call is disturbed: by a crash, by a lost answer, by a fault of the cloud.
"""

import dataclasses
import functools
import uuid
from collections.abc import Callable
from typing import Any

from csi._pb import csi_pb2 as pb
from tests.support import csi_client, processes, rpc, stack

State = dict[str, Any]
GIB = csi_client.GIB


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One call.

    prepare: makes what the call needs. call: the call, with a time limit in seconds; repeatable.
    check: asserts the outcome, given the result of the call. undo: removes everything; repeatable.
    """

    name: str
    prepare: Callable[[stack.Stack], State]
    call: Callable[[stack.Stack, State, float], Any]
    check: Callable[[stack.Stack, State, Any], None]
    undo: Callable[[stack.Stack, State], None]

    def __str__(self) -> str:
        return self.name


def _named(_: stack.Stack) -> State:
    return {"name": f"pvc-{uuid.uuid4()}"}


def _with_volume(on: stack.Stack) -> State:
    return {"volume": on.volume()}


def _with_slow_volume(on: stack.Stack) -> State:
    return {"volume": on.volume(parameters={"type": "cloud_essd", "performanceLevel": "PL0"})}


def _with_attached(on: stack.Stack) -> State:
    return {"volume": on.volume().attach()}


def _with_snapshot(on: stack.Stack) -> State:
    volume = on.volume().attach()
    snapshot = _snapshot(on, {"volume": volume, "name": f"snap-{uuid.uuid4()}"}, 30.0)
    return {**_named(on), "volume": volume, "snapshot_id": snapshot.snapshot_id}


def _create(on: stack.Stack, state: State, timeout_s: float) -> pb.Volume:
    source = None
    if "snapshot_id" in state:
        source = csi_client.snapshot_source(state["snapshot_id"])
    return on.client.create(state["name"], source=source, timeout_s=timeout_s)


def _clone(on: stack.Stack, state: State, timeout_s: float) -> pb.Volume:
    source = csi_client.volume_source(state["volume"].volume_id)
    return on.client.create(state["name"], source=source, timeout_s=timeout_s)


def _snapshot(on: stack.Stack, state: State, timeout_s: float) -> pb.Snapshot:
    return on.client.snapshot(state["name"], state["volume"].volume_id, timeout_s)


def _group(on: stack.Stack, state: State, timeout_s: float) -> pb.VolumeGroupSnapshot:
    request = pb.CreateVolumeGroupSnapshotRequest(
        name=state["name"], source_volume_ids=[state["volume"].volume_id]
    )
    answer = on.client.group.CreateVolumeGroupSnapshot(request, timeout=timeout_s)
    made: pb.VolumeGroupSnapshot = answer.group_snapshot
    return made


def _modify(on: stack.Stack, state: State, timeout_s: float) -> None:
    request = pb.ControllerModifyVolumeRequest(
        volume_id=state["volume"].volume_id,
        mutable_parameters={"performanceLevel": "PL1", "diskTags/team": "blue"},
    )
    on.client.controller.ControllerModifyVolume(request, timeout=timeout_s)


def _one_disk(on: stack.Stack, state: State, volume: pb.Volume) -> None:
    assert list(on.control.data_disks(state["name"])) == [volume.volume_id]


def _attached(on: stack.Stack, state: State, context: dict[str, str]) -> None:
    volume_id = state["volume"].volume_id
    assert on.control.attachments(volume_id) == {processes.NODE_1: "attached"}
    assert context["serialNumber"] == on.control.data_disks()[volume_id]["serial_number"]


def _detached(on: stack.Stack, state: State, _: object) -> None:
    assert on.control.attachments(state["volume"].volume_id) == {}


def _deleted(on: stack.Stack, state: State, _: object) -> None:
    assert state["volume"].volume_id not in on.control.data_disks()


def _expanded(on: stack.Stack, state: State, answer: pb.ControllerExpandVolumeResponse) -> None:
    assert answer.capacity_bytes == 40 * GIB
    assert on.control.data_disks()[state["volume"].volume_id]["size_gib"] == 40


def _modified(on: stack.Stack, state: State, _: object) -> None:
    disk = on.control.data_disks()[state["volume"].volume_id]
    assert disk["performance_level"] == "PL1"
    assert disk["tags"]["team"] == "blue"


def _one_snapshot(on: stack.Stack, state: State, snapshot: pb.Snapshot) -> None:
    mine = [
        snapshot_id
        for snapshot_id, row in on.control.snapshots().items()
        if row["source_disk_id"] == state["volume"].volume_id
    ]
    assert mine == [snapshot.snapshot_id]


def _one_group(on: stack.Stack, state: State, group: pb.VolumeGroupSnapshot) -> None:
    state["group"] = group
    members = [snapshot.snapshot_id for snapshot in group.snapshots]
    assert sorted(on.control.snapshots()) == sorted(members)
    assert len(members) == 1


def _snapshot_deleted(on: stack.Stack, state: State, _: object) -> None:
    assert state["snapshot_id"] not in on.control.snapshots()


def _undo(on: stack.Stack, state: State) -> None:
    """Remove by name or id whatever a scenario made."""
    if "group" in state:
        group = state["group"]
        rpc.retry(
            lambda: on.client.group.DeleteVolumeGroupSnapshot(
                pb.DeleteVolumeGroupSnapshotRequest(
                    group_snapshot_id=group.group_snapshot_id,
                    snapshot_ids=[snapshot.snapshot_id for snapshot in group.snapshots],
                ),
                timeout=30,
            )
        )
    for snapshot_id in on.control.snapshots():
        rpc.retry(functools.partial(on.client.delete_snapshot, snapshot_id))
    for disk_id in on.control.data_disks(state["name"]) if "name" in state else ():
        rpc.retry(functools.partial(on.client.delete, disk_id))
    if "volume" in state:
        state["volume"].tear_down()


CONTROLLER: tuple[Scenario, ...] = (
    Scenario(name="create", prepare=_named, call=_create, check=_one_disk, undo=_undo),
    Scenario(name="restore", prepare=_with_snapshot, call=_create, check=_one_disk, undo=_undo),
    Scenario(
        name="clone",
        prepare=lambda on: {**_with_attached(on), **_named(on)},
        call=_clone,
        check=_one_disk,
        undo=_undo,
    ),
    Scenario(
        name="attach",
        prepare=_with_volume,
        call=lambda on, state, timeout_s: on.client.attach(
            state["volume"].message, processes.NODE_1, timeout_s=timeout_s
        ),
        check=_attached,
        undo=_undo,
    ),
    Scenario(
        name="detach",
        prepare=_with_attached,
        call=lambda on, state, timeout_s: on.client.detach(
            state["volume"].volume_id, processes.NODE_1, timeout_s
        ),
        check=_detached,
        undo=_undo,
    ),
    Scenario(
        name="expand",
        prepare=_with_attached,
        call=lambda on, state, timeout_s: on.client.expand(
            state["volume"].volume_id, 40, timeout_s
        ),
        check=_expanded,
        undo=_undo,
    ),
    Scenario(name="modify", prepare=_with_slow_volume, call=_modify, check=_modified, undo=_undo),
    Scenario(
        name="snapshot",
        prepare=lambda on: {**_with_attached(on), "name": f"snap-{uuid.uuid4()}"},
        call=_snapshot,
        check=_one_snapshot,
        undo=_undo,
    ),
    Scenario(
        name="group-snapshot",
        prepare=lambda on: {**_with_attached(on), "name": f"group-{uuid.uuid4()}"},
        call=_group,
        check=_one_group,
        undo=_undo,
    ),
    Scenario(
        name="delete-snapshot",
        prepare=_with_snapshot,
        call=lambda on, state, timeout_s: on.client.delete_snapshot(
            state["snapshot_id"], timeout_s
        ),
        check=_snapshot_deleted,
        undo=_undo,
    ),
    Scenario(
        name="delete",
        prepare=_with_volume,
        call=lambda on, state, timeout_s: on.client.delete(state["volume"].volume_id, timeout_s),
        check=_deleted,
        undo=_undo,
    ),
)

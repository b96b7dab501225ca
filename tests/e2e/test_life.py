"""Whole lives of volumes, with data, on real block devices."""

import errno
import os
import pathlib

import pytest

from csi._pb import csi_pb2 as pb
from tests.support import csi_client, processes, rpc, stack

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]

GIB = csi_client.GIB
CAP_SYS_RESOURCE = 24


def _may_grow_ext() -> bool:
    """Whether the kernel lets this machine's root grow a mounted ext file system."""
    status = pathlib.Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> CAP_SYS_RESOURCE & 1)


def _capability(kind: str, mode: str = "SINGLE_NODE_WRITER") -> pb.VolumeCapability:
    if kind == "block":
        return csi_client.block_capability(mode)
    return csi_client.mount_capability(kind, mode)


@pytest.mark.parametrize("kind", ["ext4", "ext3", "xfs", "block"])
def test_data_survives_unmount_detach_and_a_killed_driver(disks: stack.Stack, kind: str) -> None:
    volume = disks.volume(capability=_capability(kind)).attach().stage().publish()
    checksum = stack.write_data(volume.target)

    disks.node.kill9()
    disks.controller.kill9()
    assert stack.read_data(volume.target) == checksum
    disks.restart(disks.node)
    disks.restart(disks.controller)
    rpc.retry(volume.publish)
    assert stack.read_data(volume.target) == checksum

    volume.unpublish().unstage().detach()
    assert disks.control.attachments(volume.volume_id) == {}
    volume.attach().stage().publish()
    assert stack.read_data(volume.target) == checksum
    volume.tear_down()


@pytest.mark.parametrize("kind", ["ext4", "xfs", "block"])
def test_snapshot_and_clone_hold_what_was_written(disks: stack.Stack, kind: str) -> None:
    capability = _capability(kind)
    volume = disks.volume(capability=capability).attach().stage().publish()
    checksum = stack.write_data(volume.target)

    snapshot = disks.client.snapshot("before-change", volume.volume_id)
    source = csi_client.snapshot_source(snapshot.snapshot_id)
    later = stack.write_data(volume.target)
    restored = disks.volume(capability=capability, source=source, size_gib=40)
    clone = disks.volume(
        capability=capability, source=csi_client.volume_source(volume.volume_id), timeout_s=60
    )

    assert restored.message.content_source.snapshot.snapshot_id == snapshot.snapshot_id
    assert clone.message.content_source.volume.volume_id == volume.volume_id
    for copy, wanted in ((restored, checksum), (clone, later)):
        copy.attach().stage().publish()
        assert stack.read_data(copy.target) == wanted
    if kind != "block":
        assert stack.total_bytes(restored.target) > 1.5 * stack.total_bytes(volume.target)
    for each in (volume, restored, clone):
        each.tear_down()
    disks.client.delete_snapshot(snapshot.snapshot_id)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "block"])
def test_volume_grows_while_it_is_in_use(disks: stack.Stack, kind: str) -> None:
    volume = disks.volume(capability=_capability(kind)).attach().stage().publish()
    checksum = stack.write_data(volume.target)
    before = disks.client.stats(volume.volume_id, volume.target).usage[0].total

    answer = disks.client.expand(volume.volume_id, 40)
    assert answer.capacity_bytes == 40 * GIB
    assert answer.node_expansion_required

    def grow() -> None:
        disks.client.expand_node(
            volume.volume_id,
            volume.target,
            40,
            staging=volume.staging,
            capability=volume.capability,
        )

    if kind == "ext4" and not _may_grow_ext():
        # The kernel refuses it here (no CAP_SYS_RESOURCE); the next stage grows it.
        refused = rpc.refusal(grow)
        assert refused.code is rpc.Code.FAILED_PRECONDITION
        assert "CAP_SYS_RESOURCE" in refused.message
        volume.unpublish().unstage().stage().publish()
    else:
        grow()
        grow()

    after = disks.client.stats(volume.volume_id, volume.target).usage[0].total
    assert after > 1.9 * before
    assert stack.read_data(volume.target) == checksum
    volume.tear_down()


def test_second_node_is_refused_while_the_first_has_the_disk(disks: stack.Stack) -> None:
    volume = disks.volume().attach()

    refused = rpc.refusal(lambda: disks.client.attach(volume.message, processes.NODE_2))

    assert refused.code is rpc.Code.FAILED_PRECONDITION
    assert processes.NODE_1 in refused.message
    assert disks.control.attachments(volume.volume_id) == {processes.NODE_1: "attached"}
    volume.detach()
    disks.client.attach(volume.message, processes.NODE_2)
    disks.client.detach(volume.volume_id, processes.NODE_2)
    volume.tear_down()


def test_readonly_publish_refuses_writes_beside_a_writing_pod(disks: stack.Stack) -> None:
    volume = disks.volume().attach().stage().publish()
    checksum = stack.write_data(volume.target)
    reader = disks.target(volume.volume_id, "reader")

    volume.publish(reader, readonly=True)

    assert stack.read_data(reader) == checksum
    with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
        (reader / "new").touch()
    (volume.target / "new").touch()
    volume.unpublish(reader)
    volume.tear_down()


def test_read_write_once_pod_refuses_a_second_pod(disks: stack.Stack) -> None:
    capability = _capability("ext4", "SINGLE_NODE_SINGLE_WRITER")
    volume = disks.volume(capability=capability).attach().stage().publish()
    second = disks.target(volume.volume_id, "second")

    refused = rpc.refusal(lambda: volume.publish(second))

    assert refused.code is rpc.Code.FAILED_PRECONDITION
    assert not second.exists()
    volume.tear_down()


def test_two_pods_of_a_node_share_a_read_write_once_volume(disks: stack.Stack) -> None:
    volume = disks.volume().attach().stage().publish()
    second = disks.target(volume.volume_id, "second")

    volume.publish(second)
    checksum = stack.write_data(volume.target)

    assert stack.read_data(second) == checksum
    volume.unpublish()
    assert stack.read_data(second) == checksum
    volume.unpublish(second)
    volume.tear_down()


def test_cloud_killed_and_restarted_keeps_disks_and_their_devices(disks: stack.Stack) -> None:
    volume = disks.volume().attach().stage().publish()
    checksum = stack.write_data(volume.target)

    disks.rig.sim.kill9()
    assert stack.read_data(volume.target) == checksum
    disks.rig.start_sim()

    assert disks.control.attachments(volume.volume_id) == {processes.NODE_1: "attached"}
    assert stack.read_data(volume.target) == checksum
    volume.tear_down()


def test_deleting_an_attached_volume_is_refused(disks: stack.Stack) -> None:
    volume = disks.volume().attach()

    refused = rpc.refusal(volume.delete)

    assert refused.code is rpc.Code.FAILED_PRECONDITION
    assert processes.NODE_1 in refused.message
    volume.tear_down()


def test_volume_can_be_listed_looked_up_and_is_published_where_it_is(disks: stack.Stack) -> None:
    volume = disks.volume().attach()

    listed = disks.client.controller.ListVolumes(pb.ListVolumesRequest(), timeout=20).entries
    got = disks.client.controller.ControllerGetVolume(
        pb.ControllerGetVolumeRequest(volume_id=volume.volume_id), timeout=20
    )

    assert [entry.volume.volume_id for entry in listed] == [volume.volume_id]
    assert list(listed[0].status.published_node_ids) == [processes.NODE_1]
    assert list(got.status.published_node_ids) == [processes.NODE_1]
    assert got.volume.capacity_bytes == 20 * GIB
    volume.tear_down()

"""Requests: required fields first and in order, then where paths may lie."""

import pathlib
from collections.abc import Callable

import pytest

from core import errors
from csi import requests
from csi._pb import csi_pb2
from csi.disk.node import node_requests
from csi.node import at_path
from tests.unit.csi_disk_node import disk_node_harness as harness

CAPABILITY = harness.capability_of()


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "kubelet").mkdir()
    return tmp_path / "kubelet"


@pytest.mark.parametrize(
    ("parse", "request_type", "fields", "missing"),
    [
        (node_requests.parse_stage, csi_pb2.NodeStageVolumeRequest, {}, "volume_id"),
        (
            node_requests.parse_stage,
            csi_pb2.NodeStageVolumeRequest,
            {"volume_id": "v"},
            "staging_target_path",
        ),
        (
            node_requests.parse_stage,
            csi_pb2.NodeStageVolumeRequest,
            {"volume_id": "v", "staging_target_path": "/not/ours"},
            "volume_capability",
        ),
        (at_path.parse_unstage, csi_pb2.NodeUnstageVolumeRequest, {}, "volume_id"),
        (
            at_path.parse_unstage,
            csi_pb2.NodeUnstageVolumeRequest,
            {"volume_id": "v"},
            "staging_target_path",
        ),
        (node_requests.parse_publish, csi_pb2.NodePublishVolumeRequest, {}, "volume_id"),
        (
            node_requests.parse_publish,
            csi_pb2.NodePublishVolumeRequest,
            {"volume_id": "v"},
            "target_path",
        ),
        (
            node_requests.parse_publish,
            csi_pb2.NodePublishVolumeRequest,
            {"volume_id": "v", "target_path": "/not/ours"},
            "volume_capability",
        ),
        (at_path.parse_unpublish, csi_pb2.NodeUnpublishVolumeRequest, {}, "volume_id"),
        (
            at_path.parse_unpublish,
            csi_pb2.NodeUnpublishVolumeRequest,
            {"volume_id": "v"},
            "target_path",
        ),
        (node_requests.parse_stats, csi_pb2.NodeGetVolumeStatsRequest, {}, "volume_id"),
        (
            node_requests.parse_stats,
            csi_pb2.NodeGetVolumeStatsRequest,
            {"volume_id": "v"},
            "volume_path",
        ),
        (node_requests.parse_expand, csi_pb2.NodeExpandVolumeRequest, {}, "volume_id"),
        (
            node_requests.parse_expand,
            csi_pb2.NodeExpandVolumeRequest,
            {"volume_id": "v"},
            "volume_path",
        ),
    ],
)
def test_the_first_missing_field_is_named(
    root: pathlib.Path,
    parse: Callable[[object, pathlib.Path], object],
    request_type: type,
    fields: dict[str, str],
    missing: str,
) -> None:
    with pytest.raises(errors.InvalidField, match=f"^{missing} is required"):
        parse(request_type(**fields), root)


def test_publish_without_staging_path_says_what_to_do(root: pathlib.Path) -> None:
    request = csi_pb2.NodePublishVolumeRequest(
        volume_id="d-1", target_path=str(root / "t"), volume_capability=CAPABILITY
    )

    with pytest.raises(errors.Precondition, match="NodeStageVolume first"):
        node_requests.parse_publish(request, root)


def test_staging_and_target_cannot_be_one_path(root: pathlib.Path) -> None:
    request = csi_pb2.NodePublishVolumeRequest(
        volume_id="d-1",
        target_path=str(root / "t"),
        staging_target_path=str(root / "t"),
        volume_capability=CAPABILITY,
    )

    with pytest.raises(errors.InvalidField, match="staging_target_path too"):
        node_requests.parse_publish(request, root)


@pytest.mark.parametrize("path", ["/etc", "relative", "{root}", "{root}/../x", "{root}/a/../../x"])
def test_paths_outside_of_kubelets_directory_are_refused(root: pathlib.Path, path: str) -> None:
    request = csi_pb2.NodeUnpublishVolumeRequest(
        volume_id="d-1", target_path=path.format(root=root)
    )

    with pytest.raises(errors.InvalidField, match="target_path"):
        at_path.parse_unpublish(request, root)


@pytest.mark.parametrize("path", ["some/path", "/not/there", "{root}/not/there"])
def test_a_volume_path_that_is_not_there_is_not_found(root: pathlib.Path, path: str) -> None:
    path = path.format(root=root)

    with pytest.raises(errors.NotFound):
        node_requests.parse_stats(
            csi_pb2.NodeGetVolumeStatsRequest(volume_id="v", volume_path=path), root
        )
    with pytest.raises(errors.NotFound):
        node_requests.parse_expand(
            csi_pb2.NodeExpandVolumeRequest(volume_id="v", volume_path=path), root
        )


@pytest.mark.parametrize(
    ("mode", "flags", "readonly", "staged_read_only", "published_read_only"),
    [
        (harness.WRITER, [], False, False, False),
        (harness.WRITER, [], True, False, True),
        (harness.WRITER, ["ro"], False, True, True),
        (harness.READERS, [], False, True, True),
    ],
)
def test_who_may_write_follows_from_mode_flags_and_readonly(
    *,
    root: pathlib.Path,
    mode: int,
    flags: list[str],
    readonly: bool,
    staged_read_only: bool,
    published_read_only: bool,
) -> None:
    want = node_requests.parse_publish(
        csi_pb2.NodePublishVolumeRequest(
            volume_id="d-1",
            target_path=str(root / "t"),
            staging_target_path=str(root / "s"),
            volume_capability=harness.capability_of(mode=mode, flags=flags),
            readonly=readonly,
        ),
        root,
    )

    assert want.staging.read_only is staged_read_only
    assert want.read_only is published_read_only
    assert want.staging.mount_flags == ()


def test_a_block_volume_id_must_be_a_file_name(root: pathlib.Path) -> None:
    request = csi_pb2.NodeStageVolumeRequest(
        volume_id="../d-1",
        staging_target_path=str(root / "s"),
        volume_capability=harness.capability_of(block=True),
    )

    with pytest.raises(errors.InvalidField, match="volume_id"):
        node_requests.parse_stage(request, root)


def test_a_mount_group_is_refused_because_it_is_not_offered(root: pathlib.Path) -> None:
    capability = harness.capability_of()
    capability.mount.volume_mount_group = "1000"

    with pytest.raises(errors.InvalidField, match="volume_mount_group"):
        node_requests.parse_stage(
            csi_pb2.NodeStageVolumeRequest(
                volume_id="d-1", staging_target_path=str(root / "s"), volume_capability=capability
            ),
            root,
        )


def test_io_limits_come_with_the_pod_they_are_for(root: pathlib.Path) -> None:
    request = csi_pb2.NodePublishVolumeRequest(
        volume_id="d-1",
        target_path=str(root / "t"),
        staging_target_path=str(root / "s"),
        volume_capability=CAPABILITY,
        volume_context={"readIOPS": "10", "csi.storage.k8s.io/pod.uid": "abc-1"},
    )

    want = node_requests.parse_publish(request, root)

    assert want.pod_uid == "abc-1"
    assert want.io_limits is not None
    assert want.staging.access is requests.AccessType.MOUNT

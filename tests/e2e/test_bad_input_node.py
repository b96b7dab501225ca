"""Requests the node must refuse: the right code, a message that names the fault, no effect."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from tests.support import csi_client, rpc, stack

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]

Code = rpc.Code
INVALID, MISSING, UNMET = Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION
TOO_LONG = "d" * 129
Attached = stack.Volume
Case = tuple[str, str, Callable[[Attached], Any], grpc.StatusCode, str]


@pytest.fixture(scope="module")
def attached(deployment: stack.Stack) -> Iterator[Attached]:
    """A volume with data on it that is attached and not staged."""
    volume = deployment.volume().attach().stage().publish()
    stack.write_data(volume.target)
    volume.unpublish().unstage()
    outside = deployment.rig.dir / "outside"
    outside.mkdir()
    (deployment.rig.kubelet / "way-out").symlink_to(outside)
    (volume.target.parent / "link").symlink_to(outside)
    yield volume
    deployment.calm()
    volume.tear_down()


def _stage(**change: Any) -> Callable[[Attached], pb.NodeStageVolumeRequest]:
    def make(volume: Attached) -> pb.NodeStageVolumeRequest:
        fields: dict[str, Any] = {
            "volume_id": volume.volume_id,
            "publish_context": volume.publish_context,
            "staging_target_path": str(volume.staging),
            "volume_capability": volume.capability,
            "volume_context": dict(volume.message.volume_context),
        }
        return pb.NodeStageVolumeRequest(**fields | _filled(change, volume))

    return make


def _publish(**change: Any) -> Callable[[Attached], pb.NodePublishVolumeRequest]:
    def make(volume: Attached) -> pb.NodePublishVolumeRequest:
        fields: dict[str, Any] = {
            "volume_id": volume.volume_id,
            "publish_context": volume.publish_context,
            "staging_target_path": str(volume.staging),
            "target_path": str(volume.target),
            "volume_capability": volume.capability,
            "volume_context": dict(volume.message.volume_context),
        }
        return pb.NodePublishVolumeRequest(**fields | _filled(change, volume))

    return make


def _unpublish(**change: Any) -> Callable[[Attached], pb.NodeUnpublishVolumeRequest]:
    return lambda volume: pb.NodeUnpublishVolumeRequest(
        **{"volume_id": volume.volume_id, "target_path": str(volume.target)}
        | _filled(change, volume)
    )


def _unstage(**change: Any) -> Callable[[Attached], pb.NodeUnstageVolumeRequest]:
    return lambda volume: pb.NodeUnstageVolumeRequest(
        **{"volume_id": volume.volume_id, "staging_target_path": str(volume.staging)}
        | _filled(change, volume)
    )


def _filled(change: dict[str, Any], volume: Attached) -> dict[str, Any]:
    """Values with KUBELET and POD replaced by the real directories."""
    kubelet = str(volume.staging.parents[4])
    pod = str(volume.target.parent)

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("KUBELET", kubelet).replace("POD", pod)
        return value

    return {name: fill(value) for name, value in change.items()}


def _flags(*flags: str) -> pb.VolumeCapability:
    return csi_client.mount_capability(flags=flags)


PATHS: tuple[tuple[str, str, str], ...] = (
    ("relative", "some/path", "not absolute"),
    ("with dots", "KUBELET/pods/../../etc/mount", ".."),
    ("outside", "/etc/csi-escape", "below"),
    ("through a link", "KUBELET/way-out/mount", "below"),
    ("that is a link", "POD/link", "link"),
    ("with a control character", "POD/a\nb", "control"),
    ("of 5000 bytes", "KUBELET/" + "a" * 5000, "too long"),
)
STAGE: tuple[Case, ...] = (
    ("stage no id", "NodeStageVolume", _stage(volume_id=""), INVALID, "volume_id"),
    ("stage long id", "NodeStageVolume", _stage(volume_id=TOO_LONG), INVALID, "volume_id"),
    (
        "stage no path",
        "NodeStageVolume",
        _stage(staging_target_path=""),
        INVALID,
        "staging_target_path",
    ),
    (
        "stage no capability",
        "NodeStageVolume",
        _stage(volume_capability=None),
        INVALID,
        "volume_capability",
    ),
    (
        "stage another file system than there is",
        "NodeStageVolume",
        _stage(volume_capability=csi_client.mount_capability("xfs")),
        UNMET,
        "ext4",
    ),
    (
        "stage unknown file system",
        "NodeStageVolume",
        _stage(volume_capability=csi_client.mount_capability("ntfs")),
        INVALID,
        "ntfs",
    ),
    (
        "stage two flags in one",
        "NodeStageVolume",
        _stage(volume_capability=_flags("noatime,exec")),
        INVALID,
        "mount_flags",
    ),
    (
        "stage with flag loop",
        "NodeStageVolume",
        _stage(volume_capability=_flags("loop")),
        INVALID,
        "loop",
    ),
    (
        "stage mkfs options with a shell",
        "NodeStageVolume",
        _stage(volume_context={"mkfsOptions": "-F; rm /tmp/x"}),
        INVALID,
        "mkfsOptions",
    ),
    (
        "stage sysConfig with dots",
        "NodeStageVolume",
        _stage(volume_context={"sysConfig": "../../x=1"}),
        INVALID,
        "sysConfig",
    ),
    (
        "stage without any serial number",
        "NodeStageVolume",
        _stage(volume_id="vol", publish_context={}),
        UNMET,
        "serial",
    ),
)
PUBLISH: tuple[Case, ...] = (
    ("publish no id", "NodePublishVolume", _publish(volume_id=""), INVALID, "volume_id"),
    ("publish no path", "NodePublishVolume", _publish(target_path=""), INVALID, "target_path"),
    (
        "publish no capability",
        "NodePublishVolume",
        _publish(volume_capability=None),
        INVALID,
        "volume_capability",
    ),
    (
        "publish no staging path",
        "NodePublishVolume",
        _publish(staging_target_path=""),
        UNMET,
        "staging_target_path",
    ),
    (
        "publish limit without pod",
        "NodePublishVolume",
        _publish(volume_context={"readIOPS": "100"}),
        INVALID,
        "pod.uid",
    ),
    (
        "publish limit that is no number",
        "NodePublishVolume",
        _publish(volume_context={"readIOPS": "many"}),
        INVALID,
        "readIOPS",
    ),
    ("unpublish no id", "NodeUnpublishVolume", _unpublish(volume_id=""), INVALID, "volume_id"),
    (
        "unpublish no path",
        "NodeUnpublishVolume",
        _unpublish(target_path=""),
        INVALID,
        "target_path",
    ),
    ("unstage no id", "NodeUnstageVolume", _unstage(volume_id=""), INVALID, "volume_id"),
    (
        "stats of absent path",
        "NodeGetVolumeStats",
        lambda volume: pb.NodeGetVolumeStatsRequest(
            volume_id=volume.volume_id, volume_path=str(volume.target / "absent")
        ),
        MISSING,
        "absent",
    ),
    (
        "expand at absent path",
        "NodeExpandVolume",
        lambda volume: pb.NodeExpandVolumeRequest(
            volume_id=volume.volume_id, volume_path=str(volume.target / "absent")
        ),
        MISSING,
        "absent",
    ),
)
TRAVERSALS: tuple[Case, ...] = tuple(
    case
    for what, path, word in PATHS
    for case in (
        (
            f"stage at path {what}",
            "NodeStageVolume",
            _stage(staging_target_path=path),
            INVALID,
            word,
        ),
        (f"publish at path {what}", "NodePublishVolume", _publish(target_path=path), INVALID, word),
        (
            f"unpublish at path {what}",
            "NodeUnpublishVolume",
            _unpublish(target_path=path),
            INVALID,
            word,
        ),
        (
            f"unstage at path {what}",
            "NodeUnstageVolume",
            _unstage(staging_target_path=path),
            INVALID,
            word,
        ),
    )
)


@pytest.mark.parametrize(
    "case", STAGE + PUBLISH + TRAVERSALS, ids=lambda case: case[0].replace(" ", "-")
)
def test_bad_request_is_refused_with_a_clear_message_and_changes_nothing(
    deployment: stack.Stack, attached: Attached, case: Case
) -> None:
    _, method, make, code, word = case
    before = _host(deployment)
    call = getattr(deployment.client.node, method)

    refused = rpc.refusal(lambda: call(make(attached), timeout=20))

    assert refused.code is code, f"{refused.code.name}: {refused.message}"
    assert word in refused.message
    assert "Traceback" not in refused.message
    assert _host(deployment) == before


def _host(deployment: stack.Stack) -> tuple[list[str], list[str], list[str]]:
    """What a refused call must not touch."""
    below = sorted(str(path) for path in deployment.rig.kubelet.rglob("*"))
    outside = sorted(str(path) for path in (deployment.rig.dir / "outside").rglob("*"))
    return deployment.rig.mounts(), below, outside

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from csi import redact, requests
from csi._pb import csi_pb2


@pytest.mark.parametrize("value", ["a", "pvc-1", "x" * 128, "日本", "a\tb\nc"])
def test_names_the_specification_allows_pass(value):
    assert requests.name(value) == value


@pytest.mark.parametrize("value", ["", "x" * 129, "é" * 65, "a\x00b", "a\x7fb", "a\x85b"])
def test_names_the_specification_bars_are_refused(value):
    with pytest.raises(errors.InvalidField, match="name"):
        requests.name(value)


@given(st.text(max_size=400))
def test_any_text_is_accepted_or_refused_but_never_breaks(value):
    refused = ""
    try:
        told = requests.require("volume_id", value)
    except errors.InvalidField as e:
        told, refused = value, str(e)

    assert told == value
    assert not refused or refused.startswith("volume_id")


def test_a_capability_needs_an_access_type_and_a_known_mode():
    mode = csi_pb2.VolumeCapability.AccessMode
    good = csi_pb2.VolumeCapability(
        mount=csi_pb2.VolumeCapability.MountVolume(fs_type="xfs", mount_flags=["noatime"]),
        access_mode=mode(mode=mode.SINGLE_NODE_WRITER),
    )

    parsed = requests.capability(good)

    assert (parsed.access, parsed.fs_type) == (requests.AccessType.MOUNT, "xfs")
    with pytest.raises(errors.InvalidField, match="volume_capability is required"):
        requests.capability(csi_pb2.VolumeCapability())
    with pytest.raises(errors.InvalidField, match="access_type"):
        requests.capability(csi_pb2.VolumeCapability(access_mode=mode(mode=1)))
    with pytest.raises(errors.InvalidField, match="access_mode"):
        requests.capability(csi_pb2.VolumeCapability(block=csi_pb2.VolumeCapability.BlockVolume()))


def test_a_capacity_range_must_not_contradict_itself():
    assert requests.capacity_range(csi_pb2.CapacityRange(required_bytes=5)) == (5, 0)
    with pytest.raises(errors.InvalidField):
        requests.capacity_range(csi_pb2.CapacityRange(required_bytes=6, limit_bytes=5))
    with pytest.raises(errors.InvalidField):
        requests.capacity_range(csi_pb2.CapacityRange(required_bytes=-1))


def test_a_map_over_four_kib_is_refused():
    with pytest.raises(errors.InvalidField, match="parameters"):
        requests.string_map("parameters", {"k": "v" * 4096})


def test_secrets_of_every_request_with_secrets_are_hidden_by_the_schema():
    secret = {"password": "hunter2"}
    hidden = 0
    for message_type in csi_pb2.DESCRIPTOR.message_types_by_name.values():
        if "secrets" not in message_type.fields_by_name:
            continue
        message = getattr(csi_pb2, message_type.name)(secrets=secret)
        assert redact.loggable(message) == {"secrets": "***"}
        hidden += 1
    assert hidden == 19


def test_everything_else_stays_readable():
    request = csi_pb2.CreateVolumeRequest(
        name="pvc-1",
        parameters={"type": "cloud_essd"},
        volume_capabilities=[
            csi_pb2.VolumeCapability(
                mount=csi_pb2.VolumeCapability.MountVolume(mount_flags=["noatime"])
            )
        ],
    )

    assert redact.loggable(request) == {
        "name": "pvc-1",
        "parameters": {"type": "cloud_essd"},
        "volume_capabilities": [{"mount": {"mount_flags": ["noatime"]}}],
    }


MOUNT = requests.VolumeCapability(
    access=requests.AccessType.MOUNT, mode=requests.AccessMode.SINGLE_NODE_WRITER
)
BLOCK = requests.VolumeCapability(
    access=requests.AccessType.BLOCK, mode=requests.AccessMode.SINGLE_NODE_WRITER
)


def test_a_block_device_is_refused_where_there_is_none():
    requests.require_mount((MOUNT, MOUNT), "NFS")

    with pytest.raises(errors.InvalidField, match="'block' is not supported by NFS; allowed: m"):
        requests.require_mount((MOUNT, BLOCK), "NFS")


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("volume_content_source", {"volume_content_source": csi_pb2.VolumeContentSource()}),
        ("mutable_parameters", {"mutable_parameters": {"type": "fast"}}),
    ],
)
def test_a_volume_that_is_not_empty_or_to_be_modified_is_refused(field, given):
    requests.require_empty_volume(csi_pb2.CreateVolumeRequest(name="pvc-1"))

    with pytest.raises(errors.InvalidField, match=f"{field} is not supported"):
        requests.require_empty_volume(csi_pb2.CreateVolumeRequest(name="pvc-1", **given))

"""What of a request is logged."""

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from csi import redact
from csi._pb import csi_pb2 as pb

TOKENS = "csi.storage.k8s.io/serviceAccount.tokens"


def test_fields_marked_in_the_schema_are_hidden_whatever_they_are_called() -> None:
    message = pb.DeleteVolumeRequest(volume_id="v", secrets={"plain": "hunter2"})
    assert redact.loggable(message) == {"volume_id": "v", "secrets": "***"}


def test_tokens_that_kubelet_adds_and_keys_that_users_add_are_hidden() -> None:
    message = pb.NodePublishVolumeRequest(
        volume_context={
            "server": "nas.test",
            "path": "/a",
            TOKENS: '{"sts": "hunter2"}',
            "akSecret": "hunter2",
            "options": "vers=3,access_key_id=hunter2,access_key_secret=hunter2,nolock",
        },
        volume_capability=pb.VolumeCapability(
            mount=pb.VolumeCapability.MountVolume(
                mount_flags=["nolock", "passwd_file=hunter2", "SECURITY_TOKEN=hunter2"]
            )
        ),
    )

    told = redact.loggable(message)

    assert "hunter2" not in str(told)
    assert told["volume_context"] == {
        "server": "nas.test",
        "path": "/a",
        TOKENS: "***",
        "akSecret": "***",
        "options": "vers=3,access_key_id=***,access_key_secret=***,nolock",
    }
    assert told["volume_capability"] == {
        "mount": {"mount_flags": ["nolock", "passwd_file=***", "SECURITY_TOKEN=***"]}
    }


@pytest.mark.parametrize(
    "text", ["vers=3,nolock", "server=a", "ro", "tokyo=1", "g_lease_Enable=false"]
)
def test_other_values_are_shown(text: str) -> None:
    message = pb.NodePublishVolumeRequest(volume_context={"options": text})
    assert redact.loggable(message) == {"volume_context": {"options": text}}


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (pb.CreateVolumeRequest(name="pvc-1"), {"name": "pvc-1"}),
        (pb.CreateVolumeResponse(volume=pb.Volume(volume_id="d-1")), {"volume_id": "d-1"}),
        (pb.NodePublishVolumeRequest(volume_id="d-1", target_path="/a"), {"volume_id": "d-1"}),
        (
            pb.CreateSnapshotResponse(snapshot=pb.Snapshot(snapshot_id="s", source_volume_id="d")),
            {"snapshot_id": "s", "source_volume_id": "d"},
        ),
        (pb.DeleteVolumeRequest(volume_id="d-1", secrets={"name": "x"}), {"volume_id": "d-1"}),
        (pb.ProbeRequest(), {}),
        (pb.DeleteVolumeRequest(volume_id="v" * 9999), {"volume_id": "v" * 256}),
    ],
    ids=lambda given: type(given).__name__,
)
def test_the_subject_of_a_message_is_its_ids(message: Message, told: dict[str, str]) -> None:
    assert redact.subject(message) == told


LONG = 200_000
"""Characters. With a pattern that goes back and forth in a text, half a megabyte takes days."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("part", ["token.", "a.", "ak", "secret=", "-", "=", ",token", "token=a "])
@pytest.mark.parametrize("end", ["", "=x", " =x", "\n"])
def test_a_long_text_of_anybody_s_is_shown_without_holding_up_the_process(
    part: str, end: str
) -> None:
    text = part * (LONG // len(part)) + end
    mount = pb.VolumeCapability.MountVolume(mount_flags=[text])

    told = redact.loggable(pb.NodePublishVolumeRequest(volume_context={text: text}))
    flags = redact.loggable(mount)["mount_flags"]

    assert list(told) == ["volume_context"]
    assert "token=a" not in str(flags)


NAMES = st.text("ak.-_/Dx1", max_size=5)
WORDS = st.sampled_from(["secret", "Passwd", "TOKEN", "access_key", "accesskey", "akId", "ak_id"])


@given(st.text("ak=t ,.;\"'", max_size=20), NAMES, WORDS, NAMES, st.text("ak=t ,", max_size=9))
def test_whatever_is_around_it_what_a_secret_name_is_given_is_hidden(
    before: str, begin: str, word: str, end: str, after: str
) -> None:
    text = f"{before}{begin}{word}{end}=hunter2{after}"

    told = redact.loggable(pb.NodePublishVolumeRequest(volume_context={"options": text}))

    assert "hunter2" not in str(told)

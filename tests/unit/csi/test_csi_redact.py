"""What of a request is logged."""

import pytest

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

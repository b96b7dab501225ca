"""What a node takes from requests, and what it refuses before anything is mounted."""

import dataclasses
import pathlib

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from csi._pb import csi_pb2 as pb
from csi.nas import clients, mount_options, volume_context
from csi.nas.node import node_requests
from csi.nas.node import settings as node_settings
from csi.node import at_path

ROOT = pathlib.Path("/kubelet-of-no-one")
SETTINGS = node_settings.NodeSettings(kubelet_root=ROOT, work_dir=ROOT / "work")
CONTEXT = {"server": "nfs", "path": "/a"}
MOUNT = {"mount": {}, "accessMode": {"mode": "MULTI_NODE_MULTI_WRITER"}}
MODE = "MULTI_NODE_MULTI_WRITER"
CPFS = "cpfs-0a1b2c-1.cn-hangzhou.cpfs.aliyuncs.com"
STANDARD = "0a1b2c-abc12.cn-hangzhou.nas.aliyuncs.com"


def request(**changes: object) -> pb.NodePublishVolumeRequest:
    told = {
        "volumeId": "v",
        "targetPath": f"{ROOT}/pods/p/mount",
        "volumeContext": CONTEXT,
        "volumeCapability": MOUNT,
        **changes,
    }
    return json_format.ParseDict(told, pb.NodePublishVolumeRequest())


def parse(**changes: object) -> node_requests.Publishing:
    return node_requests.parse_publish(request(**changes), SETTINGS)


def test_a_plain_publish() -> None:
    want = parse()

    assert want.target_path == ROOT / "pods/p/mount"
    assert want.mounting == clients.Mounting(
        client=clients.Client.NFS,
        source="nfs:/a",
        fs_type="nfs",
        options=("vers=3", *mount_options.DEFAULTS_V3),
    )
    assert not want.read_only
    assert not want.exclusive


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no volume id": ({"volumeId": ""}, "volume_id is required"),
    "no target": ({"targetPath": ""}, "target_path is required"),
    "no capability": ({"volumeCapability": None}, "volume_capability is required"),
    "a relative target": ({"targetPath": "pods/p"}, "target_path.*not absolute"),
    "a target elsewhere": ({"targetPath": "/etc/x"}, "target_path.*not below"),
    "a target that leaves": ({"targetPath": f"{ROOT}/../etc"}, r"target_path.*'\.\.'"),
    "kubelet's directory itself": ({"targetPath": str(ROOT)}, "target_path.*not below"),
    "a block volume": (
        {"volumeCapability": {"block": {}, "accessMode": {"mode": "SINGLE_NODE_WRITER"}}},
        "block.*not supported",
    ),
    "no server": ({"volumeContext": {}}, r"volume_context\[server\] is required"),
    "an unknown option": (
        {"volumeContext": {**CONTEXT, "options": "mounthost=b"}},
        "mount option 'mounthost=b'",
    ),
    "a flag that brings another along": (
        {"volumeCapability": {**MOUNT, "mount": {"mountFlags": ["soft suid"]}}},
        r"mount_flags.*soft suid",
    ),
}


@pytest.mark.parametrize(("changes", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_request_is_refused_by_name(changes: dict[str, object], told: str) -> None:
    with pytest.raises(errors.Invalid, match=told):
        parse(**changes)


def test_an_unpublish_outside_of_kubelets_directory_is_refused() -> None:
    for path in ("/etc", f"{ROOT}/../etc", str(ROOT), "pods/p"):
        with pytest.raises(errors.InvalidField, match="target_path"):
            at_path.parse_unpublish(
                pb.NodeUnpublishVolumeRequest(volume_id="v", target_path=path), ROOT
            )


@pytest.mark.parametrize("path", ["some/path", f"{ROOT}/pods/p/mount", "/"])
def test_where_nothing_is_mounted_no_volume_is_found(path: str) -> None:
    kinds = (errors.NotFound, errors.InvalidField)
    with pytest.raises(kinds):
        at_path.parse_stats(pb.NodeGetVolumeStatsRequest(volume_id="v", volume_path=path), ROOT)
    with pytest.raises(kinds):
        node_requests.parse_expand(
            pb.NodeExpandVolumeRequest(volume_id="v", volume_path=path), ROOT
        )


READERS: dict[str, dict[str, object]] = {
    "readonly": {"readonly": True},
    "a mode for readers": {
        "volumeCapability": {"mount": {}, "accessMode": {"mode": "MULTI_NODE_READER_ONLY"}}
    },
    "a flag": {"volumeCapability": {**MOUNT, "mount": {"mountFlags": ["ro"]}}},
    "an option": {"volumeContext": {**CONTEXT, "options": "ro"}},
}


@pytest.mark.parametrize("changes", READERS.values(), ids=READERS.keys())
def test_whoever_only_reads_gets_a_mount_that_is_read_only(changes: dict[str, object]) -> None:
    want = parse(**changes)

    assert want.read_only
    assert "ro" in want.mounting.options


@pytest.mark.parametrize("changes", READERS.values(), ids=READERS.keys())
def test_the_directory_of_an_image_is_mounted_for_writing_all_the_same(
    changes: dict[str, object],
) -> None:
    context = dict(changes.get("volumeContext", CONTEXT), mountType="losetup")  # type: ignore[call-overload]

    want = parse(**{**changes, "volumeContext": context})

    assert want.read_only
    assert "ro" not in want.mounting.options


def test_images_can_be_switched_off() -> None:
    off = dataclasses.replace(SETTINGS, losetup=False)

    with pytest.raises(errors.Precondition, match="NAS_LOSETUP_ENABLE"):
        node_requests.parse_publish(request(volumeContext={**CONTEXT, "mountType": "losetup"}), off)


def test_options_that_the_operator_allows_are_taken() -> None:
    more = dataclasses.replace(SETTINGS, more_options=frozenset({"softlimit"}))
    told = request(volumeContext={**CONTEXT, "options": "softlimit=3"})

    assert node_requests.parse_publish(told, more).mounting.options == ("vers=3", "softlimit=3")
    with pytest.raises(errors.Invalid):
        node_requests.parse_publish(told, SETTINGS)


ALINAS = {"server": STANDARD, "path": "/a", "mountProtocol": "alinas"}
KEY = {"akId": "the-id", "akSecret": "the-secret"}


def test_an_access_key_comes_from_the_secret_or_from_mount_options() -> None:
    by_secret = parse(volumeContext=ALINAS, secrets=KEY)
    flags = ["ro,access_key_id=the-id", "access_key_secret=the-secret"]
    by_option = parse(
        volumeContext=ALINAS,
        volumeCapability={"mount": {"mountFlags": flags}, "accessMode": {"mode": MODE}},
    )

    for want in (by_secret, by_option):
        assert want.key is not None
        assert want.key.secrets() == KEY
        assert "the-" not in repr(want)
        assert not any("access_key" in word for word in want.mounting.options)
    assert by_option.read_only


BAD_KEYS = {
    "half a key": (ALINAS, {"akId": "the-id"}, r"secrets\[akSecret\] is missing"),
    "a key in two lines": (ALINAS, {**KEY, "akSecret": "the-a\n[x]"}, r"secrets\[akSecret\]"),
    "a key for CPFS": (
        {"server": CPFS, "path": "/share/a", "mountProtocol": "cpfs-nfs"},
        KEY,
        "do not go with the client cpfs-nfs",
    ),
}


@pytest.mark.parametrize(("context", "secrets", "told"), BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_a_key_that_cannot_be_used_is_refused_without_being_told(
    context: dict[str, str], secrets: dict[str, str], told: str
) -> None:
    with pytest.raises(errors.InvalidField, match=told) as caught:
        parse(volumeContext=context, secrets=secrets)

    assert "the-" not in str(caught.value)


def test_the_pods_uid_reaches_the_elastic_client() -> None:
    context = {
        "server": STANDARD,
        "path": "/a",
        "useClient": "EFCClient",
        volume_context.POD_UID: "uid-1",
    }

    assert "client_owner=uid-1" in parse(volumeContext=context).mounting.options


@given(
    st.text(max_size=12),
    st.text(max_size=12),
    st.lists(st.text(max_size=12), max_size=2),
)
def test_a_mount_never_has_a_word_that_is_two(host: str, options: str, flags: list[str]) -> None:
    told = pb.NodePublishVolumeRequest(
        volume_id="v",
        target_path=f"{ROOT}/pods/p/mount",
        volume_context={"server": host, "path": "/a", "options": options},
        volume_capability=pb.VolumeCapability(
            mount=pb.VolumeCapability.MountVolume(mount_flags=flags),
            access_mode=pb.VolumeCapability.AccessMode(mode=5),  # type: ignore[arg-type]
        ),
    )
    try:
        want = node_requests.parse_publish(told, SETTINGS)
    except errors.Invalid:
        return

    for word in want.mounting.options:
        assert not set(word) & set(" ,\t\n\\'\"\0")
    assert not want.mounting.source.startswith("-")

"""What the CPFS driver decides without asking anybody."""

import datetime
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud import metadata as cloud_metadata
from core import errors
from csi._pb import csi_pb2 as pb
from csi.cpfs import handles, node_ids, volume_context
from csi.cpfs.controller import params
from csi.cpfs.node import delays, identity, mount_options, node_requests
from tests.support import csi_client

GIB = 1 << 30
ROOT = pathlib.Path("/var/lib/kubelet")
TARGET = f"{ROOT}/pods/uid/volumes/kubernetes.io~csi/pv/mount"
PLAIN = "cpfs-0a1b2c3d4e5f6072-000001.cn-hangzhou.cpfs.aliyuncs.com"
NAS2 = "cpfs-ab01cdefghijklmnopqrs-000001.cn-hangzhou.cpfs.aliyuncs.com"
CLIENT = ("efc", "protocol=efc", "fstype=cpfs")
Key = cloud_metadata.Key


@pytest.mark.parametrize("text", ["bmcpfs-01", "cpfs-0a1b+fset-1", "dcpfs-a-b+fset_2"])
def test_a_volume_id_is_a_file_system_and_perhaps_a_fileset(text: str) -> None:
    handle = handles.Handle.require(text)
    assert str(handle) == text
    assert handle.fileset_id == text.partition("+")[2]


@pytest.mark.parametrize(
    "text", ["", "pvc-1", "d-1", "bmcpfs", "bmcpfs-1+", "bmcpfs-1+a+b", "bmcpfs-1/x"]
)
def test_anything_else_is_no_volume_of_ours(text: str) -> None:
    assert handles.Handle.parse(text) is None
    with pytest.raises(errors.InvalidField, match="volume_id"):
        handles.Handle.require(text)


@given(st.text(max_size=40))
def test_no_text_is_parsed_into_something_else(text: str) -> None:
    for parsed in (handles.Handle.parse(text), node_ids.NodeId.parse(text)):
        assert parsed is None or str(parsed) == text


@pytest.mark.parametrize(
    ("text", "reach", "name"),
    [
        ("vsc:i-1", node_ids.Reach.VSC, "i-1"),
        ("lingjun:e01-cn-1", node_ids.Reach.LINGJUN, "e01-cn-1"),
        ("common:worker:1", node_ids.Reach.COMMON, "worker:1"),
    ],
)
def test_g43_a_node_id_tells_how_the_node_reaches_cpfs(
    text: str, reach: node_ids.Reach, name: str
) -> None:
    assert node_ids.NodeId.parse(text) == node_ids.NodeId(reach, name)


@pytest.mark.parametrize("text", ["", "i-1", "vsc:", "VSC:i-1", "other:x"])
def test_g43_other_node_ids_are_nobodys(text: str) -> None:
    assert node_ids.NodeId.parse(text) is None


class Metadata:
    def __init__(self, **facts: str) -> None:
        self._facts = facts

    async def get(self, key: cloud_metadata.Key) -> str:
        return self._facts[key.value]

    async def find(self, key: cloud_metadata.Key) -> str | None:
        return self._facts.get(key.value)


@pytest.mark.parametrize(
    ("facts", "told", "node_name", "wanted"),
    [
        ({"instance_id": "i-1", "vsc_enabled": "true"}, "", "w", "vsc:i-1"),
        ({"instance_id": "i-1", "vsc_enabled": "false"}, "", "w", "common:w"),
        ({"instance_id": "i-1"}, "", "w", "common:w"),
        ({"instance_id": "e01", "lingjun_node": "true"}, "", "w", "lingjun:e01"),
        ({"instance_id": "i-1", "vsc_enabled": "true"}, "common:x", "w", "common:x"),
        ({"instance_id": "i-1"}, "named", "", "common:named"),
    ],
)
async def test_g43_a_node_finds_out_what_it_is(
    facts: dict[str, str], told: str, node_name: str, wanted: str
) -> None:
    who = identity.Identity(Metadata(**facts), told=told, node_name=node_name)
    assert str(await who.read()) == wanted


async def test_a_node_without_a_name_is_told_what_to_set() -> None:
    who = identity.Identity(Metadata(), told="", node_name="")
    with pytest.raises(errors.Precondition, match="KUBE_NODE_NAME"):
        await who.read()


def choose(
    *flags: str, network: str = "vsc", target: str = PLAIN, ro: bool = False
) -> tuple[str, ...]:
    return mount_options.choose(flags, network_type=network, target=target, read_only=ro)


def test_the_way_to_the_file_system_decides_the_options() -> None:
    lease = "g_lease_Enable=false"
    assert choose() == ("_netdev", "net=vsc", lease, *CLIENT)
    assert choose(network="vpc") == ("net=tcp", lease, *CLIENT)
    assert choose("acl", ro=True) == ("ro", "acl", "_netdev", "net=vsc", lease, *CLIENT)
    assert choose("rw,acl,_netdev")[:2] == ("acl", "_netdev")


@pytest.mark.parametrize("flags", [("ro",), ("ro,acl",), ("noatime,ro", "acl")])
def test_read_only_stays_so_wherever_the_mount_flags_say_it(flags: tuple[str, ...]) -> None:
    chosen = choose(*flags)

    assert chosen[0] == "ro"
    assert chosen.count("ro") == 1


@pytest.mark.parametrize(
    ("flags", "target", "switched_off"),
    [((), PLAIN, True), ((), NAS2, False), (("g_lease_Enable=true",), PLAIN, False)],
)
def test_leases_are_off_unless_somebody_or_the_file_system_says_otherwise(
    flags: tuple[str, ...], target: str, switched_off: bool
) -> None:
    assert ("g_lease_Enable=false" in choose(*flags, target=target)) is switched_off


@pytest.mark.parametrize(
    "flag",
    [
        *(
            "net=tcp",
            "efc",
            "protocol=nfs3",
            "fstype=nfs",
            "bind",
            "remount",
            "x-systemd.automount",
        ),
        *(
            "a b",
            "a=b\nc",
            "ok,bind",
            "ram_config_file=/etc/shadow",
            "-o",
            "a='b'",
            "suid",
            "uhelper=x",
            "nas_ip=10.0.0.1",
            "acl,hp_config_dir=/tmp/x",
            "no_kernel_permission",
        ),
    ],
)
def test_an_option_of_the_user_is_never_another_one(flag: str) -> None:
    with pytest.raises(errors.InvalidField, match="mount_flags"):
        choose(flag)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vpcMountTarget", "host,other"),
        ("vpcMountTarget", "host:/x"),
        ("vscMountTarget", "a b"),
        ("vscMountTarget", "::1"),
        ("path", "relative"),
        ("path", "/a/../b"),
        ("path", "/a,ro"),
        ("path", "/a:b"),
        ("path", "/a\nb"),
        ("path", "/" + "a" * 2000),
        ("mountpointAutoSwitch", "perhaps"),
    ],
)
def test_what_is_wrong_with_a_volume_is_named(key: str, value: str) -> None:
    with pytest.raises(errors.InvalidField, match=key):
        volume_context.parse({key: value})


def request(**fields: object) -> pb.NodePublishVolumeRequest:
    plain: dict[str, object] = {
        "volume_id": "bmcpfs-1+fset-1",
        "target_path": TARGET,
        "volume_capability": csi_client.mount_capability("", mode="MULTI_NODE_MULTI_WRITER"),
        "volume_context": {"path": "/pvc-1/", "vpcMountTarget": "ignored.example"},
        "publish_context": {"networkType": "vsc", "vscId": "vsc-1", "vscMountTarget": PLAIN},
    }
    return pb.NodePublishVolumeRequest(**{**plain, **fields})  # type: ignore[arg-type]


def test_the_publish_context_says_what_is_mounted() -> None:
    by_channel = node_requests.parse_publish(request(), ROOT)
    alone = node_requests.parse_publish(request(publish_context={}), ROOT)
    whole = node_requests.parse_publish(request(volume_id="bmcpfs-1", volume_context={}), ROOT)

    assert by_channel.source == f"{PLAIN}:/pvc-1"
    assert "net=vsc" in by_channel.options
    assert alone.source == "ignored.example:/pvc-1"
    assert "net=tcp" in alone.options
    assert whole.source == f"{PLAIN}:/"


def test_a_fileset_is_never_mounted_as_the_whole_file_system() -> None:
    for context in ({}, {"path": "/"}):
        with pytest.raises(errors.InvalidField, match=r"path.*root"):
            node_requests.parse_publish(request(volume_context=context), ROOT)


@pytest.mark.parametrize("told", ["", "/", "/pvc-10", "/pvc", "/other/pvc-1"])
def test_a_path_outside_the_volumes_fileset_is_refused(told: str) -> None:
    path = volume_context.parse({"path": told}).path
    with pytest.raises(errors.InvalidField, match="/pvc-1"):
        volume_context.require_in_fileset("v", path, "/pvc-1/")


@pytest.mark.parametrize("told", ["/pvc-1", "/pvc-1/", "/pvc-1/below/it"])
def test_a_path_in_the_volumes_fileset_is_fine(told: str) -> None:
    path = volume_context.parse({"path": told}).path
    volume_context.require_in_fileset("v", path, "/pvc-1/")


@pytest.mark.parametrize(
    "context",
    [
        {"networkType": "rdma", "vscMountTarget": PLAIN},
        {"networkType": "vsc"},
        {"networkType": "vpc", "vscMountTarget": PLAIN},
        {"networkType": "vsc", "vscMountTarget": "a,b"},
    ],
)
def test_a_publish_context_that_names_no_target_is_refused(context: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidField, match="publish_context"):
        node_requests.parse_publish(request(publish_context=context), ROOT)


def test_read_only_comes_from_request_mode_or_flag() -> None:
    reader = csi_client.mount_capability("", mode="MULTI_NODE_READER_ONLY")
    assert not node_requests.parse_publish(request(), ROOT).read_only
    assert node_requests.parse_publish(request(readonly=True), ROOT).read_only
    assert node_requests.parse_publish(request(volume_capability=reader), ROOT).read_only


def test_a_block_device_or_another_file_system_is_refused() -> None:
    with pytest.raises(errors.InvalidField, match="fs_type"):
        node_requests.parse_publish(
            request(volume_capability=csi_client.mount_capability("ext4")), ROOT
        )
    with pytest.raises(errors.InvalidField, match="access_type"):
        node_requests.parse_publish(request(volume_capability=csi_client.block_capability()), ROOT)


@pytest.mark.parametrize("told", ["", "cpfs-0a1b", "bmcpfs-1+fset-1", "0a1b2c3d4e"])
def test_a_class_names_a_file_system_of_cpfs_for_lingjun(told: str) -> None:
    with pytest.raises(errors.InvalidField, match="bmcpfsId"):
        params.parse({"bmcpfsId": told})


@pytest.mark.parametrize(
    ("required", "limit", "size"),
    [(0, 0, 10), (GIB, 0, 10), (10 * GIB + 1, 0, 11), (20 * GIB, 20 * GIB, 20)],
)
def test_a_quota_is_whole_gib_and_ten_at_least(required: int, limit: int, size: int) -> None:
    assert params.choose_size_bytes(required, limit) == size * GIB


def test_a_size_that_no_answer_can_tell_is_out_of_range() -> None:
    """A fileset of it would be made, and the call fail for ever."""
    assert params.choose_size_bytes(2**63 - GIB, 0) == 2**63 - GIB
    with pytest.raises(errors.OutOfRange, match="required_bytes"):
        params.choose_size_bytes(2**63 - 1, 0)


def test_a_quota_that_does_not_fit_below_the_limit_is_out_of_range() -> None:
    with pytest.raises(errors.OutOfRange, match="limit_bytes"):
        params.choose_size_bytes(GIB, 5 * GIB)


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

    def now(self) -> datetime.datetime:
        return self.at


def test_g43_a_volume_stays_staged_for_its_time_and_a_new_stage_begins_it_anew(
    tmp_path: pathlib.Path,
) -> None:
    time = Time()

    def after_restart() -> delays.Delays:
        return delays.Delays(tmp_path / "work", 60.0, time)  # type: ignore[arg-type]

    after_restart().stay("v")
    with pytest.raises(errors.Unavailable, match="60 s"):
        after_restart().leave("v")
    time.at += datetime.timedelta(seconds=50)
    with pytest.raises(errors.Unavailable, match="10 s"):
        after_restart().leave("v")
    after_restart().stay("v")
    with pytest.raises(errors.Unavailable, match="60 s"):
        after_restart().leave("v")
    time.at += datetime.timedelta(seconds=61)
    after_restart().leave("v")
    assert list((tmp_path / "work").iterdir()) == []


def test_a_volume_that_is_gone_or_never_was_here_has_no_time(tmp_path: pathlib.Path) -> None:
    """Kubelet calls again when an answer got lost."""
    time = Time()
    leaving = delays.Delays(tmp_path / "work", 60.0, time)  # type: ignore[arg-type]
    leaving.leave("never-staged")
    leaving.stay("v")
    with pytest.raises(errors.Unavailable):
        leaving.leave("v")
    time.at += datetime.timedelta(seconds=61)

    for _ in range(3):
        leaving.leave("v")


def test_a_volume_that_stayed_under_another_setting_leaves_at_once(tmp_path: pathlib.Path) -> None:
    delays.Delays(tmp_path, 60.0, Time()).stay("v")  # type: ignore[arg-type]
    delays.Delays(tmp_path, 0.0, Time()).leave("v")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_without_a_delay_a_volume_leaves_at_once(tmp_path: pathlib.Path) -> None:
    delays.Delays(tmp_path, 0.0, Time()).leave("v")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []

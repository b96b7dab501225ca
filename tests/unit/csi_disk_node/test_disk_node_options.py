"""The texts a volume carries for the node."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from csi import node_options, requests
from csi.disk import disk_options
from host import cgroup


def capability(fs_type: str = "") -> requests.VolumeCapability:
    return requests.VolumeCapability(
        access=requests.AccessType.MOUNT,
        mode=requests.AccessMode.SINGLE_NODE_WRITER,
        fs_type=fs_type,
    )


@pytest.mark.parametrize(
    ("told", "meant"), [("", None), ("ext4", "ext4"), ("EXT3", "ext3"), ("xfs", "xfs")]
)
def test_supported_file_systems_are_understood(told: str, meant: str | None) -> None:
    assert node_options.parse_fs_type(capability(told)) == meant


@pytest.mark.parametrize("told", ["ntfs", "btrfs", "ext4 ", "../ext4"])
def test_other_file_systems_are_refused_by_name(told: str) -> None:
    with pytest.raises(errors.InvalidField, match="ext4, ext3, xfs"):
        node_options.parse_fs_type(capability(told))


def test_mount_flags_are_kept_in_order_without_repeats_and_empty_words() -> None:
    flags = ["noatime", "defaults", "shared", "data=ordered", "noatime"]

    assert node_options.parse_mount_flags(flags) == ("noatime", "data=ordered")


def test_a_quoted_selinux_context_may_have_commas() -> None:
    flag = 'context="system_u:object_r:container_file_t:s0:c10,c0"'

    assert node_options.parse_mount_flags([flag]) == (flag,)


@pytest.mark.parametrize(
    "flag",
    [
        "noatime,suid",
        "data=a,b",
        'context="a",dev',
        'x="',
        "a b",
        "-o",
        "=x",
        "",
        "noatime\n",
        "bind",
        "remount",
        "loop",
        "LOOP=/dev/loop0",
        "move",
        "x-mount.mkdir",
        "X-mount.owner=0",
        "offset=512",
        "rprivate",
    ],
)
def test_a_flag_that_is_more_than_one_option_of_this_mount_is_refused(flag: str) -> None:
    with pytest.raises(errors.InvalidField, match="mount_flags"):
        node_options.parse_mount_flags([flag])


@given(st.text(max_size=20))
def test_an_accepted_flag_never_has_an_unquoted_comma(text: str) -> None:
    try:
        flags = node_options.parse_mount_flags([text])
    except errors.InvalidField:
        return

    assert all("," not in "".join(flag.split('"')[::2]) for flag in flags)
    assert not any(c.isspace() for flag in flags for c in flag)


def test_mkfs_options_are_words() -> None:
    options = node_options.parse_filesystem(
        capability(), {"mkfsOptions": " -E lazy_itable_init=0,discard  -O ^has_journal -m0 "}
    )

    assert options.mkfs_options == (
        "-E",
        "lazy_itable_init=0,discard",
        "-O",
        "^has_journal",
        "-m0",
    )


@pytest.mark.parametrize(
    "text",
    [
        *("/dev/vda", "-d /etc", "-l 'x'", "-J device=/dev/vdb", "$(id)"),
        # mkfs runs in /, so that a name needs no slash to be a file of the node.
        *("-d etc", "-detc", "-qdetc", "-q -d etc", "-l etc", "-z etc", "-p etc", "-r etc"),
        *("-J device=LABEL=x", "-c options=etc", "-d file,name=etc", "-l logdev=etc,size=8m"),
        *("-r rtdev=etc", "-d file=1", "etc", "-F etc", "-d", "-d -F", "-", "--", "-n etc", "-S"),
    ],
)
def test_mkfs_options_never_name_a_file_or_another_disk(text: str) -> None:
    with pytest.raises(errors.InvalidField, match="mkfsOptions"):
        node_options.parse_filesystem(capability(), {"mkfsOptions": text})


@pytest.mark.parametrize(("told", "skip"), [("true", True), ("", False), ("false", False)])
def test_omitfsck_alone_skips_the_check(*, told: str, skip: bool) -> None:
    assert node_options.parse_filesystem(capability(), {"omitfsck": told}).skip_check is skip


def test_sys_config_is_a_list_of_pairs() -> None:
    assert disk_options.parse_sys_config("queue/read_ahead_kb=1024, bdi/min_ratio=1") == (
        ("queue/read_ahead_kb", "1024"),
        ("bdi/min_ratio", "1"),
    )


@pytest.mark.parametrize(
    "text", ["a", "=1", "a=", "../x=1", "/etc/x=1", "a/../b=1", "a//b=1", "a=../x", "a=1=2"]
)
def test_sys_config_stays_below_the_device(text: str) -> None:
    with pytest.raises(errors.InvalidField, match="sysConfig"):
        disk_options.parse_sys_config(text)


def test_io_limits_are_read_with_binary_units() -> None:
    limits = node_options.parse_io_limits({"readIOPS": "100", "writeBPS": "10M"})

    assert limits == cgroup.IoLimits(read_iops=100, write_bps=10 * 1024**2)


def test_without_io_limits_there_is_nothing_to_set() -> None:
    assert node_options.parse_io_limits({"type": "cloud_essd"}) is None


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("readIOPS", "4294967296"),
        ("readIOPS", "-1"),
        ("writeIOPS", "1K"),
        ("readIOPS", "0"),
        ("readBPS", "x"),
        ("writeBPS", "18446744073709551616"),
        ("readIOPS", "²"),
    ],
)
def test_io_limits_out_of_range_are_refused(key: str, text: str) -> None:
    with pytest.raises(errors.InvalidField, match=key):
        node_options.parse_io_limits({key: text})


@pytest.mark.parametrize("uid", ["", "../../x", "a/b"])
def test_io_limits_need_a_pod_uid(uid: str) -> None:
    with pytest.raises(errors.InvalidField, match="podInfoOnMount"):
        node_options.parse_pod_uid({node_options.POD_UID_KEY: uid})


@pytest.mark.parametrize(
    ("volume_id", "context", "serial"),
    [
        ("d-bp1x", {"serialNumber": "other"}, "other"),
        ("d-bp1x", {}, "bp1x"),
        ("something", {}, ""),
    ],
)
def test_the_serial_number_is_the_published_one_or_the_disk_ids(
    volume_id: str, context: dict[str, str], serial: str
) -> None:
    assert disk_options.parse_serial(volume_id, context) == serial


def test_a_disk_without_serial_number_is_refused_with_a_way_out() -> None:
    with pytest.raises(errors.Precondition, match="snapshot"):
        disk_options.parse_serial("d-old", {"serialNumber": ""})


@pytest.mark.parametrize("serial", ["../vda", "a/b", "a*", "a b"])
def test_a_serial_number_is_never_a_path_or_a_pattern(serial: str) -> None:
    with pytest.raises(errors.InvalidField, match="serialNumber"):
        disk_options.parse_serial("d-1", {"serialNumber": serial})


@pytest.mark.parametrize(
    "text",
    [
        *("-F -m 0 -L named -I 512", "-N 1000 -i 8192 -T largefile", "-J size=16 -C 65536 -b 4096"),
        *(
            "-f -d agcount=4,su=64k,sw=2 -l size=64m -n ftype=1",
            "-i maxpct=5 -s size=4096 -K -d noalign",
        ),
        *(
            "-m reflink=1,crc=1 -b size=4096",
            "-U 0b0e7bb8-9b64-4b3a-a1e4-0f1e6a0d8f00 -E nodiscard",
        ),
    ],
)
def test_mkfs_options_shape_the_file_system(text: str) -> None:
    options = node_options.parse_filesystem(capability(), {"mkfsOptions": text})

    assert options.mkfs_options == tuple(text.split())

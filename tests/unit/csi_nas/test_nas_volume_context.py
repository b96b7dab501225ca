"""The keys of a volume's context and the client they lead to (Appendix G 39, 42)."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from csi.nas import clients, volume_context

STANDARD = "0a1b2c-abc12.cn-hangzhou.nas.aliyuncs.com"
EXTREME = "extreme-0a1b-abc12.cn-hangzhou.extreme.nas.aliyuncs.com"
CPFS = "cpfs-0a1b-abc12.cn-hangzhou.cpfs.aliyuncs.com"
Client = clients.Client


def parse(**keys: str) -> volume_context.NasVolume:
    return volume_context.parse({"server": "nfs", "path": "/a", **keys})


def test_a_plain_volume() -> None:
    volume = parse()

    assert volume.place.export == "nfs:/a"
    assert volume.client is Client.NFS
    assert (volume.mode, volume.read_ahead_kb, volume.loop) == (None, None, None)


def test_without_a_path_it_is_the_root() -> None:
    assert volume_context.parse({"server": "nfs"}).place.base == "/"


def test_keys_are_taken_in_any_letter_case() -> None:
    volume = volume_context.parse({"SERVER": "nfs", "Path": "/a", "MODE": "0750", "VERS": "4.1"})

    assert (volume.mode, volume.version) == (0o750, "4.1")


def test_one_key_in_two_cases_with_two_values_is_refused() -> None:
    with pytest.raises(errors.InvalidField, match=r"\[Server\] 'b' contradicts server 'a'"):
        volume_context.parse({"server": "a", "Server": "b"})


def test_keys_of_other_programs_are_left_alone() -> None:
    assert parse(**{"csi.storage.k8s.io/pod.name": "p", "theirs": ",\n"}) == parse()


SYS_CONFIG = {
    "static volumes": {"sysConfig": "bdi/read_ahead_kb=64"},
    "dynamic volumes of older controllers": {"sysConfigs": "bdi/read_ahead_kb=64"},
    "both": {"sysConfig": "bdi/read_ahead_kb=64", "sysConfigs": "bdi/read_ahead_kb=8"},
}


@pytest.mark.parametrize("keys", SYS_CONFIG.values(), ids=SYS_CONFIG.keys())
def test_both_spellings_of_sys_config_work(keys: dict[str, str]) -> None:
    assert parse(**keys).read_ahead_kb == 64


BAD = {
    "no server": ({"server": ""}, r"\[server\] is required"),
    "a server with a colon": ({"server": "nfs:/a"}, r"\[server\] 'nfs:/a' is not a server"),
    "two servers": ({"server": "a,b"}, r"\[server\]"),
    "a relative path": ({"path": "a"}, r"\[path\]"),
    "a path that leaves": ({"path": "/a/../.."}, r"\[path\]"),
    "root with a mode": ({"path": "/", "mode": "0755"}, r"\[mode\].*root"),
    "a mode in words": ({"mode": "u+rwx"}, r"\[mode\].*octal"),
    "a mode too long": ({"mode": "77777"}, r"\[mode\]"),
    "a mode type": ({"modeType": "all"}, r"\[modeType\].*non-recursive, recursive"),
    "another kernel setting": ({"sysConfig": "vm/swappiness=1"}, r"\[sysConfig\].*read_ahead_kb"),
    "the same in the other spelling": ({"sysConfigs": "bdi/x=1"}, r"\[sysConfigs\]"),
    "a mount type": ({"mountType": "fuse"}, r"\[mountType\].*losetup"),
    "skipmount": ({"mountType": "skipmount"}, "own disk"),
    "a protocol": ({"mountProtocol": "smb"}, r"\[mountProtocol\].*nfs, efc"),
    "a client": ({"useClient": "SmbClient"}, r"\[useClient\].*NFSClient, EFCClient"),
    "a file system type": ({"fileSystemType": "zfs"}, r"\[fileSystemType\].*standard"),
    "agent identity": ({"authType": "agent-identity"}, "agent identity is not supported"),
    "an image size": ({"mountType": "losetup", "loopImageSize": "1G"}, r"\[loopImageSize\]"),
    "a lock": ({"mountType": "losetup", "loopLock": "maybe"}, r"\[loopLock\]"),
    "an image through another client": (
        {"mountType": "losetup", "mountProtocol": "alinas"},
        r"\[mountType\].*alinas",
    ),
}


@pytest.mark.parametrize(("keys", "told"), BAD.values(), ids=BAD.keys())
def test_a_fault_names_key_value_and_what_is_allowed(keys: dict[str, str], told: str) -> None:
    with pytest.raises(errors.Invalid, match=told):
        parse(**keys)


def test_every_fault_is_told_at_once() -> None:
    keys = {"server": "a b", "path": "x", "mode": "rwx", "modeType": "y", "sysConfig": "z"}

    with pytest.raises(errors.Invalid) as caught:
        parse(**keys, mountProtocol="smb", sandboxId="s")

    for key in (*keys, "mountProtocol", "sandboxId"):
        assert f"[{key}]" in str(caught.value)


def test_a_missing_server_is_not_taken_for_a_root() -> None:
    with pytest.raises(errors.Invalid) as caught:
        parse(server="", mode="0755")

    assert "[mode]" not in str(caught.value)


LOOPS = {
    "as made": (
        {"loopImageSize": "1073741824"},
        volume_context.Loop(image_bytes=1 << 30, lock=True),
    ),
    "no lock": ({"loopLock": "false"}, volume_context.Loop(image_bytes=0, lock=False)),
}


@pytest.mark.parametrize(("keys", "loop"), LOOPS.values(), ids=LOOPS.keys())
def test_an_image_with_its_size_and_lock(keys: dict[str, str], loop: volume_context.Loop) -> None:
    assert parse(mountType="losetup", **keys).loop == loop


@given(
    st.dictionaries(
        st.sampled_from([*volume_context.TAKEN, *volume_context.TOLD]), st.text(max_size=12)
    )
)
def test_any_text_is_parsed_or_refused(context: dict[str, str]) -> None:
    try:
        volume = volume_context.parse(context)
    except errors.Invalid:
        return

    assert "," not in volume.place.host
    assert volume.place.base.startswith("/")


# The mount matrix of spec/csi-driver.md 3.7.
OPTIONS = ("vers=3", "noresvport")
OWNER = ("bindtag=pv-1", "client_owner=uid-1")
MATRIX = {
    "nothing said": (STANDARD, {}, Client.NFS, "nfs", OPTIONS),
    "nfs": (STANDARD, {"mountProtocol": "nfs"}, Client.NFS, "nfs", OPTIONS),
    "NFSClient": (CPFS, {"useClient": "NFSClient"}, Client.NFS, "nfs", OPTIONS),
    "useClient wins": (
        STANDARD,
        {"useClient": "NFSClient", "mountProtocol": "efc"},
        Client.NFS,
        "nfs",
        OPTIONS,
    ),
    "EFC on standard": (
        STANDARD,
        {"useClient": "EFCClient"},
        Client.EFC,
        "alinas",
        ("noresvport", "efc", *OWNER),
    ),
    "EFC on CPFS": (
        CPFS,
        {"useClient": "EFCClient"},
        Client.EFC,
        "alinas",
        ("noresvport", "efc", *OWNER, "protocol=nfs3"),
    ),
    "protocol efc on CPFS": (
        CPFS,
        {"mountProtocol": "efc"},
        Client.EFC,
        "alinas",
        ("noresvport", "efc", "protocol=efc", "net=tcp", "fstype=cpfs"),
    ),
    "native": (CPFS, {"useClient": "NativeClient"}, Client.CPFS_NATIVE, "cpfs", ("noresvport",)),
    "cpfs-native": (
        CPFS,
        {"mountProtocol": "cpfs-native"},
        Client.CPFS_NATIVE,
        "cpfs",
        ("noresvport",),
    ),
    "cpfs-nfs": (CPFS, {"mountProtocol": "cpfs-nfs"}, Client.CPFS_NFS, "cpfs-nfs", OPTIONS),
    "alinas": (STANDARD, {"mountProtocol": "alinas"}, Client.ALINAS, "alinas", OPTIONS),
    "the type may be told": (
        "10.0.0.1",
        {"mountProtocol": "cpfs-nfs", "fileSystemType": "cpfs"},
        Client.CPFS_NFS,
        "cpfs-nfs",
        OPTIONS,
    ),
}


def mounting(volume: volume_context.NasVolume) -> clients.Mounting:
    return clients.mounting(
        volume.client,
        source=volume.place.export,
        options=OPTIONS,
        volume_id="pv-1",
        pod_uid="uid-1",
        file_system_type=volume.file_system_type,
        by_protocol=volume.by_protocol,
        accesspoint=volume.accesspoint,
    )


@pytest.mark.parametrize(
    ("host", "keys", "client", "fs_type", "options"), MATRIX.values(), ids=MATRIX.keys()
)
def test_the_client_and_its_words(
    host: str, keys: dict[str, str], client: Client, fs_type: str, options: tuple[str, ...]
) -> None:
    volume = parse(server=host, **keys)
    made = mounting(volume)

    assert volume.client is client
    assert (made.fs_type, made.options) == (fs_type, options)
    assert made.source == f"{host}:/a"


def test_an_access_point_is_mounted_through_a_tunnel() -> None:
    context = {"accesspoint": "ap-1.0a1b2c.cn-hangzhou.nas.aliyuncs.com", "path": "/"}

    made = mounting(volume_context.parse(context))

    assert (made.client, made.options) == (Client.ALINAS, (*OPTIONS, "tls"))


MISMATCHES = {
    "EFC on extreme": ({"server": EXTREME, "useClient": "EFCClient"}, r"\[useClient\]"),
    "native on standard": ({"server": STANDARD, "useClient": "NativeClient"}, r"\[useClient\]"),
    "cpfs-nfs on standard": ({"server": STANDARD, "mountProtocol": "cpfs-nfs"}, "type cpfs"),
    "efc on an own server": ({"mountProtocol": "efc"}, "type unknown"),
    "access point with EFC": ({"accesspoint": "a", "useClient": "EFCClient"}, "access point"),
    "access point with cpfs": ({"accesspoint": "a", "mountProtocol": "cpfs"}, "access point"),
}


@pytest.mark.parametrize(("keys", "told"), MISMATCHES.values(), ids=MISMATCHES.keys())
def test_a_client_that_does_not_fit_is_refused(keys: dict[str, str], told: str) -> None:
    with pytest.raises(errors.InvalidField, match=told):
        parse(**keys)


@pytest.mark.parametrize("volume_id", ["a,b", "a b", "a\nb", "", "a=b", "x" * 129])
def test_a_volume_id_cannot_bring_an_option_along(volume_id: str) -> None:
    volume = parse(server=STANDARD, useClient="EFCClient")

    with pytest.raises(errors.InvalidField, match="volume_id"):
        clients.mounting(
            volume.client,
            source="s",
            options=OPTIONS,
            volume_id=volume_id,
            pod_uid="u",
            file_system_type="standard",
            by_protocol=False,
            accesspoint=False,
        )


def test_the_elastic_client_needs_the_pods_uid() -> None:
    volume = dataclasses.replace(parse(server=STANDARD, useClient="EFCClient"))

    with pytest.raises(errors.InvalidField, match="podInfoOnMount"):
        clients.mounting(
            volume.client,
            source="s",
            options=OPTIONS,
            volume_id="v",
            pod_uid="",
            file_system_type="standard",
            by_protocol=False,
            accesspoint=False,
        )

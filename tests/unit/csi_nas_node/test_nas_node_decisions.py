"""Decisions of the node half (Appendix G 40, 41), and what it makes of others' words."""

import os
import pathlib

import pytest

from core import errors, settings
from csi.nas import clients, server, volume_context
from csi.nas.node import healing, loop_lock, mounter, node_requests, publish
from csi.nas.node import settings as node_settings
from csi.node import network_mounts
from host import looks, mount_broker, mountinfo, nfs

Claim = loop_lock.Claim
Remedy = healing.Remedy
PATH = pathlib.Path("/target")
OTHERS = "node-b:10.0.0.2"

# Appendix G 41, first half: the lock of an image.
CLAIMS = {
    "nobody has it": ("", "", True, Claim.TAKE),
    "nobody has it, no server locks": ("", "", False, Claim.TAKE),
    "ours, after a crash": ("node-a:10.0.0.1", "", False, Claim.TAKE),
    "ours, with another address": ("node-a:10.0.0.9", "", True, Claim.TAKE),
    "a dead node's, whose lock the server dropped": (OTHERS, OTHERS, True, Claim.TAKE_OVER),
    "another's that never locks at the server": (OTHERS, "", True, Claim.REFUSE),
    "another's, whose lease is of somebody else": (OTHERS, "node-c:10.0.0.3", True, Claim.REFUSE),
    "another's, and we have no server locks": (OTHERS, OTHERS, False, Claim.REFUSE),
    "a longer name is another node": ("node-a2:10.0.0.1", "", True, Claim.REFUSE),
    "no address": ("node-b", "", True, Claim.REFUSE),
}


@pytest.mark.parametrize(("owner", "leased", "locks", "claim"), CLAIMS.values(), ids=CLAIMS.keys())
def test_a_lock_is_taken_only_with_proof(
    owner: str, leased: str, locks: bool, claim: Claim
) -> None:
    chosen = loop_lock.choose_claim(owner=owner, leased=leased, node="node-a", server_locks=locks)

    assert chosen is claim


@pytest.mark.parametrize("name", [loop_lock.OWNER, loop_lock.LEASED])
@pytest.mark.parametrize("planted", ["link", "pipe", "directory"])
def test_what_others_put_in_the_place_of_an_owners_file_is_neither_read_nor_waited_for(
    tmp_path: pathlib.Path, name: str, planted: str
) -> None:
    of_the_node = tmp_path / "private"
    of_the_node.write_text("a key of the node")
    image = tmp_path / "image"
    image.mkdir()
    {
        "link": lambda: (image / name).symlink_to(of_the_node),
        "pipe": lambda: os.mkfifo(image / name),
        "directory": (image / name).mkdir,
    }[planted]()

    with pytest.raises(errors.Precondition, match="not a regular file") as caught:
        loop_lock.claim(image, node="node-a", address="10.0.0.1", server_locks=True)

    assert "key" not in str(caught.value)
    assert of_the_node.read_text() == "a key of the node"


def test_claiming_writes_what_the_reference_reads_and_releasing_removes_it(
    tmp_path: pathlib.Path,
) -> None:
    loop_lock.claim(tmp_path, node="node-a", address="10.0.0.1", server_locks=True)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    with pytest.raises(loop_lock.ImageInUse, match=r"node-a:10\.0\.0\.1"):
        loop_lock.claim(tmp_path, node="node-b", address="10.0.0.2", server_locks=False)
    loop_lock.release(tmp_path, node="node-b")
    kept = loop_lock.read(tmp_path / loop_lock.OWNER)
    loop_lock.claim(tmp_path, node="node-b", address="10.0.0.2", server_locks=True)
    taken = loop_lock.read(tmp_path / loop_lock.OWNER)
    loop_lock.release(tmp_path, node="node-b")

    assert set(written) == {loop_lock.OWNER, loop_lock.LEASED}
    assert set(written.values()) == {"node-a:10.0.0.1"}
    assert (kept, taken) == ("node-a:10.0.0.1", "node-b:10.0.0.2")
    assert list(tmp_path.iterdir()) == []


REMEDIES = {
    "well": (None, False, False, Remedy.KEEP),
    "stale": (nfs.StaleMount("x"), True, False, Remedy.REPLACE),
    "stale, server away": (nfs.StaleMount("x"), False, False, Remedy.REPLACE),
    "silent server": (nfs.SilentMount("x"), False, False, Remedy.WAIT),
    "silent, but its port answers": (nfs.SilentMount("x"), True, False, Remedy.WAIT),
    "the name leads elsewhere now": (nfs.SilentMount("x"), False, True, Remedy.REPLACE),
    "errors while the server is away": (nfs.BrokenMount("x"), False, False, Remedy.WAIT),
    "errors though the server answers": (nfs.BrokenMount("x"), True, False, Remedy.REPLACE),
}


@pytest.mark.parametrize(
    ("ill", "server_answers", "has_moved", "remedy"), REMEDIES.values(), ids=REMEDIES.keys()
)
def test_a_mount_is_replaced_only_when_it_cannot_come_back(
    ill: errors.Error | None, server_answers: bool, has_moved: bool, remedy: Remedy
) -> None:
    assert healing.choose_remedy(ill, server_answers=server_answers, has_moved=has_moved) is remedy


MOUNT_WORDS = {
    "no directory": ("mounting a:/b failed, reason given by server: No such file or directory",
                     nfs.NoSuchDirectory),
    "no access": ("mount.nfs: access denied by server while mounting a:/b", nfs.AccessDenied),
    "no name": ("mount.nfs: Failed to resolve server a: Name or service not known",
                errors.Unavailable),
    "refused": ("mount.nfs: Connection refused", nfs.NoAnswer),
    "silence": ("mount.nfs: Connection timed out", nfs.NoAnswer),
    "no route": ("mount.nfs: No route to host", nfs.NoAnswer),
    "no version": ("mount.nfs: Protocol not supported", nfs.WrongVersion),
    "no client": ("mount: unknown filesystem type 'nfs'", errors.Precondition),
}  # fmt: skip


@pytest.mark.parametrize(("said", "kind"), MOUNT_WORDS.values(), ids=MOUNT_WORDS.keys())
def test_the_words_of_mount_become_an_error_with_what_to_do(
    said: str, kind: type[errors.Error]
) -> None:
    refusal = nfs.refusal("a:/b", said)

    assert type(refusal) is kind
    assert "a:/b cannot be mounted" in str(refusal)
    assert said in str(refusal)


def test_other_words_of_mount_stay_as_they_are() -> None:
    assert nfs.refusal("a:/b", "mount.nfs: something new") is None


BROKER_WORDS = {
    "EFC": ("Failed to bind mount", nfs.NoSuchDirectory),
    "no directory": ("mount.nfs: No such file or directory", nfs.NoSuchDirectory),
    "no access": ("access denied by server while mounting", nfs.AccessDenied),
    "silence": ("Connection timed out", nfs.NoAnswer),
    "no helper": ("Fail: unknown filesystem type 'alinas'", mount_broker.BrokerFailed),
}


@pytest.mark.parametrize(("said", "kind"), BROKER_WORDS.values(), ids=BROKER_WORDS.keys())
def test_the_words_of_a_broker_become_an_error(said: str, kind: type[errors.Error]) -> None:
    assert type(mount_broker.refusal("a:/b", said)) is kind


def mount(
    fs_type: str = "nfs4",
    source: str = "nfs:/a",
    options: tuple[str, ...] = ("rw", "relatime"),
    super_options: tuple[str, ...] = ("rw", "vers=4.1", "addr=10.0.0.1"),
) -> mountinfo.Mount:
    return mountinfo.Mount(
        mount_id=1,
        parent_id=0,
        device="0:50",
        root="/",
        mount_point="/target",
        options=options,
        fs_type=fs_type,
        source=source,
        super_options=super_options,
    )


def wanted(host: str = "nfs", base: str = "/a", *options: str) -> node_requests.Publishing:
    volume = volume_context.parse({"server": host, "path": base})
    mounting = clients.Mounting(
        client=clients.Client.NFS,
        source=volume.place.export,
        fs_type="nfs",
        options=("vers=4.1", *options),
    )
    return node_requests.Publishing(
        volume_id="v",
        target_path=PATH,
        volume=volume,
        mounting=mounting,
        read_only=mounting.read_only,
        exclusive=False,
    )


DIFFERENCES = {
    "the same": (mount(), wanted(), ""),
    "a root": (mount(source="nfs:/"), wanted("nfs", "/"), ""),
    "a slash at the end": (mount(source="nfs:/a/"), wanted(), ""),
    "IPv6": (mount(source="[fd00::1]:/a"), wanted("fd00::1"), ""),
    "another server": (mount(source="other:/a"), wanted(), "it is other:/a"),
    "another directory": (mount(source="nfs:/b"), wanted(), "it is nfs:/b"),
    "another file system": (mount(fs_type="tmpfs"), wanted(), "its file system is tmpfs"),
    "writable": (mount(), wanted("nfs", "/a", "ro"), "it is writable"),
    "read-only": (mount(options=("ro",)), wanted(), "it is read-only"),
    "nosuid is missing": (mount(), wanted("nfs", "/a", "nosuid"), "it lacks nosuid"),
    "noexec is too much": (mount(options=("rw", "noexec")), wanted(), "it has noexec"),
}


@pytest.mark.parametrize(("there", "want", "why"), DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_what_is_mounted_is_compared_with_what_is_wanted(
    there: mountinfo.Mount, want: node_requests.Publishing, why: str
) -> None:
    assert publish.difference(there, want) == why


LOCKS = {
    "NFS 4": (mount(), True),
    "NFS 4, local": (mount(super_options=("local_lock=all",)), False),
    "NFS 3 without locks": (mount("nfs", super_options=("vers=3", "nolock")), False),
    "NFS 3": (mount("nfs", super_options=("vers=3", "local_lock=none")), True),
    "NFS 3, local flock": (mount("nfs", super_options=("vers=3", "local_lock=flock")), False),
}


@pytest.mark.parametrize(("there", "locks"), LOCKS.values(), ids=LOCKS.keys())
def test_where_locks_reach_the_server(there: mountinfo.Mount, locks: bool) -> None:
    assert loop_lock.has_server_locks(there) is locks


OWN = {
    "NFS": (mount(), True),
    "an image": (mount("ext4", "/dev/loop3"), True),
    "a TLS tunnel": (mount(source="127.0.1.1:/a"), False),
    "a tunnel by name": (mount(source="localhost:/a"), False),
    "FUSE": (mount("fuse.efc", "efc"), False),
}


@pytest.mark.parametrize(("there", "own"), OWN.values(), ids=OWN.keys())
def test_whose_mount_it_is(there: mountinfo.Mount, own: bool) -> None:
    assert network_mounts.is_own(there) is own


def test_the_address_of_a_mount_is_the_kernels() -> None:
    assert healing.address_of(mount()) == "10.0.0.1"
    assert healing.address_of(mount(super_options=("rw",))) == ""


def test_a_client_that_the_node_lacks_is_refused_with_what_to_do(tmp_path: pathlib.Path) -> None:
    told = node_settings.NodeSettings(
        kubelet_root=tmp_path,
        work_dir=tmp_path,
        proxy_socket=tmp_path / "proxy",
        connector_socket=tmp_path / "connector",
    )
    want = clients.Mounting(
        client=clients.Client.EFC, source="a:/b", fs_type="alinas", options=("efc",)
    )

    with pytest.raises(errors.Precondition, match=r"connector.*mountProtocol nfs"):
        mounter.Mounter(told, None, looks.Looks()).mount(  # type: ignore[arg-type]
            want, server.Place(host="a", base="/b"), tmp_path / "t", tag="v", create=True, key=None
        )


def test_settings_have_defaults_and_every_fault_is_told() -> None:
    good = settings.Reader({"NAS_ALLOW_MOUNT_OPTIONS": "context, fscontext"})
    bad = settings.Reader(
        {"NAS_ALLOW_MOUNT_OPTIONS": "a=b", "NAS_CONNECTOR_SOCKET": "x", "NAS_PORT_CHECK": "maybe"}
    )

    told = node_settings.read_node(good, "nas")
    node_settings.read_node(bad, "nas")

    assert good.faults == []
    assert told.more_options == {"context", "fscontext"}
    assert (told.check_port, told.serve_stats, told.losetup) == (True, True, True)
    assert len(bad.faults) == 3

"""Volumes of other clients through a mount proxy, and images: made, shared, grown, repaired.

The proxy serves directories of this machine; NFS itself is in tests/lab.
"""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import time

import pytest

from core import errors
from csi._pb import csi_pb2 as pb
from csi.nas import roots, volume_context
from csi.nas.node import loop_lock, loop_volume, modes, mounter, node_requests, publish
from csi.nas.node import settings as node_settings
from csi.node import at_path
from host import looks, loop, loop_lease, mountinfo, mounts, nfs, run
from tests.fakes import fake_kubernetes
from tests.support import mount_proxy

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts and loop devices"),
]

CPFS = "cpfs-0a1b-abc12.cn-hangzhou.cpfs.aliyuncs.com"
STANDARD = "0a1b2c-abc12.cn-hangzhou.nas.aliyuncs.com"
MIB = 1 << 20
EFC = {"useClient": "EFCClient", volume_context.POD_UID: "uid-1"}
LOOP = volume_context.Loop(image_bytes=32 * MIB, lock=True)


@pytest.fixture
def settings(tmp_path):
    root = tmp_path / "kubelet"
    root.mkdir()
    return node_settings.NodeSettings(
        kubelet_root=root,
        work_dir=root / "csi-plugins/nas/node",
        check_port=False,
        proxy_socket=tmp_path / "proxy.sock",
        connector_socket=tmp_path / "connector.sock",
    )


@pytest.fixture
def served(tmp_path):
    """What the server has; a file system that can be shared and locked."""
    path = tmp_path / "served"
    path.mkdir()
    mounts.mount("tmpfs", path, fs_type="tmpfs")
    yield path
    mounts.ensure_unmounted(path)


@pytest.fixture
def proxy(settings, served):
    made = mount_proxy.MountProxy(settings.proxy_socket, served)
    yield made
    if made.path.exists():
        made.close()


class Node:
    """The node half of *settings* without gRPC."""

    def __init__(self, settings, node_id="node-a"):
        self.settings = settings
        self.looks = looks.Looks()
        self.mounter = mounting = mounter.Mounter(
            settings, roots.Roots(settings.work_dir), self.looks
        )
        self.loops = loop_volume.LoopVolumes(settings, mounting, node_id)
        self.modes = modes.Modes(settings.work_dir)
        self._publisher = publish.Publisher(
            settings,
            mounting=mounting,
            loops=self.loops,
            changing=self.modes,
            recorder=fake_kubernetes.silent_recorder(),
        )

    def close(self):
        self.modes.close()
        self.looks.close()

    def wanted(self, pod="pod", *, loop=None, readonly=False, secrets=None, **context):
        target = self.settings.kubelet_root / "pods" / pod / "mount"
        target.parent.mkdir(parents=True, exist_ok=True)
        request = pb.NodePublishVolumeRequest(
            volume_id="v",
            target_path=str(target),
            volume_context=context,
            readonly=readonly,
            secrets=secrets or {},
            volume_capability=pb.VolumeCapability(
                mount={}, access_mode={"mode": "MULTI_NODE_MULTI_WRITER"}
            ),
        )
        want = node_requests.parse_publish(request, self.settings)
        if loop is None:
            return want
        # Only NFS serves images, which is not here: the image's directory is mounted for writing.
        words = tuple(word for word in want.mounting.options if word != "ro")
        return dataclasses.replace(
            want,
            volume=dataclasses.replace(want.volume, loop=loop),
            mounting=dataclasses.replace(want.mounting, options=words),
        )

    def publish(self, *args, **kwargs):
        want = self.wanted(*args, **kwargs)
        self._publisher.publish(want)
        return want.target_path

    def unpublish(self, target):
        self._publisher.unpublish(at_path.AtPath(volume_id="v", path=target))


@pytest.fixture
def node(settings, proxy):
    made = Node(settings)
    yield made
    made.close()
    left = [m.mount_point for m in mountinfo.read() if str(settings.kubelet_root) in m.mount_point]
    for path in reversed(left):
        mounts.ensure_unmounted(path)
    assert left == []


# Appendix G 40: a missing directory is made through the server's root, for each client.
CLIENTS = {
    "EFC on standard": (STANDARD, "/a/b", EFC, f"{STANDARD}:/"),
    "EFC on CPFS": (CPFS, "/share/a/b", EFC, f"{CPFS}:/share"),
    "CPFS over NFS": (CPFS, "/share/a/b", {"mountProtocol": "cpfs-nfs"}, f"{CPFS}:/share"),
    "native": (CPFS, "/share/a/b", {"mountProtocol": "cpfs-native"}, f"{CPFS}:/share"),
}


@pytest.mark.parametrize(("host", "path", "keys", "root"), CLIENTS.values(), ids=CLIENTS.keys())
def test_a_missing_directory_is_made_through_the_root(  # noqa: PLR0917  # fixtures
    host, path, keys, root, node, proxy, served
):
    (served / "share").mkdir()

    target = node.publish(server=host, path=path, mode="0750", **keys)
    sources = [asked["body"]["source"] for asked in proxy.asked if "source" in asked["body"]]
    (target / "file").write_text("kept")
    again = node.publish(server=host, path=path, mode="0750", **keys)
    node.unpublish(target)

    assert sources == [f"{host}:{path}", root, f"{host}:{path}"]
    assert again == target
    assert (served / path[1:] / "file").read_text() == "kept"
    assert (served / path[1:]).stat().st_mode & 0o7777 == 0o750
    assert not target.exists()
    assert proxy.managed == set()
    assert list(node.settings.work_dir.iterdir()) == []


def test_a_reader_makes_no_directory(node, served):
    with pytest.raises(nfs.NoSuchDirectory, match="Failed to bind mount"):
        node.publish(server=STANDARD, path="/a", readonly=True, **EFC)

    assert list(served.iterdir()) == []
    assert list((node.settings.kubelet_root / "pods/pod").iterdir()) == []


# Appendix G 42, its end: an unmount goes on when the program that mounted is down.
def test_without_its_proxy_a_volume_is_unmounted_here(node, proxy, served):
    (served / "a").mkdir()
    target = node.publish(server=STANDARD, path="/a", **EFC)

    proxy.close()
    node.unpublish(target)

    assert not target.exists()


def test_the_elastic_client_is_told_whose_volume_it_is(node, proxy, served):
    (served / "a").mkdir()

    node.unpublish(node.publish(server=STANDARD, path="/a", **EFC))

    body = proxy.asked[0]["body"]
    assert body["fstype"] == "alinas"
    assert {"efc", "bindtag=v", "client_owner=uid-1"} <= set(body["options"])


def image_context():
    return {"server": STANDARD, "path": "/image", **EFC}


def test_an_image_is_made_once_shared_by_pods_and_freed_by_the_last(node, served, settings):
    one = node.publish("one", loop=LOOP, **image_context())
    two = node.publish("two", loop=LOOP, **image_context())
    (one / "file").write_text("kept")
    seen = (two / "file").read_text()
    owner = (served / "image" / loop_lock.OWNER).read_text()
    node.unpublish(one)
    still = loop_lease.find(
        settings.work_dir / next(iter(settings.work_dir.iterdir())) / loop_lock.IMAGE
    )
    node.unpublish(two)
    three = node.publish("three", loop=LOOP, readonly=True, **image_context())
    with pytest.raises(OSError, match="Read-only"):
        (three / "other").touch()
    again = (three / "file").read_text()
    node.unpublish(three)

    assert seen == again == "kept"
    assert owner.startswith("node-a:")
    assert still is not None
    assert [path.name for path in (served / "image").iterdir()] == [loop_lock.IMAGE]
    assert list(settings.work_dir.iterdir()) == []


def test_a_reader_beside_a_writer_of_one_image_cannot_write(node):
    writer = node.publish("writer", loop=LOOP, **image_context())
    (writer / "file").write_text("seen")
    reader = node.publish("reader", loop=LOOP, readonly=True, **image_context())
    seen = (reader / "file").read_text()
    with pytest.raises(OSError, match="Read-only"):
        (reader / "other").touch()
    node.publish("reader", loop=LOOP, readonly=True, **image_context())
    (writer / "more").touch()
    node.unpublish(writer)
    node.unpublish(reader)

    assert seen == "seen"


def test_a_writer_beside_a_reader_of_one_image_is_refused_and_not_made_a_reader(node):
    node.unpublish(node.publish("first", loop=LOOP, **image_context()))
    reader = node.publish("reader", loop=LOOP, readonly=True, **image_context())

    with pytest.raises(errors.Precondition, match="read-only by another pod"):
        node.publish("writer", loop=LOOP, **image_context())

    node.unpublish(reader)
    node.unpublish(node.publish("writer", loop=LOOP, **image_context()))


def test_an_image_whose_directory_is_ill_is_not_grown(node, monkeypatch):
    target = node.publish("one", loop=LOOP, **image_context())
    there = mountinfo.mounts_at(target)[-1]
    image = loop_lease.backing_file(there.source)
    ill = nfs.SilentMount("its server does not answer")
    with monkeypatch.context() as silent:
        silent.setattr(
            node.mounter, "read_illness", lambda path: ill if path == image.parent else None
        )
        with pytest.raises(nfs.SilentMount):
            node.loops.expand(there, 64 * MIB)

    assert image.stat().st_size == LOOP.image_bytes
    node.unpublish(target)


def test_a_mode_that_could_not_be_set_leaves_no_mount_behind(node, served, tmp_path, monkeypatch):
    (served / "a").mkdir()
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "chmod").symlink_to(shutil.which("false"))
    told = {"server": STANDARD, "path": "/a", "mode": "0700", **EFC}
    with monkeypatch.context() as path:
        path.setenv("PATH", f"{broken}:{os.environ['PATH']}")
        for _ in range(2):
            with pytest.raises(run.CommandFailed, match="chmod"):
                node.publish(**told)
    target = node.publish(**told)

    assert (served / "a").stat().st_mode & 0o777 == 0o700
    node.unpublish(target)


@pytest.mark.parametrize("kind", ["recursive", "non-recursive"])
def test_killed_between_a_mount_and_its_mode_the_mode_is_set_all_the_same(
    node, served, settings, monkeypatch, kind
):
    (served / "a").mkdir()
    (served / "a/file").touch(mode=0o600)
    told = {"server": STANDARD, "path": "/a", "mode": "0751", "modeType": kind, **EFC}
    with monkeypatch.context() as killed:
        # Nothing is undone, as after SIGKILL.
        killed.setattr(publish.Publisher, "_undo", lambda *_: None)
        killed.setattr(publish.Publisher, "_tune", raising)
        with pytest.raises(KeyboardInterrupt):
            node.publish(**told)
    started = Node(settings)
    started.modes.resume()
    target = started.publish(**told)
    wait_until(lambda: not list(settings.work_dir.glob("mode-*")))
    started.unpublish(target)
    started.close()

    modes_now = [path.stat().st_mode & 0o777 for path in (served / "a", served / "a/file")]
    assert modes_now == [0o751, 0o751 if kind == "recursive" else 0o600]


def raising(*_, **__):
    raise KeyboardInterrupt


def wait_until(told):
    until_s = time.monotonic() + 30.0
    while not told():
        assert time.monotonic() < until_s
        time.sleep(0.05)


def test_an_image_of_another_node_is_left_alone(node, served, settings):
    target = node.publish("one", loop=LOOP, **image_context())
    other = Node(dataclasses.replace(settings, work_dir=settings.work_dir / "b"), "node-b")

    with pytest.raises(loop_lock.ImageInUse, match="node-a"):
        other.publish("two", loop=LOOP, **image_context())
    node.unpublish(target)
    taken = other.publish("two", loop=LOOP, **image_context())
    other.unpublish(taken)
    other.close()


def test_a_path_that_shows_another_image_is_taken(node):
    target = node.publish("one", loop=LOOP, **image_context())

    with pytest.raises(errors.Exists, match="it is writable"):
        node.publish("one", loop=LOOP, readonly=True, **image_context())
    node.unpublish(target)


def fs_bytes(path):
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize


# Appendix G 41, second half: a failed expansion is noted, and repaired by the next mount.
def test_an_expansion_that_failed_is_noted_and_repaired_at_the_next_mount(
    node, served, tmp_path, monkeypatch
):
    target = node.publish("one", loop=LOOP, **image_context())
    there = mountinfo.mounts_at(target)[-1]
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "resize2fs").symlink_to(shutil.which("false"))
    with monkeypatch.context() as path:
        path.setenv("PATH", f"{broken}:{os.environ['PATH']}")
        with pytest.raises(run.CommandFailed, match="resize2fs"):
            node.loops.expand(there, 64 * MIB)
    noted = (served / "image" / "resize2fs_failed.txt").exists()
    node.unpublish(target)
    target = node.publish("one", loop=LOOP, **image_context())
    size = fs_bytes(target)
    same = node.loops.expand(mountinfo.mounts_at(target)[-1], 8 * MIB)
    node.unpublish(target)

    assert noted
    assert size > 48 * MIB
    assert same == 64 * MIB
    assert [path.name for path in (served / "image").iterdir()] == [loop_lock.IMAGE]


def test_links_beside_an_image_lead_to_no_file_of_the_node(node, served, tmp_path, monkeypatch):
    """Another volume of the same directory may put them there."""
    of_the_node = tmp_path / "private"
    of_the_node.write_text("of the node")
    target = node.publish("one", loop=LOOP, **image_context())
    there = mountinfo.mounts_at(target)[-1]
    image = served / "image" / loop_lock.IMAGE
    (served / "image/resize2fs_failed.txt").symlink_to(of_the_node)
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "resize2fs").symlink_to(shutil.which("false"))
    with monkeypatch.context() as path:
        path.setenv("PATH", f"{broken}:{os.environ['PATH']}")
        with pytest.raises(run.CommandFailed, match="resize2fs"):
            node.loops.expand(there, 64 * MIB)
    file = loop_lease.backing_file(there.source)
    image.rename(image.with_name("away"))
    image.symlink_to(of_the_node)
    with monkeypatch.context() as elsewhere:
        # Exchanged by another client of the server, the kernel here still tells the old name.
        elsewhere.setattr(loop_lease, "backing_file", lambda _: file)
        with pytest.raises(errors.Precondition, match="not a regular file"):
            node.loops.expand(there, 96 * MIB)
    image.with_name("away").replace(image)
    node.unpublish(target)

    assert of_the_node.read_text() == "of the node"


def test_an_image_that_is_no_file_system_of_ours_is_refused_and_kept(node, served):
    (served / "image").mkdir()
    image = served / "image" / loop_lock.IMAGE
    with image.open("wb") as file:
        file.truncate(400 * MIB)
    subprocess.run(["mkfs.xfs", "-q", image], check=True)
    before = image.read_bytes()[:4096]

    with pytest.raises(errors.Precondition, match="holds xfs, not ext4"):
        node.publish("one", loop=LOOP, **image_context())

    assert image.read_bytes()[:4096] == before
    assert loop.find(image) is None


def test_without_a_size_there_must_be_an_image(node, served):
    with pytest.raises(errors.Precondition, match="loopImageSize"):
        node.publish("one", loop=dataclasses.replace(LOOP, image_bytes=0), **image_context())

    assert [path.name for path in (served / "image").iterdir()] == []


def test_what_a_killed_process_left_is_removed_at_the_next_start(node, settings, served):
    left = settings.work_dir / "loop-0"
    left.mkdir(parents=True)
    mounts.bind(served, left, read_only=False)

    node.loops.clean_up()

    assert list(settings.work_dir.iterdir()) == []


def test_what_the_reference_mounted_is_unpublished(node, served):
    directory = pathlib.Path("/mnt/nasplugin.alibabacloud.com/uid-of-a-test/v")
    directory.mkdir(parents=True)
    target = node.settings.kubelet_root / "pods/pod/mount"
    target.mkdir(parents=True)
    try:
        mounts.bind(served, directory, read_only=False)
        with (directory / loop_lock.IMAGE).open("wb") as file:
            file.truncate(32 * MIB)
        (directory / loop_lock.OWNER).write_text("node-a:10.0.0.1")
        subprocess.run(["mkfs.ext4", "-q", "-F", directory / loop_lock.IMAGE], check=True)
        mounts.mount(loop.attach(directory / loop_lock.IMAGE), target, fs_type="ext4")

        node.unpublish(target)

        assert not directory.exists()
        assert [path.name for path in served.iterdir()] == [loop_lock.IMAGE]
        assert loop.find(served / loop_lock.IMAGE) is None
    finally:
        mounts.ensure_unmounted(target)
        mounts.ensure_unmounted(directory)
        shutil.rmtree(directory.parent, ignore_errors=True)


def test_a_lock_stays_while_an_image_out_of_sight_is_still_attached(node, served, settings):
    target = node.publish("one", loop=LOOP, **image_context())
    directory = next(iter(settings.work_dir.iterdir()))
    # As an unpublish does when the server is gone, and the kernel has not written everything back.
    stays = node.settings.kubelet_root / "stays"
    stays.mkdir()
    mounts.bind(target, stays, read_only=False)
    mounts.unmount(target)
    mounts.detach(directory)
    target.rmdir()
    directory.rmdir()

    with pytest.raises(loop_lock.ImageInUse, match="node-a"):
        node.publish("two", loop=LOOP, **image_context())
    kept = loop_lock.read(served / "image" / loop_lock.OWNER)
    mounts.unmount(stays)
    node.unpublish(node.publish("two", loop=LOOP, **image_context()))

    assert kept.startswith("node-a:")
    assert [path.name for path in (served / "image").iterdir()] == [loop_lock.IMAGE]


def test_a_directory_that_is_cleaned_up_is_not_mounted_meanwhile(node):
    directory = node.loops._directory("v")
    node.loops._enter(directory)

    with pytest.raises(errors.Busy, match="cleaned up"):
        node.publish("one", loop=LOOP, **image_context())
    node.loops._leave(directory)
    node.unpublish(node.publish("one", loop=LOOP, **image_context()))

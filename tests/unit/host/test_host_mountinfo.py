import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host import mountinfo

ESCAPED = {" ": "\\040", "\t": "\\011", "\n": "\\012", "\\": "\\134"}

names = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/,"), min_size=1, max_size=20
).filter(lambda name: not name.endswith("deleted"))
paths = st.lists(names, max_size=4).map(lambda parts: "/" + "/".join(parts))
words = st.text("abcdefghijklmnopqrstuvwxyz0123456789_.:=", min_size=1, max_size=12)
mounts = st.builds(
    mountinfo.Mount,
    mount_id=st.integers(1, 1 << 31),
    parent_id=st.integers(0, 1 << 31),
    device=st.builds("{}:{}".format, st.integers(0, 4095), st.integers(0, 1 << 20)),
    root=paths,
    mount_point=paths,
    options=st.lists(words, min_size=1, max_size=4).map(tuple),
    fs_type=words,
    source=st.one_of(paths, words),
    super_options=st.lists(words, min_size=1, max_size=4).map(tuple),
    deleted=st.booleans(),
    peer_group=st.integers(0, 3),
    masters=st.lists(st.integers(1, 3), max_size=2, unique=True).map(tuple),
)
optional = st.lists(st.sampled_from(["unbindable", "later:7", "more"]), max_size=2)


def escape(text):
    return "".join(ESCAPED.get(c, c) for c in text)


def line(mount, fields):
    """As the kernel writes it. Source: proc_pid_mountinfo(5), fs/proc_namespace.c."""
    root = escape(mount.root) + ("//deleted" if mount.deleted else "")
    shared = [f"shared:{mount.peer_group}"] if mount.peer_group else []
    kinds = zip(("master", "propagate_from"), mount.masters, strict=False)
    return " ".join(
        [
            str(mount.mount_id),
            str(mount.parent_id),
            mount.device,
            root,
            escape(mount.mount_point),
            ",".join(mount.options),
            *shared,
            *(f"{kind}:{group}" for kind, group in kinds),
            *fields,
            "-",
            mount.fs_type,
            escape(mount.source),
            ",".join(mount.super_options),
        ]
    )


@given(st.lists(st.tuples(mounts, optional), max_size=5))
def test_what_the_kernel_writes_is_read_back_whole(table):
    text = "".join(line(mount, fields) + "\n" for mount, fields in table)

    assert mountinfo.parse(text) == [mount for mount, _ in table]


def test_this_machines_own_table_is_understood():
    found = mountinfo.read()

    assert any(mount.mount_point == "/proc" and mount.fs_type == "proc" for mount in found)


def test_a_later_mount_at_the_same_path_is_the_visible_one():
    first = mountinfo.parse("30 1 8:1 / /mnt rw - ext4 /dev/sda1 rw\n")[0]
    second = dataclasses.replace(first, mount_id=31, device="8:2")

    assert mountinfo.mounts_at("/mnt/", [first, second]) == [first, second]
    assert mountinfo.mounts_of("8:2", [first, second]) == [second]


@pytest.mark.parametrize(
    "text",
    ["x", "30 1 8:1 / /mnt rw ext4 /dev/sda1 rw", "a b 8:1 / /mnt rw - ext4 /dev/sda1 rw", "- - -"],
)
def test_a_line_of_another_shape_is_an_error_that_shows_it(text):
    with pytest.raises(mountinfo.MalformedMountinfo, match="cannot understand"):
        mountinfo.parse(text)


@given(st.lists(st.tuples(mounts, optional), max_size=5), st.data())
def test_a_mount_is_found_among_others_as_if_all_were_read(table, data):
    text = "".join(line(mount, fields) + "\n" for mount, fields in table)
    some = [mount for mount, _ in table]
    points = [each.mount_point for each in some] + ["/"]
    devices = [each.device for each in some] + ["8:1"]
    point, device = data.draw(st.sampled_from(points)), data.draw(st.sampled_from(devices))

    seen = mountinfo.Table(text)

    assert mountinfo.mounts_at(point, seen) == mountinfo.mounts_at(point, some)
    assert mountinfo.mounts_of(device, seen) == mountinfo.mounts_of(device, some)
    assert list(seen) == some


def test_only_the_lines_that_are_looked_for_are_made_sense_of():
    seen = mountinfo.Table("odd\n20 1 8:1 / /a rw shared:1 - ext4 /dev/sda1 rw\nodd too")

    assert [each.mount_point for each in seen.at("/a")] == ["/a"]
    assert [each.mount_point for each in seen.of("8:1")] == ["/a"]
    assert seen.at("/") == seen.at("/b") == seen.of("/a") == []
    with pytest.raises(mountinfo.MalformedMountinfo, match="'odd'"):
        list(seen)


KUBELET_TWICE = """\
20 1 8:1 / / rw shared:1 - ext4 /dev/vda1 rw
21 20 8:16 / /var/lib/container rw shared:2 - ext4 /dev/vdb rw
22 20 8:16 /kubelet /var/lib/kubelet rw shared:2 - ext4 /dev/vdb rw
30 22 0:40 / /var/lib/kubelet/plugins/pv rw shared:3 - nfs4 a:/ rw
31 21 0:40 / /var/lib/container/kubelet/plugins/pv rw shared:3 - nfs4 a:/ rw
"""
"""As on a node of ACK: what is mounted below the one directory is below the other too."""


@pytest.mark.parametrize(
    ("more", "others"),
    [
        ("", []),
        (
            (
                "40 22 0:40 / /var/lib/kubelet/pods/1 rw shared:3 - nfs4 a:/ rw\n"
                "41 21 0:40 / /var/lib/container/kubelet/pods/1 rw shared:3 - nfs4 a:/ rw\n"
            ),
            [40, 41],
        ),
        ("40 22 0:40 /part /var/lib/kubelet/pods/1 rw shared:3 - nfs4 a:/part rw\n", [40]),
        ("40 22 0:41 / /var/lib/kubelet/pods/1 rw shared:4 - nfs4 b:/ rw\n", []),
        (
            # A directory of the node that a container sees below /host, and what is below that.
            (
                "40 20 8:16 /kubelet /host/kubelet rw master:2 - ext4 /dev/vdb rw\n"
                "41 40 0:40 / /host/kubelet/plugins/pv rw master:3 - nfs4 a:/ rw\n"
            ),
            [],
        ),
        (
            (
                "40 20 8:16 / /a rw shared:5 master:2 - ext4 /dev/vdb rw\n"
                "41 20 8:16 / /b rw master:5 - ext4 /dev/vdb rw\n"
                "42 41 0:40 / /b/kubelet/plugins/pv rw - nfs4 a:/ rw\n"
            ),
            [],
        ),
        (
            (
                "40 20 8:16 / /b rw master:9 propagate_from:2 - ext4 /dev/vdb rw\n"
                "41 40 0:40 / /b/kubelet/plugins/pv rw - nfs4 a:/ rw\n"
            ),
            [],
        ),
        (
            (
                "40 20 8:16 /kubelet /copy rw - ext4 /dev/vdb rw\n"
                "41 40 0:40 / /copy/plugins/pv rw shared:3 - nfs4 a:/ rw\n"
            ),
            [41],
        ),
        ("41 99 0:40 / /copy/plugins/pv rw shared:3 - nfs4 a:/ rw\n", [41]),
        ("41 22 0:40 / /copy/plugins/pv rw shared:3 - nfs4 a:/ rw\n", [41]),
    ],
    ids=[
        "alone",
        "a pod has it too",
        "a pod has a part of it",
        "another file system",
        "where only what comes from there is seen",
        "what comes from there by way of a group in between",
        "its group in between is hidden",
        "a copy that stays when it goes",
        "a copy whose parent is hidden",
        "a copy whose parent is elsewhere",
    ],
)
def test_a_mount_seen_at_two_paths_is_one_and_every_other_counts(more, others):
    text = KUBELET_TWICE + more
    one, two = mountinfo.parse(text)[3:5]

    assert [row.mount_id for row in mountinfo.others_of(one, mountinfo.Table(text))] == others
    assert [row.mount_id for row in mountinfo.others_of(two, mountinfo.parse(text))] == others


def test_a_directory_bound_to_itself_has_everything_twice_at_one_path():
    table = mountinfo.parse(
        "20 1 8:1 / / rw shared:1 - ext4 /dev/vda1 rw\n"
        "21 20 8:1 /kubelet /kubelet rw shared:1 - ext4 /dev/vda1 rw\n"
        "30 21 0:40 / /kubelet/pods/1 rw shared:3 - tmpfs a rw\n"
        "31 20 0:40 / /kubelet/pods/1 rw shared:3 - tmpfs a rw\n"
        "32 30 0:41 / /kubelet/pods/1 rw shared:4 - tmpfs b rw\n"
        "33 31 0:41 / /kubelet/pods/1 rw shared:4 - tmpfs b rw\n"
    )

    assert [mountinfo.others_of(mount, table) for mount in table[2:]] == [[], [], [], []]
    assert mountinfo.others_of(table[0], table) == [table[1]]

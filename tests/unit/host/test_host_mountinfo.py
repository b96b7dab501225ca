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
)
optional = st.lists(st.sampled_from(["shared:1", "master:2", "propagate_from:3", "unbindable"]))


def escape(text):
    return "".join(ESCAPED.get(c, c) for c in text)


def line(mount, fields):
    """As the kernel writes it. Source: proc_pid_mountinfo(5), fs/proc_namespace.c."""
    root = escape(mount.root) + ("//deleted" if mount.deleted else "")
    return " ".join(
        [
            str(mount.mount_id),
            str(mount.parent_id),
            mount.device,
            root,
            escape(mount.mount_point),
            ",".join(mount.options),
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

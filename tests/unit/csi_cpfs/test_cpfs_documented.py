"""docs/reference/cpfs.md names every parameter, key and setting, and no other."""

import re

from csi.cpfs import lustre, node_ids, volume_context
from csi.cpfs.controller import params
from csi.cpfs.controller import settings as controller_settings
from csi.cpfs.node import mount_options
from csi.cpfs.node import settings as node_settings
from tests.support import reference_page

PAGE = reference_page.Page("cpfs.md")
TEXT = PAGE.text
rows = PAGE.rows
PARITY = re.compile(r"same|better|differs|not in the reference")


def test_every_key_has_its_row_and_a_word_on_parity() -> None:
    tables = {
        "StorageClass parameters": params.KNOWN,
        "Keys of volume_context": volume_context.KNOWN,
        "Keys of publish_context": volume_context.PUBLISHED,
    }
    for title, known in tables.items():
        table = rows(title)
        assert set(table) == known, title
        assert all(PARITY.search(cells[-1]) for cells in table.values()), title


def test_every_kind_of_node_has_its_row() -> None:
    assert {name.partition(":")[0] for name in rows("Nodes")} == set(node_ids.Reach)


def test_the_options_are_told() -> None:
    for way, cells in rows("Mounting").items():
        told = cells[0].strip("`").split(",")
        options = mount_options.choose(
            (), network_type=way, target="cpfs-1.example", read_only=False
        )
        assert list(options[: len(told)]) == told
        assert f"`{','.join(options[-3:])}`" in TEXT
    assert all(f"`{name}`" in TEXT for name in mount_options.OURS)


def test_keys_of_the_old_driver_are_told() -> None:
    section = TEXT.partition("\n## cpfsplugin")[2]
    assert all(f"`{key}`" in section for key in lustre.KEYS)


def test_every_setting_is_told_with_its_default() -> None:
    reader = reference_page.Recorder()
    node_settings.read_node(reader, "cpfs")
    controller_settings.read_cpfs(reader)

    table = rows("Settings")
    assert set(table) == {*reader.asked, "KUBE_NODE_NAME"}
    for name, default in reader.asked.items():
        assert default in table[name][0], name

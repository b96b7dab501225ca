"""docs/reference/nas.md names every key, client, and setting of the node half, and no other."""

import re

from csi.nas import clients, mount_options, option_table, volume_context
from csi.nas.node import settings as node_settings
from tests.support import reference_page

PAGE = reference_page.Page("nas.md")
TEXT = PAGE.text
rows = PAGE.rows
PARITY = re.compile(r"same|better|refused|no effect", re.IGNORECASE)


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_key_of_a_volume_has_its_row_and_a_word_on_parity() -> None:
    table = rows("Keys of volume_context")

    known = {*volume_context.TAKEN, *volume_context.TOLD, *volume_context.REFUSED}
    assert set(table) == known
    assert all(PARITY.search(cells[-1]) for cells in table.values())
    assert all("refused" in table[key][-1] for key in volume_context.REFUSED)


def test_values_of_clients_are_told() -> None:
    table = rows("Keys of volume_context")

    for key, kind in (("mountProtocol", clients.Protocol), ("useClient", clients.UseClient)):
        assert set(re.findall(r"`([A-Za-z-]+)`", table[key][0])) >= {each for each in kind if each}


def test_the_defaults_of_options_are_told() -> None:
    text = section("Mount options")

    assert ",".join(mount_options.DEFAULTS_V3) in text
    assert ",".join(mount_options.DEFAULTS_V4) in text


def test_the_decisions_on_options_are_those_of_the_table() -> None:
    for first, cells in rows("Mount options").items():
        names = re.findall(r"`?([a-z_]+)(=[a-z0-9]+|=)?`?", first)
        for name, value in names:
            why = option_table.fault(f"{name}{value}", frozenset())
            assert bool(why) == (cells[0] == "refused"), name
    silent = next(cells for cells in rows("Mount options").items() if "`bg`" in f"`{cells[0]}`")
    assert set(re.findall(r"[a-z_]+", silent[0])) == option_table.SILENT


def test_every_setting_is_told() -> None:
    reader = reference_page.Recorder()
    node_settings.read_node(reader, "nas")

    table = rows("Settings")
    assert set(table) == {*reader.asked, "KUBE_NODE_NAME"}
    for name, default in reader.asked.items():
        assert default in table[name][0], name

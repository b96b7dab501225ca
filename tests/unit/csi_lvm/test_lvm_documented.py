"""docs/reference/lvm.md names every parameter and setting, and no other."""

import pkgutil
import re

from core import metrics
from core import settings as core_settings
from csi.lvm import old_volumes, params, snapshot_params, topology
from csi.lvm import settings as local_settings
from csi.lvm.node import taking_over
from csi.lvm.stores import logical
from csi.lvm.stores.logical import groups, new_groups, upkeep
from tests.fakes import noted_events
from tests.support import reference_page

PAGE = reference_page.Page("lvm.md")
rows = PAGE.rows
PARITY = re.compile(r"same|better|differs|not in the reference|as open-local")


def test_every_parameter_has_its_row_and_a_word_on_parity() -> None:
    tables = {
        "StorageClass parameters": params.KNOWN,
        "VolumeSnapshotClass parameters": snapshot_params.KNOWN,
    }
    for title, known in tables.items():
        table = rows(title)
        assert set(table) == known, title
        assert all(PARITY.search(cells[-1]) for cells in table.values()), title


def test_every_value_of_a_choice_is_told() -> None:
    table = rows("StorageClass parameters")
    choices = {
        "volumeType": params.VolumeType,
        "lvmType": params.LvmType,
        "mediaType": params.MediaType,
        "strategy": params.Strategy,
        "wipePolicy": params.Wipe,
    }
    for key, kind in choices.items():
        assert {f"`{each}`" for each in kind} <= set(re.findall(r"`[\w-]+`", table[key][0])), key
    assert all(f"`{name}`" in PAGE.text for name in params.REFUSED)


def test_every_setting_is_told_with_its_default() -> None:
    reader = reference_page.Recorder()
    local_settings.read(reader)
    topology.read(reader, node_id="", default_key=topology.HOSTNAME)

    table = rows("Settings")
    assert set(table) == set(reader.asked)
    for name, default in reader.asked.items():
        assert default in table[name][0], name


def test_every_metric_is_told_with_its_labels() -> None:
    registry = metrics.Metrics()
    config = local_settings.read(core_settings.Reader({}))
    there, recorder = groups.Groups(config), noted_events.NotedEvents()
    upkeep.Upkeep(config, there, registry, recorder)
    new_groups.NewGroups(config, there, registry, recorder)

    table = rows("Metrics")
    assert {name: cells[-1] for name, cells in table.items()} == registry.names()
    for cells in table.values():
        assert tuple(re.findall(r"`(\w+)`", cells[1])) == upkeep.POOL_LABELS


def test_every_module_of_logical_volumes_is_on_their_map() -> None:
    mapped = re.findall(r"^\| (\w+) \|", logical.__doc__ or "", re.MULTILINE)
    there = {each.name for each in pkgutil.iter_modules(logical.__path__)}

    assert set(mapped) - {"module"} == there


def section_of(title: str) -> str:
    """The text below *title*."""
    return PAGE.text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_what_makes_an_old_volume_and_what_forbids_it_is_told() -> None:
    section = section_of("Old PersistentVolumes")

    assert f'`{old_volumes.TO_BE_MADE}: "true"`' in section
    assert f"`{old_volumes.MADE_ON}`" in section
    assert f"`{old_volumes.TAKE_DEVICE}: " in section
    assert f"`{taking_over.MADE}`" in section
    for kind in set(params.VolumeType) | set(params.REFUSED):
        assert kind == params.VolumeType.LVM or f"`{kind}`" in section, kind


G_48 = (
    "create is idempotent", "striping count", "`protected` tag", "GC in two passes",
    "node deleted", "expand", "quota project", "loop template copy or mkfs",
)  # fmt: skip
OPEN_LOCAL = (
    "classes", "CRDs", "scheduling", "reserved room", "snapshots read-only", "snapshots to S3",
    "inline volumes", "flags", "raw block",
)  # fmt: skip


def test_every_point_of_the_reference_and_of_open_local_is_answered() -> None:
    section = section_of("Beside the reference and open-local")
    answered = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE))

    assert set(answered) - {"reference", "open-local"} == {*G_48, *OPEN_LOCAL}
    named = re.findall(r"`(tests/[\w/]+\.py)`", section)
    assert named
    assert all((reference_page.DOCS.parents[1] / name).exists() for name in named)

"""docs/reference/oss.md names every parameter, key, option and setting, and no other."""

import pathlib
import re

from core import settings
from csi.oss import client_options, volume_context
from csi.oss.controller import params
from csi.oss.node import settings as node_settings

TEXT = (pathlib.Path(__file__).parents[3] / "docs/reference/oss.md").read_text(encoding="utf-8")
PARITY = re.compile(r"same|better|differs|not in the reference")
OF_CONTROLLER = {"REGION_ID", "OSS_ENDPOINT"}


def rows(title: str) -> dict[str, list[str]]:
    """First code word of each row of the section's table → the other cells."""
    section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            found[cells[0].strip("`")] = cells[1:]
    return found


def test_every_key_has_its_row_and_a_word_on_parity() -> None:
    tables = {
        "StorageClass parameters": params.KNOWN,
        "Keys of volume_context": volume_context.KNOWN | set(volume_context.IGNORED),
    }
    for title, known in tables.items():
        table = rows(title)
        assert {key.lower() for key in table} == known, title
        assert all(PARITY.search(cells[-1]) for cells in table.values()), title


def test_what_is_refused_by_name_is_told() -> None:
    told = {word.lower() for word in re.findall(r"`(\w+)`", TEXT)}

    assert set(volume_context.REFUSED) <= told


def test_every_option_that_is_generated_is_told() -> None:
    for kind, options in client_options.DEFAULTS.items():
        assert f"`{','.join(options)}`" in TEXT, kind
    volume = volume_context.parse(
        {
            "bucket": "bucket", "url": "oss-cn-hangzhou.aliyuncs.com", "sigVersion": "v4",
            "encrypted": "aes256", "metricsTop": "10",
        }
    )  # fmt: skip
    made = client_options.plan(volume, read_only=True, flags=(), admin=(), imds="http://i")
    for option in made:
        assert option.partition("=")[0] in TEXT, option


def test_every_setting_is_told_with_its_default() -> None:
    asked: dict[str, str] = {}

    class Recorder(settings.Reader):
        def text(
            self, name: str, default: str = "", *, flag: str = "", secret: bool = False
        ) -> str:
            asked[name] = default
            return super().text(name, default, flag=flag, secret=secret)

    node_settings.read_node(Recorder({}))

    table = rows("Settings")
    assert set(table) == {*asked, "KUBE_NODE_NAME", *OF_CONTROLLER}
    for name, default in asked.items():
        assert default in table[name][0], name

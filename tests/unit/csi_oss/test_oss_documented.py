"""docs/reference/oss.md names every parameter, key, option and setting, and no other."""

import re

from cloud import settings as cloud_settings
from csi.oss import client_options, volume_context
from csi.oss.controller import params
from csi.oss.node import settings as node_settings
from tests.support import reference_page

PAGE = reference_page.Page("oss.md")
TEXT = PAGE.text
rows = PAGE.rows
PARITY = re.compile(r"same|better|differs|not in the reference")
OF_CONTROLLER = {"OSS_ENDPOINT"}


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
    assert set(volume_context.REFUSED) <= set(re.findall(r"`(\w+)`", TEXT))


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
    reader = reference_page.Recorder()
    node_settings.read_node(reader)

    of_the_cloud = reference_page.Recorder()
    cloud_settings.read_cloud(of_the_cloud)
    own = {name: text for name, text in reader.asked.items() if name not in of_the_cloud.asked}
    table = rows("Settings")
    assert set(table) == {*own, "KUBE_NODE_NAME", *OF_CONTROLLER}
    for name, default in own.items():
        assert default in table[name][0], name

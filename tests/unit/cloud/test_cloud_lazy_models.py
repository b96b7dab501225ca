"""SDK models one by one."""

import pathlib
import subprocess
import sys

from cloud import lazy_models

ROOT = pathlib.Path(__file__).parents[3]


def test_classes_are_found_in_the_packages_text() -> None:
    text = "# x\nfrom __future__ import annotations\n\nfrom ._a_request import ARequest\n"
    text += "__all__ = [\n    ARequest,\n    BRequest\n]\n"

    assert lazy_models.parse(text) == {"ARequest": "_a_request"}


def test_anything_unexpected_makes_it_stand_back() -> None:
    assert lazy_models.parse("from ._a import A\nimport os\n") == {}
    assert lazy_models.parse("from ._a import (\n    A,\n)\n") == {}


_PROGRAM = """
import sys
from cloud import lazy_models
name = "alibabacloud_ecs20140526"
print(lazy_models.install(name), lazy_models.install(name))
from alibabacloud_ecs20140526 import client, models
loaded = sum(n.startswith("alibabacloud_ecs20140526.models.") for n in sys.modules)
body = models.DescribeDisksResponseBody().from_map({"Disks": {"Disk": [{"DiskId": "d-1"}]}})
print(loaded, body.disks.disk[0].disk_id, len(models.__all__) > 1000)
print("CreateDiskRequest" in dir(models))
try:
    models.NoSuchThing
except AttributeError as e:
    print(e)
"""


def test_the_pinned_sdk_loads_no_model_before_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.splitlines() == [
        "True False",
        "0 d-1 True",
        "True",
        "module 'alibabacloud_ecs20140526.models' has no attribute 'NoSuchThing'",
    ]

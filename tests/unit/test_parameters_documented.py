"""Parameters of classes, and flags beside those of csi-plugin, are in docs/reference."""

import functools
import pathlib
import re
from collections.abc import Callable, Sequence

import pytest

from csi.cpfs.controller import params as cpfs_params
from csi.disk.controller import params as disk_params
from csi.lvm import params as lvm_params
from csi.lvm import snapshot_params
from csi.mounter import main as mounter_main
from csi.nas.controller import parse_params as nas_params
from ipamd import app as ipamd_app
from ipamd.cli import main as cli_main
from sim import app as sim_app

REFERENCE = pathlib.Path(__file__).parents[2] / "docs/reference"
CODE = re.compile(r"`([^`]+)`")
CATEGORIES = "### Categories"
"""Below it, the disks' page has tables of something else."""

KNOWN = {
    "disk": disk_params._FOR_US | disk_params._FOR_THE_NODE,
    "nas": frozenset().union(*nas_params.KNOWN.values()),
    "cpfs": cpfs_params.KNOWN,
    "lvm": lvm_params.KNOWN,
}
PREFIXED = re.compile(r"diskTags/<key>|csi\.storage\.k8s\.io/.*")


FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
SIM_COMMANDS = ("serve", "clean", "enter", "oidc-token")
Main = Callable[[Sequence[str]], int]


def sim_command(command: str, words: Sequence[str]) -> int:
    return sim_app.main([command, *words])


def first_column(text: str) -> set[str]:
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in CODE.findall(row)}


@pytest.mark.parametrize("page", KNOWN)
def test_every_parameter_of_a_storage_class_is_documented_and_no_other(page: str) -> None:
    text = (REFERENCE / f"{page}.md").read_text()
    section = text.split("## StorageClass parameters")[1].split("\n## ")[0].split(CATEGORIES)[0]
    told = {name for name in first_column(section) if not PREFIXED.fullmatch(name)}

    missing = KNOWN[page] - set(CODE.findall(section))
    assert missing == set()
    assert told <= KNOWN[page] | {"allowVolumeExpansion"}


def test_every_parameter_of_a_snapshot_class_of_local_volumes_is_documented() -> None:
    told = set(CODE.findall((REFERENCE / "lvm.md").read_text()))

    assert snapshot_params.KNOWN - told == set()


@pytest.mark.parametrize(
    ("main", "page"),
    [
        (mounter_main.main, "csi-mounter"),
        (ipamd_app.main, "ipamd"),
        (cli_main.main, "ipamd"),
        *((functools.partial(sim_command, each), "simulator") for each in SIM_COMMANDS),
    ],
    ids=["csi-mounter", "ipamd", "terway-cli", *SIM_COMMANDS],
)
def test_every_flag_is_documented(
    main: Main, page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (REFERENCE / f"{page}.md").read_text()
    with pytest.raises(SystemExit):
        main(["--help"])
    flags = set(FLAG.findall(capsys.readouterr().out)) - {"--help"}

    assert flags
    assert {flag for flag in flags if flag not in text} == set()

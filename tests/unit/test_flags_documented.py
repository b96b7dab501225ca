"""docs/reference/flags.md names every flag, variable and gate of the process, and no other."""

import argparse
import pathlib
import re

import pytest

from cloud import metadata, proxies
from cloud import settings as cloud_settings
from core import settings as core_settings
from csi import app, driver, flags, settings
from kube import settings as kube_settings

TEXT = (pathlib.Path(__file__).parents[2] / "docs/reference/flags.md").read_text(encoding="utf-8")
FLAG = re.compile(r"`--?([a-z][a-z0-9-]*)`")
VARIABLE = re.compile(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|KUBECONFIG)`")


class Recorder(core_settings.Reader):
    """Remembers every variable it was asked for."""

    def __init__(self, given: dict[str, str | None]) -> None:
        super().__init__({}, given)
        self.asked: set[str] = set()

    def text(self, name: str, default: str = "", *, flag: str = "", secret: bool = False) -> str:
        self.asked.update(filter(None, [name]))
        return super().text(name, default, flag=flag, secret=secret)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Variables that a process with every service reads."""
    for name in VARIABLE.findall(TEXT):
        monkeypatch.delenv(name, raising=False)
    arguments = flags.parse([f"--driver={','.join(driver.DRIVER_MODULES)}"])
    recorder = Recorder(dict(flags.values(arguments)))
    process = settings.read(arguments, recorder)
    app.Plugin(
        process, cloud_settings.read_cloud(recorder), kube_settings.read_kube(recorder), recorder
    )
    return (
        recorder.asked
        | set(metadata.EnvironmentProvider._VARIABLES.values())
        | {name for name in (*proxies._NAMES, "NO_PROXY") if name.isupper()}
    )


def test_every_variable_is_documented_and_no_other(asked: set[str]) -> None:
    assert set(VARIABLE.findall(TEXT)) == asked


def test_every_flag_is_documented_and_no_other() -> None:
    known = {
        option.lstrip("-")
        for action in flags.parser()._actions
        if action.help is not argparse.SUPPRESS
        for option in action.option_strings
    }

    assert set(FLAG.findall(TEXT)) == known - {"h"}


def test_every_feature_gate_is_documented() -> None:
    gates = TEXT.split("## Feature gates")[1]

    missing = [gate for gate in driver.feature_gates() if f"`{gate}`" not in gates]
    assert missing == []

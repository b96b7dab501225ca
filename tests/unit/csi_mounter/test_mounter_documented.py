"""docs/reference/csi-mounter.md names every flag, method, state and metric."""

import pathlib

from core import metrics
from csi.mounter import flags as mounter_flags
from csi.mounter import mounter, protocol, volume

TEXT = (pathlib.Path(__file__).parents[3] / "docs/reference/csi-mounter.md").read_text()


def test_every_flag_is_documented() -> None:
    flags = [flag for row in mounter_flags.parser()._actions for flag in row.option_strings]

    told = {flag for flag in flags if f"`{flag}" in TEXT or f", `{flag}" in TEXT}
    assert set(flags) - told == {"-h"}


def test_every_method_state_and_cause_is_documented() -> None:
    words = [*protocol._METHODS.split(", "), *volume.State, *volume.Reason]
    words += volume.EVENTS.values()

    assert [word for word in words if f"`{word}`" not in TEXT] == []


def test_every_metric_is_documented() -> None:
    measured = metrics.Metrics()
    settings = mounter.Settings(
        enabled=(), work_dir=pathlib.Path("/w"), roots=(), limits=volume.Limits()
    )
    mounter.Mounter(settings, measured)

    assert [name for name in measured.names() if f"`{name}`" not in TEXT] == []

"""The layout of --help."""

import argparse
import subprocess
import sys

import pytest

from core import help_text


@pytest.mark.parametrize(("columns", "widest"), [("60", 58), ("120", 118), ("odd", 78)])
def test_help_is_as_wide_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: str, widest: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(help_text.os, "get_terminal_size", _raise)
    parser = argparse.ArgumentParser(prog="x", formatter_class=help_text.HelpFormatter)
    parser.add_argument("--flag", help="word " * 100)

    lines = parser.format_help().splitlines()

    assert widest - len("word ") < max(map(len, lines)) <= widest


def _raise() -> None:
    raise OSError("no terminal")


@pytest.mark.parametrize("module", ["csi.flags", "csi.mounter.flags"])
def test_making_a_parser_loads_no_compressor(module: str) -> None:
    code = f"import sys, {module} as flags; flags.parser(); print('shutil' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"

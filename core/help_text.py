"""How `--help` is laid out, for processes that stay: argparse's own formatter loads half a MiB."""

import argparse
import os

_WIDTH = 80
_MARGIN = 2


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal. argparse makes one for each flag, though nobody asks for help."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - _MARGIN)


def _columns() -> int:
    """$COLUMNS, or the terminal's, without `shutil` and the compressors that it loads."""
    try:
        return int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        pass
    try:
        return os.get_terminal_size().columns or _WIDTH
    except OSError:
        return _WIDTH

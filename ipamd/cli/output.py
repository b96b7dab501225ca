"""Rows as text for people, or as JSON for programs."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]
_WIDTH = 100
_INDENT = " " * 9


def as_json(rows: Rows) -> str:
    """*rows* for programs."""
    return json.dumps(list(rows), indent=1) + "\n"


def findings(rows: Rows) -> str:
    """What was found, one below the other: sentences are too long for columns."""
    lines = []
    for row in rows:
        told = f"{row['severity']:7}  {row['subject']}: {row['message']}"
        lines += textwrap.wrap(told, _WIDTH, subsequent_indent=_INDENT, break_on_hyphens=False)
        if row["advice"]:
            lines += textwrap.wrap(
                f"-> {row['advice']}",
                _WIDTH,
                initial_indent=_INDENT,
                subsequent_indent=f"{_INDENT}   ",
                break_on_hyphens=False,
            )
    return "\n".join(lines) + "\n"


def table(rows: Rows) -> str:
    """*rows* in columns; all have the same keys."""
    if not rows:
        return "nothing there\n"
    heads = [key.upper().replace("_", " ") for key in rows[0]]
    cells = [heads, *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(heads))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join(lines) + "\n"

"""Rows as a table for people, or as JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def render(rows: Sequence[Mapping[str, Any]], *, json_output: bool) -> str:
    """*rows* as text; all have the same keys."""
    if json_output:
        return json.dumps(list(rows), indent=1) + "\n"
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

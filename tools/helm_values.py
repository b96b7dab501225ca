#!/usr/bin/env python3
"""Writes docs/reference/helm-values.md, which is made of the comments in the chart's values.yaml.

A comment that stands directly above a value is its text. A map whose values have comments is a
heading; one without is shown as a whole.
"""

import dataclasses
import json
import pathlib
import re
from typing import Any

import yaml

_ROOT = pathlib.Path(__file__).parents[1]
_VALUES = _ROOT / "deploy/helm/alibaba-cloud-k8s/values.yaml"
_PAGE = _ROOT / "docs/reference/helm-values.md"
_LINE = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z][A-Za-z0-9_]*):(?: (?P<value>.*))?")
_HEAD = """\
# Values of the Helm chart

Of `deploy/helm/alibaba-cloud-k8s`. Made by `tools/helm_values.py` from the comments in its
`values.yaml`; a test holds them together. A name that is not here is refused, as is a value of
another kind. How to install is told in [Install with Helm](../guides/install-with-helm.md).
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """path: keys with dots between. text: its comment, "" = none. is_map: others are in it."""

    path: str
    text: str
    is_map: bool


def parse(text: str) -> list[Value]:
    """Values in the order of the file, maps before what is in them.

    Lists and maps in one line are values; what stands below a value that is no map of commented
    ones belongs to it.
    """
    found: list[Value] = []
    comment: list[str] = []
    above: list[tuple[int, str]] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
            continue
        match = _LINE.fullmatch(line)
        if match is None or not _is_ours(above, len(match["indent"]), comment):
            comment = []
            continue
        indent = len(match["indent"])
        above = [each for each in above if each[0] < indent]
        above.append((indent, match["key"]))
        following = lines[number + 1].strip() if number + 1 < len(lines) else ""
        found.append(
            Value(
                path=".".join(key for _, key in above),
                text=" ".join(comment),
                is_map=not match["value"] and following.startswith("#"),
            )
        )
        comment = []
    return found


def _is_ours(above: list[tuple[int, str]], indent: int, comment: list[str]) -> bool:
    """Whether a line is a value of its own: it has a comment, or is where commented ones are."""
    return bool(comment) or indent in {each for each, _ in above} or indent == 0


def page(text: str) -> str:
    """The page for a values.yaml."""
    plain = yaml.safe_load(text)
    lines = [_HEAD.rstrip()]
    for each in parse(text):
        meaning = each.text.replace("|", "\\|")
        if "." not in each.path:
            lines += ["", f"## {each.path}", "", each.text, ""]
            lines += ["| value | default | meaning |", "|---|---|---|"]
        elif each.is_map:
            lines.append(f"| **`{each.path}`** | | {meaning} |")
        else:
            default = json.dumps(_at(plain, each.path)).replace("|", "\\|")
            lines.append(f"| `{each.path}` | `{default}` | {meaning} |")
    return "\n".join(lines) + "\n"


def _at(plain: Any, path: str) -> Any:
    for key in path.split("."):
        plain = plain[key]
    return plain


if __name__ == "__main__":
    _PAGE.write_text(page(_VALUES.read_text()))

"""docs/reference/events.md has every event that our programs post, with its type, and no other."""

import ast
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
TYPES = {"warn": "Warning", "warn_node": "Warning", "note": "Normal", "note_node": "Normal"}


def posted() -> set[tuple[str, str]]:
    """(reason, type) of each call of a recorder. A reason is a literal or a constant beside it."""
    found: set[tuple[str, str]] = set()
    for package in ("csi", "ipamd"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text())
            constants = {
                target.id: node.value.value
                for node in tree.body
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            for node in ast.walk(tree):
                match node:
                    case ast.Call(func=ast.Attribute(attr=str(attr), value=value), args=args) if (
                        attr in TYPES and "events" in ast.unparse(value)
                    ):
                        reason = args[0 if attr.endswith("_node") else 1]
                        text = (
                            reason.value
                            if isinstance(reason, ast.Constant)
                            else constants[ast.unparse(reason)]
                        )
                        found.add((str(text), TYPES[attr]))
    return found


def test_every_event_has_its_row_and_every_row_its_event() -> None:
    rows = set()
    page = (ROOT / "docs/reference/events.md").read_text()
    ours, _, _ = page.partition("\nOf failed calls kubelet and the sidecars tell")
    for line in ours.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and cells[1] in TYPES.values():
            rows.add((cells[0].strip("`"), cells[1]))

    assert rows == posted()

"""docs/reference/ram-actions.md has every action that our code calls, and no other."""

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]


def called() -> set[str]:
    """`product:Action` of each call: `….call(openapi.ECS, "CreateDisk", …)` and its helpers.

    A helper takes the action as its first argument, and calls the product that its module names.
    """
    found: set[str] = set()
    for path in sorted((ROOT / "cloud").glob("*.py")):
        tree = ast.parse(path.read_text())
        products = {
            node.attr.lower()
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and ast.unparse(node.value) == "openapi"
            and node.attr.isupper()
        }
        for node in ast.walk(tree):
            match node:
                case ast.Call(args=[ast.Attribute(attr=product), ast.Constant(value=action), *_]):
                    if product.lower() in products:
                        found.add(f"{product.lower()}:{action}")
                case ast.Call(
                    func=ast.Attribute(attr="_unless_gone"), args=[ast.Constant(value=action), *_]
                ):
                    (product,) = products
                    found.add(f"{product}:{action}")
    return found


def test_every_action_has_its_place_and_no_other_is_there() -> None:
    page = (ROOT / "docs/reference/ram-actions.md").read_text()

    found = called()

    assert "ecs:DeleteNetworkInterface" in found
    assert set(re.findall(r"`([a-z]+:[A-Z][A-Za-z]+)`", page)) == found

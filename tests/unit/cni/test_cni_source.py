"""What cni/terway.py may be: it is started for every pod."""

import ast
import pathlib

from core import version
from ipamd.cni import cni_config

SOURCE = (pathlib.Path(__file__).parents[3] / "cni/terway.py").read_text()
BUILT_IN = {"posix", "_socket", "time"}


def test_it_imports_built_in_modules_only():
    tree = ast.parse(SOURCE)
    imported = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }

    assert imported <= BUILT_IN
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]


def test_its_version_and_the_cni_versions_are_those_of_the_daemon():
    constants = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(SOURCE).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("VERSION", "SUPPORTED")
    }

    assert constants["VERSION"].decode() == version.VERSION
    assert tuple(each.decode() for each in constants["SUPPORTED"]) == cni_config.VERSIONS

import importlib
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_shipped_package_exists_and_every_script_can_be_called():
    for package in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert (ROOT / package / "__init__.py").is_file(), package
    for target in PROJECT["project"]["scripts"].values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_constraints_pin_every_dependency_without_any_address():
    constraints = (ROOT / "constraints.txt").read_text()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in constraints.split()}
    names = [re.split(r"[<>=]", d, maxsplit=1)[0] for d in PROJECT["project"]["dependencies"]]

    assert {n.lower().replace("_", "-") for n in names} <= pinned
    assert "://" not in constraints


def test_the_help_of_each_program_explains_itself():
    for module in ("csi", "sim"):
        told = subprocess.run(
            [sys.executable, "-m", module, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "usage:" in told
        assert len(told.splitlines()) > 8


HEAVY = """
names = {name.partition(".")[0] for name in sys.modules if sys.modules[name] is not None}
heavy = {
    "ssl", "_hashlib", "requests", "aiohttp", "cryptography", "prometheus_client", "yaml",
    "darabonba",
}
print(sorted((heavy & names) | {n for n in names if n.startswith(("alibabacloud", "Tea"))}))
"""
NODE = """
import sys
from csi import main
words = ["--driver=disk,nas,oss,cpfs,local", "--run-controller-service=false"]
main.main([*words, "--print-settings"])
"""
MOUNTER = """
import os, sys
from csi.mounter import main
os.geteuid = lambda: 1  # it stops when all is imported
main.main([])
assert "csi.mounter.app" in sys.modules
"""
KEEPER = """
import sys
from csi.mounter import keeper, main
keeper.run = lambda words: 0
main.main(["--keep"])
print(sorted({"asyncio", "csi.mounter.app", "structlog"} & set(sys.modules)))
"""


def last_line(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def test_a_node_process_imports_no_sdk_and_nothing_heavy():
    assert last_line(NODE + HEAVY) == "[]"


def test_a_mounter_imports_nothing_heavy():
    assert last_line(MOUNTER + HEAVY) == "[]"


def test_who_only_waits_for_a_mounter_imports_none_of_it():
    assert last_line(KEEPER) == "[]"


COMPANION = """
import asyncio, pathlib, sys, tempfile
import certifi
from kube import agent, connection, settings
with tempfile.TemporaryDirectory() as name:
    account = pathlib.Path(name)
    (account / "token").write_text("t")
    (account / "ca.crt").symlink_to(certifi.where())
    config = settings.KubeSettings(account=name, server="https://10.0.0.1", is_configured=True)
    made = asyncio.run(connection.Connection(config).http())
print(sorted({"h2", "hpack", "lightkube"} & {n for n in sys.modules if sys.modules[n]}))
"""


def test_who_asks_the_api_server_imports_no_http_2_and_in_a_pod_no_kubernetes_library():
    assert last_line(COMPANION) == "[]"


def test_make_test_runs_every_directory_of_tests():
    told = (ROOT / "Makefile").read_text()
    run = {
        word
        for line in re.findall(r"^(?:RULES|MACHINE) := (.*)$", told, re.MULTILINE)
        for word in line.split()
    }
    have = {
        f"tests/{path.parts[0]}"
        for path in (p.relative_to(ROOT / "tests") for p in ROOT.glob("tests/**/test_*.py"))
    }

    of_their_own = {"tests/lab", "tests/e2e_k8s", "tests/clients_go"}
    assert have - run == of_their_own, "they have targets of their own"
    assert not run - have


ADDRESSES = """
import sys
import ipamd.app
storage = ("cloud.cpfs", "cloud.ecs_disk", "cloud.ecs_snapshot", "cloud.eflo", "cloud.nas", "csi")
print(sorted(name for name in sys.modules if name.startswith(storage)))
"""


def test_ipamd_loads_nothing_of_storage():
    assert last_line(ADDRESSES) == "[]"

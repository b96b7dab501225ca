"""The committed stubs are what the compiler makes of proto/ today."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]
PROTOS = {
    "csi/_pb": ("csi.proto", "pluginregistration.proto"),
    "ipamd/_pb": ("ipamd.proto", "terway.proto"),
    "tests/support/cri": ("cri.proto",),
}
SOURCES = {"tests/support/cri": "tests/support/cri"}


@pytest.mark.parametrize("place", sorted(PROTOS))
def test_stubs_are_what_the_compiler_makes_of_proto(tmp_path: pathlib.Path, place: str) -> None:
    generate(tmp_path, place)

    made = contents(tmp_path / place)
    committed = contents(ROOT / place)
    assert sorted(made) == sorted(committed)
    differing = [name for name in made if made[name] != committed[name]]
    assert differing == [], f"stubs are stale: run `make proto` and commit {place}"


def test_every_proto_of_the_directory_is_compiled() -> None:
    compiled = sorted(
        name for place, names in PROTOS.items() if place not in SOURCES for name in names
    )
    assert sorted(path.name for path in (ROOT / "proto").glob("*.proto")) == compiled


def generate(out: pathlib.Path, place: str) -> None:
    """Run the command of proto/README.md with *out* in place of the repository."""
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "grpc_tools.protoc",
                f"-I{place}={SOURCES.get(place, 'proto')}",
            ),
            *(f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")),
            *(f"{place}/{name}" for name in PROTOS[place]),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def contents(directory: pathlib.Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in directory.glob("*.py*")
        if path.name != "__init__.py"
    }

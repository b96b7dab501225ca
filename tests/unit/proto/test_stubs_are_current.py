"""The committed stubs in csi/_pb are what the compiler makes of proto/ today."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[3]
PROTOS = ("csi.proto", "pluginregistration.proto")


def test_stubs_are_what_the_compiler_makes_of_proto(tmp_path: pathlib.Path) -> None:
    generate(tmp_path)

    made = contents(tmp_path / "csi" / "_pb")
    committed = contents(ROOT / "csi" / "_pb")
    assert sorted(made) == sorted(committed)
    differing = [name for name in made if made[name] != committed[name]]
    assert differing == [], "stubs are stale: run `make proto` and commit csi/_pb"


def test_every_proto_of_the_directory_is_compiled() -> None:
    assert sorted(path.name for path in (ROOT / "proto").glob("*.proto")) == sorted(PROTOS)


def generate(out: pathlib.Path) -> None:
    """Run the command of proto/README.md with *out* in place of the repository."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-Icsi/_pb=proto"),
            *(f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")),
            *(f"csi/_pb/{name}" for name in PROTOS),
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

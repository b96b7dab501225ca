"""Writes the two code objects that are built into the executable as C arrays.

Run by tools/build_cni.sh with the interpreter whose library is linked: code is bound to a version.
"""

import importlib._bootstrap
import marshal
import pathlib
import sys


def main() -> None:
    """Usage: headers.py PROGRAM OUTPUT_DIRECTORY."""
    program, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    bootstrap = pathlib.Path(importlib.__file__).with_name("_bootstrap.py")
    _write(out / "bootstrap.h", "bootstrap_code", bootstrap, "<frozen importlib._bootstrap>")
    _write(out / "program.h", "program_code", program, "terway.py")


def _write(header: pathlib.Path, name: str, source: pathlib.Path, shown: str) -> None:
    code = compile(source.read_text(), shown, "exec", dont_inherit=True, optimize=2)
    numbers = ",".join(map(str, marshal.dumps(code)))
    header.write_text(f"static const unsigned char {name}[] = {{{numbers}}};\n")


if __name__ == "__main__":
    main()

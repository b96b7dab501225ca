#!/usr/bin/python3 -ISE
"""Runs `terway.pyc` that lies beside this file; `terway.py` when it is of another Python."""

import marshal
import sys

with open(sys.argv[0] + ".pyc", "rb") as compiled:
    head = compiled.read(16)
    if head[:4] == sys.modules["_frozen_importlib_external"].MAGIC_NUMBER:
        program = marshal.load(compiled)
    else:
        with open(sys.argv[0] + ".py", "rb") as source:
            program = compile(source.read(), "terway.py", "exec")
exec(program)
